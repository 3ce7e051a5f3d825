//! What the machine is at, and what runs on it.

use std::net::IpAddr;

use resource::{Message, Resource};
use serde::{Deserialize, Serialize};

use crate::runtime::MachineStage;

/// How the machine API is served.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "APIServiceConfigs.runtime.talos.dev", namespace = "runtime")]
pub struct APIServiceConfig {
    #[field(1)]
    pub listen_address: String,
    #[field(2)]
    pub node_routing_disabled: bool,
    #[field(3)]
    pub readonly_role_mode: bool,
    #[field(4)]
    pub skip_verifying_client_cert: bool,
}

/// Whether devices are set up.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "DevicesStatuses.runtime.talos.dev", namespace = "runtime", column("Ready" = "{.ready}"))]
pub struct DevicesStatus {
    #[field(1)]
    pub ready: bool,
}

/// Something that is wrong with the node, and what to do about it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "Diagnostics.runtime.talos.dev", namespace = "runtime", column("Message" = "{.message}"))]
pub struct Diagnostic {
    #[field(1)]
    pub message: String,
    #[field(2)]
    pub details: Vec<String>,
}

/// The environment of the node's programs.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "Environments.runtime.talos.dev",
    namespace = "runtime",
    aliases("env"),
    column("Variables" = "{.variables}")
)]
pub struct Environment {
    #[field(1)]
    pub variables: Vec<String>,
}

/// Where events are sent.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "EventSinkConfigs.runtime.talos.dev", namespace = "runtime")]
pub struct EventSinkConfig {
    #[field(1)]
    pub endpoint: String,
}

/// The machine is being reset.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "MachineResetSignals.runtime.talos.dev", namespace = "runtime")]
pub struct MachineResetSignal {}

/// What the machine is at, and whether it is ready.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "MachineStatuses.runtime.talos.dev",
    namespace = "runtime",
    column("Stage" = "{.stage}"),
    column("Ready" = "{.status.ready}")
)]
pub struct MachineStatus {
    #[field(1)]
    pub stage: MachineStage,
    #[field(2)]
    pub status: MachineStatusStatus,
}

/// How the machine API is served before there is a configuration.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "MaintenanceServiceConfigs.runtime.talos.dev", namespace = "runtime")]
pub struct MaintenanceServiceConfig {
    #[field(1)]
    pub listen_address: String,
    #[field(2)]
    pub reachable_addresses: Vec<IpAddr>,
}

/// Asks for the machine API to be served before there is a configuration.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "MaintenanceServiceRequests.runtime.talos.dev", namespace = "runtime")]
pub struct MaintenanceServiceRequest {}

/// The process of a service.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "ServicePIDs.runtime.talos.dev", namespace = "runtime", column("PID" = "{.pid}"))]
pub struct ServicePID {
    #[field(1)]
    pub pid: i32,
    #[field(2)]
    pub mount_namespace: String,
}

/// Whether the machine is ready, and what is missing.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineStatusStatus {
    #[field(1)]
    pub ready: bool,
    #[field(2)]
    pub unmet_conditions: Vec<UnmetCondition>,
}

/// Something that is missing.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct UnmetCondition {
    #[field(1)]
    pub name: String,
    #[field(2)]
    pub reason: String,
}
