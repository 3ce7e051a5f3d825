//! A thing is configured in one place: in the long-standing field, or in the document that replaces it.

use super::report::Report;
use crate::Document;
use crate::yaml::node::{Node, Value};

/// A field of the main document, and the document that replaces it.
#[derive(Debug)]
pub struct Replacement {
    /// Path of the field; `*` stands for every key or item.
    pub field: &'static str,
    /// Kind of the document.
    pub kind: &'static str,
    /// Where the document's name is among the field's values: nothing if any document of the kind conflicts, `*` if it
    /// is the key, otherwise a key of the item.
    pub name: Option<&'static str>,
    /// The part of the document that conflicts; empty for the whole.
    pub part: &'static str,
}

const fn whole(field: &'static str, kind: &'static str) -> Replacement {
    Replacement {
        field,
        kind,
        name: None,
        part: "",
    }
}

const fn part(field: &'static str, kind: &'static str, part: &'static str) -> Replacement {
    Replacement {
        field,
        kind,
        name: None,
        part,
    }
}

const fn named(field: &'static str, kind: &'static str, name: &'static str) -> Replacement {
    Replacement {
        field,
        kind,
        name: Some(name),
        part: "",
    }
}

/// All fields that documents replace.
pub const REPLACEMENTS: &[Replacement] = &[
    part("machine.network.hostname", "HostnameConfig", "hostname"),
    part("machine.network.hostname", "HostnameConfig", "auto"),
    whole("machine.features.stableHostname", "HostnameConfig"),
    part("machine.network.nameservers", "ResolverConfig", "nameservers"),
    part("machine.network.searchDomains", "ResolverConfig", "searchDomains"),
    part("machine.network.disableSearchDomain", "ResolverConfig", "searchDomains"),
    part("machine.features.hostDNS", "ResolverConfig", "hostDNS"),
    whole("machine.network.kubespan", "KubeSpanConfig"),
    named("machine.network.extraHostEntries", "StaticHostConfig", "ip"),
    named("machine.network.interfaces", "LinkConfig", "interface"),
    named("machine.network.interfaces", "BondConfig", "interface"),
    named("machine.network.interfaces", "BridgeConfig", "interface"),
    named("machine.network.interfaces", "VLANConfig", "interface"),
    named("machine.network.interfaces", "DummyLinkConfig", "interface"),
    named("machine.network.interfaces", "WireguardConfig", "interface"),
    named("machine.network.interfaces", "DHCPv4Config", "interface"),
    named("machine.network.interfaces", "DHCPv6Config", "interface"),
    whole("machine.time", "TimeSyncConfig"),
    whole("machine.env", "EnvironmentConfig"),
    named("machine.registries.mirrors", "RegistryMirrorConfig", "*"),
    Replacement {
        field: "machine.registries.config",
        kind: "RegistryAuthConfig",
        name: Some("*auth"),
        part: "",
    },
    Replacement {
        field: "machine.registries.config",
        kind: "RegistryTLSConfig",
        name: Some("*tls"),
        part: "",
    },
    whole("machine.sysctls", "SysctlConfig"),
    whole("machine.sysfs", "SysfsConfig"),
    whole("machine.udev.rules", "UdevRulesConfig"),
    named("machine.kernel.modules", "KernelModuleConfig", "name"),
    whole("machine.baseRuntimeSpecOverrides", "CRIBaseRuntimeSpecConfig"),
    whole("machine.features.imageCache", "ImageCacheConfig"),
    whole("machine.features.kubePrism", "KubePrismConfig"),
    whole("machine.features.kubernetesTalosAPIAccess", "KubeTalosAPIAccessConfig"),
    whole("machine.install", "UnattendedInstall"),
    part("machine.kubelet.image", "KubeletConfig", "image"),
    part("machine.kubelet.extraArgs", "KubeletConfig", "extraArgs"),
    part("machine.kubelet.extraConfig", "KubeletConfig", "config"),
    part("machine.kubelet.clusterDNS", "KubeletConfig", "clusterDNS"),
    whole(
        "machine.kubelet.credentialProviderConfig",
        "KubeCredentialProviderConfig",
    ),
    part("machine.kubelet.nodeIP", "KubeNodeConfig", "nodeIP"),
    part(
        "machine.kubelet.skipNodeRegistration",
        "KubeNodeConfig",
        "skipNodeRegistration",
    ),
    part("machine.kubelet.registerWithFQDN", "KubeNodeConfig", "registerWithFQDN"),
    part("machine.nodeLabels", "KubeNodeConfig", "labels"),
    part("machine.nodeAnnotations", "KubeNodeConfig", "annotations"),
    part("machine.nodeTaints", "KubeNodeConfig", "taints"),
    part("cluster.clusterName", "KubeClusterConfig", "clusterName"),
    part("cluster.controlPlane.endpoint", "KubeClusterConfig", "endpoint"),
    part("cluster.id", "DiscoveryIdentityConfig", "clusterID"),
    part("cluster.secret", "DiscoveryIdentityConfig", "clusterSecret"),
    whole(
        "cluster.discovery.registries.service.endpoint",
        "DiscoveryServiceConfig",
    ),
    part("cluster.network.dnsDomain", "KubeNetworkConfig", "dnsDomain"),
    part("cluster.network.podSubnets", "KubeNetworkConfig", "podSubnets"),
    part("cluster.network.serviceSubnets", "KubeNetworkConfig", "serviceSubnets"),
    whole("cluster.network.cni", "KubeFlannelCNIConfig"),
    part("cluster.ca", "KubeAPIServerCAConfig", "issuingCA"),
    part("cluster.acceptedCAs", "KubeAPIServerCAConfig", "acceptedCAs"),
    part("cluster.aggregatorCA", "KubeAggregatorCAConfig", "issuingCA"),
    whole("cluster.serviceAccount", "KubeServiceAccountConfig"),
    whole("cluster.secretboxEncryptionSecret", "KubeEtcdEncryptionConfig"),
    whole("cluster.aescbcEncryptionSecret", "KubeEtcdEncryptionConfig"),
    part("cluster.apiServer.image", "KubeAPIServerConfig", "image"),
    part("cluster.apiServer.extraArgs", "KubeAPIServerConfig", "extraArgs"),
    part("cluster.apiServer.env", "KubeAPIServerConfig", "env"),
    part("cluster.apiServer.resources", "KubeAPIServerConfig", "resources"),
    part("cluster.apiServer.certSANs", "KubeAPIServerConfig", "certExtraSANs"),
    part(
        "cluster.controlPlane.localAPIServerPort",
        "KubeAPIServerConfig",
        "apiPort",
    ),
    named(
        "cluster.apiServer.admissionControl",
        "KubeAdmissionControlConfig",
        "name",
    ),
    whole("cluster.apiServer.auditPolicy", "KubeAuditPolicyConfig"),
    named("cluster.apiServer.authorizationConfig", "KubeAuthorizerConfig", "name"),
    whole("cluster.controllerManager", "KubeControllerManagerConfig"),
    whole("cluster.scheduler", "KubeSchedulerConfig"),
    whole("cluster.proxy", "KubeProxyConfig"),
    whole("cluster.coreDNS", "KubeCoreDNSConfig"),
    named("cluster.inlineManifests", "KubeInlineManifestConfig", "name"),
];

