//! What a configuration asks for that this release does not do yet.
//!
//! Everything known decodes and is kept, so that a configuration moves between systems whole. What is listed here has no
//! effect, and the person is told so instead of having to find out.

use crate::validate::Mode;
use crate::yaml::node::Node;
use crate::{Config, Document};

/// Kinds that have an effect, by the modes they have it in.
const KINDS: &[(&str, &[Mode])] = &[
    ("CRICustomizationConfig", EVERYWHERE),
    ("EnvironmentConfig", EVERYWHERE),
    ("HostnameConfig", EVERYWHERE),
    ("ImageVerificationConfig", EVERYWHERE),
    ("KubeAPIServerCAConfig", EVERYWHERE),
    ("KubeAPIServerConfig", EVERYWHERE),
    ("KubeAdmissionControlConfig", EVERYWHERE),
    ("KubeAggregatorCAConfig", EVERYWHERE),
    ("KubeAuditPolicyConfig", EVERYWHERE),
    ("KubeAuthenticationConfig", EVERYWHERE),
    ("KubeAuthorizerConfig", EVERYWHERE),
    ("KubeClusterConfig", EVERYWHERE),
    ("KubeControllerManagerConfig", EVERYWHERE),
    ("KubeCoreDNSConfig", EVERYWHERE),
    ("KubeEtcdEncryptionConfig", EVERYWHERE),
    ("KubeExternalManifestConfig", EVERYWHERE),
    ("KubeFlannelCNIConfig", EVERYWHERE),
    ("KubeInlineManifestConfig", EVERYWHERE),
    ("KubeNetworkConfig", EVERYWHERE),
    ("KubeNodeConfig", EVERYWHERE),
    ("KubePrismConfig", EVERYWHERE),
    ("KubeProxyConfig", EVERYWHERE),
    ("KubeSchedulerConfig", EVERYWHERE),
    ("KubeServiceAccountConfig", EVERYWHERE),
    ("KubeStaticPodConfig", EVERYWHERE),
    ("KubeletConfig", EVERYWHERE),
    ("DiscoveryIdentityConfig", EVERYWHERE),
    ("DiscoveryServiceConfig", EVERYWHERE),
    ("Layer2VIPConfig", EVERYWHERE),
    ("NetworkDefaultActionConfig", EVERYWHERE),
    ("NetworkRuleConfig", EVERYWHERE),
    ("RegistryAuthConfig", EVERYWHERE),
    ("RegistryMirrorConfig", EVERYWHERE),
    ("RegistryTLSConfig", EVERYWHERE),
    ("ResolverConfig", EVERYWHERE),
    ("StaticHostConfig", EVERYWHERE),
    ("SysctlConfig", EVERYWHERE),
    ("TrustedRootsConfig", EVERYWHERE),
];

const EVERYWHERE: &[Mode] = &[Mode::Metal, Mode::Cloud, Mode::Container];

