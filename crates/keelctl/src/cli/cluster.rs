//! Arguments of local clusters.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::output::{age::parse_duration, size};

/// `cluster`
#[derive(Debug, Args)]
pub struct Cluster {
    /// Name of the cluster
    #[arg(long, default_value = "talos-default", global = true)]
    pub name: String,
    /// Folder with the state of clusters; else ~/.keelson/clusters (called as talosctl: ~/.talos/clusters)
    #[arg(
        long,
        value_name = "PATH",
        env = "KEELSON_STATE",
        hide_env_values = true,
        global = true
    )]
    pub state: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: ClusterAction,
}

/// What `cluster` can do.
#[derive(Debug, Subcommand)]
pub enum ClusterAction {
    /// Make a cluster of namespaces or containers on this machine
    Create(Box<Create>),
    /// Show a cluster
    Show {
        /// What made it: native or docker; checked where given
        #[arg(long)]
        provisioner: Option<String>,
    },
    /// Start nodes that were shut down, with the data they have
    Start {
        /// Names of nodes as `cluster show` has them; else all that do not run
        #[arg(value_name = "NODE")]
        nodes: Vec<String>,
        /// What made it: native or docker; checked where given
        #[arg(long)]
        provisioner: Option<String>,
        /// How long to wait until they answer
        #[arg(long, default_value = "5m0s", value_parser = parse_duration)]
        wait_timeout: Duration,
    },
    /// Destroy a cluster and its state
    Destroy {
        /// Go on when something cannot be removed
        #[arg(short, long)]
        force: bool,
        /// What made it: native or docker; checked where given
        #[arg(long)]
        provisioner: Option<String>,
        /// Save the logs of the nodes here first
        #[arg(long, value_name = "PATH")]
        save_cluster_logs_archive_path: Option<String>,
        /// Save a bundle for support here first (see `support`)
        #[arg(long, value_name = "PATH")]
        save_support_archive_path: Option<String>,
    },
}

/// `cluster create`
#[derive(Debug, Args)]
pub struct Create {
    /// native (namespaces of this machine) or docker (containers on this machine)
    #[arg(value_name = "PROVISIONER", default_value = "native")]
    pub provisioner: String,
    /// Number of control plane nodes
    #[arg(long, default_value_t = 1)]
    pub controlplanes: usize,
    /// Number of worker nodes
    #[arg(long, default_value_t = 1)]
    pub workers: usize,
    /// Network of the cluster
    #[arg(long, visible_alias = "subnet", default_value = "10.5.0.0/24")]
    pub cidr: String,
    /// MTU of the network
    #[arg(long, default_value_t = 1500)]
    pub mtu: u32,
    /// Version of Kubernetes
    #[arg(long, default_value_t = crate::defaults::KUBERNETES_VERSION.to_owned())]
    pub kubernetes_version: String,
    /// Folder with the built distribution; else the one this program is in, or ./dist
    #[arg(long, value_name = "PATH", env = "KEELSON_DIST", hide_env_values = true)]
    pub dist: Option<String>,
    /// Ports of this machine that lead to the first node, HOST_PORT:NODE_PORT[/udp]
    #[arg(short = 'p', long, value_delimiter = ',')]
    pub exposed_ports: Vec<String>,
    /// Address of this machine that exposed ports listen on
    #[arg(long, default_value = "0.0.0.0")]
    pub host_ip: std::net::IpAddr,
    /// CPUs of each control plane node
    #[arg(long, visible_alias = "cpus", default_value = "2.0")]
    pub cpus_controlplanes: String,
    /// CPUs of each worker node
    #[arg(long, default_value = "2.0")]
    pub cpus_workers: String,
    /// Memory of each control plane node
    #[arg(long, visible_alias = "memory", default_value = "2.0GiB", value_parser = size::parse)]
    pub memory_controlplanes: u64,
    /// Memory of each worker node
    #[arg(long, default_value = "2.0GiB", value_parser = size::parse)]
    pub memory_workers: u64,
    /// Node image of docker; else dist/node.tar is loaded
    #[arg(long, value_name = "REFERENCE")]
    pub image: Option<String>,
    /// Mount of every node of docker, as docker run --mount takes it; repeatable
    #[arg(long)]
    pub mount: Vec<String>,
    /// Patch for all machines: inline or @file; repeatable
    #[arg(long, value_name = "PATCH", allow_hyphen_values = true)]
    pub config_patch: Vec<String>,
    /// Patch for control planes
    #[arg(
        long,
        visible_alias = "config-patch-control-plane",
        value_name = "PATCH",
        allow_hyphen_values = true
    )]
    pub config_patch_controlplanes: Vec<String>,
    /// Patch for workers
    #[arg(
        long,
        visible_alias = "config-patch-worker",
        value_name = "PATCH",
        allow_hyphen_values = true
    )]
    pub config_patch_workers: Vec<String>,
    /// Registry mirrors, HOST=URL, besides the cluster's own registry
    #[arg(long, value_delimiter = ',')]
    pub registry_mirror: Vec<String>,
    /// Where to merge the client configuration; else where it is looked for
    #[arg(long, value_name = "PATH")]
    pub talosconfig_destination: Option<String>,
    /// Do not merge the kubeconfig
    #[arg(long)]
    pub skip_kubeconfig: bool,
    /// Leave nodes in maintenance mode, without configuration
    #[arg(long)]
    pub skip_injecting_config: bool,
    /// Wait until the cluster is healthy
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub wait: bool,
    /// Do not wait for nodes to be ready for pods (a network plugin is still to come)
    #[arg(long)]
    pub skip_k8s_node_readiness_check: bool,
    /// How long to wait
    #[arg(long, default_value = "20m0s", value_parser = parse_duration)]
    pub wait_timeout: Duration,
}
