//! The node's own DNS server: whether and where it listens, what it answers from, and the effect that runs it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use config::view;
use node_resources::cluster::Member;
use node_resources::config::MachineConfig;
use node_resources::network::{DNSResolveCache, DNSUpstream, HostDNSConfig, ResolverSpec};
use resource::{All, Context, One, Outcome, Outputs, Reconcile};
use sys::net::Netlink;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::host_dns::{Forwarder, Health, Settings};
use crate::machine_config::parsed;

/// Where programs of the node find it.
pub const LOCAL: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);
/// Where pods find it: an address that only this node has, and every node has (the interface's constant).
pub const FOR_PODS: Ipv4Addr = Ipv4Addr::new(169, 254, 116, 108);
const PORT: u16 = 53;
const LOOPBACK: &str = "lo";
/// What a listener that works is reported as.
const RUNNING: &str = "running";

/// Whether there is one, and where it listens.
pub fn config(config: Option<One<MachineConfig>>) -> anyhow::Result<Outputs<HostDNSConfig>> {
    let wanted = match config {
        Some(config) => view::host_dns(&*parsed(&config)?),
        None => view::HostDns::default(),
    };
    let mut addresses = Vec::new();
    if wanted.enabled {
        addresses.push(LOCAL);
        addresses.extend(wanted.forward_kube_dns_to_host.then_some(FOR_PODS));
    }
    let config = HostDNSConfig {
        enabled: wanted.enabled,
        listen_addresses: addresses.into_iter().map(|address| (address, PORT).into()).collect(),
        resolve_member_names: wanted.enabled && wanted.resolve_member_names,
        ..HostDNSConfig::default()
    };
    Ok(Outputs::one("config", config))
}

/// Whether it answers at an address.
pub fn answers(caches: &All<DNSResolveCache>, address: Ipv4Addr) -> bool {
    ["udp", "tcp"].iter().all(|protocol| {
        let id = format!("{protocol}-{}", SocketAddr::from((address, PORT)));
        caches.get(&id).is_some_and(|cache| cache.status == RUNNING)
    })
}

/// What it answers from: the node's resolvers, and the members' names if wanted.
fn settings(config: &HostDNSConfig, resolvers: &ResolverSpec, members: &All<Member>) -> Settings {
    let own = [IpAddr::V4(LOCAL), IpAddr::V4(FOR_PODS)];
    let upstreams = resolvers.dns_servers.iter().filter(|server| !own.contains(server));
    let mut names: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    if config.resolve_member_names {
        for (nodename, member) in members.iter() {
            let short = member.hostname.split('.').next().unwrap_or_default();
            for name in [nodename, member.hostname.as_str(), short] {
                let name = name.trim_end_matches('.').to_lowercase();
                if !name.is_empty() {
                    names.entry(name).or_insert_with(|| member.addresses.clone());
                }
            }
        }
    }
    Settings {
        upstreams: upstreams.map(|server| SocketAddr::new(*server, PORT)).collect(),
        names,
    }
}

/// Runs it.
#[derive(Default)]
pub struct HostDns {
    running: Option<Running>,
    /// Pods' address is on the loopback link.
    addressed: bool,
}

struct Running {
    settings: watch::Sender<Settings>,
    health: watch::Receiver<Health>,
    forwarder: Arc<Forwarder>,
    /// Tasks by where they listen (`udp-127.0.0.53:53`).
    listeners: BTreeMap<String, JoinHandle<()>>,
    watching: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watching.abort();
        self.listeners.values().for_each(JoinHandle::abort);
    }
}

impl Running {
    fn start(settings: Settings, cx: &Context) -> Self {
        let (settings, receiver) = watch::channel(settings);
        let (sender, health) = watch::channel(Health::new());
        let (mut changes, waker) = (health.clone(), cx.waker.clone());
        let watching = tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                waker.wake();
            }
        });
        Self {
            settings,
            health,
            forwarder: Arc::new(Forwarder::new(receiver, sender)),
            listeners: BTreeMap::new(),
            watching,
        }
    }

    /// Listens at an address over one protocol, unless it does already.
    async fn listen(&mut self, protocol: &str, address: SocketAddr, cx: &Context) -> anyhow::Result<String> {
        let id = format!("{protocol}-{address}");
        if self.listeners.get(&id).is_some_and(|task| !task.is_finished()) {
            return Ok(id);
        }
        let what = || format!("listen on {address} ({protocol})");
        let (forwarder, waker, name) = (self.forwarder.clone(), cx.waker.clone(), id.clone());
        let task = if protocol == "udp" {
            let socket = Arc::new(UdpSocket::bind(address).await.with_context(what)?);
            tokio::spawn(async move { ended(&name, forwarder.serve_udp(socket).await, &waker) })
        } else {
            let listener = TcpListener::bind(address).await.with_context(what)?;
            tokio::spawn(async move { ended(&name, forwarder.serve_tcp(listener).await, &waker) })
        };
        self.listeners.insert(id.clone(), task);
        Ok(id)
    }
}

