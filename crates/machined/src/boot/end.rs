//! The end of a node's run: carries out the phases of a sequence, in order, each with a deadline.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use node_resources::secrets::EtcdSecrets;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::clients::cri::{ContainerState, PodSandbox, PodSandboxState};
use crate::node::Node;
use crate::sequence::drain;
use crate::sequence::{Ending, Phase, Request, Sequence};

/// How long pods may take to end.
const PODS_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a container may take to end when it is asked to; those of the control plane are asked after the others.
const GRACE: Duration = Duration::from_secs(10);
/// How long leaving the cluster may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long it may take to leave the discovery service. A node that cannot reach it is listed there until what it said
/// last expires, which is no reason to wait longer.
const FORGET_TIMEOUT: Duration = Duration::from_secs(5);
/// Services in the order they end: what depends on others first.
const SERVICES: &[&str] = &["kubelet", "etcd", "containerd", "trustd", "apid"];
/// Folders that a reset empties.
const DATA: &[&str] = &[
    "/system/state",
    "/var/lib",
    "/var/log/pods",
    "/etc/kubernetes",
    "/etc/cni/net.d",
];

/// Waits for a request or a signal, and carries it out.
pub async fn wait(node: &Node, requests: &mut mpsc::UnboundedReceiver<Request>) -> Ending {
    let request = next(node, requests).await;
    let mut request = request;
    loop {
        node.sequencer.announce(&request, true, None);
        tokio::select! {
            outcome = carry_out(node, &request) => {
                let error = outcome.err().map(|e| format!("{e:#}"));
                if let Some(error) = &error {
                    tracing::error!(sequence = request.sequence.name(), error, "a sequence did not end cleanly");
                }
                node.sequencer.announce(&request, false, error);
                // Followers of the events get a moment to read the last of them.
                tokio::time::sleep(Duration::from_millis(200)).await;
                return request.sequence.ending();
            }
            // A reboot or shutdown takes over what runs.
            other = next(node, requests) => request = other,
        }
    }
}

/// The next request; SIGTERM and SIGINT ask for a shutdown (`docker stop`, the provider).
async fn next(node: &Node, requests: &mut mpsc::UnboundedReceiver<Request>) -> Request {
    let asked = |sequence| Request {
        sequence,
        actor: String::new(),
    };
    let shutdown = Sequence::Shutdown { force: true };
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return asked(shutdown);
    };
    loop {
        tokio::select! {
            request = requests.recv() => if let Some(request) = request { return request },
            _ = term.recv() => if node.sequencer.request(shutdown, "").is_err() { continue },
            _ = int.recv() => if node.sequencer.request(shutdown, "").is_err() { continue },
        }
    }
}

