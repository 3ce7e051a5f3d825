//! Containers, as the container runtime and the supervisor know them.

use std::collections::BTreeMap;
use std::time::Duration;

use api::proto::common::ContainerDriver;
use api::proto::machine as proto;
use api::reply::Reply;
use tonic::Status;

use crate::clients::cri::{Container, ContainerState, PodSandboxState};
use crate::node::Node;

/// The namespace of the system's own services.
const SYSTEM: &str = "system";
/// The namespace of Kubernetes.
const KUBERNETES: &str = "k8s.io";
/// How long a container may take to end before it is killed.
const STOP: Duration = Duration::from_secs(10);
/// How long the answer to a call may need to leave the node.
const ANSWERED: Duration = Duration::from_millis(500);
/// SIGTERM, by which a service is asked to end.
const TERMINATE: i32 = 15;

/// Containers of a namespace: the system's services, or Kubernetes' pods.
pub async fn list(node: &Node, request: &proto::ContainersRequest) -> Result<proto::ContainersResponse, Status> {
    let containers = if request.driver() == ContainerDriver::Cri || request.namespace == KUBERNETES {
        pods(node).await.map_err(super::internal)?
    } else {
        services(node)
    };
    Ok(proto::ContainersResponse::of(proto::Container {
        containers,
        ..Default::default()
    }))
}

fn services(node: &Node) -> Vec<proto::ContainerInfo> {
    let board = node.supervisor.board();
    let board = board.borrow();
    let running = board.iter().filter_map(|(id, status)| Some((id, status.pid?)));
    let info = |(id, pid): (&String, u32)| proto::ContainerInfo {
        namespace: SYSTEM.to_owned(),
        id: id.clone(),
        name: id.clone(),
        pod_id: id.clone(),
        pid,
        status: "RUNNING".to_owned(),
        ..Default::default()
    };
    running.map(info).collect()
}

async fn pods(node: &Node) -> anyhow::Result<Vec<proto::ContainerInfo>> {
    let (sandboxes, containers) = (node.cri.sandboxes().await?, node.cri.containers().await?);
    let mut by_pod: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for container in &containers {
        by_pod.entry(&container.pod_sandbox_id).or_default().push(container);
    }
    let mut infos = Vec::new();
    for sandbox in &sandboxes {
        let Some(metadata) = &sandbox.metadata else { continue };
        let pod = format!("{}/{}", metadata.namespace, metadata.name);
        let ready = sandbox.state() == PodSandboxState::SandboxReady;
        let process = node.cri.sandbox_process(&sandbox.id).await.unwrap_or_default();
        let network_namespace = process.network_namespace.unwrap_or_default();
        infos.push(proto::ContainerInfo {
            namespace: KUBERNETES.to_owned(),
            id: pod.clone(),
            uid: metadata.uid.clone(),
            internal_id: sandbox.id.clone(),
            image: config::images::PAUSE.to_owned(),
            pid: process.pid.unwrap_or_default(),
            network_namespace: network_namespace.clone(),
            status: if ready { "SANDBOX_READY" } else { "SANDBOX_NOTREADY" }.to_owned(),
            pod_id: pod.clone(),
            name: pod.clone(),
        });
        for container in by_pod.remove(sandbox.id.as_str()).unwrap_or_default() {
            let name = container.metadata.as_ref().map(|m| m.name.clone()).unwrap_or_default();
            let short: String = container.id.chars().take(12).collect();
            let process = node
                .cri
                .container_process(&container.id)
                .await
                .ok()
                .and_then(|(pid, _)| pid);
            infos.push(proto::ContainerInfo {
                namespace: KUBERNETES.to_owned(),
                id: format!("{pod}:{name}:{short}"),
                uid: metadata.uid.clone(),
                internal_id: container.id.clone(),
                image: container.image.as_ref().map(image_name).unwrap_or_default(),
                pid: process.unwrap_or_default(),
                network_namespace: network_namespace.clone(),
                status: container_state(container.state()).to_owned(),
                pod_id: pod.clone(),
                name,
            });
        }
    }
    Ok(infos)
}

/// Network namespaces of running pods, each with a process in it.
pub async fn pod_networks(node: &Node) -> anyhow::Result<BTreeMap<String, u32>> {
    let mut networks = BTreeMap::new();
    for sandbox in node.cri.sandboxes().await? {
        // A pod that ends meanwhile has no network any more.
        let process = node.cri.sandbox_process(&sandbox.id).await.unwrap_or_default();
        if let (Some(name), Some(pid)) = (process.network_namespace, process.pid) {
            networks.insert(name, pid);
        }
    }
    Ok(networks)
}

