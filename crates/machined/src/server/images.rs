//! Images: those of the container runtime, and those the node itself unpacked for its services.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::proto::common::{ContainerdInstance, ContainerdNamespace};
use api::proto::machine as proto;
use api::proto::machine::image_service_pull_layer_progress::Status as LayerStatus;
use api::proto::machine::image_service_pull_response::Response as PullEvent;
use api::proto::machine::image_service_server::{ImageService, ImageServiceServer};
use api::reply::Reply;
use futures::StreamExt;
use image::pull::{Progress, PullError, Pulled, Puller};
use image::reference::ImageRef;
use node_resources::keelson::DesiredService;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::node::Node;
use crate::services::sandbox::{IMAGES, image_folder};

type Answer<T> = Result<Response<T>, Status>;
type Stream<T> = Result<Response<BoxStream<T>>, Status>;

/// How long the node's puller may need to know its registries.
const CONFIGURED: Duration = Duration::from_secs(10);
/// Progress that may wait for the client; more of it is left out.
const WAITING: usize = 16;

/// Where images are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The container runtime.
    Runtime,
    /// The node's own folder.
    System,
}

impl Place {
    fn of(namespace: ContainerdNamespace) -> Self {
        match namespace {
            ContainerdNamespace::NsSystem => Self::System,
            ContainerdNamespace::NsUnknown | ContainerdNamespace::NsCri => Self::Runtime,
        }
    }

    /// Of the newer calls. Those name the namespace `inmem`, of images for a moment, by the number that means none in the
    /// older ones.
    pub(super) fn of_instance(instance: Option<&ContainerdInstance>) -> Self {
        match instance.map(ContainerdInstance::namespace) {
            Some(ContainerdNamespace::NsUnknown | ContainerdNamespace::NsSystem) => Self::System,
            Some(ContainerdNamespace::NsCri) | None => Self::Runtime,
        }
    }
}

/// A name as registries take it: `nginx` is `docker.io/library/nginx:latest`.
pub(super) fn reference(text: &str) -> Result<String, Status> {
    let parsed: Result<ImageRef, _> = text.parse();
    let parsed = parsed.map_err(|e| Status::invalid_argument(e.to_string()))?;
    Ok(parsed.to_string())
}

/// `machine.MachineService/ImageList`
pub async fn list_by_namespace(node: &Node, request: proto::ImageListRequest) -> Stream<proto::ImageListResponse> {
    let images = all(node, Place::of(request.namespace())).await?;
    let images = images.into_iter().map(|i| {
        Ok(proto::ImageListResponse {
            name: i.name,
            digest: i.digest,
            size: i.size,
            ..Default::default()
        })
    });
    Ok(Response::new(futures::stream::iter(images).boxed()))
}

/// `machine.MachineService/ImagePull`
pub async fn pull_by_namespace(
    node: &Node,
    request: &proto::ImagePullRequest,
) -> Result<proto::ImagePullResponse, Status> {
    let name = reference(&request.reference)?;
    pull(node, Place::of(request.namespace()), &name, |_| {}).await?;
    Ok(proto::ImagePullResponse::of(proto::ImagePull::default()))
}

async fn all(node: &Node, place: Place) -> Result<Vec<proto::ImageServiceListResponse>, Status> {
    if place == Place::System {
        return Ok(unpacked().into_iter().map(|(info, _)| info).collect());
    }
    let images = node.cri.images().await.map_err(super::internal)?;
    Ok(images.into_iter().flat_map(infos).collect())
}

/// An image by each of its names, and by digest.
fn infos(image: crate::clients::cri::Image) -> Vec<proto::ImageServiceListResponse> {
    let digest = image
        .repo_digests
        .first()
        .and_then(|d| d.split_once('@'))
        .map(|(_, d)| d.to_owned())
        .unwrap_or_default();
    let size = i64::try_from(image.size).unwrap_or(i64::MAX);
    let names = image.repo_tags.into_iter().chain(image.repo_digests);
    names
        .map(|name| proto::ImageServiceListResponse {
            name,
            digest: digest.clone(),
            size,
            ..Default::default()
        })
        .collect()
}

