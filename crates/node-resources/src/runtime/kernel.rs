//! The kernel's command line, parameters, modules, log and watchdog.

use resource::Resource;
use resource::types::Duration;
use serde::{Deserialize, Serialize};

use crate::types::{Url, redacted};

/// The kernel's command line.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "KernelCmdlines.runtime.talos.dev",
    namespace = "runtime",
    aliases("cmdline"),
    column("Cmdline" = "{.cmdline}")
)]
pub struct KernelCmdline {
    #[field(1)]
    pub cmdline: String,
}

/// A kernel module that shall be loaded.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KernelModuleSpecs.runtime.talos.dev", namespace = "runtime")]
pub struct KernelModuleSpec {
    #[serde(rename = "string")]
    #[field(1)]
    pub name: String,
    #[field(2)]
    pub parameters: Vec<String>,
}

/// A kernel parameter the configuration sets.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KernelParamSpecs.runtime.talos.dev", namespace = "runtime")]
pub struct KernelParamSpec {
    #[field(1)]
    pub value: String,
    #[field(2)]
    pub ignore_errors: bool,
}

/// A kernel parameter the system sets by itself.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KernelParamDefaultSpecs.runtime.talos.dev", namespace = "runtime")]
pub struct KernelParamDefaultSpec {
    #[field(1)]
    pub value: String,
    #[field(2)]
    pub ignore_errors: bool,
}

/// A kernel parameter as it is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "KernelParamStatuses.runtime.talos.dev",
    namespace = "runtime",
    aliases("sysctls", "kernelparameters", "kernelparams"),
    column("Current" = "{.current}"),
    column("Default" = "{.default}"),
    column("Unsupported" = "{.unsupported}")
)]
pub struct KernelParamStatus {
    #[field(1)]
    pub current: String,
    #[field(2)]
    pub default: String,
    #[field(3)]
    pub unsupported: bool,
}

/// Where the kernel's log is sent.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KmsgLogConfigs.runtime.talos.dev", namespace = "runtime")]
pub struct KmsgLogConfig {
    #[field(1)]
    pub destinations: Vec<Url>,
}

/// A kernel module that is loaded.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "LoadedKernelModules.runtime.talos.dev",
    namespace = "runtime",
    aliases("module", "modules"),
    column("State" = "{.state}")
)]
pub struct LoadedKernelModule {
    #[field(1)]
    pub size: i64,
    #[field(2)]
    pub reference_count: i64,
    #[field(3)]
    pub dependencies: Vec<String>,
    #[field(4)]
    pub state: String,
    #[field(5)]
    pub address: String,
}

/// A mount.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "MountStatuses.runtime.talos.dev",
    namespace = "runtime",
    aliases("mounts"),
    column("Source" = "{.source}"),
    column("Target" = "{.target}"),
    column("Filesystem Type" = "{.filesystemType}"),
    skip_aliases
)]
pub struct MountStatus {
    #[field(1)]
    pub source: String,
    #[field(2)]
    pub target: String,
    #[field(3)]
    pub filesystem_type: String,
    #[field(4)]
    pub options: Vec<String>,
    #[field(5)]
    pub encrypted: bool,
    #[field(6)]
    pub encryption_providers: Vec<String>,
}

/// What was ended because memory ran out.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "OOMActions.talos.dev",
    namespace = "runtime",
    aliases("oomaction", "oomactions"),
    column("Time" = "{.time}"),
    column("Score" = "{.score}"),
    sensitive
)]
pub struct OOMAction {
    #[field(1)]
    pub trigger_context: String,
    #[field(2)]
    pub score: f64,
    #[field(3)]
    pub processes: Vec<String>,
}
redacted!(OOMAction);

/// The watchdog that shall be fed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "WatchdogTimerConfigs.runtime.talos.dev",
    namespace = "runtime",
    column("Device" = "{.device}"),
    column("Timeout" = "{.timeout}")
)]
pub struct WatchdogTimerConfig {
    #[field(1)]
    pub device: String,
    #[field(2)]
    pub timeout: Duration,
}

/// The watchdog that is fed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "WatchdogTimerStatuses.runtime.talos.dev",
    namespace = "runtime",
    column("Device" = "{.device}"),
    column("Timeout" = "{.timeout}")
)]
pub struct WatchdogTimerStatus {
    #[field(1)]
    pub device: String,
    #[field(2)]
    pub timeout: Duration,
    #[field(3)]
    pub feed_interval: Duration,
}
