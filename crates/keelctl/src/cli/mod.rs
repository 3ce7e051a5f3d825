//! The command line as types. Names, flags and defaults are those of `talosctl` v1.13, so that scripts keep working;
//! what is ours is marked so in its help.
//!
//! [`Command`] has every command, and its variant says where the flags are. Commands of one kind share a file: what asks
//! nodes in [`observe`], what changes their configuration in [`config`], what starts and stops in [`lifecycle`], images in
//! [`image`].

pub mod cluster;
pub mod common;
pub mod config;
pub mod etcd;
pub mod files;
pub mod generate;
pub mod image;
pub mod lifecycle;
pub mod load;
pub mod machine;
pub mod observe;
pub mod rotate;
pub mod upgrade_k8s;

use std::ffi::OsString;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::cli::common::{ClientFlags, Node, Plain};

/// Keelson's command line: talks to nodes, makes configurations, runs local clusters.
#[derive(Debug, Parser)]
#[command(
    name = "keelctl",
    about = "Talks to nodes, makes machine configurations, runs local clusters",
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    propagate_version = false
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Apply a machine configuration to a node
    #[command(visible_alias = "apply")]
    ApplyConfig(Node<config::ApplyConfig>),
    /// Bootstrap the etcd cluster on one control plane node
    Bootstrap(Node<lifecycle::Bootstrap>),
    /// Show control groups and their use
    #[command(visible_alias = "cg")]
    Cgroups(Node<load::Cgroups>),
    /// Make, show and destroy local clusters
    Cluster(cluster::Cluster),
    /// Print a shell completion script
    Completion(generate::Completion),
    /// Manage the client configuration file
    Config(ClientConfigCommand),
    /// Run conformance tests
    Conformance(machine::Conformance),
    /// List containers
    #[command(visible_alias = "c")]
    Containers(Node<observe::Containers>),
    /// Copy a folder or file of a node
    #[command(visible_alias = "cp")]
    Copy(Node<files::Copy>),
    /// Show a live overview of nodes
    Dashboard(Node<load::Dashboard>),
    /// Run a container with a node's privileges, for as long as this command runs
    Debug(Node<load::Debug>),
    /// Print the kernel log
    Dmesg(Node<observe::Dmesg>),
    /// Render the reference of all commands
    #[command(hide = true)]
    Docs(generate::Docs),
    /// Edit the machine configuration of nodes with $EDITOR
    Edit(Node<config::Edit>),
    /// Manage etcd
    Etcd(etcd::Etcd),
    /// Print events as they happen
    Events(Node<observe::Events>),
    /// Remove a node that is gone from etcd, Kubernetes and discovery (not in talosctl)
    ForgetNode(Node<lifecycle::ForgetNode>),
    /// Generate configurations, secrets, authorities, certificates and keys
    Gen(generate::Gen),
    /// Show resources of a node
    #[command(visible_alias = "g")]
    Get(Node<observe::Get>),
    /// Check the health of a cluster
    Health(Node<observe::Health>),
    /// List, pull and build images
    #[command(visible_alias = "images")]
    Image(image::Image),
    /// Add access to the machine API to Kubernetes manifests
    Inject(machine::Inject),
    /// Look inside a node
    Inspect(observe::Inspect),
    /// Fetch the admin kubeconfig of the cluster
    Kubeconfig(Node<observe::Kubeconfig>),
    /// List files of a node
    #[command(visible_alias = "ls")]
    List(Node<files::List>),
    /// Print the log of a service or container
    Logs(Node<observe::Logs>),
    /// Generate and patch machine configurations
    #[command(name = "machineconfig", visible_alias = "mc")]
    MachineConfig(generate::MachineConfig),
    /// Show memory use
    #[command(visible_aliases = ["m", "free"])]
    Memory(Node<observe::Memory>),
    /// Write and delete values of META (refused by nodes in containers)
    Meta(machine::Meta),
    /// List mounts
    #[command(visible_alias = "mount")]
    Mounts(Plain),
    /// List network connections and sockets
    #[command(visible_alias = "ss")]
    Netstat(Node<load::Netstat>),
    /// Patch the machine configuration of nodes
    Patch(Node<config::PatchConfig>),
    /// Capture the packets of a network interface
    #[command(visible_alias = "tcpdump")]
    Pcap(Node<load::Pcap>),
    /// Show what a machine configuration would change (not in talosctl)
    Plan(Node<config::Plan>),
    /// List processes
    #[command(visible_aliases = ["p", "ps"])]
    Processes(Node<observe::Processes>),
    /// Print a file of a node
    #[command(visible_alias = "cat")]
    Read(Node<files::Read>),
    /// Reboot nodes
    Reboot(Node<lifecycle::Reboot>),
    /// Reset nodes: wipe and leave the cluster
    Reset(Node<lifecycle::Reset>),
    /// Restart a container
    Restart(Node<load::Restart>),
    /// Boot the version before the last upgrade (refused by nodes in containers)
    Rollback(Plain),
    /// Replace the authorities of the machine API and of Kubernetes while the cluster runs
    RotateCa(Node<rotate::RotateCa>),
    /// List services, show one, or start, stop and restart it
    #[command(visible_alias = "services")]
    Service(Node<lifecycle::Service>),
    /// Shut nodes down
    Shutdown(Node<lifecycle::Shutdown>),
    /// Show the memory and processor time of containers
    Stats(Node<observe::Containers>),
    /// Collect what an engineer needs to look into a cluster, without its secrets
    Support(Node<load::Support>),
    /// Show the time of nodes and of their time server
    Time(Node<observe::Time>),
    /// Upgrade the operating system of nodes (refused by nodes in containers)
    Upgrade(Node<machine::Upgrade>),
    /// Upgrade Kubernetes, component by component and node by node
    #[command(name = "upgrade-k8s")]
    UpgradeK8s(Node<upgrade_k8s::UpgradeK8s>),
    /// Show what files of a node take
    #[command(visible_alias = "du")]
    Usage(Node<files::Usage>),
    /// Check a machine configuration
    Validate(generate::Validate),
    /// Print the version of the client and of nodes
    Version(Node<observe::Version>),
    /// Wipe disks (refused by nodes in containers)
    Wipe(machine::Wipe),
}

