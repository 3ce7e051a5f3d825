//! What a cluster shall be.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Options of [`crate::create`].
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// Name of the cluster: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Folder of clusters; this one gets a folder in it.
    pub state_dir: PathBuf,
    /// What makes the nodes.
    pub provider: Provider,
    /// Number of control plane nodes.
    pub controlplanes: usize,
    /// Number of workers.
    pub workers: usize,
    /// The network; the gateway has its first address, control planes the ones after it, then workers.
    pub subnet: Subnet,
    /// Longest packet of the network.
    pub mtu: u32,
    /// What each control plane may use.
    pub controlplane: Resources,
    /// What each worker may use.
    pub worker: Resources,
    /// An OCI layout to serve on port [`REGISTRY_PORT`] of the gateway.
    pub registry: Option<PathBuf>,
    /// The program of the discovery service, run on port [`DISCOVERY_PORT`] of the gateway.
    pub discovery: Option<PathBuf>,
    /// Ports of the host that lead to the first control plane (the first worker where there is none).
    pub ports: Vec<PortMapping>,
    /// Wait until each node accepts connections to its API.
    pub wait_for_api: bool,
    /// How long to wait for nodes to start.
    pub wait_timeout: Duration,
    /// The program a node starts with, inside the image.
    pub init: Vec<String>,
}

/// Port of the registry on the gateway.
pub const REGISTRY_PORT: u16 = 5000;
/// Port of the discovery service on the gateway.
pub const DISCOVERY_PORT: u16 = 3000;
/// Port of the discovery service's page, metrics and health on the gateway.
pub const DISCOVERY_PAGE_PORT: u16 = 3001;

impl CreateOptions {
    /// One control plane and one worker of namespaces on this image, with everything else as usual.
    pub fn new(name: impl Into<String>, state_dir: impl Into<PathBuf>, image: impl Into<PathBuf>) -> CreateOptions {
        CreateOptions {
            name: name.into(),
            state_dir: state_dir.into(),
            provider: Provider::Native { image: image.into() },
            controlplanes: 1,
            workers: 1,
            subnet: Subnet {
                network: Ipv4Addr::new(10, 5, 0, 0),
                prefix_length: 24,
            },
            mtu: 1500,
            controlplane: Resources::default(),
            worker: Resources::default(),
            registry: None,
            discovery: None,
            ports: Vec::new(),
            wait_for_api: true,
            wait_timeout: Duration::from_secs(20 * 60),
            init: vec!["/sbin/init".to_owned()],
        }
    }
}

/// What makes the nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
// Written as part of a cluster's record: `image` for one, `docker` for the other.
#[serde(untagged)]
pub enum Provider {
    /// Namespaces of this machine.
    Native {
        /// The node image: a squashfs file, or a folder with its contents.
        image: PathBuf,
    },
    /// Containers of a Docker engine on this machine.
    Docker {
        /// How they are made.
        docker: DockerOptions,
    },
}

impl Provider {
    /// As the command line spells it.
    pub fn name(&self) -> &'static str {
        match self {
            Provider::Native { .. } => "native",
            Provider::Docker { .. } => "docker",
        }
    }
}

/// What differs where nodes are containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerOptions {
    /// Where the node image is from.
    pub image: DockerImage,
    /// More mounts for every node, as `docker run --mount` takes them.
    pub mounts: Vec<String>,
}

/// Where a Docker engine gets the node image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DockerImage {
    /// An archive that `docker load` takes.
    Archive(PathBuf),
    /// A name; the engine pulls what it does not have.
    Reference(String),
}

/// What a node may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Processor time in thousandths of a processor.
    pub cpu_millis: u64,
    /// Memory in bytes.
    pub memory: u64,
}

impl Default for Resources {
    /// Two processors and 2 GiB.
    fn default() -> Self {
        Resources {
            cpu_millis: 2000,
            memory: 2 << 30,
        }
    }
}

impl Resources {
    /// Reads a number of processors as `2.0` or `500m`.
    pub fn parse_cpus(text: &str) -> Result<u64> {
        let bad = || {
            invalid(
                format!("cpus {text:?}"),
                "write a number of processors, like 2, 0.5 or 500m",
            )
        };
        let millis = match text.strip_suffix('m') {
            Some(millis) => millis.parse::<f64>().map_err(|_| bad())?,
            None => text.parse::<f64>().map_err(|_| bad())? * 1000.0,
        };
        // The kernel counts in hundredths of a processor at the least.
        if !(10.0..=1_000_000.0).contains(&millis) {
            Err(bad())
        } else {
            Ok(millis.round() as u64)
        }
    }
}

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    network: Ipv4Addr,
    prefix_length: u8,
}

impl Subnet {
    /// Length of the network part.
    pub fn prefix_length(self) -> u8 {
        self.prefix_length
    }

    /// The first address, which the host has.
    pub fn gateway(self) -> Ipv4Addr {
        self.address(1)
    }

