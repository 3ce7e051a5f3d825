//! Checks of Kubernetes.

use anyhow::{Context as _, Result};
use k8s::{ListOptions, resources};
use serde_json::Value;

use super::ensure;
use super::view::View;

const NAMESPACE: &str = "kube-system";
const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

async fn nodes(view: &View) -> Result<Vec<Value>> {
    let list = view
        .kubernetes()
        .await?
        .list(&resources::NODES, None, &ListOptions::default())
        .await;
    Ok(list.context("list nodes")?.items)
}

/// Every node of ours is one of Kubernetes'.
pub(crate) async fn nodes_report(view: &View) -> Result<()> {
    let nodes = nodes(view).await?;
    for address in view.nodes.all() {
        ensure(nodes.iter().any(|node| has_address(node, address)), || {
            format!("{address} has not registered")
        })?;
    }
    Ok(())
}

/// Every node says that it is ready.
pub(crate) async fn nodes_ready(view: &View) -> Result<()> {
    for node in nodes(view).await? {
        ensure(is_ready(&node), || {
            format!("node {} is not ready{}", name(&node), why(&node))
        })?;
    }
    Ok(())
}

/// No node is cordoned.
pub(crate) async fn schedulable(view: &View) -> Result<()> {
    for node in nodes(view).await? {
        ensure(node["spec"]["unschedulable"] != true, || {
            format!("node {} is cordoned", name(&node))
        })?;
    }
    Ok(())
}

/// The control plane's pods run (or are ready) on every control plane node.
pub(crate) async fn static_pods(view: &View, ready: bool) -> Result<()> {
    let nodes = nodes(view).await?;
    let options = ListOptions {
        labels: "tier=control-plane".into(),
        ..ListOptions::default()
    };
    let pods = view
        .kubernetes()
        .await?
        .list(&resources::PODS, Some(NAMESPACE), &options)
        .await;
    let pods = pods.context("list pods of the control plane")?.items;
    for address in &view.nodes.control_planes {
        let node = nodes
            .iter()
            .find(|node| has_address(node, address))
            .map(name)
            .unwrap_or_default();
        for component in COMPONENTS {
            let runs = |pod: &&Value| pod["spec"]["nodeName"] == *node && name(pod).starts_with(component);
            let pod = pods
                .iter()
                .find(runs)
                .with_context(|| format!("{node}: there is no pod {component}"))?;
            let phase = pod["status"]["phase"].as_str().unwrap_or_default();
            ensure(phase == "Running", || format!("{node}: pod {component} is {phase}"))?;
            ensure(!ready || is_ready(pod), || {
                format!("{node}: pod {component} is not ready{}", why(pod))
            })?;
        }
    }
    Ok(())
}

/// A daemon set is ready, if it is deployed.
pub(crate) async fn daemon_set(view: &View, set: &str) -> Result<()> {
    let found = view
        .kubernetes()
        .await?
        .get(&resources::DAEMON_SETS, Some(NAMESPACE), set)
        .await;
    settled(found, "desiredNumberScheduled", "numberReady", set)
}

/// A deployment is ready, if it is deployed.
pub(crate) async fn deployment(view: &View, deployment: &str) -> Result<()> {
    let found = view
        .kubernetes()
        .await?
        .get(&resources::DEPLOYMENTS, Some(NAMESPACE), deployment)
        .await;
    settled(found, "replicas", "readyReplicas", deployment)
}

fn settled(found: Result<Value, k8s::Error>, wanted: &str, ready: &str, what: &str) -> Result<()> {
    let object = match found {
        Ok(object) => object,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("get {what}")),
    };
    let status = &object["status"];
    let number = |key: &str| status[key].as_u64().unwrap_or_default();
    let seen = status["observedGeneration"] == object["metadata"]["generation"];
    ensure(seen, || format!("{what} is not looked at by its controller yet"))?;
    ensure(number(wanted) == number(ready), || {
        format!("{what}: {} of {} are ready", number(ready), number(wanted))
    })
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether a node has this address, or name.
pub fn has_address(node: &Value, address: &str) -> bool {
    let listed = node["status"]["addresses"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    name(node) == address || listed.iter().any(|entry| entry["address"] == *address)
}

fn ready_condition(object: &Value) -> Option<&Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == "Ready")
}

