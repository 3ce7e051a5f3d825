//! Look at clusters.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use sys::process::Identity;

use crate::console::Console;
use crate::docker;
use crate::error::{Error, Result};
use crate::names::Names;
use crate::options::{DISCOVERY_PORT, PortMapping, Provider, Resources, Subnet};
use crate::plan::{Role, absolute, check_name};
use crate::state::{ClusterState, GATEWAY, NodeState, Phase, RunState};

/// A cluster as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Folder of clusters it is in.
    pub state_dir: PathBuf,
    /// Its own folder.
    pub folder: PathBuf,
    /// What made it: `native` or `docker`.
    pub provider: &'static str,
    /// Name of the bridge, or of Docker's network.
    pub network: String,
    /// The network.
    pub subnet: Subnet,
    /// Address of the host in it.
    pub gateway: Ipv4Addr,
    /// Longest packet.
    pub mtu: u32,
    /// `https://ADDRESS:6443` of the first control plane; empty without one.
    pub endpoint: String,
    /// Ports of the host that lead into it.
    pub ports: Vec<PortMapping>,
    /// False for a creation that failed or was killed half way.
    pub complete: bool,
    /// URL of the discovery service; `None` where nodes find each other through Kubernetes only.
    pub discovery: Option<String>,
    /// State of the registry, the discovery service and the exposed ports; `None` where there are none.
    pub gateway_status: Option<NodeStatus>,
    /// Its nodes, control planes first.
    pub nodes: Vec<Node>,
}

/// A node as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its address; 0.0.0.0 for a container that is stopped and gets one when it starts.
    pub address: Ipv4Addr,
    /// What it may use.
    pub resources: Resources,
    /// How it is.
    pub status: NodeStatus,
    /// What it printed.
    pub log: Console,
}

/// How a node is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeStatus {
    /// Where it is in its life.
    pub phase: Phase,
    /// Why.
    pub message: String,
    /// How often it was started.
    pub starts: u32,
    /// The supervisor, while it runs.
    pub supervisor: Option<i32>,
    /// The node's PID 1 as the host numbers it, while it runs.
    pub init: Option<i32>,
}

/// Where the nodes of a cluster find its discovery service.
pub(crate) fn discovery_url(subnet: Subnet) -> String {
    format!("http://{}:{DISCOVERY_PORT}", subnet.gateway())
}

/// Shows a cluster.
pub fn show(state_dir: &Path, name: &str) -> Result<Cluster> {
    check_name(name)?;
    let state_dir = absolute(state_dir)?;
    let names = Names::of(&state_dir, name);
    let Some(state) = ClusterState::load(&names)? else {
        return Err(not_found(&state_dir, name));
    };
    let same_boot = state.same_boot();
    let gateway_status = state
        .supervisors
        .contains_key(GATEWAY)
        .then(|| status(&names, &state, GATEWAY, same_boot));
    let native = |node: &NodeState| Node {
        name: node.name.clone(),
        role: node.role,
        address: node.address,
        resources: node.resources,
        status: status(&names, &state, &node.name, same_boot),
        log: Console::File(names.console_log(&node.name)),
    };
    let (network, nodes) = match state.provider {
        Provider::Native { .. } => (names.bridge(), state.nodes.iter().map(native).collect()),
        Provider::Docker { .. } => (state.name.clone(), docker::nodes(&state)?),
    };
    let first = state.nodes.iter().find(|node| node.role == Role::ControlPlane);
    Ok(Cluster {
        name: name.to_owned(),
        folder: names.folder().to_path_buf(),
        provider: state.provider.name(),
        network,
        subnet: state.subnet,
        gateway: state.subnet.gateway(),
        mtu: state.mtu,
        endpoint: first
            .map(|node| format!("https://{}:6443", node.address))
            .unwrap_or_default(),
        ports: state.ports.clone(),
        discovery: state.discovery.as_ref().map(|_| discovery_url(state.subnet)),
        complete: state.complete,
        gateway_status,
        nodes,
        state_dir,
    })
}

/// The names of the clusters in a folder, in order.
pub fn list(state_dir: &Path) -> Vec<String> {
    names_in(state_dir)
}

pub(crate) fn names_in(state_dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(state_dir).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().join("state.json").exists());
    let mut names: Vec<String> = folders
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub(crate) fn not_found(state_dir: &Path, name: &str) -> Error {
    let known = names_in(state_dir);
    let known = if known.is_empty() {
        String::new()
    } else {
        format!(" (there are: {})", known.join(", "))
    };
    Error::NotFound {
        name: name.to_owned(),
        state_dir: state_dir.to_path_buf(),
        known,
    }
}

fn status(names: &Names, state: &ClusterState, who: &str, same_boot: bool) -> NodeStatus {
    let run = RunState::load(&names.run_file(who)).ok().flatten().unwrap_or_default();
    let running = |identity: Option<&Identity>| {
        identity
            .filter(|identity| same_boot && identity.is_running())
            .map(|identity| identity.pid)
    };
    let supervisor = running(state.supervisors.get(who));
    let (phase, message) = match run.phase {
        Phase::Starting | Phase::Running if !same_boot => (Phase::Stopped, "the machine was restarted".to_owned()),
        Phase::Starting | Phase::Running if supervisor.is_none() => (
            Phase::Failed,
            "its supervisor is gone (`cluster start` starts the node again)".to_owned(),
        ),
        phase => (phase, run.message),
    };
    NodeStatus {
        phase,
        message,
        starts: run.starts,
        supervisor,
        init: running(run.init.as_ref()),
    }
}
