//! `machine.DebugService`: a container with the node's privileges, for as long as somebody is connected to it.

mod container;
mod session;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api::proto::machine as proto;
use api::proto::machine::debug_container_run_request::Request as Part;
use api::proto::machine::debug_service_server::{DebugService, DebugServiceServer};
use image::pull::Pulled;
use sys::cgroup::{Group, Layout, Limits};
use tokio::sync::Semaphore;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::node::Node;
use crate::services::sandbox::image_folder;
use container::Wanted;
use session::Session;

/// Containers at the same time: a person or two with some windows.
const CONTAINERS: usize = 8;
/// How long a client may take to say what it wants.
const FIRST: Duration = Duration::from_secs(30);
/// How long a container waits for the size of its terminal.
const SECOND: Duration = Duration::from_secs(1);
/// Where roots are put together: one empty folder for each container.
const PLACES: &str = "/system/run/debug";
/// The control group above those of containers.
const GROUP: &str = "/system/debug";
/// Processes of one container.
const PROCESSES: u64 = 4096;

/// The service.
pub struct Debug {
    node: Node,
    free: Arc<Semaphore>,
    count: AtomicU64,
}

impl Debug {
    /// The service, ready to be served.
    pub fn server(node: Node) -> DebugServiceServer<Self> {
        DebugServiceServer::new(Self {
            node,
            free: Arc::new(Semaphore::new(CONTAINERS)),
            count: AtomicU64::new(1),
        })
    }

    /// The image, from the node's own folder, or pulled into it.
    async fn image(&self, name: &str) -> Result<Pulled, Status> {
        let name = super::images::reference(name)?;
        let here = || {
            let pulled = Pulled::open(&image_folder(&name)).map_err(|e| super::internal(e.into()))?;
            Ok::<_, Status>(pulled.filter(|pulled| pulled.reference == name))
        };
        if let Some(pulled) = here()? {
            return Ok(pulled);
        }
        super::images::pull_for_node(&self.node, &name, |_| {}).await?;
        here()?.ok_or_else(|| Status::internal(format!("the image {name} was pulled and is not there")))
    }
}

#[async_trait]
impl DebugService for Debug {
    async fn container_run(
        &self,
        request: Request<Streaming<proto::DebugContainerRunRequest>>,
    ) -> Result<Response<BoxStream<proto::DebugContainerRunResponse>>, Status> {
        let mut requests = request.into_inner();
        let permit = self.free.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "there are {CONTAINERS} debug containers on this node: end one first"
            ))
        })?;
        let spec = first(&mut requests).await?;
        let image = self.image(&spec.image_name).await?;
        let early = match spec.tty {
            true => early(&mut requests).await?,
            false => None,
        };
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let room = Room::make(number, Layout::detect().ok())?;
        let wanted = Wanted {
            image: &image,
            args: &spec.args,
            env: &spec.env.clone().into_iter().collect(),
            profile: spec.profile(),
            terminal: spec.tty.then(|| session::size_of(early.as_ref())),
        };
        let sandbox = wanted.sandbox(&room.folder, room.groups());
        let sandbox = sandbox.map_err(Status::invalid_argument)?;
        let child = sys::sandbox::spawn(&sandbox).await;
        let child = child.map_err(|e| Status::failed_precondition(format!("run {}: {e}", image.reference)))?;
        tracing::info!(image = image.reference, number, "a debug container was started");
        let session = Session::begin(child, room, (early, requests), self.node.cancel.clone())?;
        Ok(Response::new(session.run(permit)))
    }
}

/// The specification, which comes first.
async fn first(
    requests: &mut Streaming<proto::DebugContainerRunRequest>,
) -> Result<proto::DebugContainerRunRequestSpec, Status> {
    let first = tokio::time::timeout(FIRST, requests.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("say what to run (spec): nothing came"))??;
    match first.and_then(|first| first.request) {
        Some(Part::Spec(spec)) if !spec.image_name.is_empty() => Ok(spec),
        Some(Part::Spec(_)) => Err(Status::invalid_argument("spec.image_name: name an image")),
        _ => Err(Status::invalid_argument("the first message must be a spec")),
    }
}

/// What comes right after it: the size of the terminal, so that the container has it from the start.
async fn early(
    requests: &mut Streaming<proto::DebugContainerRunRequest>,
) -> Result<Option<proto::DebugContainerRunRequest>, Status> {
    let next = tokio::time::timeout(SECOND, requests.message()).await;
    next.unwrap_or(Ok(None))
}

/// What a container has of the node's own: a folder and a control group. Cleared away when this is dropped.
struct Room {
    folder: PathBuf,
    group: Option<Group>,
}

impl Room {
    fn make(number: u64, layout: Option<Layout>) -> Result<Self, Status> {
        let folder = Path::new(PLACES).join(number.to_string());
        std::fs::create_dir_all(&folder)
            .map_err(|e| Status::internal(format!("make the folder {}: {e}", folder.display())))?;
        let group = layout.map(|layout| layout.group(Path::new(GROUP).join(number.to_string())));
        let group = group.filter(|group| match group.create() {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "a debug container has no control group, and processes of its own instead");
                false
            }
        });
        if let Some(group) = &group {
            let limits = Limits {
                memory_max: Some(sys::host::memory() / 2),
                pids_max: Some(PROCESSES),
                ..Limits::default()
            };
            for error in group.set(&limits) {
                tracing::debug!(%error, "a limit of a debug container could not be set");
            }
        }
        Ok(Self { folder, group })
    }

    fn groups(&self) -> Vec<PathBuf> {
        self.group.as_ref().map(Group::folders).unwrap_or_default()
    }

    /// Ends every process of the container.
    fn clear(&self, limit: Duration) {
        if let Some(Err(error)) = self.group.as_ref().map(|group| group.kill(limit)) {
            tracing::warn!(%error, "a process of a debug container does not end");
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.group.as_ref().map(|group| group.remove(Duration::from_secs(1))) {
            tracing::debug!(%error, "the control group of a debug container stays");
        }
        if let Err(error) = std::fs::remove_dir(&self.folder) {
            tracing::debug!(%error, "the folder of a debug container stays");
        }
    }
}
