//! Who else is in the cluster: this node's own description, those of others, and what follows from them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use resource::{All, One, Outputs};

use crate::machine_config::parsed;
use crate::resources::cluster::{Affiliate, ControlPlane, DiscoveryConfig, Identity, Info, Member};
use crate::resources::config::{MachineConfig, MachineKind, MachineType as MachineTypeResource};
use crate::resources::k8s::{Endpoint, KubePrismConfig, KubePrismEndpoint, KubePrismEndpoints, Nodename};
use crate::resources::network::{HostnameStatus, NodeAddress};

/// The cluster's identity.
pub fn info(config: One<MachineConfig>) -> anyhow::Result<Outputs<Info>> {
    let config = parsed(&config)?;
    let info = Info {
        cluster_id: config::view::discovery(&config).cluster_id,
        cluster_name: config::view::cluster_name(&config),
    };
    Ok(Outputs::one("current", info))
}

/// How the node finds others.
pub fn discovery_config(config: One<MachineConfig>) -> anyhow::Result<Outputs<DiscoveryConfig>> {
    let config = parsed(&config)?;
    let Some(cluster) = config.cluster() else {
        return Ok(Outputs::none());
    };
    let discovery = cluster.discovery.as_ref();
    let enabled = discovery.and_then(|d| d.enabled).unwrap_or_default();
    let registries = discovery.and_then(|d| d.registries.as_ref());
    let kubernetes_off = registries
        .and_then(|r| r.kubernetes.as_ref())
        .and_then(|k| k.disabled)
        .unwrap_or_default();
    let service = registries.and_then(|r| r.service.as_ref());
    let service_off = service.and_then(|s| s.disabled).unwrap_or_default();
    let endpoint = service.and_then(|s| s.endpoint.clone()).unwrap_or_default();
    Ok(Outputs::one(
        "cluster",
        DiscoveryConfig {
            discovery_enabled: enabled,
            registry_kubernetes_enabled: enabled && !kubernetes_off,
            registry_service_enabled: enabled && !service_off,
            service_endpoint: endpoint,
            service_cluster_id: cluster.id.clone().unwrap_or_default(),
            ..DiscoveryConfig::default()
        },
    ))
}

/// This node as it describes itself to others.
pub fn local_affiliate(
    identity: One<Identity>,
    kind: One<MachineTypeResource>,
    config: One<MachineConfig>,
    hostname: One<HostnameStatus>,
    addresses: All<NodeAddress>,
    nodename: Option<One<Nodename>>,
) -> anyhow::Result<Outputs<Affiliate>> {
    let config = parsed(&config)?;
    let addresses: Vec<IpAddr> = addresses
        .get("routed-no-k8s")
        .map(|a| a.addresses.iter().map(resource::types::Prefix::addr).collect())
        .unwrap_or_default();
    let control_plane = (kind.0 == MachineKind::ControlPlane).then(|| ControlPlane {
        port: api_port(&config).into(),
    });
    Ok(Outputs::one(
        identity.node_id.clone(),
        Affiliate {
            node_id: identity.node_id.clone(),
            addresses,
            hostname: fqdn(&hostname),
            nodename: nodename.map(|n| n.nodename.clone()).unwrap_or_default(),
            operating_system: crate::version::operating_system(),
            machine_type: kind.0,
            control_plane,
            ..Affiliate::default()
        },
    ))
}

/// The port this cluster's API servers listen on.
pub fn api_port(config: &config::Config) -> u16 {
    config::view::api_server(config).port
}

/// Name and domain of the node.
pub fn fqdn(hostname: &HostnameStatus) -> String {
    match hostname.domainname.as_str() {
        "" => hostname.hostname.clone(),
        domain => format!("{}.{domain}", hostname.hostname),
    }
}

/// Members are the affiliates that announced a Kubernetes node name.
pub fn members(affiliates: All<Affiliate>) -> Outputs<Member> {
    let member = |a: &Affiliate| Member {
        node_id: a.node_id.clone(),
        addresses: a.addresses.clone(),
        hostname: a.hostname.clone(),
        machine_type: a.machine_type,
        operating_system: a.operating_system.clone(),
        control_plane: a.control_plane.clone(),
    };
    affiliates
        .iter()
        .filter(|(_, a)| !a.nodename.is_empty())
        .map(|(_, a)| (a.nodename.clone(), member(a)))
        .collect()
}

/// The API servers that members announced.
pub fn endpoints(members: All<Member>) -> Outputs<Endpoint> {
    let mut addresses: Vec<IpAddr> = members
        .iter()
        .filter(|(_, m)| m.control_plane.is_some())
        .flat_map(|(_, m)| m.addresses.clone())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        Outputs::none()
    } else {
        Outputs::one(
            "discovery",
            Endpoint {
                addresses,
                hosts: vec![],
            },
        )
    }
}

/// Where the local balancer looks for API servers: the cluster's endpoint, this node's own, and members'.
pub fn kube_prism_endpoints(
    config: One<MachineConfig>,
    kind: One<MachineTypeResource>,
    members: All<Member>,
) -> anyhow::Result<Outputs<KubePrismEndpoints>> {
    let config = parsed(&config)?;
    let mut endpoints = Vec::new();
    let mut add = |host: String, port: u32| {
        let endpoint = KubePrismEndpoint { host, port };
        if !endpoints.contains(&endpoint) {
            endpoints.push(endpoint);
        }
    };
    if kind.0 == MachineKind::ControlPlane {
        add("localhost".to_owned(), api_port(&config).into());
    }
    if let Some((host, port)) = control_plane_endpoint(&config) {
        add(host, port.into());
    }
    let by_name: BTreeMap<_, _> = members.iter().collect();
    for member in by_name.values() {
        if let Some(control_plane) = &member.control_plane {
            for address in &member.addresses {
                add(address.to_string(), u32::try_from(control_plane.port).unwrap_or(6443));
            }
        }
    }
    Ok(Outputs::one("k8s-cluster", KubePrismEndpoints { endpoints }))
}

/// Host and port of the cluster's endpoint.
pub fn control_plane_endpoint(config: &config::Config) -> Option<(String, u16)> {
    let endpoint = config::view::endpoint(config)?;
    let rest = endpoint.strip_prefix("https://")?.split('/').next()?.to_owned();
    match rest.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
            Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
        }
        _ => Some((rest.trim_matches(['[', ']']).to_owned(), 443)),
    }
}

/// The local balancer, if it is on.
pub fn kube_prism_config(
    config: One<MachineConfig>,
    endpoints: One<KubePrismEndpoints>,
) -> anyhow::Result<Outputs<KubePrismConfig>> {
    let config = parsed(&config)?;
    let prism = config::view::kube_prism(&config);
    if !prism.enabled {
        return Ok(Outputs::none());
    }
    let config = KubePrismConfig {
        host: "127.0.0.1".to_owned(),
        port: prism.port.into(),
        endpoints: endpoints.endpoints.clone(),
    };
    Ok(Outputs::one("k8s-loadbalancer-config", config))
}
