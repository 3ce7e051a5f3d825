//! What the node sees of itself: network, names, resolvers, clock, mounts, kernel parameters, identity, load.
//!
//! Most of it is read from the kernel and reported. Three things are also made so: the host name, the files of names
//! under `/etc`, and kernel parameters. Each observer runs when the kernel tells of a change; a slow look again catches
//! what was not told.

mod addresses;
mod etc_files;
mod hostname;
mod identity;
mod kernel_params;
mod links;
mod mounts;
mod network;
mod perf;
mod resolvers;
mod routes;
mod status;
mod time;

use std::path::{Path, PathBuf};
use std::time::Duration;

use resource::Graph;
use sys::mount::MountInfo;

/// How long an observer waits before it looks again at what the kernel should have told it of.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What the observers look at and act on.
#[derive(Clone, Debug)]
pub struct World {
    /// Where the node's identity is kept: `/system/state`.
    pub state: PathBuf,
    /// Where the files of names are: `/etc`.
    pub etc: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
    /// `resolv.conf` as the platform gave it, before the node wrote into it.
    pub platform_resolv_conf: String,
    /// The names of this machine.
    pub names: hostname::Names,
    /// The mounts of this machine.
    pub mounts: fn() -> sys::Result<Vec<MountInfo>>,
}

impl World {
    /// The machine this process is the init of.
    #[must_use]
    pub fn of_node(state: &Path) -> Self {
        let etc = Path::new("/etc");
        let resolv_conf = etc.join("resolv.conf");
        let platform_resolv_conf = std::fs::read_to_string(&resolv_conf)
            .map(|text| resolvers::of_platform(&text))
            .unwrap_or_else(|error| {
                tracing::debug!(
                    "the platform gave no resolvers: read {}: {error}",
                    resolv_conf.display()
                );
                String::new()
            });
        Self {
            state: state.to_owned(),
            etc: etc.to_owned(),
            proc: PathBuf::from("/proc"),
            sys: PathBuf::from("/sys"),
            platform_resolv_conf,
            names: hostname::Names::of_machine(),
            mounts: sys::mount::list,
        }
    }
}

/// Adds the observers to a graph. It must already know `FileSpec` as shared.
#[must_use]
pub fn add(graph: Graph, world: &World) -> Graph {
    let graph = network(graph, world);
    let graph = names(graph, world);
    machine(graph, world)
}

fn network(graph: Graph, world: &World) -> Graph {
    let network = network::Network::default();
    graph
        .reconcile(
            "network.LinkStatusController",
            links::Links::new(network.clone(), &world.sys),
        )
        .reconcile(
            "network.AddressStatusController",
            addresses::Addresses::new(network.clone()),
        )
        .reconcile("network.RouteStatusController", routes::Routes::new(network.clone()))
        .reconcile("network.RoutingRuleStatusController", routes::Rules::new(network))
        .derive("network.HardwareAddrController", links::first_hardware_address)
        .derive("network.StatusController", status::network_status)
}

fn names(graph: Graph, world: &World) -> Graph {
    let resolv_conf = world.platform_resolv_conf.clone();
    let platform = resolvers::ResolvConf::parse(&resolv_conf);
    graph
        .derive("network.PlatformConfigController", hostname::platform_config)
        .derive("HostnameMergeControllers.net.talos.dev", hostname::hostname_spec)
        .reconcile("network.HostnameSpecController", hostname::Hostname::new(world.names))
        .derive("ResolverMergeControllers.net.talos.dev", move |config, hostname| {
            resolvers::resolver_spec(&platform, config, hostname)
        })
        .derive("network.ResolverSpecController", resolvers::resolver_status)
        .derive("network.PodResolversController", resolvers::pod_resolv_conf)
        .derive(
            "network.EtcFileController",
            move |hostname, addresses, resolvers, config, caches| {
                etc_files::etc_files(&resolv_conf, hostname, addresses, resolvers, config, caches)
            },
        )
        .reconcile("files.EtcFileController", etc_files::EtcFiles::new(&world.etc))
        .derive("TimeServerMergeControllers.net.talos.dev", time::time_server_spec)
        .derive("network.TimeServerSpecController", time::time_server_status)
        .derive("time.SyncController", time::time_status)
}

fn machine(graph: Graph, world: &World) -> Graph {
    let ipv6 = world.proc.join("sys/net/ipv6").exists();
    graph
        .reconcile(
            "cluster.NodeIdentityController",
            identity::NodeIdentity::new(&world.state),
        )
        .derive("runtime.KernelParamDefaultsController", move |host| {
            kernel_params::defaults(ipv6, host)
        })
        .derive("runtime.KernelParamConfigController", kernel_params::configured)
        .reconcile(
            "runtime.KernelParamSpecController",
            kernel_params::KernelParams::new(&world.proc, &world.sys),
        )
        .reconcile("runtime.MountStatusController", mounts::Mounts::new(world.mounts))
        .reconcile("perf.StatsController", perf::Stats::new(&world.proc))
}

#[cfg(test)]
mod tests;
