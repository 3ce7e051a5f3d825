//! The node leaves Kubernetes' hands before it goes down.

use anyhow::Context as _;
use node_resources::k8s::Nodename;

use crate::controllers::{manifests, nodes};
use crate::node::Node;

/// Cordons the node and evicts its pods, see [`k8s::drain::cordon_and_drain`].
///
/// # Errors
/// The API does not answer.
pub async fn cordon_and_drain(node: &Node) -> anyhow::Result<()> {
    let Some(name) = node.store.list::<Nodename>().first().map(|n| n.nodename.clone()) else {
        return Ok(());
    };
    let client = match manifests::admin_client(&node.store) {
        Some(client) => client?,
        None => nodes::kubelet_client()?,
    };
    let drained = k8s::drain::cordon_and_drain(&client, &name).await;
    drained.context("drain the node")
}
