//! What the configuration says of this node, put onto its object in Kubernetes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use k8s::Patch;
use k8s::drain::uncordon;
use k8s::resources::NODES;
use node_resources::cluster::{Affiliate, DiscoveryConfig, Identity};
use node_resources::k8s::{NodeAnnotationSpec, NodeLabelSpec, NodeStatus, NodeTaintSpec, Nodename};
use node_resources::secrets::KubernetesSecrets;
use resource::{All, Context, One, Outcome, Reconcile};
use serde_json::{Map, Value, json};

use super::{API_PORT, NODE_ID, RETRY, SELF_IPS, kubelet_client};
use crate::controllers::manifests;
use crate::sequence::Sequencer;

/// Annotations that remember what of a node came from the configuration, so that it can be taken back.
const OWNED_LABELS: &str = "talos.dev/owned-labels";
const OWNED_ANNOTATIONS: &str = "talos.dev/owned-annotations";
const OWNED_TAINTS: &str = "talos.dev/owned-taints";

/// Applies labels, annotations and taints, announces this node to others, and uncordons it when it is back.
pub struct Apply {
    /// What ends the node's run: while it does, the node stays cordoned.
    pub sequencer: Sequencer,
}

type ApplyInputs = (
    One<Nodename>,
    All<NodeLabelSpec>,
    All<NodeAnnotationSpec>,
    All<NodeTaintSpec>,
    Option<One<DiscoveryConfig>>,
    Option<One<Identity>>,
    All<Affiliate>,
    All<NodeStatus>,
    Option<One<KubernetesSecrets>>,
);

impl Reconcile for Apply {
    type Inputs = ApplyInputs;
    type Outputs = ();

    async fn reconcile(
        &mut self,
        (nodename, labels, annotations, taints, discovery, identity, affiliates, _status, admin): ApplyInputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<()>> {
        if nodename.skip_node_registration {
            return Ok(Outcome::done(()));
        }
        // A node may not give itself the role of a control plane: there the node's administrator credentials do it.
        let client = match &admin {
            Some(secrets) => manifests::client(secrets),
            None => kubelet_client(),
        };
        let Ok(client) = client else {
            return Ok(Outcome::done(()).requeue(RETRY));
        };
        // Not registered yet, or the API is away: both pass.
        let Ok(node) = client.get(&NODES, None, &nodename.nodename).await else {
            return Ok(Outcome::done(()).requeue(RETRY));
        };
        let mut wanted = Wanted {
            labels: labels.iter().map(|(_, l)| (l.key.clone(), l.value.clone())).collect(),
            annotations: annotations
                .iter()
                .map(|(_, a)| (a.key.clone(), a.value.clone()))
                .collect(),
            taints: taints
                .iter()
                .map(|(_, t)| Taint::new(&t.key, &t.value, &t.effect))
                .collect(),
        };
        let announced = discovery.is_some_and(|d| d.registry_kubernetes_enabled);
        if let Some(own) = identity
            .and_then(|i| affiliates.get(&i.node_id).cloned())
            .filter(|_| announced)
        {
            wanted.annotations.extend(announcement(&own));
        }
        let uncordon = Some(&node)
            .filter(|_| self.sequencer.running().is_none())
            .and_then(uncordon);
        // Kubernetes lets no kubelet change the taints of its node, only register with some.
        let taints = admin.is_some().then(|| wanted.taints(&node)).flatten();
        let patches = [wanted.annotations(&node), wanted.labels(&node), taints, uncordon];
        let mut refused = None;
        // Each by itself: what Kubernetes does not allow must not hold up the others.
        for patch in patches.into_iter().flatten() {
            let patched = client
                .patch(&NODES, None, &nodename.nodename, None, &Patch::Merge(patch))
                .await;
            refused = refused.or(patched.err());
        }
        match refused {
            None => Ok(Outcome::done(())),
            Some(error) => Err(error).with_context(|| format!("update the node {}", nodename.nodename)),
        }
    }
}

/// How a node describes itself to the others.
fn announcement(own: &Affiliate) -> BTreeMap<String, String> {
    let ips: Vec<String> = own.addresses.iter().map(ToString::to_string).collect();
    let mut annotations = BTreeMap::from([
        (NODE_ID.to_owned(), own.node_id.clone()),
        (SELF_IPS.to_owned(), ips.join(",")),
    ]);
    if let Some(control_plane) = &own.control_plane {
        annotations.insert(API_PORT.to_owned(), control_plane.port.to_string());
    }
    annotations
}

/// A taint; two with the same key and effect are the same taint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Taint {
    key: String,
    effect: String,
    value: String,
}

impl Taint {
    fn new(key: &str, value: &str, effect: &str) -> Self {
        Self {
            key: key.to_owned(),
            effect: effect.to_owned(),
            value: value.to_owned(),
        }
    }

    fn id(&self) -> String {
        format!("{}:{}", self.key, self.effect)
    }
}

/// What the configuration wants of the node object.
struct Wanted {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    taints: BTreeSet<Taint>,
}

impl Wanted {
    /// A merge patch that gives the node its annotations, taking back those that were wanted before and are no more;
    /// `None` if it has them.
    fn annotations(&self, node: &Value) -> Option<Value> {
        let current = &node["metadata"]["annotations"];
        let mut annotations = changes(current, &self.annotations, &owned(node, OWNED_ANNOTATIONS));
        annotations.extend(remembered(node, OWNED_ANNOTATIONS, self.annotations.keys()));
        (!annotations.is_empty()).then(|| json!({"metadata": {"annotations": annotations}}))
    }

