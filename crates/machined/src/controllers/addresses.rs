//! Which of the node's addresses count, for what: pure functions over the addresses the kernel has.

use std::net::IpAddr;

use resource::types::Prefix;
use resource::{All, One, Outputs};

use crate::machine_config::parsed;
use crate::resources::config::MachineConfig;
use crate::resources::k8s::{NodeIP, NodeIPConfig};
use crate::resources::network::{AddressStatus, NodeAddress, NodeAddressFilter};

/// Whether an address is one the world can reach the node by: not loopback, link-local or the node's own DNS.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified(),
    }
}

/// Links that Kubernetes' network plugins make; their addresses say nothing about where the node is.
fn is_plugin_link(name: &str) -> bool {
    [
        "cni",
        "flannel",
        "veth",
        "cilium",
        "lxc",
        "cali",
        "kube-ipvs",
        "kube-bridge",
        "nodelocaldns",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// The sets of addresses, each also without and only with what belongs to Kubernetes' own networks.
///
/// IPv4 comes before IPv6, and within a family the order is by address, so that the same machine always answers
/// the same (the interface's sort algorithm v1).
pub fn node_addresses(addresses: All<AddressStatus>, filters: All<NodeAddressFilter>) -> Outputs<NodeAddress> {
    let mut current: Vec<Prefix> = addresses
        .iter()
        .filter(|(_, a)| !is_plugin_link(&a.link_name))
        .map(|(_, a)| a.address)
        .filter(|p| is_global(p.addr()))
        .collect();
    current.sort_by_key(|p| (p.addr(), p.len()));
    current.dedup();
    let first: Vec<Prefix> = current.first().copied().into_iter().collect();
    let mut outputs = Outputs::none();
    for set in ["current", "routed", "accumulative"] {
        outputs.insert(set, node_address(current.clone()));
        for (filter_id, filter) in filters.iter() {
            let kept = current
                .iter()
                .copied()
                .filter(|p| filter_allows(filter, p.addr()))
                .collect();
            outputs.insert(format!("{set}-{filter_id}"), node_address(kept));
        }
    }
    if !first.is_empty() {
        outputs.insert("default", node_address(first));
    }
    outputs
}

fn node_address(addresses: Vec<Prefix>) -> NodeAddress {
    NodeAddress {
        addresses,
        ..NodeAddress::default()
    }
}

fn filter_allows(filter: &NodeAddressFilter, address: IpAddr) -> bool {
    let within = |subnets: &[Prefix]| subnets.iter().any(|s| s.contains(address));
    (filter.include_subnets.is_empty() || within(&filter.include_subnets)) && !within(&filter.exclude_subnets)
}

/// The filters that tell Kubernetes' networks from the node's.
pub fn address_filters(config: One<MachineConfig>) -> anyhow::Result<Outputs<NodeAddressFilter>> {
    let subnets = cluster_subnets(&config)?;
    let mut outputs = Outputs::none();
    let filter = |include: &[Prefix], exclude: &[Prefix]| NodeAddressFilter {
        include_subnets: include.to_vec(),
        exclude_subnets: exclude.to_vec(),
    };
    outputs.insert("no-k8s", filter(&[], &subnets));
    outputs.insert("only-k8s", filter(&subnets, &[]));
    Ok(outputs)
}

fn cluster_subnets(config: &MachineConfig) -> anyhow::Result<Vec<Prefix>> {
    let config = parsed(config)?;
    let network = config::view::kubernetes_network(&config);
    network
        .pod_subnets
        .iter()
        .chain(&network.service_subnets)
        .map(|s| Ok(s.parse()?))
        .collect()
}

/// Which addresses the kubelet may use as its own.
pub fn node_ip_config(config: One<MachineConfig>) -> anyhow::Result<Outputs<NodeIPConfig>> {
    let exclude_subnets: Vec<String> = cluster_subnets(&config)?.iter().map(ToString::to_string).collect();
    let parsed = parsed(&config)?;
    let mut valid_subnets = parsed
        .machine()
        .and_then(|m| m.kubelet.as_ref())
        .and_then(|k| k.node_ip.as_ref())
        .map(|n| n.valid_subnets.clone())
        .unwrap_or_default();
    if valid_subnets.is_empty() {
        // A node has an address of each family that the cluster's pods have.
        let families = |v6: bool| exclude_subnets.iter().any(|s| s.contains(':') == v6);
        valid_subnets.extend(families(false).then(|| "0.0.0.0/0".to_owned()));
        valid_subnets.extend(families(true).then(|| "::/0".to_owned()));
    }
    Ok(Outputs::one(
        "kubelet",
        NodeIPConfig {
            valid_subnets,
            exclude_subnets,
        },
    ))
}

/// The kubelet's addresses: the first of each family that its configuration allows.
pub fn node_ip(config: One<NodeIPConfig>, addresses: All<NodeAddress>) -> anyhow::Result<Outputs<NodeIP>> {
    let Some(routed) = addresses.get("routed-no-k8s") else {
        return Ok(Outputs::none());
    };
    let subnets = |list: &[String]| {
        list.iter()
            .map(|s| Ok(s.parse()?))
            .collect::<anyhow::Result<Vec<Prefix>>>()
    };
    let filter = NodeAddressFilter {
        include_subnets: subnets(&config.valid_subnets)?,
        exclude_subnets: subnets(&config.exclude_subnets)?,
    };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for candidate in routed
        .addresses
        .iter()
        .map(Prefix::addr)
        .filter(|a| filter_allows(&filter, *a))
    {
        if !addresses.iter().any(|a| a.is_ipv4() == candidate.is_ipv4()) {
            addresses.push(candidate);
        }
    }
    Ok(if addresses.is_empty() {
        Outputs::none()
    } else {
        Outputs::one("kubelet", NodeIP { addresses })
    })
}