    /// The address of the node at this place in the plan.
    pub fn node(self, index: usize) -> Ipv4Addr {
        self.address(u32::try_from(index).unwrap_or(u32::MAX).saturating_add(2))
    }

    /// How many nodes have room.
    pub fn room(self) -> usize {
        // Less the network itself, the gateway and the address of everybody.
        (1usize << (32 - self.prefix_length)).saturating_sub(3)
    }

    /// True where the two have an address in common.
    pub fn overlaps(self, address: IpAddr, prefix_length: u8) -> bool {
        let IpAddr::V4(address) = address else { return false };
        let shorter = self.prefix_length.min(prefix_length);
        network_of(self.network, shorter) == network_of(address, shorter)
    }

    fn address(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network).saturating_add(offset))
    }
}

fn network_of(address: Ipv4Addr, prefix_length: u8) -> u32 {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix_length.min(32))).unwrap_or(0);
    u32::from(address) & mask
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_length)
    }
}

impl FromStr for Subnet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Subnet> {
        let bad = |reason: &str| invalid(format!("subnet {text:?}"), reason);
        let (network, length) = text
            .split_once('/')
            .ok_or_else(|| bad("has no prefix length (write 10.5.0.0/24)"))?;
        let network: Ipv4Addr = network
            .parse()
            .map_err(|_| bad("is not an IPv4 network (write 10.5.0.0/24)"))?;
        let prefix_length: u8 = length
            .parse()
            .map_err(|_| bad("has no prefix length (write 10.5.0.0/24)"))?;
        if !(8..=29).contains(&prefix_length) {
            return Err(bad("must have a prefix length from 8 to 29"));
        }
        Ok(Subnet {
            network: Ipv4Addr::from(network_of(network, prefix_length)),
            prefix_length,
        })
    }
}

impl TryFrom<String> for Subnet {
    type Error = Error;

    fn try_from(text: String) -> Result<Subnet> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> String {
        subnet.to_string()
    }
}

/// Transport protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A port of the host that leads to a port of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// Address of the host to listen on.
    pub host: IpAddr,
    /// Port of the host.
    pub host_port: u16,
    /// Port of the node.
    pub node_port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
}

impl PortMapping {
    /// Reads `HOST_PORT:NODE_PORT` or `HOST_PORT:NODE_PORT/udp`, listening on `host`.
    pub fn parse(text: &str, host: IpAddr) -> Result<PortMapping> {
        let bad = |reason| invalid(format!("exposed port {text:?}"), reason);
        let shape = "write HOST_PORT:NODE_PORT, or HOST_PORT:NODE_PORT/udp";
        let (ports, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err(bad(shape)),
        };
        let (host_port, node_port) = ports.split_once(':').ok_or_else(|| bad(shape))?;
        let port = |text: &str| {
            text.parse::<u16>()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| bad(shape))
        };
        Ok(PortMapping {
            host,
            host_port: port(host_port)?,
            node_port: port(node_port)?,
            protocol,
        })
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.protocol == Protocol::Tcp { "tcp" } else { "udp" };
        write!(f, "{}:{}:{}/{protocol}", self.host, self.host_port, self.node_port)
    }
}

pub(crate) fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::Invalid {
        what: what.into(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_counts_from_the_gateway() {
        let subnet: Subnet = "10.5.0.7/24".parse().unwrap();
        assert_eq!(subnet.to_string(), "10.5.0.0/24");
        assert_eq!(
            (subnet.gateway().to_string(), subnet.node(0).to_string()),
            ("10.5.0.1".into(), "10.5.0.2".into())
        );
        assert_eq!(subnet.room(), 253);
        for bad in ["10.5.0.0", "10.5.0.0/31", "x/24", "fd00::/64"] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_overlap_whichever_is_bigger() {
        let subnet: Subnet = "10.5.0.0/24".parse().unwrap();
        let overlaps = |address: &str, length| subnet.overlaps(address.parse().unwrap(), length);
        assert!(overlaps("10.5.0.9", 32) && overlaps("10.9.9.9", 8) && overlaps("1.2.3.4", 0));
        assert!(!overlaps("10.5.1.1", 24) && !overlaps("fe80::1", 64));
    }

    #[test]
    fn ports_and_processors_are_read() {
        let host = Ipv4Addr::UNSPECIFIED.into();
        let port = PortMapping::parse("8080:80/udp", host).unwrap();
        assert_eq!(
            (port.host_port, port.node_port, port.protocol),
            (8080, 80, Protocol::Udp)
        );
        assert_eq!(PortMapping::parse("1:2", host).unwrap().to_string(), "0.0.0.0:1:2/tcp");
        for bad in ["80", "80:0", "80:x", "1:2/sctp", "70000:1"] {
            assert!(PortMapping::parse(bad, host).is_err(), "{bad}");
        }
        assert_eq!(Resources::parse_cpus("2.0").unwrap(), 2000);
        assert_eq!(Resources::parse_cpus("250m").unwrap(), 250);
        assert!(Resources::parse_cpus("-1").is_err() && Resources::parse_cpus("NaN").is_err());
    }
}
