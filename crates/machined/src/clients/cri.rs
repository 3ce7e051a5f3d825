//! containerd, through the interface the kubelet uses.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use tonic::transport::Channel;

/// The generated messages and clients.
#[allow(missing_docs, clippy::all)]
pub mod proto {
    tonic::include_proto!("runtime.v1");
}

use proto::image_service_client::ImageServiceClient;
use proto::runtime_service_client::RuntimeServiceClient;
pub use proto::{Container, ContainerState, Image, PodSandbox, PodSandboxState};

/// A client of the node's containerd; clones share a connection.
#[derive(Clone)]
pub struct Cri {
    channel: Channel,
}

impl Cri {
    /// A client of the containerd behind a socket; nothing is connected yet.
    pub fn new(socket: &Path) -> Self {
        Self {
            channel: super::unix_channel(socket, Some(super::CALL_TIMEOUT)),
        }
    }

    fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel.clone())
    }

    /// Whether the runtime answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn version(&self) -> anyhow::Result<String> {
        let reply = self
            .runtime()
            .version(proto::VersionRequest::default())
            .await
            .context("ask containerd")?;
        Ok(reply.into_inner().runtime_version)
    }

    /// All pod sandboxes.
    ///
    /// # Errors
    /// containerd does not answer.
    pub async fn sandboxes(&self) -> anyhow::Result<Vec<PodSandbox>> {
        let request = proto::ListPodSandboxRequest {};
        Ok(self
            .runtime()
            .list_pod_sandbox(request)
            .await
            .context("list pod sandboxes")?
            .into_inner()
            .items)
    }

    /// All containers.
    ///
    /// # Errors
    /// containerd does not answer.
    pub async fn containers(&self) -> anyhow::Result<Vec<Container>> {
        let request = proto::ListContainersRequest {};
        Ok(self
            .runtime()
            .list_containers(request)
            .await
            .context("list containers")?
            .into_inner()
            .containers)
    }

    /// All images.
    ///
    /// # Errors
    /// containerd does not answer.
    pub async fn images(&self) -> anyhow::Result<Vec<Image>> {
        let mut client = ImageServiceClient::new(self.channel.clone());
        Ok(client
            .list_images(proto::ListImagesRequest {})
            .await
            .context("list images")?
            .into_inner()
            .images)
    }

    /// A container's main process and where its output is written.
    ///
    /// # Errors
    /// containerd does not answer, or does not know it.
    pub async fn container_process(&self, id: &str) -> anyhow::Result<(Option<u32>, String)> {
        let request = proto::ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: true,
        };
        let reply = self
            .runtime()
            .container_status(request)
            .await
            .context("ask for a container")?
            .into_inner();
        Ok((pid(&reply.info), reply.status.map(|s| s.log_path).unwrap_or_default()))
    }

    /// A sandbox's main process.
    ///
    /// # Errors
    /// containerd does not answer, or does not know it.
    pub async fn sandbox_process(&self, id: &str) -> anyhow::Result<Option<u32>> {
        let request = proto::PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: true,
        };
        let reply = self
            .runtime()
            .pod_sandbox_status(request)
            .await
            .context("ask for a pod sandbox")?;
        Ok(pid(&reply.into_inner().info))
    }

    /// Stops a pod and removes it.
    ///
    /// # Errors
    /// containerd does not answer.
    pub async fn remove_sandbox(&self, id: &str) -> anyhow::Result<()> {
        let id = id.to_owned();
        self.runtime()
            .stop_pod_sandbox(proto::StopPodSandboxRequest {
                pod_sandbox_id: id.clone(),
            })
            .await
            .with_context(|| format!("stop pod sandbox {id}"))?;
        self.runtime()
            .remove_pod_sandbox(proto::RemovePodSandboxRequest {
                pod_sandbox_id: id.clone(),
            })
            .await
            .with_context(|| format!("remove pod sandbox {id}"))?;
        Ok(())
    }
}

/// containerd's verbose answer has a JSON document under "info", with the process in it.
fn pid(info: &BTreeMap<String, String>) -> Option<u32> {
    let document: serde_json::Value = serde_json::from_str(info.get("info")?).ok()?;
    document["pid"]
        .as_u64()
        .and_then(|p| u32::try_from(p).ok())
        .filter(|p| *p != 0)
}