/// Whether a node or pod says that it is ready.
pub fn is_ready(object: &Value) -> bool {
    ready_condition(object).is_some_and(|condition| condition["status"] == "True")
}

/// Whether all pods of a daemon set or deployment are of its newest template, and ready. Objects of lists do not name
/// their kind.
///
/// # Errors
/// They are not, and how many are.
pub fn rolled_out(kind: &str, object: &Value) -> Result<()> {
    let status = &object["status"];
    let number = |key: &str| status[key].as_u64().unwrap_or_default();
    let (wanted, updated, ready) = if kind == "DaemonSet" {
        let wanted = number("desiredNumberScheduled");
        (wanted, number("updatedNumberScheduled"), number("numberReady"))
    } else {
        let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1);
        // Old pods that still end count too.
        let extra = number("replicas").saturating_sub(wanted);
        let updated = number("updatedReplicas").saturating_sub(extra);
        (wanted, updated, number("readyReplicas"))
    };
    let name = name(object);
    ensure(status["observedGeneration"] == object["metadata"]["generation"], || {
        format!("{name}: its controller has not looked at it yet")
    })?;
    ensure(updated >= wanted && ready >= wanted, || {
        format!("{name}: {updated} of {wanted} pods are new, {ready} ready")
    })
}

/// Why it is not, as the end of a sentence; empty where it does not tell.
pub fn why(object: &Value) -> String {
    let message = ready_condition(object)
        .and_then(|condition| condition["message"].as_str())
        .unwrap_or_default();
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_are_found_by_address_or_name_and_tell_why_they_are_not_ready() {
        let node = json!({"metadata": {"name": "w"}, "status": {
            "addresses": [{"type": "InternalIP", "address": "10.5.0.3"}],
            "conditions": [{"type": "Ready", "status": "False", "message": "cni is not ready"}],
        }});
        assert!(has_address(&node, "10.5.0.3") && has_address(&node, "w") && !has_address(&node, "10.5.0.4"));
        assert!(!is_ready(&node));
        assert_eq!(why(&node), ": cni is not ready");
    }

    #[test]
    fn what_is_not_deployed_does_not_have_to_be_ready() {
        let set = |generation: u64, ready: u64| {
            json!({"metadata": {"generation": generation},
                   "status": {"observedGeneration": 2, "desiredNumberScheduled": 2, "numberReady": ready}})
        };
        let check = |value| settled(Ok(value), "desiredNumberScheduled", "numberReady", "kube-proxy");
        assert!(check(set(2, 2)).is_ok());
        assert_eq!(
            check(set(2, 1)).unwrap_err().to_string(),
            "kube-proxy: 1 of 2 are ready"
        );
        assert!(check(set(3, 2)).unwrap_err().to_string().contains("not looked at"));
    }

    #[test]
    fn a_workload_has_rolled_out_when_all_of_its_pods_are_new_and_ready() {
        let deployment = |replicas: u64, updated: u64| {
            json!({
                "metadata": {"name": "coredns", "generation": 2},
                "spec": {"replicas": 2},
                "status": {"observedGeneration": 2, "replicas": replicas, "updatedReplicas": updated, "readyReplicas": 2},
            })
        };
        assert!(rolled_out("Deployment", &deployment(2, 2)).is_ok());
        assert!(rolled_out("Deployment", &deployment(3, 2)).is_err());
        assert!(rolled_out("Deployment", &deployment(2, 1)).is_err());
        let set = json!({
            "metadata": {"name": "kube-proxy", "generation": 2},
            "status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberReady": 2},
        });
        assert!(
            rolled_out("DaemonSet", &set).is_err(),
            "its controller has not seen the change"
        );
    }
}