/// Fields without effect, by mode: of the main document, and of kinds that have an effect otherwise (`Kind.field`). A
/// field stands for everything in it; `[]` stands for the items of a list.
const FIELDS: &[(&str, &[Mode])] = &[
    ("cluster.apiServer.disablePodSecurityPolicy", EVERYWHERE),
    ("machine.baseRuntimeSpecOverrides", EVERYWHERE),
    ("machine.disks", EVERYWHERE),
    ("machine.features.diskQuotaSupport", &[Mode::Container]),
    ("machine.features.imageCache", EVERYWHERE),
    ("machine.features.kubernetesTalosAPIAccess", EVERYWHERE),
    ("machine.install", EVERYWHERE),
    ("machine.kernel", EVERYWHERE),
    ("machine.kubelet.credentialProviderConfig", EVERYWHERE),
    ("machine.kubelet.extraMounts[].gidMappings", EVERYWHERE),
    ("machine.kubelet.extraMounts[].type", EVERYWHERE),
    ("machine.kubelet.extraMounts[].uidMappings", EVERYWHERE),
    ("machine.logging", EVERYWHERE),
    ("machine.network.interfaces[].addresses", EVERYWHERE),
    ("machine.network.interfaces[].bond", EVERYWHERE),
    ("machine.network.interfaces[].bridge", EVERYWHERE),
    ("machine.network.interfaces[].bridgePort", EVERYWHERE),
    ("machine.network.interfaces[].deviceSelector", EVERYWHERE),
    ("machine.network.interfaces[].dhcp", EVERYWHERE),
    ("machine.network.interfaces[].dhcpOptions", EVERYWHERE),
    ("machine.network.interfaces[].dummy", EVERYWHERE),
    ("machine.network.interfaces[].ignore", EVERYWHERE),
    ("machine.network.interfaces[].mtu", EVERYWHERE),
    ("machine.network.interfaces[].routes", EVERYWHERE),
    ("machine.network.interfaces[].vip.equinixMetal", EVERYWHERE),
    ("machine.network.interfaces[].vip.hcloud", EVERYWHERE),
    ("machine.network.interfaces[].vlans[].addresses", EVERYWHERE),
    ("machine.network.interfaces[].vlans[].dhcp", EVERYWHERE),
    ("machine.network.interfaces[].vlans[].dhcpOptions", EVERYWHERE),
    ("machine.network.interfaces[].vlans[].mtu", EVERYWHERE),
    ("machine.network.interfaces[].vlans[].routes", EVERYWHERE),
    ("machine.network.interfaces[].vlans[].vip.equinixMetal", EVERYWHERE),
    ("machine.network.interfaces[].vlans[].vip.hcloud", EVERYWHERE),
    ("machine.network.interfaces[].wireguard", EVERYWHERE),
    ("machine.network.kubespan", EVERYWHERE),
    ("machine.seccompProfiles", EVERYWHERE),
    ("machine.sysfs", EVERYWHERE),
    ("machine.systemDiskEncryption", EVERYWHERE),
    ("machine.time", &[Mode::Container]),
    ("machine.udev", EVERYWHERE),
    ("KubeAPIServerConfig.startupProbes", EVERYWHERE),
    ("KubeAggregatorCAConfig.acceptedCAs", EVERYWHERE),
    ("KubeFlannelCNIConfig.backendExtraConfig", EVERYWHERE),
    ("KubeFlannelCNIConfig.backendMTU", EVERYWHERE),
    ("KubeFlannelCNIConfig.backendPort", EVERYWHERE),
    ("KubeFlannelCNIConfig.backendType", EVERYWHERE),
    ("KubeFlannelCNIConfig.resources", EVERYWHERE),
    ("KubePrismConfig.tlsServerName", EVERYWHERE),
    ("KubeProxyConfig.config", EVERYWHERE),
    ("KubeProxyConfig.resources", EVERYWHERE),
    ("KubeServiceAccountConfig.accepted", EVERYWHERE),
    ("KubeServiceAccountConfig.issuer.issuerURL", EVERYWHERE),
    ("ResolverConfig.nameservers[].protocol", EVERYWHERE),
    ("ResolverConfig.nameservers[].tlsServerName", EVERYWHERE),
];

/// Fields of the main document that are as if they had this value, whatever they say.
const FIXED: &[(&str, bool)] = &[
    ("machine.features.apidCheckExtKeyUsage", true),
    ("machine.features.rbac", true),
    ("persist", true),
];

/// Values that ask for what happens anyway; telling about them would only hide what matters.
const USUAL: &[(&str, &str)] = &[
    ("machine.kubelet.extraMounts[].type", "bind"),
    ("ResolverConfig.nameservers[].protocol", "Do53"),
];

/// Fields that every generated configuration has and that mean nothing in a container; telling about them each time would
/// only hide what matters.
const EXPECTED: &[(&str, &[Mode])] = &[
    ("machine.install", &[Mode::Container]),
    ("machine.features.diskQuotaSupport", &[Mode::Container]),
];

fn listed(table: &[(&str, &[Mode])], name: &str, mode: Mode) -> bool {
    table
        .iter()
        .any(|(known, modes)| *known == name && modes.contains(&mode))
}

/// True if documents of this kind have an effect in this mode.
pub fn kind_has_effect(kind: &str, mode: Mode) -> bool {
    listed(KINDS, kind, mode)
}

/// True if this field has an effect in this mode: a path of the main document (`machine.network.hostname`), or of a kind
/// (`ResolverConfig.nameservers[].address`). Items of lists are written `[]` or with their number.
pub fn field_has_effect(path: &str, mode: Mode) -> bool {
    let path = without_numbers(path);
    let within = |field: &str| {
        path.strip_prefix(field)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    !FIELDS
        .iter()
        .any(|(field, modes)| within(field) && modes.contains(&mode))
}

/// True if a field of the main document is as if it had one value, whatever it says.
pub fn field_is_fixed(path: &str) -> bool {
    FIXED.iter().any(|(field, _)| *field == path)
}

/// `a[12].b` as `a[].b`.
fn without_numbers(path: &str) -> String {
    let mut inside = false;
    let keep = |c: char| {
        let digit = inside && c.is_ascii_digit();
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        (!digit).then_some(c)
    };
    path.chars().filter_map(keep).collect()
}

impl Config {
    /// Documents and fields that are set but have no effect in this mode yet: `machine.logging (line 12)`,
    /// `LinkConfig "eth0" (line 40)`, `KubePrismConfig.tlsServerName (line 50)`.
    pub fn without_effect(&self, mode: Mode) -> Vec<String> {
        let mut found = Vec::new();
        for document in self.documents() {
            let prefix = if document.is_main() {
                String::new()
            } else if kind_has_effect(document.kind(), mode) {
                format!("{}.", document.kind())
            } else {
                let name = document.name().map(|name| format!(" {name:?}")).unwrap_or_default();
                found.push(format!("{}{name} (line {})", document.kind(), document.at.line));
                continue;
            };
            for (field, modes) in FIELDS {
                let of_this = match field.strip_prefix(&prefix) {
                    // A kind begins with a capital letter, a field of the main document does not.
                    Some(path) => !path.starts_with(|c: char| c.is_ascii_uppercase()),
                    None => false,
                };
                if of_this && modes.contains(&mode) && !listed(EXPECTED, field, mode) {
                    found.extend(set(document, &prefix, field));
                }
            }
            if document.is_main() {
                found.extend(FIXED.iter().filter_map(|fixed| otherwise(document, *fixed)));
            }
        }
        found
    }
}

/// The nodes at a path; `[]` stands for every item of a list.
fn nodes<'a>(root: &'a Node, path: &str) -> Vec<&'a Node> {
    path.split('.').fold(vec![root], |nodes, step| {
        let (key, items) = match step.strip_suffix("[]") {
            Some(key) => (key, true),
            None => (step, false),
        };
        let found = nodes.into_iter().filter_map(|node| node.as_map()?.get(key));
        if items {
            found.flat_map(|node| node.as_list().unwrap_or_default()).collect()
        } else {
            found.collect()
        }
    })
}

