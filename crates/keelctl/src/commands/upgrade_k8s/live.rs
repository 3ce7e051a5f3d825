//! The cluster as an upgrade sees and changes it: the machine API of its nodes, and Kubernetes.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use api::client::{CALL_LIMIT, Client};
use api::proto::common::ContainerdNamespace;
use api::proto::machine::ApplyConfigurationRequest;
use config::{Config, view};
use futures::future::join_all;
use k8s::{ListOptions, resources};
use serde_json::Value;

use super::api::Api;
use cluster_health::kube::{has_address, is_ready, why};

use super::component::Component;
use super::execute::{Limits, World, until};
use super::manifests;
use super::plan::Node;
use super::version::Version;
use crate::cli::common::Mode;
use crate::commands::apply::wire_mode;
use crate::commands::edit::current;
use crate::commands::health::view::{Nodes, open_view, service};
use crate::commands::images::pull_on;
use crate::output::note;
use crate::session::{Target, failed, within};

/// How long a node may take to answer, or to make what follows from its configuration.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Pause between two looks at what manifests changed.
const PAUSE: Duration = Duration::from_millis(500);
/// Where static pods are.
const NAMESPACE: &str = "kube-system";

/// What the person said about manifests.
#[derive(Clone, Copy, Debug)]
pub struct Manifests {
    /// Set what somebody else changed.
    pub force: bool,
    /// How long what they change may take to run.
    pub limit: Duration,
}

/// A cluster.
pub struct Live<'a> {
    target: &'a Target,
    /// Its Kubernetes API.
    pub api: Api,
    manifests: Manifests,
    /// The control plane whose manifests are applied.
    source: Client,
}

/// Finds the nodes of the cluster, and how they are configured.
pub async fn find<'a>(
    target: &'a Target,
    endpoint: Option<&str>,
    manifests: Manifests,
) -> Result<(Live<'a>, Vec<Node>)> {
    let deadline = std::time::Instant::now() + ANSWER_LIMIT;
    let view = open_view(target, Nodes::default(), None, deadline).await?;
    let control_planes = view.nodes.control_planes.iter().map(|address| (address, true));
    let workers = view.nodes.workers.iter().map(|address| (address, false));
    let asked = join_all(
        control_planes
            .chain(workers)
            .map(|(address, control_plane)| ask(target, address, control_plane)),
    );
    let mut nodes = asked.await.into_iter().collect::<Result<Vec<_>>>()?;
    let servers: Vec<String> = nodes.iter().filter(|node| node.control_plane).map(server).collect();
    let api = Api::open(target, endpoint, &servers).await?;
    let known = api
        .insist(async |client| client.list(&resources::NODES, None, &ListOptions::default()).await)
        .await
        .context("list the nodes of Kubernetes")?
        .items;
    for node in &mut nodes {
        let found = known.iter().find(|known| has_address(known, &node.address));
        let name = found.and_then(|found| found["metadata"]["name"].as_str());
        node.name = name
            .with_context(|| format!("{}: Kubernetes has no node with this address", node.address))?
            .to_owned();
    }
    let source = nodes.iter().find(|node| node.control_plane);
    let source = source.map_or(target.node.as_str(), |node| &node.address);
    let live = Live {
        target,
        api,
        manifests,
        source: target.client.with_nodes(&[source]),
    };
    Ok((live, nodes))
}

async fn ask(target: &Target, address: &str, control_plane: bool) -> Result<Node> {
    let client = target.client.with_nodes(&[address]);
    let version = within(CALL_LIMIT, async { client.machine().version(()).await }).await;
    let version = version.with_context(|| format!("ask the node {address}"))?.into_inner();
    let system = version
        .messages
        .into_iter()
        .find_map(|answer| Some(answer.version?.tag));
    let text = tokio::time::timeout(ANSWER_LIMIT, current(&client)).await;
    let text = text.context("no answer").flatten();
    let text = text.with_context(|| format!("read the configuration of the node {address}"))?;
    let config =
        Config::decode(text.as_bytes()).with_context(|| format!("read the configuration of the node {address}"))?;
    Ok(Node {
        address: address.to_owned(),
        name: String::new(),
        control_plane,
        system: system.unwrap_or_default(),
        config,
    })
}

/// URL of the API server of a control plane.
fn server(node: &Node) -> String {
    let port = view::api_server(&node.config).port;
    if node.address.contains(':') {
        format!("https://[{}]:{port}", node.address)
    } else {
        format!("https://{}:{port}", node.address)
    }
}

