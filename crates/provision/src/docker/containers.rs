//! The containers of a cluster as the engine describes them.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use serde::Deserialize;

use super::{ROLE, engine, ids};
use crate::error::{Error, Result};
use crate::options::Resources;
use crate::plan::Role;
use crate::show::NodeStatus;
use crate::state::Phase;

/// A container that is a node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Container {
    pub name: String,
    pub role: Role,
    /// In the cluster's network; none while it is stopped and has no address of its own.
    pub address: Option<Ipv4Addr>,
    pub resources: Resources,
    pub status: NodeStatus,
}

/// All containers of a cluster: control planes first, then by name.
pub(super) fn of(cluster: &str) -> Result<Vec<Container>> {
    let ids = ids(&["ps", "--all"], cluster)?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let arguments: Vec<&str> = ["inspect"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    let mut containers = read(&engine::run(&arguments)?, cluster)?;
    containers.sort_by(|a, b| (a.role == Role::Worker, &a.name).cmp(&(b.role == Role::Worker, &b.name)));
    Ok(containers)
}

/// Reads what `docker inspect` printed.
fn read(json: &str, network: &str) -> Result<Vec<Container>> {
    let described: Vec<Described> = serde_json::from_str(json)
        .map_err(|error| Error::System(sys::Error::new("read what docker inspect printed", error.to_string())))?;
    Ok(described.into_iter().map(|one| one.container(network)).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    name: String,
    restart_count: u32,
    state: State,
    config: Config,
    host_config: HostConfig,
    network_settings: NetworkSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    status: String,
    pid: i32,
    exit_code: i32,
    error: String,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    labels: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    memory: u64,
    /// Thousand millionths of a processor.
    nano_cpus: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    networks: HashMap<String, Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "IPAddress")]
    address: String,
    /// What `--ip` asked for.
    #[serde(rename = "IPAMConfig")]
    wanted: Option<Wanted>,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(rename = "IPv4Address", default)]
    address: String,
}

impl Described {
    fn container(self, network: &str) -> Container {
        let endpoint = self.network_settings.networks.get(network);
        let address = endpoint.and_then(|endpoint| {
            let wanted = || endpoint.wanted.as_ref().and_then(|wanted| wanted.address.parse().ok());
            endpoint.address.parse().ok().or_else(wanted)
        });
        let role = match self.config.labels.get(ROLE).map(String::as_str) {
            Some("controlplane") => Role::ControlPlane,
            _ => Role::Worker,
        };
        Container {
            name: self.name.trim_start_matches('/').to_owned(),
            role,
            address,
            resources: Resources {
                cpu_millis: self.host_config.nano_cpus / 1_000_000,
                memory: self.host_config.memory,
            },
            status: self.state.status(self.restart_count),
        }
    }
}

impl State {
    fn status(self, restarts: u32) -> NodeStatus {
        let (phase, message) = match self.status.as_str() {
            "running" => (Phase::Running, String::new()),
            "created" => (Phase::Starting, self.error),
            "restarting" => (Phase::Starting, format!("ended with exit code {}", self.exit_code)),
            "exited" if self.oom_killed => (Phase::Failed, "ran out of memory".to_owned()),
            "exited" if self.exit_code == 0 => (Phase::Stopped, "shut down".to_owned()),
            "exited" => (Phase::Failed, format!("ended with exit code {}", self.exit_code)),
            other => (Phase::Stopped, format!("its container is {other}")),
        };
        NodeStatus {
            phase,
            message,
            starts: restarts + 1,
            supervisor: None,
            init: Some(self.pid).filter(|pid| *pid != 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_read_with_its_address_role_and_state() {
        let json = r#"[{"Name": "/demo-worker-1", "RestartCount": 1,
            "State": {"Status": "running", "Pid": 42, "ExitCode": 0, "Error": "", "OOMKilled": false},
            "Config": {"Labels": {"talos.type": "worker"}},
            "HostConfig": {"Memory": 2147483648, "NanoCpus": 1500000000},
            "NetworkSettings": {"Networks": {"demo": {"IPAddress": "10.5.0.3", "IPAMConfig": {}}}}},
            {"Name": "/demo-controlplane-1", "RestartCount": 0,
            "State": {"Status": "exited", "Pid": 0, "ExitCode": 137, "Error": "", "OOMKilled": false},
            "Config": {"Labels": {"talos.type": "controlplane"}},
            "HostConfig": {"Memory": 0, "NanoCpus": 0},
            "NetworkSettings": {"Networks": {"demo": {"IPAddress": "", "IPAMConfig": {"IPv4Address": "10.5.0.2"}}}}}]"#;
        let read = read(json, "demo").unwrap();
        assert_eq!((read[0].name.as_str(), read[0].role), ("demo-worker-1", Role::Worker));
        assert_eq!(read[0].address, Some([10, 5, 0, 3].into()));
        assert_eq!(
            (read[0].resources.cpu_millis, read[0].resources.memory),
            (1500, 2 << 30)
        );
        assert_eq!((read[0].status.phase, read[0].status.init), (Phase::Running, Some(42)));
        assert_eq!(
            (read[1].role, read[1].address),
            (Role::ControlPlane, Some([10, 5, 0, 2].into()))
        );
        assert_eq!(read[1].status.phase, Phase::Failed);
        assert!(read[1].status.message.contains("137"), "{}", read[1].status.message);
    }
}