async fn carry_out(node: &Node, request: &Request) -> anyhow::Result<()> {
    let mut failures = Vec::new();
    for phase in request.sequence.phases() {
        node.sequencer.announce_phase(phase, true, &request.actor);
        tracing::info!(phase = phase.name(), "phase");
        // A phase that fails does not keep the node from ending; a graceful reset must leave the cluster first.
        if let Err(error) = run(node, phase).await {
            if phase == Phase::LeaveEtcd {
                return Err(error.context("reset: leave the cluster (use --graceful=false to reset without)"));
            }
            failures.push(format!("{}: {error:#}", phase.name()));
        }
        node.sequencer.announce_phase(phase, false, &request.actor);
    }
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

async fn run(node: &Node, phase: Phase) -> anyhow::Result<()> {
    match phase {
        Phase::CordonAndDrain => tokio::time::timeout(LEAVE_TIMEOUT, drain::cordon_and_drain(node))
            .await
            .context("drain the node in time")?,
        Phase::LeaveEtcd => tokio::time::timeout(LEAVE_TIMEOUT, leave_etcd(node))
            .await
            .context("leave etcd in time")?,
        Phase::StopPods => {
            node.supervisor.stop(&["kubelet"]).await;
            tokio::time::timeout(PODS_TIMEOUT, stop_pods(node))
                .await
                .context("stop the pods in time")?
        }
        Phase::StopServices => {
            node.supervisor.stop(SERVICES).await;
            Ok(())
        }
        Phase::LeaveDiscovery => {
            leave_discovery(node).await;
            Ok(())
        }
        Phase::Wipe => wipe(),
    }
}

/// That the service cannot be reached is told, and is no failure of the sequence.
async fn leave_discovery(node: &Node) {
    let left = tokio::time::timeout(FORGET_TIMEOUT, node.discovery.leave(&node.store)).await;
    let left = left.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {FORGET_TIMEOUT:?}")));
    if let Err(error) = left {
        tracing::warn!("others list this node for up to half an hour: leave the discovery service: {error:#}");
    }
}

async fn stop_pods(node: &Node) -> anyhow::Result<()> {
    let Ok(sandboxes) = node.cri.sandboxes().await else {
        return Ok(());
    };
    let (fixed, others): (Vec<_>, Vec<_>) = sandboxes.iter().partition(|sandbox| is_static(sandbox));
    for pods in [others, fixed] {
        end_containers(node, &pods).await?;
    }
    let running = sandboxes
        .into_iter()
        .filter(|s| s.state() == PodSandboxState::SandboxReady);
    let stops = running.map(|s| async move { node.cri.remove_sandbox(&s.id).await });
    for outcome in futures::future::join_all(stops).await {
        outcome?;
    }
    Ok(())
}

/// Whether the node runs a pod of its own, the control plane's mostly, whatever the API server says.
fn is_static(sandbox: &PodSandbox) -> bool {
    let source = sandbox.annotations.get("kubernetes.io/config.source");
    source.is_some_and(|source| source != "api")
}

/// Asks the containers of pods to end, all at once, and waits for it.
async fn end_containers(node: &Node, pods: &[&PodSandbox]) -> anyhow::Result<()> {
    let containers = node.cri.containers().await?;
    let running = containers.iter().filter(|container| {
        container.state() == ContainerState::ContainerRunning
            && pods.iter().any(|pod| pod.id == container.pod_sandbox_id)
    });
    let stops = running.map(|container| node.cri.stop_container(&container.id, GRACE));
    for outcome in futures::future::join_all(stops).await {
        // The removal of its pod ends what did not end.
        if let Err(error) = outcome {
            tracing::warn!("{error:#}");
        }
    }
    Ok(())
}

async fn leave_etcd(node: &Node) -> anyhow::Result<()> {
    // Without secrets this node never was a member; the only member's data is about to be wiped on purpose.
    if node.store.list::<EtcdSecrets>().is_empty() {
        return Ok(());
    }
    let departure = crate::server::etcd::membership::depart(node).await;
    departure
        .map(drop)
        .map_err(|status| anyhow::anyhow!("{}", status.message()))
}

/// Empties the folders of data. What cannot be removed is told at the end and keeps nothing else from being removed:
/// a node that keeps its etcd data because of a volume in use would come back as a member that has left.
fn wipe() -> anyhow::Result<()> {
    let mut failures = Vec::new();
    match sys::mount::list() {
        Ok(mounts) => {
            for target in mounts_within(mounts.into_iter().map(|mount| mount.target), DATA) {
                if let Err(error) = sys::mount::detach(&target) {
                    failures.push(error.to_string());
                }
            }
        }
        Err(error) => failures.push(error.to_string()),
    }
    for folder in DATA {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if let Err(error) = remove(&path) {
                failures.push(format!("remove {}: {error}", path.display()));
            }
        }
    }
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

/// The mounts inside of folders, the innermost first: volumes of pods, mostly. The folders may be mounts themselves.
fn mounts_within(targets: impl Iterator<Item = PathBuf>, folders: &[&str]) -> Vec<PathBuf> {
    let inside = |target: &PathBuf| {
        folders
            .iter()
            .any(|folder| target.starts_with(folder) && target != Path::new(folder))
    };
    let mut targets: Vec<PathBuf> = targets.filter(inside).collect();
    targets.sort_by_key(|target| std::cmp::Reverse(target.components().count()));
    targets
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_inside_of_folders_are_found_innermost_first() {
        let targets = [
            "/var",
            "/var/lib",
            "/var/lib/kubelet/pods/a",
            "/var/library",
            "/var/lib/kubelet/pods/a/b/c",
            "/proc",
        ];
        let found = mounts_within(targets.iter().map(PathBuf::from), &["/var/lib"]);
        assert_eq!(
            found,
            [
                PathBuf::from("/var/lib/kubelet/pods/a/b/c"),
                PathBuf::from("/var/lib/kubelet/pods/a")
            ]
        );
    }
}
