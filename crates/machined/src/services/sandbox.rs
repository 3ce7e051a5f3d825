//! The real runner: images pulled and unpacked, processes started in sandboxes with their own cgroup.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use futures::future::BoxFuture;
use image::pull::{Progress, Puller};
use node_resources::service_spec::{Cgroup, Health, Mount, ServiceSpec};
use sys::cgroup::{Layout, Limits};
use sys::mount::Propagation;
use sys::sandbox::{self, Child, Mount as SandboxMount, Namespaces, Output, Root, SandboxSpec, Seccomp, User};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::health;
use super::runner::{Exit, Prepared, Process, Runner};
use crate::logs::Log;

/// Where images of services are unpacked.
pub const IMAGES: &str = "/var/lib/keelson/images";
/// Where the roots of confined services are put together: empty folders with a few things bound into them.
const ROOTS: &str = "/system/run/roots";
/// The node's own binary.
const INIT: &str = "/sbin/init";

/// The folder an image of a service is unpacked into.
pub fn image_folder(image: &str) -> PathBuf {
    Path::new(IMAGES).join(image.replace(['/', ':', '@'], "_"))
}

/// Runs services on the node this process is the init of.
pub struct SandboxRunner {
    layout: Option<Layout>,
    /// How images are pulled now; changes with the registry configuration.
    puller: watch::Receiver<Option<Arc<Puller>>>,
}

impl SandboxRunner {
    /// A runner that pulls as `puller` says at the moment of pulling. Without control groups services run unbounded.
    pub fn new(layout: Option<Layout>, puller: watch::Receiver<Option<Arc<Puller>>>) -> Self {
        Self { layout, puller }
    }

    async fn pull(&self, image: &str, log: &Log) -> anyhow::Result<PathBuf> {
        let directory = image_folder(image);
        let mut puller = self.puller.clone();
        let puller = puller
            .wait_for(Option::is_some)
            .await
            .context("wait for the registry configuration")?
            .clone();
        let puller = puller.context("registry configuration is not there")?;
        log.line(&format!("pulling {image}"));
        let (name, place) = (image.to_owned(), directory.clone());
        let runtime = tokio::runtime::Handle::current();
        // Unpacking is mostly disk and decompression: it gets a thread of its own, off the runtime's few.
        let pulled = tokio::task::spawn_blocking(move || {
            let progress = |progress: Progress| tracing::debug!(?progress, "pull");
            runtime.block_on(puller.pull(&name, &place, &progress, &CancellationToken::new()))
        });
        let pulled = pulled.await.context("the pull was ended")?;
        match pulled {
            Ok(pulled) => Ok(pulled.rootfs()),
            // What was pulled before still runs when the registry is away.
            Err(error) => match image::pull::Pulled::open(&directory) {
                Ok(Some(old)) if old.reference == image => {
                    log.line(&format!("{error:#}; using the copy that is here"));
                    Ok(old.rootfs())
                }
                _ => Err(error).with_context(|| format!("pull {image}")),
            },
        }
    }

    fn cgroup_folders(&self, spec: &ServiceSpec) -> anyhow::Result<Vec<PathBuf>> {
        let (Some(layout), false) = (&self.layout, spec.cgroup.path.is_empty()) else {
            return Ok(Vec::new());
        };
        let group = layout.group(&spec.cgroup.path);
        group
            .create()
            .with_context(|| format!("make the cgroup {}", spec.cgroup.path))?;
        for error in group.set(&limits(&spec.cgroup, memory(layout))) {
            tracing::debug!(cgroup = spec.cgroup.path, %error, "a limit could not be set");
        }
        Ok(group.folders())
    }
}

/// The node's memory: what its control group may use, or what the machine has.
fn memory(layout: &Layout) -> u64 {
    let machine = sys::host::memory();
    let own = layout.group("/").stats().memory_max;
    own.map_or(machine, |own| own.min(machine))
}

/// What a service may use on a node with so much memory.
fn limits(cgroup: &Cgroup, memory: u64) -> Limits {
    let some = |value: u64| (value != 0).then_some(value);
    let share = some(cgroup.memory_max_percent).map(|percent| memory / 100 * percent);
    Limits {
        memory_max: some(cgroup.memory_max).or(share),
        memory_min: some(cgroup.memory_min),
        // Version 1 has no guarantee, only this preference.
        memory_low: some(cgroup.memory_min),
        cpu_weight: some(cgroup.millicores.div_ceil(10)),
        ..Limits::default()
    }
}

