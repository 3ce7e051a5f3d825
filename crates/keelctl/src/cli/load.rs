//! Arguments of commands about what nodes do and how busy they are.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::output::age::parse_duration;

/// `cgroups`
#[derive(Debug, Args)]
pub struct Cgroups {
    /// Columns to show
    #[arg(long, value_parser = crate::commands::cgroups::PRESETS, default_value = "memory")]
    pub preset: String,
    /// File with columns of your own (YAML), `-` for standard input
    #[arg(long, value_name = "PATH", conflicts_with = "preset")]
    pub schema_file: Option<String>,
    /// Show groups of pods and containers by their ids, without asking for their names
    #[arg(long)]
    pub skip_cri_resolve: bool,
}

/// `dashboard`
#[derive(Debug, Args)]
pub struct Dashboard {
    /// Time between two looks at a node
    #[arg(short = 'd', long, default_value = "3s", value_parser = parse_duration)]
    pub update_interval: Duration,
}

/// `debug`
#[derive(Debug, Args)]
pub struct Debug {
    /// The image, or a file with one as `docker save` writes it
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Arguments of the image's command
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
    /// Arguments of the image's command, before the others
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    pub args: Vec<String>,
    /// Where the node keeps the image: system, cri or inmem
    #[arg(long, default_value = "inmem")]
    pub namespace: String,
}

/// `netstat`
#[derive(Debug, Default, Args)]
pub struct Netstat {
    /// Only these pods (with --pods): NAMESPACE/NAME
    #[arg(value_name = "POD", requires = "pods")]
    pub pod: Vec<String>,
    /// Sockets in all states; else only those with another end
    #[arg(short, long)]
    pub all: bool,
    /// User and inode too
    #[arg(short = 'x', long)]
    pub extend: bool,
    /// Only IPv4
    #[arg(short = '4', long)]
    pub ipv4: bool,
    /// Only IPv6
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// Only sockets that wait for connections
    #[arg(short, long, conflicts_with = "all")]
    pub listening: bool,
    /// Sockets of Kubernetes pods too
    #[arg(short = 'k', long)]
    pub pods: bool,
    /// The process of each socket too
    #[arg(short, long)]
    pub programs: bool,
    /// Only raw sockets
    #[arg(short = 'w', long)]
    pub raw: bool,
    /// Only TCP
    #[arg(short, long)]
    pub tcp: bool,
    /// Timers too
    #[arg(short = 'o', long)]
    pub timers: bool,
    /// Only UDP
    #[arg(short, long)]
    pub udp: bool,
    /// Only UDPLite
    #[arg(short = 'U', long)]
    pub udplite: bool,
    /// All protocols; else TCP and UDP
    #[arg(short, long)]
    pub verbose: bool,
}

/// `pcap`
#[derive(Debug, Args)]
pub struct Pcap {
    /// Which packets: a program as `tcpdump -dd` prints it
    #[arg(long, value_name = "PROGRAM")]
    pub bpf_filter: Option<String>,
    /// How long to capture; else until interrupted
    #[arg(long, value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Interface of the node
    #[arg(short, long, default_value = "eth0")]
    pub interface: String,
    /// File to write the packets to (pcap), `-` for standard output; else they are described
    #[arg(short, long, value_name = "PATH", allow_hyphen_values = true)]
    pub output: Option<String>,
    /// Packets for others too
    #[arg(long)]
    pub promiscuous: bool,
}

/// `support`
#[derive(Debug, Args)]
pub struct Support {
    /// File to write the bundle to (zip)
    #[arg(short = 'O', long, value_name = "PATH", default_value = "support.zip")]
    pub output: PathBuf,
    /// Number of nodes to collect from at once
    #[arg(short = 'w', long, default_value_t = 1)]
    pub num_workers: usize,
    /// Tell of every file that is collected
    #[arg(short, long)]
    pub verbose: bool,
    /// Overwrite what exists (not in talosctl)
    #[arg(short, long)]
    pub force: bool,
}

/// `restart`
#[derive(Debug, Args)]
pub struct Restart {
    /// Container as `containers` lists it; a pod restarts all of its containers
    pub id: String,
    /// A container of Kubernetes instead of the system's
    #[arg(short, long)]
    pub kubernetes: bool,
}
