//! Containers and images, as the container runtime and the supervisor know them.

use std::collections::BTreeMap;

use api::proto::common::{ContainerDriver, ContainerdNamespace};
use api::proto::machine as proto;
use api::reply::Reply;
use futures::StreamExt;
use tonic::codegen::BoxStream;
use tonic::{Response, Status};

use crate::clients::cri::{ContainerState, PodSandboxState};
use crate::node::Node;

/// The namespace of the system's own services.
const SYSTEM: &str = "system";
/// The namespace of Kubernetes.
const KUBERNETES: &str = "k8s.io";

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
        infos.push(proto::ContainerInfo {
            namespace: KUBERNETES.to_owned(),
            id: pod.clone(),
            uid: metadata.uid.clone(),
            internal_id: sandbox.id.clone(),
            image: config::images::PAUSE.to_owned(),
            pid: node
                .cri
                .sandbox_process(&sandbox.id)
                .await
                .ok()
                .flatten()
                .unwrap_or_default(),
            status: if ready { "SANDBOX_READY" } else { "SANDBOX_NOTREADY" }.to_owned(),
            pod_id: pod.clone(),
            name: pod.clone(),
            ..Default::default()
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
                status: container_state(container.state()).to_owned(),
                pod_id: pod.clone(),
                name,
                ..Default::default()
            });
        }
    }
    Ok(infos)
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

/// Images of a namespace.
pub async fn images(
    node: &Node,
    request: proto::ImageListRequest,
) -> Result<Response<BoxStream<proto::ImageListResponse>>, Status> {
    let images = if request.namespace() == ContainerdNamespace::NsSystem {
        system_images()
    } else {
        node.cri
            .images()
            .await
            .map_err(super::internal)?
            .into_iter()
            .flat_map(image_infos)
            .collect()
    };
    Ok(Response::new(futures::stream::iter(images.into_iter().map(Ok)).boxed()))
}

/// An image by each of its names, and by digest.
fn image_infos(image: crate::clients::cri::Image) -> Vec<proto::ImageListResponse> {
    let digest = image
        .repo_digests
        .first()
        .and_then(|d| d.split_once('@'))
        .map(|(_, d)| d.to_owned())
        .unwrap_or_default();
    let size = i64::try_from(image.size).unwrap_or(i64::MAX);
    let names = image.repo_tags.into_iter().chain(image.repo_digests);
    names
        .map(|name| proto::ImageListResponse {
            name,
            digest: digest.clone(),
            size,
            ..Default::default()
        })
        .collect()
}

/// Images that the node itself unpacked for its services.
fn system_images() -> Vec<proto::ImageListResponse> {
    let folders = std::fs::read_dir(crate::services::sandbox::IMAGES)
        .into_iter()
        .flatten()
        .flatten();
    let pulled = folders.filter_map(|folder| image::pull::Pulled::open(&folder.path()).ok().flatten());
    let info = |p: image::pull::Pulled| proto::ImageListResponse {
        name: p.reference.clone(),
        digest: p.digest.to_string(),
        ..Default::default()
    };
    pulled.map(info).collect()
}