impl Runner for SandboxRunner {
    fn prepare<'a>(
        &'a self,
        id: &'a str,
        spec: &'a ServiceSpec,
        log: &'a Log,
    ) -> BoxFuture<'a, anyhow::Result<Prepared>> {
        Box::pin(async move {
            folders(spec)?;
            if spec.confined && spec.image.is_empty() {
                let root = Path::new(ROOTS).join(id);
                std::fs::create_dir_all(&root).with_context(|| format!("make {}", root.display()))?;
                return Ok(Prepared { root: Some(root) });
            }
            let root = if spec.image.is_empty() {
                None
            } else {
                Some(self.pull(&spec.image, log).await?)
            };
            Ok(Prepared { root })
        })
    }

    fn start<'a>(
        &'a self,
        id: &'a str,
        spec: &'a ServiceSpec,
        prepared: &'a Prepared,
        log: &'a Log,
    ) -> BoxFuture<'a, anyhow::Result<Box<dyn Process>>> {
        Box::pin(async move {
            let sandbox = sandbox_spec(spec, prepared.root.as_deref(), self.cgroup_folders(spec)?);
            let mut child = sandbox::spawn(&sandbox).await.with_context(|| format!("start {id}"))?;
            for warning in &child.warnings {
                tracing::debug!(service = id, "{warning}");
            }
            for output in [child.take_stdout()?, child.take_stderr()?].into_iter().flatten() {
                tokio::spawn(copy(output, log.clone()));
            }
            Ok(Box::new(Sandboxed { child }) as Box<dyn Process>)
        })
    }

    fn check<'a>(&'a self, health: &'a Health) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(health::check(health))
    }
}

/// Makes the folders that a service writes to, and hands them over.
fn folders(spec: &ServiceSpec) -> anyhow::Result<()> {
    for mount in spec.mounts.iter().filter(|m| !m.read_only) {
        let path = Path::new(&mount.source);
        if !path.exists() {
            std::fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
        }
        if spec.user != 0 {
            std::os::unix::fs::chown(path, Some(spec.user), Some(spec.user))
                .with_context(|| format!("hand over {}", path.display()))?;
        }
    }
    Ok(())
}

/// What a service is, in terms of the sandbox.
fn sandbox_spec(spec: &ServiceSpec, root: Option<&Path>, cgroups: Vec<PathBuf>) -> SandboxSpec {
    let mut mounts: Vec<SandboxMount> = Vec::new();
    if root.is_some() {
        if spec.confined && spec.image.is_empty() {
            let program = spec.args.first().cloned().unwrap_or_default();
            mounts.push(SandboxMount::bind(INIT, program, true));
        }
        mounts.push(SandboxMount::Proc { target: "/proc".into() });
    }
    mounts.extend(spec.mounts.iter().map(bind));
    let env = spec
        .env
        .iter()
        .filter_map(|v| v.split_once('='))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    SandboxSpec {
        argv: spec.args.clone(),
        env,
        namespaces: Namespaces {
            mount: root.is_some(),
            ipc: spec.confined,
            ..Namespaces::default()
        },
        root: root.map_or(Root::Current, |path| Root::Directory {
            path: path.to_owned(),
            read_only: spec.confined,
        }),
        mounts,
        user: (spec.user != 0).then(|| User {
            uid: spec.user,
            gid: spec.user,
            groups: vec![],
        }),
        capabilities: spec.confined.then(Vec::new),
        no_new_privs: spec.confined,
        seccomp: if spec.confined { Seccomp::Service } else { Seccomp::None },
        oom_score_adj: Some(spec.oom_score),
        cgroups,
        new_session: true,
        stdout: Output::Pipe,
        stderr: Output::Pipe,
        ..SandboxSpec::default()
    }
}

fn bind(mount: &Mount) -> SandboxMount {
    SandboxMount::Bind {
        source: mount.source.clone().into(),
        target: mount.target.clone().into(),
        read_only: mount.read_only,
        recursive: mount.recursive,
        propagation: Some(if mount.shared {
            Propagation::Shared
        } else {
            Propagation::Slave
        }),
    }
}

async fn copy(mut output: tokio::net::unix::pipe::Receiver, log: Log) {
    let mut buffer = vec![0u8; 16 * 1024];
    // The end of a pipe, or an error of it, is the end of the process' output.
    while let Ok(read @ 1..) = output.read(&mut buffer).await {
        log.write(&buffer[..read]);
    }
}

struct Sandboxed {
    child: Child,
}

impl Process for Sandboxed {
    fn pid(&self) -> u32 {
        self.child.target_pid().unsigned_abs()
    }

    fn wait(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            match self.child.wait().await {
                Ok(status) => Exit {
                    text: status.to_string(),
                    success: status.success(),
                },
                Err(error) => Exit {
                    text: error.to_string(),
                    success: false,
                },
            }
        })
    }

    fn signal(&self, signal: i32) {
        // A process that is gone already is what a signal to end it asks for.
        if let Err(error) = self.child.signal(signal) {
            tracing::debug!(%error, signal, "a signal was not delivered");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_nodes_memory_becomes_a_bound() {
        let cgroup = Cgroup {
            memory_min: 1,
            memory_max_percent: 75,
            millicores: 250,
            ..Cgroup::default()
        };
        let of_a_share = limits(&cgroup, 2000);
        assert_eq!((of_a_share.memory_max, of_a_share.cpu_weight), (Some(1500), Some(25)));
        let fixed = Cgroup {
            memory_max: 7,
            ..cgroup
        };
        assert_eq!(limits(&fixed, 2000).memory_max, Some(7));
        assert_eq!(limits(&Cgroup::default(), 2000), Limits::default());
    }
}