fn ended(id: &str, outcome: std::io::Result<()>, waker: &resource::Waker) {
    if let Err(error) = outcome {
        tracing::warn!(listener = id, %error, "host DNS stopped listening");
    }
    waker.wake();
}

impl HostDns {
    /// Gives the loopback link pods' address, or takes it away.
    async fn address(&mut self, wanted: bool) -> anyhow::Result<()> {
        if wanted != self.addressed {
            let netlink = Netlink::open()?;
            if wanted {
                netlink.add_address(LOOPBACK, FOR_PODS.into(), 32).await?;
            } else {
                netlink.delete_address(LOOPBACK, FOR_PODS.into(), 32).await?;
            }
            self.addressed = wanted;
        }
        Ok(())
    }
}

impl Reconcile for HostDns {
    type Inputs = (One<HostDNSConfig>, One<ResolverSpec>, All<Member>);
    type Outputs = (Outputs<DNSResolveCache>, Outputs<DNSUpstream>);

    async fn reconcile(
        &mut self,
        (config, resolvers, members): Self::Inputs,
        cx: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        if !config.enabled {
            self.running = None;
            self.address(false).await?;
            return Ok(Outcome::done((Outputs::none(), Outputs::none())));
        }
        let wanted = |address: &SocketAddr| address.ip() == IpAddr::V4(FOR_PODS);
        self.address(config.listen_addresses.iter().any(wanted)).await?;
        let settings = settings(&config, &resolvers, &members);
        let running = self.running.get_or_insert_with(|| Running::start(settings.clone(), cx));
        running.settings.send_if_modified(|current| {
            let changed = *current != settings;
            current.clone_from(&settings);
            changed
        });
        let mut caches: BTreeMap<String, DNSResolveCache> = BTreeMap::new();
        for address in &config.listen_addresses {
            for protocol in ["tcp", "udp"] {
                let status = match running.listen(protocol, *address, cx).await {
                    Ok(_) => RUNNING.to_owned(),
                    Err(error) => {
                        tracing::warn!("host DNS does not {error:#}");
                        format!("{error:#}")
                    }
                };
                caches.insert(format!("{protocol}-{address}"), DNSResolveCache { status });
            }
        }
        running.listeners.retain(|id, task| {
            let kept = caches.contains_key(id);
            if !kept {
                task.abort();
            }
            kept
        });
        let health = running.health.borrow().clone();
        let upstream = |(number, server): (usize, &SocketAddr)| {
            let upstream = DNSUpstream {
                addr: server.to_string(),
                healthy: health.get(server).copied().unwrap_or(true).to_string(),
            };
            (format!("#{number:03} {}", server.ip()), upstream)
        };
        let upstreams = settings.upstreams.iter().enumerate().map(upstream).collect();
        let working = caches.values().all(|cache| cache.status == RUNNING);
        let outcome = Outcome::done((caches.into_iter().collect(), upstreams));
        // A port that another program had may be free later.
        Ok(if working {
            outcome
        } else {
            outcome.requeue(std::time::Duration::from_secs(30))
        })
    }

    async fn stop(&mut self, _: &Context) {
        self.running = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(features: &str) -> HostDNSConfig {
        let text = format!("version: v1alpha1\nmachine:\n    features:\n        hostDNS: {features}\n");
        let outputs = config(Some(One::from(MachineConfig(text)))).unwrap();
        outputs.get("config").unwrap().clone()
    }

    #[test]
    fn it_listens_for_pods_only_if_they_are_sent_to_it() {
        let addresses =
            |features: &str| -> Vec<String> { of(features).listen_addresses.iter().map(ToString::to_string).collect() };
        assert_eq!(addresses("{enabled: true}"), ["127.0.0.53:53"]);
        let both = addresses("{enabled: true, forwardKubeDNSToHost: true}");
        assert_eq!(both, ["127.0.0.53:53", "169.254.116.108:53"]);
        assert!(addresses("{enabled: false, forwardKubeDNSToHost: true}").is_empty());
        assert!(!config(None).unwrap().get("config").unwrap().enabled);
    }

    #[test]
    fn it_answers_from_the_resolvers_but_itself_and_from_the_members() {
        let resolvers = ResolverSpec {
            dns_servers: vec!["127.0.0.53".parse().unwrap(), "10.5.0.1".parse().unwrap()],
            ..ResolverSpec::default()
        };
        let member = Member {
            hostname: "Worker-1.example.com".to_owned(),
            addresses: vec!["10.5.0.3".parse().unwrap()],
            ..Member::default()
        };
        let members = || All::from([("worker-1", member.clone())]);
        let of_all = settings(&of("{enabled: true, resolveMemberNames: true}"), &resolvers, &members());
        assert_eq!(of_all.upstreams, ["10.5.0.1:53".parse().unwrap()]);
        assert_eq!(
            of_all.names.keys().collect::<Vec<_>>(),
            ["worker-1", "worker-1.example.com"]
        );
        assert!(
            settings(&of("{enabled: true}"), &resolvers, &members())
                .names
                .is_empty()
        );
    }
}
