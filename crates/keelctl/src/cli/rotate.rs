//! The arguments of `rotate-ca`.

use clap::{ArgAction, Args};

/// `rotate-ca`
#[derive(Debug, Args)]
pub struct RotateCa {
    /// Control plane nodes of the cluster; else as the node knows its members
    #[arg(long, value_delimiter = ',')]
    pub control_plane_nodes: Vec<String>,
    /// Worker nodes of the cluster
    #[arg(long, value_delimiter = ',')]
    pub worker_nodes: Vec<String>,
    /// Counted among the control plane nodes (older clusters)
    #[arg(long)]
    pub init_node: Option<String>,
    /// Print what would be done, and change nothing
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub dry_run: bool,
    /// Kubernetes endpoint to use instead of the configured one
    #[arg(long)]
    pub k8s_endpoint: Option<String>,
    /// Replace the authority of Kubernetes
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub kubernetes: bool,
    /// Replace the authority of the machine API
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub talos: bool,
    /// The client configuration to write, with a certificate of the new authority
    #[arg(short, long, value_name = "PATH", default_value = "talosconfig")]
    pub output: String,
    /// Explain fields in comments of the configurations that nodes get
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub with_docs: bool,
    /// Show examples in comments of the configurations that nodes get
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub with_examples: bool,
}