/// Use of containers: of the system's services, or of Kubernetes' pods and their containers.
pub async fn stats(node: &Node, request: &proto::StatsRequest) -> Result<proto::StatsResponse, Status> {
    let of = proto::ContainersRequest {
        namespace: request.namespace.clone(),
        driver: request.driver,
    };
    let containers = list(node, &of).await?.messages.into_iter().flat_map(|m| m.containers);
    let layout = sys::cgroup::Layout::detect().map_err(|e| Status::failed_precondition(e.to_string()))?;
    let stat = |c: proto::ContainerInfo| {
        // One that does not run uses nothing, and has nothing to be asked for.
        let group = sys::cgroup::of(i32::try_from(c.pid).ok().filter(|pid| *pid != 0)?)?;
        let stats = layout.group(group).stats();
        Some(proto::Stat {
            namespace: c.namespace,
            id: c.id,
            // Caches that can be given back at any time are no use of memory.
            memory_usage: stats.memory.saturating_sub(stats.memory_inactive_file),
            cpu_usage: u64::try_from(stats.cpu.as_nanos()).unwrap_or(u64::MAX),
            pod_id: c.pod_id,
            name: c.name,
        })
    };
    Ok(proto::StatsResponse::of(proto::Stats {
        stats: containers.filter_map(stat).collect(),
        ..Default::default()
    }))
}

/// Ends the process of a container, or of every container of a pod; whoever keeps it running starts it again.
pub async fn restart(node: &Node, request: &proto::RestartRequest) -> Result<proto::RestartResponse, Status> {
    if request.driver() == ContainerDriver::Cri || request.namespace == KUBERNETES {
        restart_pod(node, &request.id).await?;
    } else {
        restart_service(node, &request.id)?;
    }
    Ok(proto::RestartResponse::of(proto::Restart::default()))
}

async fn restart_pod(node: &Node, id: &str) -> Result<(), Status> {
    let containers = node.cri.containers().await.map_err(super::internal)?;
    let running = containers
        .iter()
        .filter(|c| c.state() == ContainerState::ContainerRunning);
    let wanted: Vec<&str> = running.filter(|c| is_meant(c, id)).map(|c| c.id.as_str()).collect();
    if wanted.is_empty() {
        let text = format!("no container {id:?} is running (`containers -k` lists pods and containers by their ids)");
        return Err(Status::not_found(text));
    }
    for container in wanted {
        node.cri
            .stop_container(container, STOP)
            .await
            .map_err(super::internal)?;
    }
    Ok(())
}

/// Whether a container is the one, or one of the pod, that `namespace/pod`, `namespace/pod:name`,
/// `namespace/pod:name:id` or its id mean.
pub fn is_meant(container: &Container, id: &str) -> bool {
    let label = |key: &str| container.labels.get(key).map(String::as_str).unwrap_or_default();
    let of_pod = format!(
        "{}/{}",
        label("io.kubernetes.pod.namespace"),
        label("io.kubernetes.pod.name")
    );
    let named = container.metadata.as_ref().map(|m| m.name.as_str());
    let mut parts = id.split(':');
    let (pod, name, short) = (parts.next(), parts.next(), parts.next());
    let in_pod =
        pod == Some(&of_pod) && (name.is_none() || name == named) && short.is_none_or(|s| container.id.starts_with(s));
    in_pod || container.id == id || container.pod_sandbox_id == id
}

fn restart_service(node: &Node, id: &str) -> Result<(), Status> {
    let name = super::services::canonical(id);
    let pid = node.supervisor.board().borrow().get(name).map(|status| status.pid);
    match pid {
        None => Err(Status::not_found(format!(
            "no container {id:?} is running in the namespace {SYSTEM} (`containers` lists them; for a pod's use -k)"
        ))),
        Some(None) => Err(Status::failed_precondition(format!(
            "{name} is not running in a container of its own; `reboot` restarts the whole node"
        ))),
        Some(Some(pid)) => {
            let process = i32::try_from(pid).ok().and_then(sys::process::Identity::of);
            tokio::spawn(async move {
                // apid carries the answer to this call, and is to do it before it ends.
                tokio::time::sleep(ANSWERED).await;
                if let Some(Err(error)) = process.map(|p| p.signal(TERMINATE)) {
                    tracing::warn!(%error, "a service could not be restarted");
                }
            });
            Ok(())
        }
    }
}

/// The name an image was asked for by, or what the runtime calls it.
fn image_name(image: &crate::clients::cri::proto::ImageSpec) -> String {
    let name = &image.user_specified_image;
    if name.is_empty() {
        image.image.clone()
    } else {
        name.clone()
    }
}

fn container_state(state: ContainerState) -> &'static str {
    match state {
        ContainerState::ContainerCreated => "CONTAINER_CREATED",
        ContainerState::ContainerRunning => "CONTAINER_RUNNING",
        ContainerState::ContainerExited => "CONTAINER_EXITED",
        ContainerState::ContainerUnknown => "CONTAINER_UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::cri::proto::ContainerMetadata;

    #[test]
    fn containers_are_known_by_all_their_names() {
        let container = Container {
            id: "0123456789abcdef".into(),
            pod_sandbox_id: "fedcba".into(),
            metadata: Some(ContainerMetadata {
                name: "app".into(),
                attempt: 1,
            }),
            labels: BTreeMap::from([
                ("io.kubernetes.pod.namespace".into(), "default".into()),
                ("io.kubernetes.pod.name".into(), "web".into()),
            ]),
            ..Container::default()
        };
        for id in [
            "default/web",
            "default/web:app",
            "default/web:app:0123456789ab",
            "0123456789abcdef",
            "fedcba",
        ] {
            assert!(is_meant(&container, id), "{id}");
        }
        for id in ["web", "default/web:other", "default/web:app:ffff", "0123"] {
            assert!(!is_meant(&container, id), "{id}");
        }
    }
}
