//! The node's name: where it comes from, and the effect that gives it to the machine.

use anyhow::Context as _;
use config::view::{self, Hostname as Source};
use node_resources::cluster::Identity;
use node_resources::config::MachineConfig;
use node_resources::network::{ConfigLayer, HostnameSpec, HostnameStatus, NodeAddress, PlatformConfig};
use node_resources::runtime::PlatformMetadata;
use resource::types::Prefix;
use resource::{All, Context, One, Outcome, Outputs, Reconcile};
use sha2::{Digest, Sha256};

use crate::machine_config::parsed;

/// What the platform says of the network: in a container the network is given, and only the name is worth telling.
pub fn platform_config(metadata: One<PlatformMetadata>) -> Outputs<PlatformConfig> {
    let config = PlatformConfig {
        hostnames: from_platform(&metadata).into_iter().collect(),
        metadata: Some((*metadata).clone()),
        ..PlatformConfig::default()
    };
    Outputs::one("active", config)
}

/// The name the node shall have: the configured one; else the platform's; else one made from the node's identity
/// (`auto: stable`) or from its first address. Without any of them there is none yet.
pub fn hostname_spec(
    config: Option<One<MachineConfig>>,
    platform: Option<One<PlatformMetadata>>,
    identity: Option<One<Identity>>,
    addresses: All<NodeAddress>,
) -> anyhow::Result<Outputs<HostnameSpec>> {
    let source = match &config {
        Some(config) => view::hostname(&*parsed(config)?),
        None => Source::FromNetwork,
    };
    let spec = match source {
        Source::Static(name) => Some(split(&name, ConfigLayer::Configuration)),
        source => platform
            .and_then(|platform| from_platform(&platform))
            .or_else(|| match source {
                Source::Stable => identity.map(|identity| split(&stable_name(&identity.node_id), ConfigLayer::Default)),
                _ => from_address(&addresses),
            }),
    };
    Ok(spec.map_or_else(Outputs::none, |spec| Outputs::one("hostname", spec)))
}

fn from_platform(metadata: &PlatformMetadata) -> Option<HostnameSpec> {
    // What a machine is called that nobody named.
    let nobody_named = ["", "(none)", "localhost"].contains(&metadata.hostname.as_str());
    (!nobody_named).then(|| split(&metadata.hostname, ConfigLayer::Platform))
}

fn from_address(addresses: &All<NodeAddress>) -> Option<HostnameSpec> {
    let first = addresses.get("default")?.addresses.first().map(Prefix::addr)?;
    Some(split(
        &format!("talos-{}", first.to_string().replace(['.', ':'], "-")),
        ConfigLayer::Default,
    ))
}

/// `talos-xxx-yyy`, always the same for an identity.
fn stable_name(node_id: &str) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let hash = Sha256::digest(node_id.as_bytes());
    let letters: Vec<char> = hash
        .iter()
        .take(6)
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect();
    let (one, two) = letters.split_at(3);
    format!("talos-{}-{}", String::from_iter(one), String::from_iter(two))
}

/// A name's first part is the host's, the rest the domain's.
fn split(name: &str, layer: ConfigLayer) -> HostnameSpec {
    let (hostname, domainname) = name.trim_end_matches('.').split_once('.').unwrap_or((name, ""));
    HostnameSpec {
        hostname: hostname.to_owned(),
        domainname: domainname.to_owned(),
        layer,
    }
}

/// The kernel's names of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The host's name now.
    pub host: fn() -> String,
    /// Gives the host a name.
    pub set_host: fn(&str) -> sys::Result<()>,
    /// Gives the host a domain.
    pub set_domain: fn(&str) -> sys::Result<()>,
}

impl Names {
    /// Those of this process' UTS namespace.
    pub fn of_machine() -> Self {
        Self {
            host: sys::host::hostname,
            set_host: sys::host::set_hostname,
            set_domain: sys::host::set_domainname,
        }
    }
}

/// Names the machine.
pub struct Hostname {
    names: Names,
    domain: String,
}

impl Hostname {
    /// The effect on a machine's names.
    pub fn new(names: Names) -> Self {
        Self {
            names,
            domain: String::new(),
        }
    }
}

impl Reconcile for Hostname {
    type Inputs = (One<HostnameSpec>,);
    type Outputs = Outputs<HostnameStatus>;

    async fn reconcile(&mut self, (spec,): Self::Inputs, _: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        let hint = "the container needs its own UTS namespace and CAP_SYS_ADMIN, or start it with this name";
        if (self.names.host)() != spec.hostname {
            (self.names.set_host)(&spec.hostname).context(hint)?;
            tracing::info!(hostname = spec.hostname, "the node is named");
        }
        if self.domain != spec.domainname {
            (self.names.set_domain)(&spec.domainname).context(hint)?;
            self.domain.clone_from(&spec.domainname);
        }
        let status = HostnameStatus {
            hostname: spec.hostname.clone(),
            domainname: spec.domainname.clone(),
        };
        Ok(Outcome::done(Outputs::one("hostname", status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Option<One<MachineConfig>> {
        Some(One::from(MachineConfig(text.to_owned())))
    }

    fn platform(hostname: &str) -> Option<One<PlatformMetadata>> {
        Some(One::from(PlatformMetadata {
            hostname: hostname.to_owned(),
            ..PlatformMetadata::default()
        }))
    }

    fn name(config: Option<One<MachineConfig>>, platform: Option<One<PlatformMetadata>>) -> Option<HostnameSpec> {
        let identity = Some(One::from(Identity { node_id: "one".into() }));
        let addresses = NodeAddress {
            addresses: vec!["10.5.0.2/24".parse().unwrap()],
            ..NodeAddress::default()
        };
        let outputs = hostname_spec(config, platform, identity, All::from([("default", addresses)])).unwrap();
        outputs.get("hostname").cloned()
    }

    const STABLE: &str = "apiVersion: v1alpha1\nkind: HostnameConfig\nauto: stable\n";

    #[test]
    fn a_configured_name_wins_and_its_domain_is_split_off() {
        let static_name = "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: one.example.com\n";
        let spec = name(config(static_name), platform("box")).unwrap();
        assert_eq!(
            (spec.hostname.as_str(), spec.domainname.as_str()),
            ("one", "example.com")
        );
        assert_eq!(spec.layer, ConfigLayer::Configuration);
        let legacy = "version: v1alpha1\nmachine:\n    type: worker\n    network:\n        hostname: old\n";
        assert_eq!(name(config(legacy), platform("box")).unwrap().hostname, "old");
    }

    #[test]
    fn a_container_keeps_its_own_name() {
        for config in [None, config(STABLE)] {
            let spec = name(config, platform("box")).unwrap();
            assert_eq!((spec.hostname.as_str(), spec.layer), ("box", ConfigLayer::Platform));
        }
    }

    #[test]
    fn a_machine_without_a_name_is_named_after_its_identity_or_address() {
        let stable = name(config(STABLE), platform("(none)")).unwrap().hostname;
        assert_eq!(
            Some(&stable),
            name(config(STABLE), None).map(|spec| spec.hostname).as_ref()
        );
        assert!(stable.starts_with("talos-") && stable.len() == 13, "{stable}");
        assert_eq!(name(None, None).unwrap().hostname, "talos-10-5-0-2");
        assert!(hostname_spec(None, None, None, All::new(vec![])).unwrap().is_empty());
    }
}