impl Live<'_> {
    fn client(&self, node: &Node) -> Client {
        self.target.client.with_nodes(&[&node.address])
    }

    async fn service(&self, node: &Node, id: &str) -> Result<()> {
        let service = service(&self.client(node), id).await?;
        let health = service.health.unwrap_or_default();
        if service.state != "Running" {
            bail!("service {id} is {}", service.state);
        }
        if health.unknown || !health.healthy {
            bail!("service {id} is not healthy: {}", health.last_message);
        }
        Ok(())
    }

    async fn kubernetes_node(&self, node: &Node) -> Result<Value> {
        let found = self
            .api
            .ask(async |client| client.get(&resources::NODES, None, &node.name).await)
            .await
            .context("get the node of Kubernetes")?;
        if is_ready(&found) {
            Ok(found)
        } else {
            bail!("Kubernetes has the node as not ready{}", why(&found))
        }
    }

    /// The pod of a component of the control plane.
    async fn static_pod(&self, node: &Node, component: Component) -> Result<Value> {
        let name = format!("{component}-{}", node.name);
        let found = self
            .api
            .ask(async |client| client.get(&resources::PODS, Some(NAMESPACE), &name).await)
            .await;
        let pod = match found {
            Err(error) if error.is_not_found() => bail!("there is no pod {name} at the moment"),
            other => other.with_context(|| format!("get the pod {name}"))?,
        };
        Ok(pod)
    }

    /// What the cluster has of its manifests, and what they will be once the service proxy has another image.
    pub async fn manifest_differences(&self, proxy: Option<&str>) -> Result<Vec<manifests::Difference>> {
        let mut objects = manifests::of_node(&self.source).await?;
        if let Some(image) = proxy {
            manifests::with_proxy_image(&mut objects, image);
        }
        manifests::differences(&self.api, &objects).await
    }

    async fn await_rollout(&self, object: &Value) -> Result<()> {
        let title = manifests::title(object);
        until(self, &title, self.manifests.limit, PAUSE, || {
            manifests::rolled_out(&self.api, object)
        })
        .await
    }
}

/// The image that the pod's container has, and whether it is ready.
fn check_pod(pod: &Value, image: &str) -> Result<()> {
    let wanted = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    if wanted != image {
        bail!("the kubelet has not seen the new image yet");
    }
    if is_ready(pod) {
        // The status may be of the pod before for a moment.
        let runs = pod["status"]["containerStatuses"][0]["image"].as_str();
        let runs = runs.and_then(Version::of_image);
        if runs.is_some() && runs != Version::of_image(image) {
            bail!("the new pod is not running yet");
        }
        return Ok(());
    }
    let state = &pod["status"]["containerStatuses"][0]["state"];
    let reason = ["waiting", "terminated"].iter().find_map(|name| {
        let state = &state[*name];
        let text = |key: &str| state[key].as_str().filter(|text| !text.is_empty());
        Some(match text("message") {
            Some(message) => format!("{}: {message}", text("reason")?),
            None => text("reason")?.to_owned(),
        })
    });
    match reason {
        Some(reason) => bail!("its pod is not ready: {reason}"),
        None => bail!("its pod is not ready{}", why(pod)),
    }
}

/// Whether a kubelet reports the version of its image.
fn check_kubelet(node: &Value, image: &str) -> Result<()> {
    let reported = node["status"]["nodeInfo"]["kubeletVersion"]
        .as_str()
        .unwrap_or_default();
    let wanted = Version::of_image(image);
    if wanted.is_some() && wanted != reported.parse().ok() {
        bail!("the kubelet of {reported} is there still");
    }
    Ok(())
}

