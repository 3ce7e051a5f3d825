//! containerd, through the interface the kubelet uses.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

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
    /// For calls that take as long as they take.
    patient: Channel,
}

/// A pod's own process, and where its network is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxProcess {
    /// The process, while it runs.
    pub pid: Option<u32>,
    /// The name of its network namespace; none for a pod in the node's network.
    pub network_namespace: Option<String>,
}

impl Cri {
    /// A client of the containerd behind a socket; nothing is connected yet.
    pub fn new(socket: &Path) -> Self {
        Self {
            channel: super::unix_channel(socket, Some(super::CALL_TIMEOUT)),
            patient: super::unix_channel(socket, None),
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

    /// A sandbox's main process and network.
    ///
    /// # Errors
    /// containerd does not answer, or does not know it.
    pub async fn sandbox_process(&self, id: &str) -> anyhow::Result<SandboxProcess> {
        let request = proto::PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: true,
        };
        let reply = self
            .runtime()
            .pod_sandbox_status(request)
            .await
            .context("ask for a pod sandbox")?;
        let info = reply.into_inner().info;
        Ok(SandboxProcess {
            pid: pid(&info),
            network_namespace: network_namespace(&info),
        })
    }

    /// Ends a container's process; what it belongs to starts it again.
    ///
    /// # Errors
    /// containerd does not answer, or does not know it.
    pub async fn stop_container(&self, id: &str, limit: Duration) -> anyhow::Result<()> {
        let request = proto::StopContainerRequest {
            container_id: id.to_owned(),
            timeout: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        };
        let mut client = RuntimeServiceClient::new(self.patient.clone());
        client
            .stop_container(request)
            .await
            .with_context(|| format!("stop container {id}"))?;
        Ok(())
    }

    /// An image by name or digest.
    ///
    /// # Errors
    /// containerd does not answer.
    pub async fn image(&self, image: &str) -> anyhow::Result<Option<Image>> {
        let mut client = ImageServiceClient::new(self.channel.clone());
        let request = proto::ImageStatusRequest {
            image: Some(spec(image)),
        };
        let reply = client.image_status(request).await.context("ask for an image")?;
        Ok(reply.into_inner().image)
    }

    /// Pulls an image through the mirrors of the node; as long as it takes.
    ///
    /// # Errors
    /// containerd does not answer, or no registry has the image.
    pub async fn pull_image(&self, image: &str) -> anyhow::Result<()> {
        let mut client = ImageServiceClient::new(self.patient.clone());
        let request = proto::PullImageRequest {
            image: Some(spec(image)),
        };
        let pulled = client.pull_image(request).await;
        pulled.map(drop).with_context(|| format!("pull {image}"))
    }

    /// Removes an image with all its names.
    ///
    /// # Errors
    /// containerd does not answer.
    pub async fn remove_image(&self, image: &str) -> anyhow::Result<()> {
        let mut client = ImageServiceClient::new(self.channel.clone());
        let request = proto::RemoveImageRequest {
            image: Some(spec(image)),
        };
        let removed = client.remove_image(request).await;
        removed.map(drop).with_context(|| format!("remove {image}"))
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

fn spec(image: &str) -> proto::ImageSpec {
    proto::ImageSpec {
        image: image.to_owned(),
        ..Default::default()
    }
}

/// The same document has the sandbox's namespaces as the OCI runtime gets them; that of the network has a path, whose
/// last part is its name, unless the pod uses the node's.
fn network_namespace(info: &BTreeMap<String, String>) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(info.get("info")?).ok()?;
    let namespaces = document["runtimeSpec"]["linux"]["namespaces"].as_array()?;
    let network = namespaces.iter().find(|n| n["type"] == "network")?;
    let name = network["path"].as_str()?.rsplit('/').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// containerd's verbose answer has a JSON document under "info", with the process in it.
fn pid(info: &BTreeMap<String, String>) -> Option<u32> {
    let document: serde_json::Value = serde_json::from_str(info.get("info")?).ok()?;
    document["pid"]
        .as_u64()
        .and_then(|p| u32::try_from(p).ok())
        .filter(|p| *p != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_tells_its_process_and_network() {
        let info = |text: &str| BTreeMap::from([("info".to_owned(), text.to_owned())]);
        let own = info(
            r#"{"pid": 42, "runtimeSpec": {"linux": {"namespaces": [{"type": "ipc"}, {"type": "network", "path": "/var/run/netns/cni-1"}]}}}"#,
        );
        assert_eq!(
            (pid(&own), network_namespace(&own)),
            (Some(42), Some("cni-1".to_owned()))
        );
        let host = info(r#"{"pid": 0, "runtimeSpec": {"linux": {"namespaces": [{"type": "ipc"}]}}}"#);
        assert_eq!((pid(&host), network_namespace(&host)), (None, None));
    }
}
