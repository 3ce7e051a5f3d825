//! Look at a cluster of containers.

use std::net::Ipv4Addr;

use super::containers;
use crate::console::Console;
use crate::error::Result;
use crate::show::{Node, NodeStatus};
use crate::state::{ClusterState, Phase};

/// The nodes there are, those started by hand included, and those that should be there.
pub(crate) fn nodes(state: &ClusterState) -> Result<Vec<Node>> {
    let containers = containers::of(&state.name)?;
    let gone = state
        .nodes
        .iter()
        .filter(|node| !containers.iter().any(|container| container.name == node.name));
    let gone = gone.map(|node| Node {
        name: node.name.clone(),
        role: node.role,
        address: node.address,
        resources: node.resources,
        status: NodeStatus {
            phase: Phase::Stopped,
            message: "it has no container".to_owned(),
            ..NodeStatus::default()
        },
        log: Console::Container(node.name.clone()),
    });
    let there = containers.iter().map(|container| Node {
        name: container.name.clone(),
        role: container.role,
        address: container.address.unwrap_or(Ipv4Addr::UNSPECIFIED),
        resources: container.resources,
        status: container.status.clone(),
        log: Console::Container(container.name.clone()),
    });
    Ok(there.chain(gone).collect())
}
