//! Which of the node's addresses count, for what: pure functions over the addresses the kernel has.

use std::cmp::Reverse;
use std::net::IpAddr;

use node_resources::config::MachineConfig;
use node_resources::k8s::{NodeIP, NodeIPConfig};
use node_resources::network::{
    AddressSortAlgorithm, AddressStatus, NodeAddress, NodeAddressFilter, NodeAddressSortAlgorithm, OperatorSpec,
};
use resource::types::Prefix;
use resource::{All, One, Outputs};

use crate::machine_config::parsed;

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
/// the same (the interface's sort algorithm v1). Algorithm v2 puts addresses of longer prefixes first: an address given
/// to this machine alone before one that it made up in a network of many.
///
/// An address that control planes share is one that this node may be asked at now, but not one to know it by.
pub fn node_addresses(
    addresses: All<AddressStatus>,
    filters: All<NodeAddressFilter>,
    operators: All<OperatorSpec>,
    algorithm: One<NodeAddressSortAlgorithm>,
) -> Outputs<NodeAddress> {
    let algorithm = algorithm.algorithm;
    let node_address = |addresses| NodeAddress {
        addresses,
        sort_algorithm: algorithm,
    };
    let mut current: Vec<Prefix> = addresses
        .iter()
        .filter(|(_, a)| !is_plugin_link(&a.link_name))
        .map(|(_, a)| a.address)
        .filter(|p| is_global(p.addr()))
        .collect();
    match algorithm {
        AddressSortAlgorithm::V2 => current.sort_by_key(|p| (p.addr().is_ipv6(), Reverse(p.len()), p.addr())),
        AddressSortAlgorithm::V1 => current.sort_by_key(|p| (p.addr(), p.len())),
    }
    current.dedup();
    let shared = |p: &Prefix| operators.iter().any(|(_, o)| o.vip.ip == Some(p.addr()));
    let own: Vec<Prefix> = current.iter().copied().filter(|p| !shared(p)).collect();
    let first: Vec<Prefix> = own.first().copied().into_iter().collect();
    let mut outputs = Outputs::none();
    for (set, members) in [("current", &current), ("routed", &own), ("accumulative", &current)] {
        outputs.insert(set, node_address(members.clone()));
        for (filter_id, filter) in filters.iter() {
            let kept = members
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

/// In which order the node's addresses are given.
pub fn sort_algorithm(config: Option<One<MachineConfig>>) -> anyhow::Result<Outputs<NodeAddressSortAlgorithm>> {
    let configured = match config {
        Some(config) => config::view::address_sort_algorithm(&*parsed(&config)?),
        None => None,
    };
    let algorithm = match configured.as_deref() {
        None | Some("v1") => AddressSortAlgorithm::V1,
        Some("v2") => AddressSortAlgorithm::V2,
        Some(other) => {
            tracing::warn!("machine.features.nodeAddressSortAlgorithm: {other:?} is neither v1 nor v2; v1 is used");
            AddressSortAlgorithm::V1
        }
    };
    Ok(Outputs::one("default", NodeAddressSortAlgorithm { algorithm }))
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

/// Kubernetes' networks of pods and services.
pub(super) fn cluster_subnets(config: &MachineConfig) -> anyhow::Result<Vec<Prefix>> {
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
    let cluster: Vec<String> = cluster_subnets(&config)?.iter().map(ToString::to_string).collect();
    let mut valid_subnets = config::view::node_settings(&*parsed(&config)?).valid_subnets;
    // What a `!` stands before is left out; only such entries leave the rest of the addresses in.
    let mut exclude_subnets = cluster.clone();
    valid_subnets.retain(|subnet| match subnet.strip_prefix('!') {
        Some(excluded) => {
            exclude_subnets.push(excluded.to_owned());
            false
        }
        None => true,
    });
    if valid_subnets.is_empty() {
        // A node has an address of each family that the cluster's pods have.
        let families = |v6: bool| cluster.iter().any(|s| s.contains(':') == v6);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, algorithm: AddressSortAlgorithm, shared: Option<&str>) -> Vec<String> {
        let address = |text: &str| AddressStatus {
            address: text.parse().unwrap(),
            link_name: "eth0".to_owned(),
            ..AddressStatus::default()
        };
        let texts = [
            "10.5.0.9/32",
            "10.5.0.2/24",
            "fd00::1/64",
            "fd00::ff/128",
            "169.254.1.1/16",
        ];
        let addresses = texts.map(|text| (text, address(text)));
        let sets = node_addresses(
            All::from(addresses),
            All::from([] as [(&str, NodeAddressFilter); 0]),
            All::from_iter(shared.map(|address| {
                let mut operator = OperatorSpec::default();
                operator.vip.ip = address.parse().ok();
                ("shared", operator)
            })),
            One::from(NodeAddressSortAlgorithm { algorithm }),
        );
        sets.get(name)
            .unwrap()
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn addresses_are_sorted_as_the_configuration_says() {
        let v1 = ["10.5.0.2/24", "10.5.0.9/32", "fd00::1/64", "fd00::ff/128"];
        let current = |algorithm| set("current", algorithm, None);
        assert_eq!(current(AddressSortAlgorithm::V1), v1);
        let v2 = ["10.5.0.9/32", "10.5.0.2/24", "fd00::ff/128", "fd00::1/64"];
        assert_eq!(current(AddressSortAlgorithm::V2), v2);
        let config = |text: &str| Some(One::from(MachineConfig(text.to_owned())));
        let chosen = |config| sort_algorithm(config).unwrap().get("default").unwrap().algorithm;
        let features = "version: v1alpha1\nmachine:\n    features:\n        nodeAddressSortAlgorithm: v2\n";
        assert_eq!(chosen(config(features)), AddressSortAlgorithm::V2);
        assert_eq!(chosen(None), AddressSortAlgorithm::V1);
    }

    #[test]
    fn a_shared_address_is_not_one_to_know_the_node_by() {
        let set = |name| set(name, AddressSortAlgorithm::V2, Some("10.5.0.9"));
        assert_eq!(set("current")[0], "10.5.0.9/32");
        assert_eq!(set("accumulative")[0], "10.5.0.9/32");
        assert_eq!(set("routed")[0], "10.5.0.2/24");
        assert_eq!(set("default"), ["10.5.0.2/24"]);
    }

    #[test]
    fn subnets_of_the_nodes_address_may_be_left_out() {
        let text = "apiVersion: v1alpha1\nkind: KubeNodeConfig\nnodeIP:\n    validSubnets: [\"!10.9.0.0/16\"]\n";
        let config = node_ip_config(One::from(MachineConfig(text.to_owned()))).unwrap();
        let config = config.get("kubelet").unwrap();
        assert_eq!(config.valid_subnets, ["0.0.0.0/0"]);
        assert!(config.exclude_subnets.contains(&"10.9.0.0/16".to_owned()));
    }
}
