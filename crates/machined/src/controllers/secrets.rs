//! The secrets that the configuration brings: authorities and tokens, as resources; and the names certificates carry.

use std::net::IpAddr;

use anyhow::Context;
use config::{Config, MachineType, view};
use node_resources::config::MachineConfig;
use node_resources::network::{HostnameStatus, NodeAddress};
use node_resources::secrets::{CertSAN, EtcdRootSecrets, KubeletSecrets, KubernetesRootSecrets, OSRootSecrets};
use node_resources::types::{AcceptedCA, Url};
use pki::CertAndKey;
use resource::{All, One, Outputs};

use super::discovery::{control_plane_endpoint, fqdn};
use crate::machine_config::parsed;

fn is_control_plane(config: &Config) -> bool {
    config.machine_type() == Some(MachineType::ControlPlane)
}

/// The authority of the machine API, the token of nodes, and names from the configuration.
pub fn os_root(config: One<MachineConfig>) -> anyhow::Result<Outputs<OSRootSecrets>> {
    let config = parsed(&config)?;
    let Some(machine) = config.machine() else {
        return Ok(Outputs::none());
    };
    let authority = machine
        .ca
        .clone()
        .context("machine.ca is missing: the node cannot tell who may talk to it")?;
    let mut accepted_cas = vec![AcceptedCA {
        crt: authority.crt.clone(),
    }];
    accepted_cas.extend(
        machine
            .accepted_cas
            .iter()
            .filter_map(|ca| Some(AcceptedCA { crt: ca.crt.clone()?.0 })),
    );
    let mut root = OSRootSecrets {
        issuing_ca: authority,
        accepted_cas,
        token: machine.token.as_ref().map(expose).transpose()?.unwrap_or_default(),
        ..OSRootSecrets::default()
    };
    for name in &machine.cert_sans {
        match name.parse() {
            Ok(ip) => root.cert_san_ips.push(ip),
            Err(_) => root.cert_san_dns_names.push(name.clone()),
        }
    }
    Ok(Outputs::one("os", root))
}

fn expose(secret: &pki::Secret) -> anyhow::Result<String> {
    Ok(secret
        .expose_str()
        .context("a secret of the configuration is not text")?
        .to_owned())
}

/// etcd's authority; control planes only.
pub fn etcd_root(config: One<MachineConfig>) -> anyhow::Result<Outputs<EtcdRootSecrets>> {
    let config = parsed(&config)?;
    if !is_control_plane(&config) {
        return Ok(Outputs::none());
    }
    let authority = config
        .cluster()
        .and_then(|c| c.etcd.as_ref())
        .and_then(|e| e.ca.clone());
    let etcd_ca = authority.context("cluster.etcd.ca is missing on a control plane")?;
    Ok(Outputs::one("etcd", EtcdRootSecrets { etcd_ca }))
}

/// Kubernetes' authorities, keys and tokens; control planes only.
pub fn kubernetes_root(config: One<MachineConfig>) -> anyhow::Result<Outputs<KubernetesRootSecrets>> {
    let config = parsed(&config)?;
    if !is_control_plane(&config) {
        return Ok(Outputs::none());
    }
    let cluster = config.cluster().cloned().unwrap_or_default();
    let authority = view::kubernetes_ca(&config).context("cluster.ca is missing on a control plane")?;
    let (bootstrap_token_id, bootstrap_token_secret) = bootstrap_token(&config)?;
    let endpoint = view::endpoint(&config).unwrap_or_default();
    let network = view::kubernetes_network(&config);
    let root = KubernetesRootSecrets {
        name: view::cluster_name(&config),
        endpoint: Url::parse(&endpoint),
        local_endpoint: Url::parse(&local_endpoint(&config)),
        cert_sans: view::api_server(&config).cert_sans,
        api_server_ips: network
            .service_subnets
            .iter()
            .filter_map(|s| nth_address(s, 1))
            .collect(),
        dns_domain: network.dns_domain.clone(),
        accepted_cas: trusted(&authority, &config),
        issuing_ca: authority,
        service_account: view::service_account_key(&config)
            .context("cluster.serviceAccount.key is missing on a control plane")?
            .into(),
        aggregator_ca: view::aggregator_ca(&config).context("cluster.aggregatorCA is missing on a control plane")?,
        aes_cbc_encryption_secret: optional(cluster.aescbc_encryption_secret.as_ref())?,
        secretbox_encryption_secret: optional(cluster.secretbox_encryption_secret.as_ref())?,
        bootstrap_token_id,
        bootstrap_token_secret,
    };
    Ok(Outputs::one("k8s", root))
}

/// The authority and those that are trusted beside it.
fn trusted(authority: &CertAndKey, config: &Config) -> Vec<AcceptedCA> {
    let others = view::accepted_kubernetes_cas(config).into_iter();
    std::iter::once(authority.crt.clone())
        .chain(others)
        .map(|crt| AcceptedCA { crt })
        .collect()
}

fn optional(secret: Option<&pki::Secret>) -> anyhow::Result<String> {
    Ok(secret.map(expose).transpose()?.unwrap_or_default())
}

/// What the kubelet joins with.
pub fn kubelet_secrets(config: One<MachineConfig>) -> anyhow::Result<Outputs<KubeletSecrets>> {
    let config = parsed(&config)?;
    let authority = view::kubernetes_ca(&config)
        .filter(|authority| !authority.crt.is_empty())
        .context("cluster.ca is missing: the kubelet cannot trust the API")?;
    let (bootstrap_token_id, bootstrap_token_secret) = bootstrap_token(&config)?;
    let accepted_cas = trusted(&authority, &config);
    let secrets = KubeletSecrets {
        endpoint: Url::parse(&local_endpoint(&config)),
        accepted_cas,
        bootstrap_token_id,
        bootstrap_token_secret,
    };
    Ok(Outputs::one("kubelet", secrets))
}

