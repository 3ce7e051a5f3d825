//! The kubelet and its static pods.

use std::collections::BTreeMap;

use resource::Resource;
use resource::types::Struct;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::types::{ArgValues, Mount, is_default, redacted};

/// What the machine configuration says of the kubelet.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KubeletConfigs.kubernetes.talos.dev", namespace = "k8s", sensitive)]
pub struct KubeletConfig {
    #[field(1)]
    pub image: String,
    #[serde(rename = "clusterDNS")]
    #[field(2)]
    pub cluster_dns: Vec<String>,
    #[field(3)]
    pub cluster_domain: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(15)]
    pub extra_args: BTreeMap<String, ArgValues>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(5)]
    pub extra_mounts: Vec<Mount>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub extra_config: Struct,
    #[field(7)]
    pub cloud_provider_external: bool,
    #[field(8)]
    pub default_runtime_seccomp_enabled: bool,
    #[field(9)]
    pub skip_node_registration: bool,
    #[serde(rename = "staticPodListURL")]
    #[field(10)]
    pub static_pod_list_url: String,
    #[field(11)]
    pub disable_manifests_directory: bool,
    #[serde(rename = "enableFSQuotaMonitoring")]
    #[field(12)]
    pub enable_fs_quota_monitoring: bool,
    #[serde(skip_serializing_if = "is_default")]
    #[field(13)]
    pub credential_provider_config: Struct,
    #[field(14)]
    pub allow_scheduling_on_control_plane: bool,
}
redacted!(KubeletConfig);

/// The kubelet has its own credentials.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KubeletKubeconfigs.kubernetes.talos.dev", namespace = "k8s", column("Hash" = "{.hash}"))]
pub struct KubeletKubeconfig {
    #[field(1)]
    pub hash: String,
}

/// Held while the kubelet must not be cleaned up.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KubeletLifecycles.kubernetes.talos.dev", namespace = "k8s")]
pub struct KubeletLifecycle {}

/// What the kubelet is run with.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KubeletSpecs.kubernetes.talos.dev", namespace = "k8s", sensitive)]
pub struct KubeletSpec {
    #[field(1)]
    pub image: String,
    #[field(2)]
    pub args: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(3)]
    pub extra_mounts: Vec<Mount>,
    #[field(4)]
    pub expected_nodename: String,
    #[field(5)]
    pub config: Struct,
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub credential_provider_config: Struct,
}
redacted!(KubeletSpec);

/// A pod the kubelet runs by itself: a Kubernetes `Pod` object.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(transparent)]
#[resource(type = "StaticPods.kubernetes.talos.dev", namespace = "k8s")]
pub struct StaticPod(#[field(1)] pub Value);

/// Where the kubelet gets its static pods.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "StaticPodServerStatuses.kubernetes.talos.dev", namespace = "k8s")]
pub struct StaticPodServerStatus {
    #[field(1)]
    pub url: String,
}

/// How a static pod is doing: the status of a Kubernetes `Pod` object.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(transparent)]
#[resource(
    type = "StaticPodStatuses.kubernetes.talos.dev",
    namespace = "k8s",
    aliases("podstatus"),
    column("Ready" = "{.conditions[?(@.type==\"Ready\")].status}")
)]
pub struct StaticPodStatus(#[field(1)] pub Value);