/// Images that the node itself unpacked for its services.
fn unpacked() -> Vec<(proto::ImageServiceListResponse, Pulled)> {
    let folders = std::fs::read_dir(IMAGES).into_iter().flatten().flatten();
    let pulled = folders.filter_map(|folder| Pulled::open(&folder.path()).ok().flatten());
    let info = |p: Pulled| {
        let info = proto::ImageServiceListResponse {
            name: p.reference.clone(),
            digest: p.digest.to_string(),
            ..Default::default()
        };
        (info, p)
    };
    pulled.map(info).collect()
}

async fn pull(
    node: &Node,
    place: Place,
    name: &str,
    progress: impl Fn(Progress) + Send + Sync + 'static,
) -> Result<(), Status> {
    match place {
        Place::Runtime => node.cri.pull_image(name).await.map_err(super::internal),
        Place::System => pull_for_node(node, name, progress).await,
    }
}

/// How the node pulls images now.
pub(super) async fn puller(node: &Node) -> Result<Arc<Puller>, Status> {
    let mut puller = node.puller.clone();
    let configured = puller.wait_for(Option::is_some);
    let puller = match tokio::time::timeout(CONFIGURED, configured).await {
        Ok(Ok(puller)) => puller.clone(),
        _ => None,
    };
    puller.ok_or_else(|| {
        Status::failed_precondition("the node does not know its registries yet: it has no configuration")
    })
}

/// Pulls an image into the node's own folder.
pub(super) async fn pull_for_node(
    node: &Node,
    name: &str,
    progress: impl Fn(Progress) + Send + Sync + 'static,
) -> Result<(), Status> {
    let puller = puller(node).await?;
    let (name, folder, cancel) = (name.to_owned(), image_folder(name), CancellationToken::new());
    // A client that goes away drops this future, and with it the guard.
    let _guard = cancel.clone().drop_guard();
    let runtime = tokio::runtime::Handle::current();
    // Unpacking is mostly disk and decompression: it gets a thread of its own, off the runtime's few.
    let pulled = tokio::task::spawn_blocking(move || runtime.block_on(puller.pull(&name, &folder, &progress, &cancel)));
    let pulled = pulled.await.map_err(|e| super::internal(e.into()))?;
    pulled.map(drop).map_err(|error| match error {
        PullError::Refused { .. } => Status::permission_denied(error.to_string()),
        other => Status::unavailable(other.to_string()),
    })
}

async fn remove(node: &Node, place: Place, text: &str) -> Result<(), Status> {
    // By name, by name and digest, or by digest alone.
    let name = if text.starts_with("sha256:") {
        text.to_owned()
    } else {
        reference(text)?
    };
    let missing = || {
        Status::not_found(format!(
            "there is no image {text:?} here (`image list` shows what there is)"
        ))
    };
    if place == Place::Runtime {
        node.cri
            .image(&name)
            .await
            .map_err(super::internal)?
            .ok_or_else(missing)?;
        return node.cri.remove_image(&name).await.map_err(super::internal);
    }
    let found = unpacked()
        .into_iter()
        .find(|(info, _)| info.name == name || info.digest == name);
    let (info, pulled) = found.ok_or_else(missing)?;
    let services = node.store.list::<DesiredService>();
    let user = services.iter().find(|s| s.spec.image == info.name);
    if let Some(user) = user {
        let text = format!("the service {} runs from {}", user.metadata().id, info.name);
        return Err(Status::failed_precondition(text));
    }
    let folder = pulled.dir.clone();
    let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(&pulled.dir)).await;
    let removed = removed.map_err(|e| super::internal(e.into()))?;
    removed.map_err(|e| Status::internal(format!("remove {}: {e}", folder.display())))
}

/// What the node's puller does, as the interface tells it: it fetches all layers as one.
fn event(progress: &Progress, started: Instant) -> Option<PullEvent> {
    let (layer_id, status, offset, total) = match progress {
        Progress::Downloading { done, total } => {
            let status = if done < total {
                LayerStatus::Downloading
            } else {
                LayerStatus::DownloadComplete
            };
            ("layers".to_owned(), status, *done, *total)
        }
        Progress::Unpacking { layer, layers } => {
            let (layer, layers) = (*layer as u64, *layers as u64);
            (format!("layer {layer}"), LayerStatus::Extracting, layer, layers)
        }
        Progress::Resolving { .. } | Progress::Failed { .. } => return None,
    };
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    Some(PullEvent::PullProgress(proto::ImageServicePullProgress {
        layer_id,
        progress: Some(proto::ImageServicePullLayerProgress {
            status: status.into(),
            elapsed: prost_types::Duration::try_from(started.elapsed()).ok(),
            offset: number(offset),
            total: number(total),
        }),
    }))
}

