//! Arguments of commands that look at or change a node's machine configuration.

use std::time::Duration;

use clap::Args;

use crate::cli::common::Mode;
use crate::output::age::parse_duration;

/// `apply-config`
#[derive(Debug, Args)]
pub struct ApplyConfig {
    /// File with the machine configuration, `-` for standard input
    #[arg(short, long, value_name = "PATH")]
    pub file: Option<String>,
    /// Talk to a node in maintenance mode, without client certificate
    #[arg(short, long)]
    pub insecure: bool,
    /// Accept only a server certificate with one of these SHA-256 fingerprints (with --insecure)
    #[arg(long, value_delimiter = ',')]
    pub cert_fingerprint: Vec<String>,
    /// Patch to apply to the file first: inline or @file; repeatable
    #[arg(short = 'p', long, value_name = "PATCH", allow_hyphen_values = true)]
    pub config_patch: Vec<String>,
    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,
    /// Apply it even if it locks you out of the node, or the node out of its cluster (not in talosctl)
    #[arg(long)]
    pub force: bool,
    /// How to apply
    #[arg(short, long, value_enum, default_value_t)]
    pub mode: Mode,
    /// When mode try returns to the old configuration
    #[arg(long, default_value = "1m0s", value_parser = parse_duration)]
    pub timeout: Duration,
}

/// How a changed configuration is applied.
#[derive(Debug, Args)]
pub struct Submit {
    /// Apply it even if it locks you out of the node, or the node out of its cluster (not in talosctl)
    #[arg(long)]
    pub force: bool,
    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,
    /// How to apply
    #[arg(short, long, value_enum, default_value_t)]
    pub mode: Mode,
    /// When mode try returns to the old configuration
    #[arg(long, default_value = "1m0s", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Namespace of the resource; there is one only
    #[arg(long, hide = true)]
    pub namespace: Option<String>,
}

/// `edit`
#[derive(Debug, Args)]
pub struct Edit {
    /// What to edit: machineconfig
    #[arg(value_name = "TYPE")]
    pub resource_type: String,
    /// Which: v1alpha1
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Applying it.
    #[command(flatten)]
    pub submit: Submit,
}

/// `patch`
#[derive(Debug, Args)]
pub struct PatchConfig {
    /// What to patch: machineconfig
    #[arg(value_name = "TYPE")]
    pub resource_type: String,
    /// Which: v1alpha1
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Patch: inline or @file; repeatable
    #[arg(short, long, value_name = "PATCH", allow_hyphen_values = true)]
    pub patch: Vec<String>,
    /// File with a patch
    #[arg(long, value_name = "PATH")]
    pub patch_file: Option<String>,
    /// Applying it.
    #[command(flatten)]
    pub submit: Submit,
}

/// `plan`
#[derive(Debug, Args)]
pub struct Plan {
    /// File with the machine configuration, `-` for standard input
    #[arg(short, long, value_name = "PATH")]
    pub file: String,
    /// Patch to apply to the file first: inline or @file; repeatable
    #[arg(short = 'p', long, value_name = "PATCH", allow_hyphen_values = true)]
    pub config_patch: Vec<String>,
}
