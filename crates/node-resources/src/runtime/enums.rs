//! Stages of a machine's life, and how it is secured.

use resource::ProtoEnum;

/// What the machine is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum MachineStage {
    #[default]
    #[value(0, "unknown")]
    Unknown,
    #[value(1, "booting")]
    Booting,
    #[value(2, "installing")]
    Installing,
    #[value(3, "maintenance")]
    Maintenance,
    #[value(4, "running")]
    Running,
    #[value(5, "rebooting")]
    Rebooting,
    #[value(6, "shutting down")]
    ShuttingDown,
    #[value(7, "resetting")]
    Resetting,
    #[value(8, "upgrading")]
    Upgrading,
}

/// What SELinux does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum SELinuxState {
    #[default]
    #[value(0, "disabled")]
    Disabled,
    #[value(1, "enabled, permissive")]
    Permissive,
    #[value(2, "enabled, enforcing")]
    Enforcing,
}

/// Whether cryptography keeps to FIPS 140.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum FIPSState {
    #[default]
    #[value(0, "disabled")]
    Disabled,
    #[value(1, "enabled")]
    Enabled,
    #[value(2, "strict")]
    Strict,
}