impl World for Live<'_> {
    fn tell(&self, line: &str) {
        note(line);
    }

    async fn pull(&self, node: &Node, component: Component, image: &str) -> Result<()> {
        // The node itself unpacks the kubelet's.
        let namespace = match component {
            Component::Kubelet => ContainerdNamespace::NsSystem,
            _ => ContainerdNamespace::NsCri,
        };
        let pulled = pull_on(self.client(node), namespace, image.to_owned()).await;
        pulled.map_err(|status| failed(&status)).with_context(|| {
            format!("{image} (is there such a version, and do the registries of the node have it?)")
        })?;
        Ok(())
    }

    async fn is_well(&self, node: &Node) -> Result<()> {
        self.service(node, "kubelet").await?;
        self.kubernetes_node(node).await?;
        if !node.control_plane {
            return Ok(());
        }
        self.service(node, "etcd").await?;
        for component in Component::STATIC_PODS {
            if component.image(&node.config).is_none() {
                continue;
            }
            let pod = self.static_pod(node, component).await?;
            let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
            check_pod(&pod, image).with_context(|| component.to_string())?;
        }
        Ok(())
    }

    async fn set_image(&self, node: &Node, component: Component, image: &str) -> Result<()> {
        let client = self.client(node);
        let change = async {
            let text = current(&client).await?;
            let config = Config::decode(text.as_bytes())?;
            if component.image(&config).as_deref() == Some(image) {
                return Ok(());
            }
            let request = ApplyConfigurationRequest {
                data: component.with_image(&config, image)?.encode(),
                mode: wire_mode(Mode::NoReboot).into(),
                ..ApplyConfigurationRequest::default()
            };
            let applied = client.machine().apply_configuration(request).await;
            applied.map_err(|status| failed(&status))?;
            anyhow::Ok(())
        };
        let changed = tokio::time::timeout(ANSWER_LIMIT, change).await;
        let changed = changed.context("no answer").flatten();
        changed.with_context(|| format!("change the configuration of {}", node.label()))
    }

    async fn runs(&self, node: &Node, component: Component, image: &str) -> Result<()> {
        if component == Component::Kubelet {
            check_kubelet(&self.kubernetes_node(node).await?, image)?;
            // It may have to start the pods of the control plane again.
            return self.is_well(node).await;
        }
        check_pod(&self.static_pod(node, component).await?, image)
    }

    async fn roll_out_proxy(&self, image: &str, limits: Limits) -> Result<()> {
        let look = async || {
            let objects = manifests::of_node(&self.source).await?;
            match manifests::proxy(&objects) {
                Some(set) if manifests::proxy_image(set) == Some(image) => Ok(set.clone()),
                Some(_) => bail!("the control plane has not made the new manifest yet"),
                None => bail!("the control plane has no manifest of kube-proxy"),
            }
        };
        until(
            self,
            "the manifest of kube-proxy",
            ANSWER_LIMIT,
            limits.pause,
            || async { look().await.map(drop) },
        )
        .await?;
        let set = look().await?;
        if !manifests::differences(&self.api, std::slice::from_ref(&set))
            .await?
            .is_empty()
        {
            manifests::apply(&self.api, &set, self.manifests.force).await?;
        }
        until(self, "kube-proxy", limits.settle, limits.pause, || {
            manifests::rolled_out(&self.api, &set)
        })
        .await
    }

    async fn apply_manifests(&self) -> Result<bool> {
        let differences = self.manifest_differences(None).await?;
        let mut refused = Vec::new();
        for difference in &differences {
            note(difference.text.trim_end());
            if let Err(error) = manifests::apply(&self.api, &difference.object, self.manifests.force).await {
                refused.push(format!("{error:#}"));
            }
        }
        if !refused.is_empty() {
            bail!("{}", refused.join("\n"));
        }
        for difference in differences.iter().filter(|d| manifests::rolls_out(&d.object)) {
            self.await_rollout(&difference.object).await?;
        }
        Ok(!differences.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_must_have_the_new_image_and_be_ready() {
        let pod = |image: &str, ready: &str| {
            json!({"spec": {"containers": [{"image": image}]}, "status": {
                "conditions": [{"type": "Ready", "status": ready, "message": "containers with unready status"}],
                "containerStatuses": [{"image": "a:1.0.0", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}})
        };
        assert!(check_pod(&pod("b:1.0.0", "True"), "b:1.0.0").is_ok());
        let before = check_pod(&pod("a:2.0.0", "True"), "a:2.0.0").unwrap_err().to_string();
        assert!(before.contains("not running yet"), "{before}");
        assert!(
            check_pod(&pod("a:1.0.0", "True"), "a:2")
                .unwrap_err()
                .to_string()
                .contains("not seen")
        );
        let broken = check_pod(&pod("b:1.0.0", "False"), "b:1.0.0").unwrap_err().to_string();
        assert!(broken.contains("ImagePullBackOff: no such image"), "{broken}");
    }

    #[test]
    fn a_kubelet_must_report_the_version_of_its_image() {
        let node = json!({"status": {"nodeInfo": {"kubeletVersion": "v1.36.4"}}});
        assert!(check_kubelet(&node, "a/kubelet:v1.36.4").is_ok());
        assert!(check_kubelet(&node, "a/kubelet:v1.37.1").is_err());
    }
}
