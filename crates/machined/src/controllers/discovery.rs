//! Who else is in the cluster: this node's own description, those of others, and what follows from them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use node_resources::cluster::{Affiliate, ControlPlane, DiscoveryConfig, Identity, Info, KubeSpanAffiliate, Member};
use node_resources::config::{MachineConfig, MachineKind, MachineType as MachineTypeResource};
use node_resources::k8s::{Endpoint, KubePrismConfig, KubePrismEndpoint, KubePrismEndpoints, Nodename};
use node_resources::network::{HostnameStatus, NodeAddress};
use resource::types::Bytes;
use resource::{All, One, Outputs};

use crate::machine_config::parsed;

/// The namespace of what each registry says, before it is put together.
pub const RAW: &str = "cluster-raw";
resource::scope!(
    /// What each registry says.
    pub ClusterRaw = RAW
);
/// How the ids of what Kubernetes says begin; the node's id follows.
pub const KUBERNETES: &str = "k8s/";
/// How the ids of what the discovery service says begin; the node's id follows.
pub const SERVICE: &str = "service/";

/// The cluster's identity.
pub fn info(config: One<MachineConfig>) -> anyhow::Result<Outputs<Info>> {
    let config = parsed(&config)?;
    let info = Info {
        cluster_id: config::view::discovery(&config).cluster_id,
        cluster_name: config::view::cluster_name(&config),
    };
    Ok(Outputs::one("current", info))
}

/// How the node finds others. What concerns the service is told only while it is used.
pub fn discovery_config(config: One<MachineConfig>) -> anyhow::Result<Outputs<DiscoveryConfig>> {
    let config = parsed(&config)?;
    if config.cluster().is_none() {
        return Ok(Outputs::none());
    }
    let discovery = config::view::discovery(&config);
    let mut wanted = DiscoveryConfig {
        discovery_enabled: discovery.enabled,
        registry_kubernetes_enabled: discovery.kubernetes,
        registry_service_enabled: discovery.service.is_some(),
        service_cluster_id: discovery.cluster_id,
        ..DiscoveryConfig::default()
    };
    if let Some(url) = &discovery.service {
        (wanted.service_endpoint, wanted.service_endpoint_insecure) = endpoint(url)?;
        let key = BASE64.decode(discovery.cluster_secret.expose());
        wanted.service_encryption_key = Bytes(key.context("read cluster.secret: it is not base64")?);
    }
    Ok(Outputs::one("cluster", wanted))
}

/// Host and port of a service's URL, and whether the connection is without TLS.
fn endpoint(url: &str) -> anyhow::Result<(String, bool)> {
    let what = || format!("use {url:?} as the discovery service (write https://HOST[:PORT] or http://HOST[:PORT])");
    let uri: http::Uri = url.trim().parse().with_context(what)?;
    let insecure = match uri.scheme_str() {
        Some("https") => false,
        Some("http" | "grpc") => true,
        _ => anyhow::bail!(what()),
    };
    let host = uri.host().filter(|host| !host.is_empty()).with_context(what)?;
    let port = uri.port_u16().unwrap_or(if insecure { 80 } else { 443 });
    Ok((format!("{host}:{port}"), insecure))
}

/// One affiliate of all that the registries say of a node. The service's word counts more: a node says it itself, sealed
/// with the cluster's secret. What it leaves open is taken from Kubernetes.
pub fn merged(identity: One<Identity>, raw: All<Affiliate, ClusterRaw>) -> Outputs<Affiliate> {
    let (service, others): (Vec<_>, Vec<_>) = raw.iter().partition(|(id, _)| id.starts_with(SERVICE));
    let mut nodes: BTreeMap<String, Affiliate> = BTreeMap::new();
    for (_, said) in service.into_iter().chain(others) {
        // What this node is it knows better than a registry.
        if said.node_id == identity.node_id {
            continue;
        }
        match nodes.entry(said.node_id.clone()) {
            Entry::Vacant(entry) => drop(entry.insert(said.clone())),
            Entry::Occupied(mut entry) => complete(entry.get_mut(), said),
        }
    }
    nodes.into_iter().collect()
}