fn bootstrap_token(config: &Config) -> anyhow::Result<(String, String)> {
    let token = config
        .cluster()
        .and_then(|c| c.token.as_ref())
        .context("cluster.token is missing")?;
    let text = expose(token)?;
    let (id, secret) = text
        .split_once('.')
        .context("cluster.token is not of the form abcdef.0123456789abcdef")?;
    Ok((id.to_owned(), secret.to_owned()))
}

/// Where programs of this node reach the Kubernetes API: the local balancer, or the cluster's endpoint without one.
pub fn local_endpoint(config: &Config) -> String {
    let prism = view::kube_prism(config);
    if prism.enabled {
        return format!("https://127.0.0.1:{}", prism.port);
    }
    view::endpoint(config).unwrap_or_default()
}

/// The address at a position of a subnet ("10.96.0.0/12", 10 → 10.96.0.10).
pub fn nth_address(subnet: &str, position: u32) -> Option<IpAddr> {
    let (network, _) = subnet.split_once('/')?;
    match network.parse().ok()? {
        IpAddr::V4(v4) => Some(IpAddr::V4(u32::from(v4).checked_add(position)?.into())),
        IpAddr::V6(v6) => Some(IpAddr::V6(u128::from(v6).checked_add(position.into())?.into())),
    }
}

/// The names in certificates: of the machine API, and on control planes of the API server.
pub fn cert_sans(
    config: One<MachineConfig>,
    root: One<OSRootSecrets>,
    kubernetes: Option<One<KubernetesRootSecrets>>,
    hostname: One<HostnameStatus>,
    addresses: All<NodeAddress>,
) -> anyhow::Result<Outputs<CertSAN>> {
    let config = parsed(&config)?;
    let mut outputs = Outputs::one("api", api_sans(&config, &root, &hostname, &addresses));
    if let Some(kubernetes) = kubernetes {
        outputs.insert("k8s", kubernetes_sans(&config, &kubernetes, &hostname, &addresses));
    }
    Ok(outputs)
}

/// Addresses, host name, what the configuration adds, and the cluster's endpoint.
fn api_sans(config: &Config, root: &OSRootSecrets, hostname: &HostnameStatus, addresses: &All<NodeAddress>) -> CertSAN {
    let mut sans = CertSAN {
        fqdn: fqdn(hostname),
        ..node_names(hostname, addresses)
    };
    sans.ips.push(IpAddr::from([127, 0, 0, 1]));
    sans.ips.extend(&root.cert_san_ips);
    sans.dns_names.extend(root.cert_san_dns_names.iter().cloned());
    // The endpoint is the control planes' name; trustd gives it to nobody else.
    if is_control_plane(config) {
        add_endpoint(&mut sans, config);
        add_shared(&mut sans, config);
    }
    sorted(sans)
}

/// The same for the API server, with the names and address of its service.
fn kubernetes_sans(
    config: &Config,
    root: &KubernetesRootSecrets,
    hostname: &HostnameStatus,
    addresses: &All<NodeAddress>,
) -> CertSAN {
    let mut sans = node_names(hostname, addresses);
    sans.ips.push(IpAddr::from([127, 0, 0, 1]));
    sans.ips.extend(&root.api_server_ips);
    for name in &root.cert_sans {
        add_name(&mut sans, name);
    }
    add_endpoint(&mut sans, config);
    add_shared(&mut sans, config);
    let service = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
    ];
    sans.dns_names.extend(service.iter().map(ToString::to_string));
    sans.dns_names
        .push(format!("kubernetes.default.svc.{}", root.dns_domain));
    sorted(sans)
}

fn node_names(hostname: &HostnameStatus, addresses: &All<NodeAddress>) -> CertSAN {
    let mut sans = CertSAN {
        dns_names: vec![hostname.hostname.clone(), fqdn(hostname)],
        ..CertSAN::default()
    };
    if let Some(set) = addresses.get("accumulative-no-k8s") {
        sans.ips.extend(set.addresses.iter().map(resource::types::Prefix::addr));
    }
    sans
}

fn add_endpoint(sans: &mut CertSAN, config: &Config) {
    if let Some((host, _)) = control_plane_endpoint(config) {
        add_name(sans, &host);
    }
}

/// A node may come to have a shared address at any moment.
fn add_shared(sans: &mut CertSAN, config: &Config) {
    sans.ips.extend(
        config::view::virtual_addresses(config)
            .iter()
            .map(|shared| shared.address),
    );
}

fn add_name(sans: &mut CertSAN, name: &str) {
    match name.parse() {
        Ok(ip) => sans.ips.push(ip),
        Err(_) => sans.dns_names.push(name.to_owned()),
    }
}

fn sorted(mut sans: CertSAN) -> CertSAN {
    sans.ips.sort_unstable();
    sans.ips.dedup();
    sans.dns_names.sort_unstable();
    sans.dns_names.dedup();
    sans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_subnet_are_counted() {
        assert_eq!(nth_address("10.96.0.0/12", 10), Some("10.96.0.10".parse().unwrap()));
        assert_eq!(
            nth_address("fc00:db8:20::/112", 1),
            Some("fc00:db8:20::1".parse().unwrap())
        );
        assert_eq!(nth_address("nonsense", 1), None);
    }
}
