//! What is written down about a cluster: `state.json` by the command that makes it, `NAME.run.json` by each supervisor.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sys::process::Identity;

use crate::error::{Error, Result};
use crate::names::Names;
use crate::options::{PortMapping, Provider, Resources, Subnet};
use crate::plan::{Plan, Role};

/// The name under which the gateway's supervisor is recorded. No node is called so: their names have a role in them.
pub(crate) const GATEWAY: &str = "gateway";
/// The name of the discovery service's folder and log. No node is called so either.
pub(crate) const DISCOVERY: &str = "discovery";

/// A cluster as it was asked for, and the supervisors that were started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ClusterState {
    pub name: String,
    /// Boot of the machine in which it was made: process numbers mean nothing after it.
    pub boot_id: String,
    pub subnet: Subnet,
    pub mtu: u32,
    #[serde(flatten)]
    pub provider: Provider,
    pub init: Vec<String>,
    pub registry: Option<PathBuf>,
    /// The program of the discovery service, where there is one.
    #[serde(default)]
    pub discovery: Option<PathBuf>,
    pub ports: Vec<PortMapping>,
    pub nodes: Vec<NodeState>,
    /// By node name, or [`GATEWAY`]. Recorded before the supervisor is told to begin.
    pub supervisors: BTreeMap<String, Identity>,
    /// Everything was started.
    pub complete: bool,
}

/// A node as it was asked for. Its configuration is in a file of its own, which only root reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeState {
    pub name: String,
    pub role: Role,
    pub address: Ipv4Addr,
    pub resources: Resources,
}

impl ClusterState {
    pub(crate) fn of(plan: &Plan) -> Result<ClusterState> {
        let nodes = plan.nodes.iter().map(|node| NodeState {
            name: node.name.clone(),
            role: node.role,
            address: node.address,
            resources: node.resources,
        });
        let options = &plan.options;
        Ok(ClusterState {
            name: options.name.clone(),
            boot_id: sys::host::boot_id()?,
            subnet: options.subnet,
            mtu: options.mtu,
            provider: options.provider.clone(),
            init: options.init.clone(),
            registry: options.registry.clone(),
            discovery: options.discovery.clone(),
            ports: options.ports.clone(),
            nodes: nodes.collect(),
            supervisors: BTreeMap::new(),
            complete: false,
        })
    }

    /// `None` where there is no file.
    pub(crate) fn load(names: &Names) -> Result<Option<ClusterState>> {
        read(&names.state_file())
    }

    pub(crate) fn save(&self, names: &Names) -> Result<()> {
        write(&names.state_file(), self)
    }

    /// True where a registry, discovery or ports are to be served. Docker publishes ports itself.
    pub(crate) fn needs_gateway(&self) -> bool {
        let ports = matches!(self.provider, Provider::Native { .. }) && !self.ports.is_empty();
        self.registry.is_some() || self.discovery.is_some() || ports
    }

    /// True where recorded process numbers are of this boot.
    pub(crate) fn same_boot(&self) -> bool {
        sys::host::boot_id().is_ok_and(|now| now == self.boot_id)
    }
}

/// Where a node or the gateway is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The supervisor is setting it up.
    #[default]
    Starting,
    /// Its first process runs.
    Running,
    /// It was shut down and stays down.
    Stopped,
    /// It cannot be started.
    Failed,
}

impl Phase {
    /// As shown to a person.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Stopped => "stopped",
            Phase::Failed => "failed",
        }
    }
}

/// What a supervisor reports.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunState {
    pub phase: Phase,
    /// Why it is so.
    pub message: String,
    /// How often it was started.
    pub starts: u32,
    /// The launcher, whose child is the node's PID 1.
    pub launcher: Option<Identity>,
    /// The node's PID 1.
    pub init: Option<Identity>,
    /// What the host did not let be set.
    pub warnings: Vec<String>,
}

impl RunState {
    pub(crate) fn load(path: &Path) -> Result<Option<RunState>> {
        read(path)
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        write(path, self)
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bad = |reason: String| Error::State {
        path: path.to_path_buf(),
        reason,
    };
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| bad(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(bad(error.to_string())),
    }
}

fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let json = serde_json::to_vec_pretty(value).map_err(|error| Error::State {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })?;
    Ok(sys::files::write_atomic(path, json, 0o600)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{CreateOptions, DockerImage, DockerOptions};

    #[test]
    fn a_record_says_what_makes_the_nodes() {
        let record = |provider: Provider| {
            let mut options = CreateOptions::new("demo", "/tmp", "/");
            options.provider = provider;
            serde_json::to_value(ClusterState::of(&Plan::new(options).unwrap()).unwrap()).unwrap()
        };
        let read = |record| serde_json::from_value::<ClusterState>(record).unwrap().provider;
        let native = Provider::Native { image: "/".into() };
        let docker = Provider::Docker {
            docker: DockerOptions {
                image: DockerImage::Reference("node:1".into()),
                mounts: vec!["a".into()],
            },
        };
        let written = record(native.clone());
        assert_eq!(written["image"], "/", "as clusters made before have it");
        assert_eq!(read(written), native);
        assert_eq!(read(record(docker.clone())), docker);
    }
}
