//! What the static pods of a control plane are made from.

use std::collections::BTreeMap;

use resource::types::Struct;
use resource::{Message, Resource};
use serde::{Deserialize, Serialize};

use crate::types::{ArgValues, redacted};

/// The API server's admission plugins.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "AdmissionControlConfigs.kubernetes.talos.dev", namespace = "controlplane")]
pub struct AdmissionControlConfig {
    #[field(1)]
    pub config: Vec<AdmissionPluginSpec>,
}

/// What the API server's static pod is made from.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "APIServerConfigs.kubernetes.talos.dev",
    namespace = "controlplane",
    sensitive
)]
pub struct APIServerConfig {
    #[field(1)]
    pub image: String,
    #[field(2)]
    pub cloud_provider: String,
    #[field(3)]
    pub control_plane_endpoint: String,
    #[field(4)]
    pub etcd_servers: Vec<String>,
    #[field(5)]
    pub local_port: i64,
    #[serde(rename = "serviceCIDR")]
    #[field(6)]
    pub service_cidr: Vec<String>,
    #[field(13)]
    pub extra_args: BTreeMap<String, ArgValues>,
    #[field(8)]
    pub extra_volumes: Vec<ExtraVolume>,
    #[field(9)]
    pub environment_variables: BTreeMap<String, String>,
    #[field(11)]
    pub advertised_address: String,
    #[field(12)]
    pub resources: Resources,
}
redacted!(APIServerConfig);

/// The API server's audit policy.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "AuditPolicyConfigs.kubernetes.talos.dev",
    namespace = "controlplane",
    sensitive
)]
pub struct AuditPolicyConfig {
    #[field(1)]
    pub config: Struct,
}
redacted!(AuditPolicyConfig);

/// The API server's authorizers.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "AuthorizationConfigs.kubernetes.talos.dev",
    namespace = "controlplane",
    sensitive
)]
pub struct AuthorizationConfig {
    #[field(1)]
    pub image: String,
    #[field(2)]
    pub config: Vec<AuthorizationAuthorizersSpec>,
}
redacted!(AuthorizationConfig);

/// Whether the static pods' configuration files are written.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "ConfigStatuses.kubernetes.talos.dev",
    namespace = "controlplane",
    column("Ready" = "{.ready}"),
    column("Secrets Version" = "{.version}")
)]
pub struct ConfigStatus {
    #[field(1)]
    pub ready: bool,
    #[field(2)]
    pub version: String,
}

/// What the controller manager's static pod is made from.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "ControllerManagerConfigs.kubernetes.talos.dev", namespace = "controlplane")]
pub struct ControllerManagerConfig {
    #[field(1)]
    pub enabled: bool,
    #[field(2)]
    pub image: String,
    #[field(3)]
    pub cloud_provider: String,
    #[serde(rename = "podCIDRs")]
    #[field(4)]
    pub pod_cidrs: Vec<String>,
    #[serde(rename = "serviceCIDRs")]
    #[field(5)]
    pub service_cidrs: Vec<String>,
    #[field(10)]
    pub extra_args: BTreeMap<String, ArgValues>,
    #[field(7)]
    pub extra_volumes: Vec<ExtraVolume>,
    #[field(8)]
    pub environment_variables: BTreeMap<String, String>,
    #[field(9)]
    pub resources: Resources,
}

/// What the scheduler's static pod is made from.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "SchedulerConfigs.kubernetes.talos.dev", namespace = "controlplane")]
pub struct SchedulerConfig {
    #[field(1)]
    pub enabled: bool,
    #[field(2)]
    pub image: String,
    #[field(8)]
    pub extra_args: BTreeMap<String, ArgValues>,
    #[field(4)]
    pub extra_volumes: Vec<ExtraVolume>,
    #[field(5)]
    pub environment_variables: BTreeMap<String, String>,
    #[field(6)]
    pub resources: Resources,
    #[field(7)]
    pub config: Struct,
}

/// Whether the static pods' secrets are written.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "SecretStatuses.kubernetes.talos.dev",
    namespace = "controlplane",
    column("Ready" = "{.ready}"),
    column("Secrets Version" = "{.version}")
)]
pub struct SecretStatus {
    #[field(1)]
    pub ready: bool,
    #[field(2)]
    pub version: String,
}

/// One admission plugin and its configuration.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct AdmissionPluginSpec {
    #[field(1)]
    pub name: String,
    #[field(2)]
    pub configuration: Struct,
}

/// A folder of the host that a static pod sees.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtraVolume {
    #[field(1)]
    pub name: String,
    #[field(2)]
    pub host_path: String,
    #[field(3)]
    pub mount_path: String,
    #[field(4)]
    pub readonly: bool,
}

/// Requests and limits of a container.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    #[field(1)]
    pub requests: BTreeMap<String, String>,
    #[field(2)]
    pub limits: BTreeMap<String, String>,
}

/// One authorizer of the API server.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthorizationAuthorizersSpec {
    #[serde(rename = "type")]
    #[field(1)]
    pub ty: String,
    #[field(2)]
    pub name: String,
    #[field(3)]
    pub webhook: Struct,
}