/// Adds to an affiliate what it lacks and another registry knows.
fn complete(affiliate: &mut Affiliate, other: &Affiliate) {
    let fill = |text: &mut String, other: &String| {
        if text.is_empty() {
            text.clone_from(other);
        }
    };
    fill(&mut affiliate.hostname, &other.hostname);
    fill(&mut affiliate.nodename, &other.nodename);
    fill(&mut affiliate.operating_system, &other.operating_system);
    for address in &other.addresses {
        if !affiliate.addresses.contains(address) {
            affiliate.addresses.push(*address);
        }
    }
    if affiliate.machine_type == MachineKind::Unknown {
        affiliate.machine_type = other.machine_type;
    }
    if affiliate.kubespan == KubeSpanAffiliate::default() {
        affiliate.kubespan = other.kubespan.clone();
    }
    if affiliate.control_plane.is_none() {
        affiliate.control_plane.clone_from(&other.control_plane);
    }
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

/// Members are the affiliates that announced a Kubernetes node name. A node that was lost and made anew has two for a
/// while: the one that Kubernetes names too is the new one.
pub fn members(affiliates: All<Affiliate>, raw: All<Affiliate, ClusterRaw>) -> Outputs<Member> {
    let told = |registry: &str, id: &str| raw.get(&format!("{registry}{id}")).is_some();
    // This node's own is in no registry that it reads.
    let rank = |id: &str| match (told(KUBERNETES, id), told(SERVICE, id)) {
        (false, false) => 2,
        (true, _) => 1,
        (false, true) => 0,
    };
    let mut affiliates: Vec<_> = affiliates.iter().collect();
    affiliates.sort_by_key(|(id, _)| rank(id));
    let member = |a: &Affiliate| Member {
        node_id: a.node_id.clone(),
        addresses: a.addresses.clone(),
        hostname: a.hostname.clone(),
        machine_type: a.machine_type,
        operating_system: a.operating_system.clone(),
        control_plane: a.control_plane.clone(),
    };
    // Of those with the same name the last one stays.
    affiliates
        .into_iter()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn affiliate(id: &str, hostname: &str, addresses: &[&str]) -> Affiliate {
        Affiliate {
            node_id: id.to_owned(),
            hostname: hostname.to_owned(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            ..Affiliate::default()
        }
    }

    fn own(id: &str) -> One<Identity> {
        One::from(Identity { node_id: id.to_owned() })
    }

    #[test]
    fn what_registries_say_of_a_node_becomes_one_affiliate() {
        let kubernetes = Affiliate {
            nodename: "w1".to_owned(),
            machine_type: MachineKind::Worker,
            ..affiliate("a", "old-name", &["10.0.0.2", "10.0.0.9"])
        };
        let raw = All::from([
            ("k8s/a", kubernetes),
            ("k8s/own", affiliate("own", "own", &[])),
            ("service/a", affiliate("a", "w1.example", &["10.0.0.2"])),
            ("service/b", affiliate("b", "w2", &[])),
        ]);
        let merged = merged(own("own"), raw);
        let ids: Vec<&str> = merged.iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["a", "b"]);
        let a = merged.get("a").unwrap();
        assert_eq!((a.hostname.as_str(), a.nodename.as_str()), ("w1.example", "w1"));
        assert_eq!(a.machine_type, MachineKind::Worker);
        assert_eq!(
            a.addresses,
            ["10.0.0.2", "10.0.0.9"].map(|a| a.parse::<IpAddr>().unwrap())
        );
    }

    #[test]
    fn of_a_node_that_was_made_anew_the_member_is_the_one_that_kubernetes_names() {
        let named = |id: &str| Affiliate {
            nodename: "w1".to_owned(),
            ..affiliate(id, "w1", &[])
        };
        for (old, new) in [("a", "b"), ("b", "a")] {
            let affiliates = All::from([(old, named(old)), (new, named(new))]);
            let raw = All::from([
                (format!("{SERVICE}{old}"), named(old)),
                (format!("{SERVICE}{new}"), named(new)),
                (format!("{KUBERNETES}{new}"), named(new)),
            ]);
            assert_eq!(members(affiliates, raw).get("w1").unwrap().node_id, new);
        }
        let affiliates = All::from([("a", named("a")), ("own", named("own"))]);
        let raw = All::from([("k8s/a", named("a"))]);
        assert_eq!(members(affiliates, raw).get("w1").unwrap().node_id, "own");
    }

    #[test]
    fn the_services_address_is_read_as_the_resource_shows_it() {
        let read = |url: &str| endpoint(url).unwrap();
        assert_eq!(
            read("https://discovery.talos.dev/"),
            ("discovery.talos.dev:443".to_owned(), false)
        );
        assert_eq!(read("http://10.5.0.1:3000"), ("10.5.0.1:3000".to_owned(), true));
        assert_eq!(read("http://[fd00::1]"), ("[fd00::1]:80".to_owned(), true));
        assert!(endpoint("discovery.talos.dev").is_err());
    }

    #[test]
    fn a_usual_configuration_uses_the_service_and_one_without_discovery_uses_nothing() {
        let config = |text: &str| {
            let secret = BASE64.encode([7; 32]);
            let text = format!("version: v1alpha1\ncluster:\n  id: c\n  secret: {secret}\n  discovery:\n{text}");
            let outputs = discovery_config(One::from(MachineConfig(text))).unwrap();
            outputs.get("cluster").unwrap().clone()
        };
        let usual = config("    enabled: true\n    registries: {kubernetes: {disabled: true}, service: {}}\n");
        assert!(usual.registry_service_enabled && !usual.registry_kubernetes_enabled);
        assert_eq!(usual.service_endpoint, "discovery.talos.dev:443");
        assert_eq!(usual.service_encryption_key.0, [7; 32]);
        assert_eq!(usual.service_cluster_id, "c");
        let none = config("    enabled: false\n");
        assert!(!none.discovery_enabled && !none.registry_service_enabled && !none.registry_kubernetes_enabled);
    }
}