    /// The same for its labels.
    fn labels(&self, node: &Value) -> Option<Value> {
        let labels = changes(&node["metadata"]["labels"], &self.labels, &owned(node, OWNED_LABELS));
        let memory = remembered(node, OWNED_LABELS, self.labels.keys());
        let changed = !labels.is_empty() || memory.is_some();
        let memory: Map<String, Value> = memory.into_iter().collect();
        changed.then(|| json!({"metadata": {"labels": labels, "annotations": memory}}))
    }

    /// The same for its taints.
    fn taints(&self, node: &Value) -> Option<Value> {
        let ids: Vec<String> = self.taints.iter().map(Taint::id).collect();
        let memory = remembered(node, OWNED_TAINTS, ids.iter());
        let taints = self.taint_list(&node["spec"]["taints"], &owned(node, OWNED_TAINTS));
        if memory.is_none() && taints.is_none() {
            return None;
        }
        let memory: Map<String, Value> = memory.into_iter().collect();
        let mut patch = json!({"metadata": {"annotations": memory}});
        if let Some(taints) = taints {
            patch["spec"] = json!({"taints": taints});
        }
        Some(patch)
    }

    /// The node's whole list of taints, if it has to change.
    fn taint_list(&self, current: &Value, owned: &BTreeSet<String>) -> Option<Vec<Value>> {
        let current: Vec<Value> = current.as_array().cloned().unwrap_or_default();
        let id = |t: &Value| {
            format!(
                "{}:{}",
                t["key"].as_str().unwrap_or_default(),
                t["effect"].as_str().unwrap_or_default()
            )
        };
        let wanted: BTreeMap<String, &Taint> = self.taints.iter().map(|t| (t.id(), t)).collect();
        let mut list: Vec<Value> = Vec::new();
        for taint in &current {
            match wanted.get(&id(taint)) {
                Some(want) if taint["value"].as_str().unwrap_or_default() == want.value => list.push(taint.clone()),
                Some(_) => {}
                None if owned.contains(&id(taint)) => {}
                None => list.push(taint.clone()),
            }
        }
        let present: BTreeSet<String> = list.iter().map(id).collect();
        for (_, taint) in wanted.iter().filter(|(id, _)| !present.contains(*id)) {
            let mut value = json!({"key": taint.key, "effect": taint.effect});
            if !taint.value.is_empty() {
                value["value"] = json!(taint.value);
            }
            list.push(value);
        }
        (list != current).then_some(list)
    }
}

/// What the configuration asked for before, as an annotation remembers it.
fn owned(node: &Value, key: &str) -> BTreeSet<String> {
    let text = node["metadata"]["annotations"][key].as_str().unwrap_or("[]");
    serde_json::from_str(text).unwrap_or_default()
}

/// The annotation that remembers what is asked for, if it has to change.
fn remembered<'a>(node: &Value, key: &str, ids: impl Iterator<Item = &'a String>) -> Option<(String, Value)> {
    let value = json!(json!(ids.collect::<Vec<_>>()).to_string());
    (node["metadata"]["annotations"][key] != value).then(|| (key.to_owned(), value))
}

/// Entries of a merge patch: what is missing or different, and null for what was ours and is no longer wanted.
fn changes(
    current: &Value,
    wanted: &BTreeMap<String, String>,
    owned: &BTreeSet<String>,
) -> serde_json::Map<String, Value> {
    let mut patch = serde_json::Map::new();
    for (key, value) in wanted.iter().filter(|(k, v)| current[k.as_str()] != json!(v)) {
        patch.insert(key.clone(), json!(value));
    }
    for key in owned
        .iter()
        .filter(|k| !wanted.contains_key(*k) && !current[k.as_str()].is_null())
    {
        patch.insert(key.clone(), Value::Null);
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(labels: &[(&str, &str)]) -> Wanted {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Wanted {
            labels,
            annotations: BTreeMap::new(),
            taints: BTreeSet::from([Taint::new("a", "", "NoSchedule")]),
        }
    }

    #[test]
    fn a_label_dropped_from_the_configuration_is_taken_back_and_others_stay() {
        let node = json!({
            "metadata": {
                "labels": {"ours": "1", "theirs": "1"},
                "annotations": {OWNED_LABELS: "[\"ours\"]"},
            },
            "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
        });
        let wanted = wanted(&[("new", "2")]);
        let patch = wanted.labels(&node).unwrap();
        assert_eq!(patch["metadata"]["labels"], json!({"new": "2", "ours": null}));
        assert_eq!(patch["metadata"]["annotations"], json!({OWNED_LABELS: "[\"new\"]"}));
        // It has the taint, and is told whose it is.
        let patch = wanted.taints(&node).unwrap();
        assert!(patch.get("spec").is_none(), "{patch}");
    }

    #[test]
    fn a_node_that_is_as_wanted_is_not_patched() {
        let node = json!({
            "metadata": {
                "labels": {"new": "2"},
                "annotations": {OWNED_LABELS: "[\"new\"]", OWNED_ANNOTATIONS: "[]", OWNED_TAINTS: "[\"a:NoSchedule\"]"},
            },
            "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
        });
        let wanted = wanted(&[("new", "2")]);
        assert_eq!(wanted.labels(&node), None);
        assert_eq!(wanted.annotations(&node), None);
        assert_eq!(wanted.taints(&node), None);
    }
}
