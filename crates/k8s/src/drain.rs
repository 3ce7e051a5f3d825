//! A node leaves Kubernetes' hands: cordoned, and its pods evicted; and comes back into them.

use std::collections::HashSet;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::resources::{NODES, PODS};
use crate::{Client, Error, ListOptions, Patch};

/// Marks a node that was cordoned because it went down, and not by a person: it is uncordoned when it is back.
const CORDONED: &str = "keelson.dev/cordoned";
/// Pause between two looks at what is left, and between two tries to evict a pod that a budget protects.
const PAUSE: Duration = Duration::from_millis(500);
/// How long an API server is looked for: a cluster that is away for good does not keep a node from ending.
const FIND_TIMEOUT: Duration = Duration::from_secs(15);

/// What a node does itself before it goes down: cordons and drains, and marks that it shall be uncordoned when it is back.
///
/// # Errors
/// The API does not answer, or the node is not there.
pub async fn cordon_and_drain(client: &Client, name: &str) -> Result<(), Error> {
    // In one change: a node that ends between two would stay cordoned.
    let mut change = until_it_is_back();
    change["spec"] = json!({"unschedulable": true});
    close(client, name, change).await?;
    drain(client, name).await
}

/// Makes the node unschedulable; false if somebody has done so before.
///
/// # Errors
/// The API does not answer, or the node is not there.
pub async fn cordon(client: &Client, name: &str) -> Result<bool, Error> {
    close(client, name, json!({"spec": {"unschedulable": true}})).await
}

async fn close(client: &Client, name: &str, change: Value) -> Result<bool, Error> {
    let is_open = look(client, name).await?["spec"]["unschedulable"] != json!(true);
    if is_open {
        client.patch(&NODES, None, name, None, &Patch::Merge(change)).await?;
    }
    Ok(is_open)
}

/// Evicts the pods that the node has now and waits until they are gone, as long as that takes. Pods of daemon sets and
/// static pods stay: nothing else could run them. Pods that come later stay too: they tolerate a node that is out of use,
/// and would come back as often as they were evicted.
///
/// # Errors
/// The API does not answer.
pub async fn drain(client: &Client, name: &str) -> Result<(), Error> {
    let present: HashSet<String> = evictable(client, name).await?.iter().map(uid).collect();
    loop {
        let now = evictable(client, name).await?;
        let left: Vec<&Value> = now.iter().filter(|pod| present.contains(&uid(pod))).collect();
        if left.is_empty() {
            return Ok(());
        }
        for pod in left.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()) {
            evict(client, pod).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A patch that leaves it to the node to uncordon itself when it is back. It does so as soon as it runs and is not about to
/// end: this comes last before a node is told to go down.
pub fn until_it_is_back() -> Value {
    json!({"metadata": {"annotations": {CORDONED: "true"}}})
}

/// What tells a pod from another of its name.
fn uid(pod: &Value) -> String {
    pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

/// The node's object. An API server that has just come back may not be found at once.
async fn look(client: &Client, name: &str) -> Result<Value, Error> {
    let deadline = Instant::now() + FIND_TIMEOUT;
    loop {
        match client.get(&NODES, None, name).await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
}

/// A patch that takes back what [`cordon_and_drain`] did; `None` for a node it did not cordon.
pub fn uncordon(node: &Value) -> Option<Value> {
    (node["metadata"]["annotations"][CORDONED] == json!("true"))
        .then(|| json!({"spec": {"unschedulable": null}, "metadata": {"annotations": {CORDONED: null}}}))
}

/// The pods on the node that something else may run. A kubelet's user is shown those of its own node only, and has to
/// say so.
async fn evictable(client: &Client, node: &str) -> Result<Vec<Value>, Error> {
    let options = ListOptions {
        fields: format!("spec.nodeName={node}"),
        ..ListOptions::default()
    };
    let pods = client.list(&PODS, None, &options).await?.items;
    Ok(pods.into_iter().filter(is_evictable).collect())
}

fn is_evictable(pod: &Value) -> bool {
    let owners = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let bound = owners
        .into_iter()
        .any(|o| o["kind"] == "DaemonSet" || o["kind"] == "Node");
    let mirror = !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null();
    let ended = pod["status"]["phase"] == "Succeeded" || pod["status"]["phase"] == "Failed";
    !bound && !mirror && !ended
}

/// Asks for the eviction of a pod. A disruption budget may forbid it for now; the next round asks again.
async fn evict(client: &Client, pod: &Value) -> Result<(), Error> {
    let text = |key: &str| pod["metadata"][key].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"namespace": namespace, "name": name},
    });
    match client.request(Method::POST, &path, Some(&eviction)).await {
        Ok(_) | Err(Error::NotFound { .. } | Error::Busy { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_node_cordoned_is_uncordoned() {
        let fresh = json!({"metadata": {"name": "n"}, "spec": {}});
        assert_eq!(uncordon(&fresh), None);
        assert_eq!(uncordon(&json!({"spec": {"unschedulable": true}})), None);
        assert!(uncordon(&until_it_is_back()).is_some());
    }

    #[test]
    fn pods_that_nothing_else_could_run_stay() {
        let pod = |owner: &str, phase: &str| json!({"metadata": {"ownerReferences": [{"kind": owner}]}, "status": {"phase": phase}});
        assert!(is_evictable(&pod("ReplicaSet", "Running")));
        assert!(!is_evictable(&pod("DaemonSet", "Running")));
        assert!(!is_evictable(&pod("Node", "Running")));
        assert!(!is_evictable(&pod("Job", "Succeeded")));
    }
}
