//! Flags that several commands share.

use clap::Args;

/// How to reach the cluster: the flags of every command that talks to a node.
#[derive(Clone, Debug, Default, Args)]
pub struct ClientFlags {
    /// Nodes the command is about, comma separated or repeated
    #[arg(short, long, value_delimiter = ',', global = true, help_heading = "Connection")]
    pub nodes: Vec<String>,
    /// Endpoints to connect to, instead of those of the client configuration
    #[arg(short, long, value_delimiter = ',', global = true, help_heading = "Connection")]
    pub endpoints: Vec<String>,
    /// Context of the client configuration to use
    #[arg(long, global = true, help_heading = "Connection")]
    pub context: Option<String>,
    /// Cluster to connect to if the endpoint is a proxy
    #[arg(short, long, global = true, help_heading = "Connection")]
    pub cluster: Option<String>,
    /// Client configuration file; else TALOSCONFIG, /var/run/secrets/talos.dev/config, then ~/.keelson/config or
    /// ~/.talos/config, whichever exists (called as talosctl: only the latter)
    #[arg(long, value_name = "PATH", global = true, help_heading = "Connection")]
    pub talosconfig: Option<String>,
    /// Folder of keys that sign requests, for contexts with siderov1 authentication
    #[arg(long, value_name = "PATH", global = true, hide = true)]
    pub siderov1_keys_dir: Option<String>,
}

/// A command that talks to nodes.
#[derive(Debug, Args)]
pub struct Node<A: Args> {
    /// How to reach them.
    #[command(flatten)]
    pub client: ClientFlags,
    /// The command's own arguments.
    #[command(flatten)]
    pub args: A,
}

/// A command without arguments of its own.
#[derive(Debug, Args)]
pub struct Nothing {}

/// A command without arguments of its own that talks to nodes.
pub type Plain = Node<Nothing>;

/// How a configuration is to be applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Apply at once if nothing needs a reboot, else reboot
    #[default]
    Auto,
    /// Apply at once, or refuse
    NoReboot,
    /// Store and reboot
    Reboot,
    /// Store, use at the next boot
    Staged,
    /// Apply at once and return by itself after a time
    Try,
}
