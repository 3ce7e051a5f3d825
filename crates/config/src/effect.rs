//! What a configuration asks for that this release does not do yet.
//!
//! Everything known decodes and is kept, so that a configuration moves between systems whole. What is listed here has no
//! effect, and the person is told so instead of having to find out.

use crate::validate::Mode;
use crate::yaml::node::Node;
use crate::{Config, Document};

/// Kinds that have an effect, by the modes they have it in.
const KINDS: &[(&str, &[Mode])] = &[
    ("EnvironmentConfig", EVERYWHERE),
    ("HostnameConfig", EVERYWHERE),
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
    ("RegistryAuthConfig", EVERYWHERE),
    ("RegistryMirrorConfig", EVERYWHERE),
    ("RegistryTLSConfig", EVERYWHERE),
    ("ResolverConfig", EVERYWHERE),
    ("StaticHostConfig", EVERYWHERE),
    ("SysctlConfig", EVERYWHERE),
    ("TrustedRootsConfig", EVERYWHERE),
];

const EVERYWHERE: &[Mode] = &[Mode::Metal, Mode::Cloud, Mode::Container];

/// Fields of the main document without effect, by mode. A field stands for everything in it.
const FIELDS: &[(&str, &[Mode])] = &[
    ("machine.baseRuntimeSpecOverrides", EVERYWHERE),
    ("machine.disks", EVERYWHERE),
    ("machine.features.diskQuotaSupport", &[Mode::Container]),
    ("machine.features.imageCache", EVERYWHERE),
    ("machine.features.kubernetesTalosAPIAccess", EVERYWHERE),
    ("machine.install", EVERYWHERE),
    ("machine.kernel", EVERYWHERE),
    ("machine.logging", EVERYWHERE),
    ("machine.network.interfaces", EVERYWHERE),
    ("machine.network.kubespan", EVERYWHERE),
    ("machine.seccompProfiles", EVERYWHERE),
    ("machine.sysfs", EVERYWHERE),
    ("machine.systemDiskEncryption", EVERYWHERE),
    ("machine.time", &[Mode::Container]),
    ("machine.udev", EVERYWHERE),
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

/// True if this field of the main document has an effect in this mode.
pub fn field_has_effect(path: &str, mode: Mode) -> bool {
    let within = |field: &str| {
        path == field
            || path
                .strip_prefix(field)
                .is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    !FIELDS
        .iter()
        .any(|(field, modes)| within(field) && modes.contains(&mode))
}

impl Config {
    /// Documents and fields that are set but have no effect in this mode yet: `machine.logging (line 12)`,
    /// `LinkConfig "eth0" (line 40)`.
    pub fn without_effect(&self, mode: Mode) -> Vec<String> {
        let mut found = Vec::new();
        for document in self.documents() {
            if document.is_main() {
                let fields = FIELDS
                    .iter()
                    .filter(|(field, modes)| modes.contains(&mode) && !listed(EXPECTED, field, mode));
                found.extend(fields.filter_map(|(field, _)| set(document, field)));
            } else if !kind_has_effect(document.kind(), mode) {
                let name = document.name().map(|name| format!(" {name:?}")).unwrap_or_default();
                found.push(format!("{}{name} (line {})", document.kind(), document.at.line));
            }
        }
        found
    }
}

fn set(document: &Document, field: &str) -> Option<String> {
    let node: &Node = document.root.find(field).filter(|node| !node.is_empty())?;
    Some(format!("{field} (line {})", node.at.line))
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
        for (path, _) in FIELDS.iter().chain(EXPECTED) {
            let mut schema = Main::STRUCT;
            for step in path.split('.') {
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
}
