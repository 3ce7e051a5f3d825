//! Arguments of commands that talk to nodes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::common::{ClientFlags, Mode, Node};
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

/// `image`
#[derive(Debug, Args)]
pub struct Image {
    /// How to reach nodes.
    #[command(flatten)]
    pub client: ClientFlags,
    /// Which images of nodes: system, cri or inmem
    #[arg(long, default_value = "cri", global = true)]
    pub namespace: String,
    /// What to do.
    #[command(subcommand)]
    pub command: ImageAction,
}

/// What `image` can do.
#[derive(Debug, Subcommand)]
pub enum ImageAction {
    /// Build the distribution: root filesystem, node image, and every Kubernetes image
    ///
    /// Makes from our programs, the Go components and Debian's files what `cargo xtask dist` makes of them, to the
    /// byte. Go components and Debian's files are fetched and compiled where the cache does not have them.
    Build {
        /// Folder of the distribution's manifests
        #[arg(long, default_value = "distro", value_name = "FOLDER")]
        distro: PathBuf,
        /// Folder of our programs and crates.json [default: programs, beside this program]
        #[arg(long, value_name = "FOLDER")]
        programs: Option<PathBuf>,
        /// Folder of downloads and of what was built before [default: ~/.cache/keelson]
        #[arg(long, value_name = "FOLDER", env = "KEELSON_CACHE", hide_env_values = true)]
        cache: Option<PathBuf>,
        /// Where the products go
        #[arg(long, short, default_value = "dist", value_name = "FOLDER")]
        output: PathBuf,
        /// Fail when a Debian package of debian.lock can no longer be had, and take no other version of it
        #[arg(long)]
        locked: bool,
    },
    /// Copy images from their registries into a folder
    CacheCreate(CacheCreate),
    /// Serve a folder of images as a registry
    CacheServe(CacheServe),
    /// Upload an image to nodes (not in talosctl)
    Import {
        /// File with the image, as `docker save` writes it
        archive: PathBuf,
    },
    /// List images of a node
    #[command(visible_aliases = ["l", "ls"])]
    List,
    /// Pull an image on nodes
    #[command(visible_alias = "p")]
    Pull {
        /// The image
        image: String,
    },
    /// Remove an image from nodes
    #[command(visible_alias = "rm")]
    Remove {
        /// The image, by name or digest
        image: String,
    },
    /// List the images a Kubernetes cluster needs
    #[command(name = "k8s-bundle", visible_alias = "default")]
    K8sBundle(Bundle),
    /// List the images of the operating system: installer and what it is made of
    #[command(name = "talos-bundle")]
    TalosBundle {
        /// Version of the operating system
        #[arg(value_name = "VERSION", default_value_t = crate::defaults::VERSION.to_owned())]
        talos_version: String,
        /// The catalog of extensions too
        #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
        extensions: bool,
        /// The catalog of overlays too
        #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
        overlays: bool,
    },
}

/// `image cache-create`
#[derive(Debug, Args)]
pub struct CacheCreate {
    /// The images, comma separated or repeated
    #[arg(long, value_delimiter = ',')]
    pub images: Vec<String>,
    /// Folder of the cache
    #[arg(long, value_name = "PATH")]
    pub image_cache_path: PathBuf,
    /// Folder in which layers are kept, so that other caches need not fetch them again
    #[arg(long, value_name = "PATH")]
    pub image_layer_cache_path: Option<PathBuf>,
    /// Platforms of which images are copied
    #[arg(long, value_delimiter = ',', default_value = "linux/amd64")]
    pub platform: Vec<String>,
    /// How the folder is laid out: an OCI layout, or flat, as the files of a registry
    #[arg(long, default_value = "oci")]
    pub layout: CacheLayout,
    /// The signatures of images by cosign too
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub cosign_signatures: bool,
    /// Add to a folder that is not empty
    #[arg(long)]
    pub force: bool,
    /// Ask registries without TLS first
    #[arg(long)]
    pub insecure: bool,
}

/// How a cache of images is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CacheLayout {
    /// An OCI image layout.
    Oci,
    /// A file for each blob and manifest, by the names a registry is asked for.
    Flat,
}

/// `image cache-serve`
#[derive(Debug, Args)]
pub struct CacheServe {
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:3172")]
    pub address: String,
    /// Folder of the cache
    #[arg(long, value_name = "PATH")]
    pub image_cache_path: PathBuf,
    /// Registries to stand in for, in the patch that is printed
    #[arg(long, value_delimiter = ',', default_value = "docker.io,ghcr.io,registry.k8s.io")]
    pub mirror: Vec<String>,
    /// Certificate to serve with; without one there is no TLS
    #[arg(long, value_name = "PATH")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "PATH")]
    pub tls_key_file: Option<PathBuf>,
}

/// Versions of the images of a Kubernetes cluster; each with or without `v`.
#[derive(Debug, Args)]
pub struct Bundle {
    /// Version of Kubernetes
    #[arg(long, value_name = "VERSION", default_value_t = crate::defaults::KUBERNETES_VERSION.to_owned())]
    pub k8s_version: String,
    /// Version of CoreDNS, instead of this release's
    #[arg(long, value_name = "VERSION")]
    pub coredns_version: Option<String>,
    /// Version of etcd, instead of this release's
    #[arg(long, value_name = "VERSION")]
    pub etcd_version: Option<String>,
    /// Version of flannel, instead of this release's
    #[arg(long, value_name = "VERSION")]
    pub flannel_version: Option<String>,
    /// Version of kube-network-policies, instead of this release's
    #[arg(long, value_name = "VERSION")]
    pub kube_network_policies_version: Option<String>,
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

/// A command without arguments of its own.
#[derive(Debug, Args)]
pub struct Nothing {}

/// A command without arguments of its own that talks to nodes.
pub type Plain = Node<Nothing>;
