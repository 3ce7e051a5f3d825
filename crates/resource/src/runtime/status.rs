//! How the controllers are doing, as resources.

use serde::{Deserialize, Serialize};

use crate::Resource;
use crate::types::Time;

/// How a controller is doing; the id is its name.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "ControllerStatuses.runtime.keelson.dev",
    namespace = "runtime",
    column("Runs" = "{.runs}", "Failures" = "{.failures}", "Last Run" = "{.lastRun}", "Last Error" = "{.lastError}")
)]
pub struct ControllerStatus {
    /// How often it ran.
    #[field(1)]
    pub runs: u64,
    /// How many runs failed.
    #[field(2)]
    pub failures: u64,
    /// When the last run ended.
    #[field(3)]
    pub last_run: Time,
    /// What the last run failed with; empty if it did not.
    #[field(4)]
    pub last_error: String,
}