/// `config`, which works on the client configuration file alone (but for `new`).
#[derive(Debug, clap::Args)]
pub struct ClientConfigCommand {
    /// Which file and context.
    #[command(flatten)]
    pub client: ClientFlags,
    /// What to do.
    #[command(subcommand)]
    pub command: ClientConfigAction,
}

/// What `config` can do. Its arguments are named unlike the connection flags, which exist beside them.
#[derive(Debug, Subcommand)]
pub enum ClientConfigAction {
    /// Add a context
    Add {
        /// Name of the new context
        #[arg(value_name = "CONTEXT")]
        name: String,
        /// File with the authority's certificate
        #[arg(long, value_name = "PATH")]
        ca: Option<String>,
        /// File with the client certificate
        #[arg(long, value_name = "PATH")]
        crt: Option<String>,
        /// File with the client key
        #[arg(long, value_name = "PATH")]
        key: Option<String>,
    },
    /// Choose the current context
    #[command(visible_alias = "use-context")]
    Context {
        /// Name of the context
        #[arg(value_name = "CONTEXT")]
        name: String,
    },
    /// List contexts
    #[command(visible_alias = "get-contexts")]
    Contexts,
    /// Set the endpoints of the current context
    #[command(visible_alias = "endpoints")]
    Endpoint {
        /// Addresses or names; none clears the list
        #[arg(value_name = "ENDPOINT")]
        addresses: Vec<String>,
    },
    /// Show the current context
    Info {
        /// text, yaml or json
        #[arg(short, long, default_value = "text")]
        output: String,
    },
    /// Add the contexts of another client configuration
    Merge {
        /// The other file
        from: String,
    },
    /// Make a client configuration with the given roles, signed by a node
    New {
        /// Where to write it
        #[arg(default_value = "talosconfig")]
        path: String,
        /// Roles of the new certificate
        #[arg(long, value_delimiter = ',', default_value = "os:admin")]
        roles: Vec<String>,
        /// Lifetime of the new certificate
        #[arg(long, default_value = "8760h0m0s", value_parser = crate::output::age::parse_duration)]
        crt_ttl: std::time::Duration,
    },
    /// Set the default nodes of the current context
    #[command(visible_alias = "nodes")]
    Node {
        /// Addresses or names; none clears the list
        #[arg(value_name = "NODE")]
        addresses: Vec<String>,
    },
    /// Remove contexts
    Remove {
        /// Name or pattern with `*` and `?`
        #[arg(value_name = "CONTEXT")]
        pattern: String,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(short = 'y', long)]
        noconfirm: bool,
    },
}

/// Commands that ask nodes for what a node in a container refuses, and says why. They are built, and wait for nodes on
/// machines of their own.
pub const REFUSED: &[&str] = &["meta delete", "meta write", "rollback", "upgrade", "wipe disk"];

/// The whole command tree.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses a command line, program name first.
pub fn parse(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(normalize(arguments))?;
    Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command))
}

/// Flags of node commands that take a value and may stand before the command.
const LEADING: [&str; 8] = [
    "-n",
    "--nodes",
    "-e",
    "--endpoints",
    "--context",
    "-c",
    "--cluster",
    "--talosconfig",
];