pub(super) fn check(report: &mut Report<'_>) {
    let Some(main) = report.main() else { return };
    let documents = report.documents();
    for replacement in REPLACEMENTS {
        let Some(field) = main.root.find(replacement.field).filter(|node| !node.is_empty()) else {
            continue;
        };
        let same_kind = documents.iter().filter(|document| document.kind() == replacement.kind);
        for document in same_kind {
            if !replacement.part.is_empty() && document.root.find(replacement.part).is_none_or(Node::is_empty) {
                continue;
            }
            if let Some(name) = replacement.name
                && !has_name(field, name, document)
            {
                continue;
            }
            let steps: Vec<&str> = replacement.field.split('.').collect();
            let what = match document.name() {
                Some(name) => format!("{} {name:?}", replacement.kind),
                None => replacement.kind.to_owned(),
            };
            let message = format!("is set here and in the document {what} (line {})", document.at.line);
            let fix = format!("keep the document and remove {}", replacement.field);
            report.error(main, &steps, message, Some(fix));
        }
    }
}

/// True if the field has an entry for the document's name.
fn has_name(field: &Node, name: &str, document: &Document) -> bool {
    let Some(wanted) = document.name() else { return false };
    match (&field.value, name.strip_prefix('*')) {
        (Value::Map(map), Some("")) => map.get(wanted).is_some(),
        (Value::Map(map), Some(part)) => map
            .get(wanted)
            .and_then(Node::as_map)
            .is_some_and(|m| m.get(part).is_some()),
        (Value::List(items), None) => items
            .iter()
            .any(|item| item.as_map().and_then(|item| item.get(name)?.as_text()) == Some(wanted)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::by_kind;
    use crate::model::v1alpha1::Config;
    use crate::schema::types::Described as _;

    #[test]
    fn every_replacement_names_a_field_and_a_kind_that_exist() {
        for replacement in REPLACEMENTS {
            let mut schema = Config::STRUCT;
            for step in replacement.field.split('.') {
                let field = schema
                    .field(step)
                    .unwrap_or_else(|| panic!("{}: {step}", replacement.field));
                schema = field.shape.inner_struct().unwrap_or(schema);
            }
            let kind = by_kind(replacement.kind).unwrap_or_else(|| panic!("{}", replacement.kind));
            assert!(
                replacement.part.is_empty() || kind.field(replacement.part).is_some(),
                "{}",
                replacement.part
            );
        }
    }
}
