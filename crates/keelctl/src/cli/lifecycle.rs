//! Arguments of commands that start and stop: etcd, services, the machine, its part in the cluster.

use std::time::Duration;

use clap::Args;

use crate::output::age::parse_duration;

/// `bootstrap`
#[derive(Debug, Args)]
pub struct Bootstrap {
    /// Snapshot of etcd to recover from
    #[arg(long, value_name = "PATH")]
    pub recover_from: Option<String>,
    /// Do not check the snapshot's hash (it was copied from a data folder)
    #[arg(long)]
    pub recover_skip_hash_check: bool,
}

/// Following a long action.
#[derive(Debug, Args)]
pub struct Follow {
    /// Print the kernel log meanwhile
    #[arg(long)]
    pub debug: bool,
    /// How long to wait
    #[arg(long, default_value = "30m0s", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Wait until it is done
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub wait: bool,
}

/// `reboot`
#[derive(Debug, Args)]
pub struct Reboot {
    /// default, powercycle (no kexec) or force (no clean-up)
    #[arg(short, long, default_value = "default", value_parser = ["default", "powercycle", "force"])]
    pub mode: String,
    /// Cordon and drain the Kubernetes node first
    #[arg(long)]
    pub drain: bool,
    /// How long draining may take
    #[arg(long, default_value = "5m0s", value_parser = parse_duration)]
    pub drain_timeout: Duration,
    /// auto or plain
    #[arg(long, default_value = "auto", value_parser = ["auto", "plain"])]
    pub progress: String,
    /// Waiting for it.
    #[command(flatten)]
    pub follow: Follow,
}

/// `forget-node`
#[derive(Debug, Args)]
pub struct ForgetNode {
    /// The node that is gone: its name, an address it had, or its identity in discovery
    #[arg(value_name = "NAME|ADDRESS|ID")]
    pub gone: String,
    /// Do it even if the node still answers
    #[arg(long)]
    pub force: bool,
}

/// `reset`
#[derive(Debug, Args)]
pub struct Reset {
    /// Cordon, drain and leave etcd first
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub graceful: bool,
    /// Talk to a node in maintenance mode, without client certificate
    #[arg(long)]
    pub insecure: bool,
    /// Reboot instead of shutting down
    #[arg(long)]
    pub reboot: bool,
    /// Partitions of the system disk to wipe; else all
    #[arg(long, value_delimiter = ',')]
    pub system_labels_to_wipe: Vec<String>,
    /// Other disks to wipe
    #[arg(long, value_delimiter = ',')]
    pub user_disks_to_wipe: Vec<String>,
    /// What to wipe
    #[arg(long, default_value = "all", value_parser = ["all", "system-disk", "user-disks"])]
    pub wipe_mode: String,
    /// Waiting for it.
    #[command(flatten)]
    pub follow: Follow,
}

/// `service`
#[derive(Debug, Args)]
pub struct Service {
    /// Service; none lists all
    pub id: Option<String>,
    /// What to do with it
    #[arg(value_parser = ["start", "stop", "restart", "status"])]
    pub action: Option<String>,
}

/// `shutdown`
#[derive(Debug, Args)]
pub struct Shutdown {
    /// Do not cordon and drain
    #[arg(long)]
    pub force: bool,
    /// Waiting for it.
    #[command(flatten)]
    pub follow: Follow,
}
