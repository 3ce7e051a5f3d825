//! Taking a node out of Kubernetes' hands before it goes down.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use api::client::Client;
use cluster_health::kube::has_address;
use k8s::{ListOptions, Patch, resources};
use serde_json::json;
use tonic::Status;

use crate::commands::health::view::discover;
use crate::commands::kubeconfig;
use crate::output::note;
use crate::session::Target;

/// How long the Kubernetes API may take to answer, and the node to know a control plane.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Cordons the node that the client's calls reach, evicts its pods and waits until they are gone. The node uncordons itself
/// when it is back; if the pods do not go in time, it is uncordoned here.
pub async fn drain(client: &Client, limit: Duration) -> Result<(), Status> {
    let node = client.fallback_name();
    note(&format!("{node}: draining"));
    drained(client, &node, limit).await.map_err(|error| {
        let text = format!("drain {node}: {error:#} (nothing was rebooted; without --drain it is)");
        Status::aborted(text)
    })
}

async fn drained(client: &Client, node: &str, limit: Duration) -> Result<()> {
    let target = |address: &str| Target {
        node: address.to_owned(),
        client: client.with_nodes(&[address]),
    };
    let known = discover(&target(node), Instant::now() + CALL_LIMIT).await?;
    // Workers have no kubeconfig to give.
    let control_plane = known.control_planes.first().context("no control plane is known")?;
    let kubernetes = kubeconfig::client(&target(control_plane), None, CALL_LIMIT).await?;
    let nodes = kubernetes.list(&resources::NODES, None, &ListOptions::default()).await;
    let nodes = nodes.context("list nodes")?.items;
    let found = nodes.iter().find(|found| has_address(found, node));
    let name = found.and_then(|found| found["metadata"]["name"].as_str());
    let name = name.context("Kubernetes has no such node")?;
    let patch = async |patch| {
        let patch = Patch::Merge(patch);
        kubernetes.patch(&resources::NODES, None, name, None, &patch).await
    };
    let cordoned = k8s::drain::cordon(&kubernetes, name).await?;
    let outcome = match tokio::time::timeout(limit, k8s::drain::drain(&kubernetes, name)).await {
        Ok(outcome) => outcome.map_err(anyhow::Error::from),
        Err(_) => Err(anyhow::anyhow!(
            "its pods are not gone within {limit:?} (--drain-timeout)"
        )),
    };
    if !cordoned {
        return outcome;
    }
    if outcome.is_ok() {
        patch(k8s::drain::until_it_is_back()).await?;
    } else if let Err(error) = patch(json!({"spec": {"unschedulable": null}})).await {
        note(&format!(
            "{node}: it stays cordoned (`kubectl uncordon {name}`): {error}"
        ));
    }
    outcome
}
