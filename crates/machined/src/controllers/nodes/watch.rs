//! The nodes of the cluster, as its API tells of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s::resources::NODES;
use k8s::{Event, ListOptions};
use node_resources::cluster::{Affiliate, ControlPlane, DiscoveryConfig, Identity};
use node_resources::config::MachineKind;
use node_resources::k8s::{NodeStatus, Nodename};
use node_resources::keelson::KubeletJoin;
use resource::{Context, One, Outcome, Outputs, Reconcile};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{API_PORT, CONTROL_PLANE_LABEL, KUBECONFIG, NODE_ID, RETRY, SELF_IPS, kubelet_client};
use crate::controllers::discovery::{ClusterRaw, KUBERNETES};
use crate::logs::lock;

/// Watches the cluster's nodes: this node's status, and what others announce.
#[derive(Default)]
pub struct Watch {
    task: Option<JoinHandle<()>>,
    /// The credentials that it watches with.
    credentials: KubeletJoin,
    nodes: Arc<Mutex<Option<BTreeMap<String, Value>>>>,
}

impl Reconcile for Watch {
    type Inputs = (
        One<Nodename>,
        Option<One<DiscoveryConfig>>,
        Option<One<Identity>>,
        Option<One<KubeletJoin>>,
    );
    type Outputs = (Outputs<NodeStatus>, Outputs<Affiliate, ClusterRaw>);

    async fn reconcile(
        &mut self,
        (nodename, discovery, identity, join): Self::Inputs,
        cx: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        // A watch goes on with the credentials it began with, whatever became of them.
        let credentials = join.map(|join| (*join).clone()).unwrap_or_default();
        if credentials != self.credentials {
            self.credentials = credentials;
            if let Some(task) = self.task.take() {
                task.abort();
            }
        }
        if self.task.as_ref().is_none_or(JoinHandle::is_finished) {
            if !Path::new(KUBECONFIG).exists() {
                return Ok(Outcome::done(Default::default()).requeue(RETRY));
            }
            let (nodes, waker, cancel) = (self.nodes.clone(), cx.waker.clone(), cx.cancel.clone());
            self.task = Some(tokio::spawn(async move {
                tokio::select! {
                    outcome = follow(&nodes, || waker.wake()) => {
                        if let Err(error) = outcome {
                            tracing::debug!("watching nodes: {error:#}");
                        }
                    }
                    () = cancel.cancelled() => {}
                }
                tokio::time::sleep(RETRY).await;
                waker.wake();
            }));
        }
        let nodes = lock(&self.nodes).clone();
        let Some(nodes) = nodes else {
            return Ok(Outcome::unchanged());
        };
        let own = identity.map(|i| i.node_id.clone()).unwrap_or_default();
        let mut statuses = Outputs::none();
        if let Some(node) = nodes.get(&nodename.nodename) {
            statuses.insert(nodename.nodename.clone(), status(node));
        }
        let announced = discovery.is_some_and(|d| d.registry_kubernetes_enabled);
        let others = nodes
            .values()
            .filter(|_| announced)
            .filter_map(affiliate)
            .filter(|a| a.node_id != own);
        let affiliates = others.map(|a| (format!("{KUBERNETES}{}", a.node_id), a)).collect();
        Ok(Outcome::done((statuses, affiliates)))
    }

    async fn stop(&mut self, _: &Context) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

async fn follow(nodes: &Mutex<Option<BTreeMap<String, Value>>>, wake: impl Fn()) -> anyhow::Result<()> {
    let client = kubelet_client()?;
    let mut events = std::pin::pin!(client.watch(&NODES, None, &ListOptions::default()));
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    while let Some(event) = events.next().await {
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match event? {
            Event::Listed(objects) => known = objects.into_iter().map(|o| (name(&o), o)).collect(),
            Event::Applied(object) => drop(known.insert(name(&object), object)),
            Event::Deleted(object) => drop(known.remove(&name(&object))),
        }
        *lock(nodes) = Some(known.clone());
        wake();
    }
    Ok(())
}

fn map(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries
        .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect()
}

fn status(node: &Value) -> NodeStatus {
    let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
    NodeStatus {
        nodename: node["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        node_ready: conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"),
        unschedulable: node["spec"]["unschedulable"].as_bool().unwrap_or_default(),
        labels: map(&node["metadata"]["labels"]),
        annotations: map(&node["metadata"]["annotations"]),
        pod_cidrs: node["spec"]["podCIDRs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|c| c.as_str()?.parse().ok())
            .collect(),
    }
}

/// Another node as it announced itself; a node without an announcement is none of ours.
fn affiliate(node: &Value) -> Option<Affiliate> {
    let annotations = map(&node["metadata"]["annotations"]);
    let labels = map(&node["metadata"]["labels"]);
    let node_id = annotations.get(NODE_ID)?.clone();
    let addresses = annotations
        .get(SELF_IPS)?
        .split(',')
        .filter_map(|a| a.parse().ok())
        .collect();
    let name = node["metadata"]["name"].as_str()?.to_owned();
    let hostname = node["status"]["addresses"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|a| a["type"] == "Hostname")
        .and_then(|a| a["address"].as_str())
        .unwrap_or(&name)
        .to_owned();
    let control_plane = labels.contains_key(CONTROL_PLANE_LABEL);
    let port = annotations.get(API_PORT).and_then(|p| p.parse().ok()).unwrap_or(6443);
    Some(Affiliate {
        node_id,
        addresses,
        hostname,
        nodename: name,
        operating_system: node["status"]["nodeInfo"]["osImage"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        machine_type: if control_plane {
            MachineKind::ControlPlane
        } else {
            MachineKind::Worker
        },
        control_plane: control_plane.then_some(ControlPlane { port }),
        ..Affiliate::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_announced_node_is_an_affiliate() {
        let node = json!({
            "metadata": {
                "name": "w1",
                "labels": {},
                "annotations": {NODE_ID: "id-1", SELF_IPS: "10.5.0.3,fd00::1"},
            },
            "status": {"nodeInfo": {"osImage": "Keelson (v1)"}},
        });
        let affiliate = affiliate(&node).unwrap();
        assert_eq!((affiliate.nodename.as_str(), affiliate.addresses.len()), ("w1", 2));
        assert_eq!(affiliate.machine_type, MachineKind::Worker);
    }
}
