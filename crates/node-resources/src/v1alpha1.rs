//! Services, the clock, and the search for a configuration.

use resource::Resource;
use resource::types::Duration;
use serde::{Deserialize, Serialize};

/// How the kernel's clock is being steered.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "AdjtimeStatuses.v1alpha1.talos.dev",
    namespace = "runtime",
    column("Offset" = "{.offset}"),
    column("EstError" = "{.estError}"),
    column("MaxError" = "{.maxError}"),
    column("Status" = "{.status}"),
    column("Sync" = "{.syncStatus}")
)]
pub struct AdjtimeStatus {
    #[field(1)]
    pub offset: Duration,
    #[field(2)]
    pub frequency_adjustment_ratio: f64,
    #[field(3)]
    pub max_error: Duration,
    #[field(4)]
    pub est_error: Duration,
    #[field(5)]
    pub status: String,
    #[field(6)]
    pub constant: i64,
    #[field(7)]
    pub sync_status: bool,
    #[field(8)]
    pub state: String,
}

/// Whether the clock is right.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "TimeStatuses.v1alpha1.talos.dev", namespace = "runtime", column("Synced" = "{.synced}"))]
pub struct TimeStatus {
    #[field(1)]
    pub synced: bool,
    #[field(2)]
    pub epoch: i64,
    #[field(3)]
    pub sync_disabled: bool,
}

/// Asks for a machine configuration to be found.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "AcquireConfigSpecs.v1alpha1.talos.dev", namespace = "runtime")]
pub struct AcquireConfigSpec {}

/// The machine configuration has been found.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "AcquireConfigStatuses.v1alpha1.talos.dev", namespace = "runtime")]
pub struct AcquireConfigStatus {}

/// How a service is doing.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "Services.v1alpha1.talos.dev",
    namespace = "runtime",
    aliases("svc"),
    column("Running" = "{.running}"),
    column("Healthy" = "{.healthy}"),
    column("Health Unknown" = "{.unknown}")
)]
pub struct Service {
    #[field(1)]
    pub running: bool,
    #[field(2)]
    pub healthy: bool,
    #[field(3)]
    pub unknown: bool,
}