/// The first place where a field is set to something that does not happen anyway.
fn set(document: &Document, prefix: &str, field: &str) -> Option<String> {
    let usual = |node: &&Node| {
        USUAL
            .iter()
            .any(|(path, value)| *path == field && node.as_text() == Some(*value))
    };
    let node = nodes(&document.root, field.strip_prefix(prefix)?)
        .into_iter()
        .find(|node| !node.is_empty() && !usual(node))?;
    Some(format!("{field} (line {})", node.at.line))
}

fn otherwise(document: &Document, (field, value): (&str, bool)) -> Option<String> {
    let node = document.root.find(field)?;
    let other = node.as_bool().is_some_and(|given| given != value);
    other.then(|| format!("{field} (line {}): it is always {value}", node.at.line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::by_kind;
    use crate::model::v1alpha1::Config as Main;
    use crate::schema::types::Described as _;

    #[test]
    fn the_tables_name_kinds_and_fields_that_exist() {
        for (kind, _) in KINDS {
            assert!(by_kind(kind).is_some(), "{kind}");
        }
        let fields = FIELDS.iter().chain(EXPECTED).map(|(path, _)| path);
        let others = FIXED
            .iter()
            .map(|(path, _)| path)
            .chain(USUAL.iter().map(|(path, _)| path));
        for path in fields.chain(others) {
            let (mut schema, rest) = match path
                .split_once('.')
                .and_then(|(kind, rest)| Some((by_kind(kind)?, rest)))
            {
                Some((schema, rest)) => (schema, rest),
                None => (Main::STRUCT, *path),
            };
            for step in rest.split('.') {
                let step = step.trim_end_matches("[]");
                let field = schema.field(step).unwrap_or_else(|| panic!("{path}: {step}"));
                schema = field.shape.inner_struct().unwrap_or(schema);
            }
        }
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let text = "version: v1alpha1\nmachine:\n  type: worker\n  logging:\n    destinations:\n      - endpoint: udp://a:1\n\
                    ---\napiVersion: v1alpha1\nkind: LinkConfig\nname: eth0\n";
        let config = Config::decode(text.as_bytes()).unwrap();
        assert_eq!(
            config.without_effect(Mode::Container),
            ["machine.logging (line 5)", "LinkConfig \"eth0\" (line 8)"]
        );
        assert!(!field_has_effect("machine.logging.destinations[0]", Mode::Metal));
        assert!(field_has_effect("machine.kubelet.image", Mode::Container));
    }

    #[test]
    fn fields_in_lists_and_of_documents_are_told_unless_they_ask_for_what_happens_anyway() {
        let text = "version: v1alpha1\nmachine:\n  type: worker\n  features:\n    rbac: false\n  kubelet:\n    extraMounts:\n\
                    \x20     - source: /var/a\n        type: bind\n      - source: /var/b\n        uidMappings:\n\
                    \x20         - size: 1\n---\napiVersion: v1alpha1\nkind: ResolverConfig\nnameservers:\n\
                    \x20 - address: 1.1.1.1\n    protocol: Do53\n  - address: 1.0.0.1\n    protocol: DoT\n";
        let config = Config::decode(text.as_bytes()).unwrap();
        assert_eq!(
            config.without_effect(Mode::Container),
            [
                "machine.kubelet.extraMounts[].uidMappings (line 12)",
                "machine.features.rbac (line 5): it is always true",
                "ResolverConfig.nameservers[].protocol (line 20)",
            ]
        );
        assert!(!field_has_effect(
            "machine.kubelet.extraMounts[3].uidMappings[0].size",
            Mode::Metal
        ));
        assert!(field_has_effect("machine.kubelet.extraMounts[3].source", Mode::Metal));
    }
}
