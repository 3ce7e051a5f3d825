//! The machine configuration and what kind of machine it makes.

use resource::{ProtoEnum, Resource};
use serde::{Deserialize, Serialize};

use crate::types::redacted;

/// The machine configuration, as text.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(transparent)]
#[resource(type = "MachineConfigs.config.talos.dev", namespace = "config", sensitive)]
pub struct MachineConfig(#[field(1)] pub String);
redacted!(MachineConfig);

/// What kind of machine the configuration makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(transparent)]
#[resource(type = "MachineTypes.config.talos.dev", namespace = "config", column("Type" = "{@}"))]
pub struct MachineType(#[field(1)] pub MachineKind);

/// A kind of machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum MachineKind {
    #[default]
    #[value(0, "unknown")]
    Unknown,
    #[value(1, "init")]
    Init,
    #[value(2, "controlplane")]
    ControlPlane,
    #[value(3, "worker", "join")]
    Worker,
}

impl PartialEq<str> for MachineKind {
    fn eq(&self, name: &str) -> bool {
        self.name() == name
    }
}

impl PartialEq<&str> for MachineKind {
    fn eq(&self, name: &&str) -> bool {
        self.name() == *name
    }
}