/// The service.
pub struct Images {
    node: Node,
}

impl Images {
    /// The service, ready to be served.
    pub fn server(node: Node) -> ImageServiceServer<Self> {
        ImageServiceServer::new(Self { node })
    }
}

#[async_trait]
impl ImageService for Images {
    async fn list(&self, request: Request<proto::ImageServiceListRequest>) -> Stream<proto::ImageServiceListResponse> {
        let place = Place::of_instance(request.get_ref().containerd.as_ref());
        let images = all(&self.node, place).await?;
        Ok(Response::new(futures::stream::iter(images.into_iter().map(Ok)).boxed()))
    }

    async fn pull(&self, request: Request<proto::ImageServicePullRequest>) -> Stream<proto::ImageServicePullResponse> {
        let request = request.into_inner();
        let place = Place::of_instance(request.containerd.as_ref());
        let name = reference(&request.image_ref)?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let node = self.node.clone();
        tokio::spawn(async move {
            let started = Instant::now();
            let events = sender.clone();
            let progress = move |progress: Progress| {
                // Progress is for a person who waits; the pull does not wait for them.
                if let Some(event) = event(&progress, started) {
                    let _ = events.try_send(Ok(proto::ImageServicePullResponse { response: Some(event) }));
                }
            };
            let outcome = tokio::select! {
                outcome = pull(&node, place, &name, progress) => outcome,
                () = sender.closed() => return,
            };
            let last = outcome.map(|()| proto::ImageServicePullResponse {
                response: Some(PullEvent::Name(name)),
            });
            // Nobody is left to be told if this fails.
            let _ = sender.send(last).await;
        });
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        Ok(Response::new(stream.boxed()))
    }

    async fn import(
        &self,
        request: Request<Streaming<proto::ImageServiceImportRequest>>,
    ) -> Answer<proto::ImageServiceImportResponse> {
        let name = super::import::import(&self.node, request.into_inner()).await?;
        Ok(Response::new(proto::ImageServiceImportResponse { name }))
    }

    async fn remove(&self, request: Request<proto::ImageServiceRemoveRequest>) -> Answer<()> {
        let request = request.get_ref();
        let place = Place::of_instance(request.containerd.as_ref());
        remove(&self.node, place, &request.image_ref).await.map(Response::new)
    }

    async fn verify(
        &self,
        request: Request<proto::ImageServiceVerifyRequest>,
    ) -> Answer<proto::ImageServiceVerifyResponse> {
        let answer = super::verifier::verify(&self.node, request.get_ref()).await;
        answer.map(Response::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_and_wrong_ones_refused() {
        assert_eq!(reference("nginx").unwrap(), "docker.io/library/nginx:latest");
        assert_eq!(
            reference("Not An Image").unwrap_err().code(),
            tonic::Code::InvalidArgument
        );
    }

    #[test]
    fn an_image_is_listed_by_each_name() {
        let image = crate::clients::cri::Image {
            repo_tags: vec!["a:1".into(), "a:2".into()],
            repo_digests: vec!["a@sha256:00".into()],
            size: 7,
            ..Default::default()
        };
        let infos = infos(image);
        let names: Vec<&str> = infos.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["a:1", "a:2", "a@sha256:00"]);
        assert!(infos.iter().all(|i| i.digest == "sha256:00" && i.size == 7));
    }

    #[test]
    fn a_pull_tells_how_far_it_is() {
        let progress = Progress::Downloading { done: 5, total: 9 };
        let Some(PullEvent::PullProgress(told)) = event(&progress, Instant::now()) else {
            panic!("nothing is told")
        };
        let told = told.progress.unwrap();
        assert_eq!(
            (told.offset, told.total, told.status()),
            (5, 9, LayerStatus::Downloading)
        );
    }
}