/// Switches that may be written with a value, `--insecure=false`.
const SWITCHES: [&str; 13] = [
    "insecure",
    "dry-run",
    "force",
    "watch",
    "follow",
    "debug",
    "reboot",
    "strict",
    "with-kubespan",
    "noconfirm",
    "rsa",
    "client",
    "include-well-known-uefi-certs",
];

/// Puts flags that stand before the command behind it (`keelctl -n 10.5.0.2 get members`), where they belong, and
/// takes the value off switches.
fn normalize(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut rest = arguments.into_iter().peekable();
    let mut out: Vec<OsString> = rest.next().into_iter().collect();
    let mut leading = Vec::new();
    while let Some(text) = rest.peek().and_then(|a| a.to_str()).map(str::to_owned) {
        let (flag, has_value) = match text.split_once('=') {
            Some((flag, _)) => (flag, true),
            None if text.len() > 2 && !text.starts_with("--") => (text.get(..2).unwrap_or(&text), true),
            None => (text.as_str(), false),
        };
        if !LEADING.contains(&flag) {
            break;
        }
        leading.extend(rest.next());
        if !has_value {
            leading.extend(rest.next());
        }
    }
    out.extend(rest.next());
    out.extend(leading);
    // This command makes a dry run unless told otherwise, so its switch keeps the value.
    let keeps_dry_run = out.get(1).is_some_and(|command| command == "rotate-ca");
    let mut literal = false;
    for argument in rest {
        literal |= argument == "--";
        let switch = argument.to_str().filter(|_| !literal).and_then(|text| {
            let (flag, value) = text.strip_prefix("--")?.split_once('=')?;
            (SWITCHES.contains(&flag) && !(keeps_dry_run && flag == "dry-run"))
                .then(|| value.parse::<bool>().ok().map(|on| (format!("--{flag}"), on)))?
        });
        match switch {
            Some((flag, true)) => out.push(flag.into()),
            Some((_, false)) => {}
            None => out.push(argument),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn parse_line(line: &str) -> Result<Cli, clap::Error> {
        parse(words(line))
    }

    #[test]
    fn the_definitions_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn node_flags_may_stand_before_the_command() {
        assert_eq!(
            normalize(words(
                "keelctl -n 10.5.0.2,10.5.0.3 --talosconfig=x -eA get members -w=x --insecure=false --dry-run=true"
            )),
            words("keelctl get -n 10.5.0.2,10.5.0.3 --talosconfig=x -eA members -w=x --dry-run")
        );
        assert_eq!(
            normalize(words("keelctl -n a rotate-ca --dry-run=false")),
            words("keelctl rotate-ca -n a --dry-run=false")
        );
        let Ok(cli) = parse_line("keelctl -n a,b -n c get members") else {
            panic!("not parsed")
        };
        let Command::Get(get) = cli.command else {
            panic!("not get")
        };
        assert_eq!(get.client.nodes, ["a", "b", "c"]);
        assert_eq!(get.args.resource_type.as_deref(), Some("members"));
    }

    #[test]
    fn aliases_reach_their_command() {
        for line in [
            "keelctl apply -f x -i -n y",
            "keelctl g members",
            "keelctl mc patch x -p y",
            "keelctl services etcd restart",
            "keelctl c -k",
            "keelctl images ls",
            "keelctl config use-context x",
            "keelctl config endpoints a b",
            "keelctl validate -c x -m metal",
            "keelctl etcd members -n x",
            "keelctl ls -lH /etc -t f,d",
            "keelctl cat /etc/hosts",
            "keelctl cp /etc -",
            "keelctl du /var /etc -d 1 -t -1000",
            "keelctl ss -tlp",
            "keelctl netstat -k kube-system/coredns",
            "keelctl cg --preset cpu",
            "keelctl ps -w -s cpu",
            "keelctl tcpdump -i lo",
            "keelctl debug nginx --args -x,y ls -la",
            "keelctl debug ./nginx.tar -n a --namespace system",
            "keelctl image p nginx",
            "keelctl image rm nginx",
            "keelctl image default",
            "keelctl image --namespace system ls",
            "keelctl image ls --namespace system",
            "keelctl inject sa -f x -r os:reader",
            "keelctl meta -i write 0x0a value",
            "keelctl wipe disk vda vdb --method zeroes",
            "keelctl gen secureboot -o x -f uki",
            "keelctl gen secureboot pcr --output x --force",
        ] {
            assert!(parse_line(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_mistyped_command_is_answered_with_the_right_one() {
        let error = parse_line("keelctl containrs").unwrap_err().to_string();
        assert!(error.contains("'containers'"), "{error}");
    }
}
