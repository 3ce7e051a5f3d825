//! What a new cluster is given.

use std::collections::BTreeMap;

use resource::{Message, Resource};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Manifests to be applied besides the usual ones.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "ExtraManifestsConfigs.kubernetes.talos.dev", namespace = "controlplane")]
pub struct ExtraManifestsConfig {
    #[field(1)]
    pub extra_manifests: Vec<ExtraManifest>,
}

/// Kubernetes objects that a new cluster is given.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(transparent)]
#[resource(type = "Manifests.kubernetes.talos.dev", namespace = "controlplane")]
pub struct Manifest(#[field(1, with = objects)] pub Vec<Value>);

/// Encodes objects, each a message of its own.
mod objects {
    use resource::proto::{self, ProtoValue};
    use serde_json::Value;

    pub(super) fn encode_field(objects: &[Value], number: u32, out: &mut Vec<u8>) {
        for object in objects {
            proto::nested(number, out, |item| object.encode_field(1, item));
        }
    }
}

/// Which manifests have been applied.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "ManifestStatuses.kubernetes.talos.dev", namespace = "controlplane")]
pub struct ManifestStatus {
    #[field(1)]
    pub manifests_applied: Vec<String>,
}

/// What the manifests a new cluster starts with are made from.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "BootstrapManifestsConfigs.kubernetes.talos.dev", namespace = "controlplane")]
pub struct BootstrapManifestsConfig {
    #[serde(rename = "string")]
    #[field(1)]
    pub server: String,
    #[field(2)]
    pub cluster_domain: String,
    #[serde(rename = "podCIDRs")]
    #[field(3)]
    pub pod_cidrs: Vec<String>,
    #[field(4)]
    pub proxy_enabled: bool,
    #[field(5)]
    pub proxy_image: String,
    #[field(6)]
    pub proxy_args: Vec<String>,
    #[serde(rename = "coreDNSEnabled")]
    #[field(7)]
    pub core_dns_enabled: bool,
    #[serde(rename = "coreDNSImage")]
    #[field(8)]
    pub core_dns_image: String,
    #[serde(rename = "dnsServiceIP")]
    #[field(9)]
    pub dns_service_ip: String,
    #[serde(rename = "dnsServiceIPv6")]
    #[field(10)]
    pub dns_service_ipv6: String,
    #[field(11)]
    pub flannel_enabled: bool,
    #[field(12)]
    pub flannel_image: String,
    #[field(16)]
    pub flannel_extra_args: Vec<String>,
    #[field(17)]
    pub flannel_kube_service_host: String,
    #[field(18)]
    pub flannel_kube_service_port: String,
    #[field(19)]
    pub flannel_kube_network_policies_enabled: bool,
    #[field(20)]
    pub flannel_kube_network_policies_image: String,
    #[field(14)]
    pub pod_security_policy_enabled: bool,
    #[serde(rename = "talosAPIServiceEnabled")]
    #[field(15)]
    pub talos_api_service_enabled: bool,
    #[field(21)]
    pub cni_name: String,
}

/// A manifest to be applied besides the usual ones.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtraManifest {
    #[field(1)]
    pub name: String,
    #[field(2)]
    pub url: String,
    #[field(3)]
    pub priority: String,
    #[field(4)]
    pub extra_headers: BTreeMap<String, String>,
    #[field(5)]
    pub inline_manifest: String,
}
