//! Arguments of commands that only ask a node what there is and how it does.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::common::ClientFlags;
use crate::output::age::parse_duration;

/// `containers`
#[derive(Debug, Args)]
pub struct Containers {
    /// Containers of Kubernetes instead of the system's
    #[arg(short, long)]
    pub kubernetes: bool,
}

/// `dmesg`
#[derive(Debug, Args)]
pub struct Dmesg {
    /// Go on with new messages
    #[arg(short, long)]
    pub follow: bool,
    /// Only new messages (with --follow)
    #[arg(long)]
    pub tail: bool,
}

/// `events`
#[derive(Debug, Args)]
pub struct Events {
    /// Only events of this actor
    #[arg(long)]
    pub actor_id: Option<String>,
    /// Show events of the last time, for example 10m
    #[arg(long, value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Show events after the one with this id
    #[arg(long)]
    pub since: Option<String>,
    /// Show this many past events first (-1: all)
    #[arg(long, allow_hyphen_values = true)]
    pub tail: Option<i32>,
}

/// `get`
#[derive(Debug, Args)]
pub struct Get {
    /// Type of the resource: any of its names (`rd` lists them)
    #[arg(value_name = "TYPE")]
    pub resource_type: Option<String>,
    /// Identifiers; none shows all
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Talk to a node in maintenance mode, without client certificate
    #[arg(short, long)]
    pub insecure: bool,
    /// Namespace, if it is not the type's own
    #[arg(long)]
    pub namespace: Option<String>,
    /// table, yaml, json or jsonpath=TEMPLATE
    #[arg(short, long, default_value = "table")]
    pub output: String,
    /// Go on with changes
    #[arg(short, long)]
    pub watch: bool,
    /// Show past changes with their cause (not in talosctl)
    #[arg(long, conflicts_with = "watch")]
    pub history: bool,
}

/// `health`
#[derive(Debug, Args)]
pub struct Health {
    /// Control plane nodes to expect
    #[arg(long, value_delimiter = ',')]
    pub control_plane_nodes: Vec<String>,
    /// Worker nodes to expect
    #[arg(long, value_delimiter = ',')]
    pub worker_nodes: Vec<String>,
    /// Counted among the control plane nodes (older clusters)
    #[arg(long)]
    pub init_node: Option<String>,
    /// Kubernetes endpoint to check instead of the configured one
    #[arg(long)]
    pub k8s_endpoint: Option<String>,
    /// Run the checks on a node instead of here
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub server: bool,
    /// Run the conformance tests of Kubernetes too (as `conformance kubernetes --mode fast`)
    #[arg(long)]
    pub run_e2e: bool,
    /// How long to wait
    #[arg(long, default_value = "20m0s", value_parser = parse_duration)]
    pub wait_timeout: Duration,
}

/// `inspect`
#[derive(Debug, Args)]
pub struct Inspect {
    /// How to reach nodes.
    #[command(flatten)]
    pub client: ClientFlags,
    /// What to do.
    #[command(subcommand)]
    pub command: InspectAction,
}

/// What `inspect` can do.
#[derive(Debug, Subcommand)]
pub enum InspectAction {
    /// Print the graph of controllers and resources (Graphviz)
    #[command(visible_aliases = ["deps", "d"])]
    Dependencies {
        /// Show resources as nodes of the graph, as far as they exist
        #[arg(long)]
        with_resources: bool,
    },
}

/// `kubeconfig`
#[derive(Debug, Args)]
pub struct Kubeconfig {
    /// File or folder to write, `-` for standard output; else the first of $KUBECONFIG or ~/.kube/config
    #[arg(value_name = "LOCAL-PATH")]
    pub path: Option<String>,
    /// Overwrite what exists
    #[arg(short, long)]
    pub force: bool,
    /// Name of the context, instead of admin@CLUSTER
    #[arg(long)]
    pub force_context_name: Option<String>,
    /// Merge into an existing file
    #[arg(short, long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub merge: bool,
}

/// `logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// Service, or container with --kubernetes
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Go on with new lines
    #[arg(short, long)]
    pub follow: bool,
    /// A container of Kubernetes
    #[arg(short, long)]
    pub kubernetes: bool,
    /// Only the last lines (-1: all)
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    pub tail: i32,
}

/// `memory`
#[derive(Debug, Args)]
pub struct Memory {
    /// Every value the kernel tells
    #[arg(short, long)]
    pub verbose: bool,
}

/// `processes`
#[derive(Debug, Args)]
pub struct Processes {
    /// Sort by rss or cpu
    #[arg(short, long, default_value = "rss", value_parser = ["rss", "cpu"])]
    pub sort: String,
    /// Show the processes as they are, again and again
    #[arg(short, long)]
    pub watch: bool,
}

/// `time`
#[derive(Debug, Args)]
pub struct Time {
    /// Compare with this server instead of the node's own
    #[arg(long, value_name = "SERVER")]
    pub check: Option<String>,
}

/// `version`
#[derive(Debug, Args)]
pub struct Version {
    /// Only the client
    #[arg(long)]
    pub client: bool,
    /// Talk to a node in maintenance mode, without client certificate
    #[arg(short, long)]
    pub insecure: bool,
    /// Only the version
    #[arg(long)]
    pub short: bool,
}
