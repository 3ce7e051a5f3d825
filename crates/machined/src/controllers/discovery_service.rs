//! The discovery service: this node is announced there, and what others announced is told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use discovery_client::proto::client as wire;
use discovery_client::seal::{address_bytes, address_from_bytes};
use discovery_client::{Announcement, Discovered, Key, Options, Peer};
use node_resources::cluster::{Affiliate, ControlPlane, DiscoveryConfig, Identity, KubeSpanAffiliate};
use node_resources::config::{MachineConfig, MachineKind};
use node_resources::keelson::{DiscoveryServiceStatus, IgnoredAffiliate};
use resource::types::Prefix;
use resource::{All, Context, One, Outcome, Outputs, Reconcile, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::discovery::{ClusterRaw, SERVICE};
use super::trust::Distribution;
use crate::machine_config::parsed;

/// How long others keep this node without hearing of it: the longest that the interface allows.
const TTL: Duration = Duration::from_secs(30 * 60);

/// The way to the service, shared by all who talk to it.
#[derive(Clone)]
pub struct Way {
    distribution: Distribution,
    leaving: CancellationToken,
}

impl Way {
    /// With the distribution's authorities beside those of the configuration.
    pub fn new(distribution: Distribution) -> Self {
        Self {
            distribution,
            leaving: CancellationToken::new(),
        }
    }

    fn options(
        &self,
        config: &DiscoveryConfig,
        identity: &Identity,
        machine: &MachineConfig,
    ) -> anyhow::Result<Options> {
        let scheme = if config.service_endpoint_insecure {
            "http"
        } else {
            "https"
        };
        let endpoint = format!("{scheme}://{}", config.service_endpoint).parse()?;
        let key = Key::new(&config.service_encryption_key.0).context("use cluster.secret to encrypt")?;
        let tls = rustls::ClientConfig::builder()
            .with_root_certificates(self.distribution.roots(&*parsed(machine)?)?)
            .with_no_client_auth();
        Ok(Options {
            endpoint,
            tls: Arc::new(tls),
            cluster_id: config.service_cluster_id.clone(),
            affiliate_id: identity.node_id.clone(),
            key: Arc::new(key),
            client_version: crate::version::TAG.to_owned(),
            ttl: TTL,
        })
    }

    /// Removes a node from the service; false if the configuration uses none.
    ///
    /// # Errors
    /// The service cannot be reached.
    pub async fn forget(&self, store: &Store, node_id: &str) -> anyhow::Result<bool> {
        let config = store.get::<DiscoveryConfig>("cluster");
        let machine = store.list::<MachineConfig>().into_iter().next();
        let (Some(config), Some(identity), Some(machine)) = (config, store.get::<Identity>("local"), machine) else {
            return Ok(false);
        };
        if !config.registry_service_enabled {
            return Ok(false);
        }
        let options = self.options(config.spec(), identity.spec(), machine.spec())?;
        discovery_client::forget(&options, node_id).await?;
        Ok(true)
    }

    /// Stops announcing this node until it starts again, and removes it from the service.
    ///
    /// # Errors
    /// The service cannot be reached.
    pub async fn leave(&self, store: &Store) -> anyhow::Result<()> {
        self.leaving.cancel();
        if let Some(identity) = store.get::<Identity>("local") {
            self.forget(store, &identity.node_id).await?;
        }
        Ok(())
    }
}

/// Talks to the service while the configuration uses one.
pub struct Service {
    way: Way,
    running: Option<Running>,
}

struct Running {
    given: Given,
    say: watch::Sender<Announcement>,
    found: watch::Receiver<Discovered>,
    watching: JoinHandle<()>,
    _stop: DropGuard,
}

/// What the connection was made from: another one is made when it changes.
#[derive(Clone, PartialEq)]
struct Given {
    config: DiscoveryConfig,
    identity: Identity,
    trusted: BTreeMap<String, String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Service {
    /// Not connected yet.
    pub fn new(way: Way) -> Self {
        Self { way, running: None }
    }

    fn start(
        &self,
        given: Given,
        machine: &MachineConfig,
        before: Option<Running>,
        cx: &Context,
    ) -> anyhow::Result<Running> {
        let options = self.way.options(&given.config, &given.identity, machine)?;
        let known = before.and_then(|before| before.known_to(&given));
        let (say, said) = watch::channel(Announcement::default());
        let (tell, found) = watch::channel(known.unwrap_or_default());
        let cancel = self.way.leaving.child_token();
        let stop = cancel.clone().drop_guard();
        tokio::spawn(discovery_client::run(
            options,
            discovery_client::system_random(),
            said,
            tell,
            cancel,
        ));
        let (mut changes, waker) = (found.clone(), cx.waker.clone());
        let watching = tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                waker.wake();
            }
        });
        Ok(Running {
            given,
            say,
            found,
            watching,
            _stop: stop,
        })
    }
}

impl Running {
    /// What a new connection of the same cluster may go on with until the service has told everything again.
    fn known_to(&self, next: &Given) -> Option<Discovered> {
        let cluster = |given: &Given| {
            let config = &given.config;
            (config.service_cluster_id.clone(), config.service_encryption_key.clone())
        };
        (cluster(&self.given) == cluster(next)).then(|| Discovered {
            peers: self.found.borrow().peers.clone(),
            ..Discovered::default()
        })
    }

    /// Says what this node is, if that changed.
    fn announce(&self, own: Option<&Affiliate>) {
        let wanted = Announcement {
            affiliate: own.map(announced),
            ..Announcement::default()
        };
        self.say.send_if_modified(|said| {
            let changed = *said != wanted;
            *said = wanted;
            changed
        });
    }
}

type Found = (Outputs<Affiliate, ClusterRaw>, Outputs<DiscoveryServiceStatus>);

impl Reconcile for Service {
    type Inputs = (One<DiscoveryConfig>, One<Identity>, One<MachineConfig>, All<Affiliate>);
    type Outputs = Found;

    async fn reconcile(
        &mut self,
        (config, identity, machine, affiliates): Self::Inputs,
        cx: &Context,
    ) -> anyhow::Result<Outcome<Found>> {
        if !config.registry_service_enabled || self.way.leaving.is_cancelled() {
            self.running = None;
            return Ok(Outcome::done(Found::default()));
        }
        let given = Given {
            config: DiscoveryConfig::clone(&config),
            identity: Identity::clone(&identity),
            trusted: config::view::trusted_roots(&*parsed(&machine)?),
        };
        let running = match self.running.take() {
            Some(running) if running.given == given => running,
            before => self.start(given, &machine, before, cx)?,
        };
        running.announce(affiliates.get(&identity.node_id).map(resource::Resource::spec));
        let found = running.found.borrow().clone();
        self.running = Some(running);
        Ok(Outcome::done((
            found.peers.values().map(raw).collect(),
            Outputs::one("service", status(&config, &found)),
        )))
    }

    async fn idle(&mut self, _: &Context) -> anyhow::Result<()> {
        self.running = None;
        Ok(())
    }

    async fn stop(&mut self, _: &Context) {
        self.running = None;
    }
}

fn status(config: &DiscoveryConfig, found: &Discovered) -> DiscoveryServiceStatus {
    let ignored = found.problems.iter().map(|(id, problem)| IgnoredAffiliate {
        id: id.clone(),
        reason: problem.to_string(),
    });
    DiscoveryServiceStatus {
        endpoint: config.service_endpoint.clone(),
        connected: found.connected,
        error: found.trouble.clone().unwrap_or_default(),
        affiliates: u32::try_from(found.peers.len()).unwrap_or(u32::MAX),
        public_address: found.public_address.map(|a| a.to_string()).unwrap_or_default(),
        ignored: ignored.collect(),
    }
}

/// This node as it is announced.
fn announced(own: &Affiliate) -> wire::Affiliate {
    let mesh = (own.kubespan != KubeSpanAffiliate::default()).then(|| wire::KubeSpan {
        public_key: own.kubespan.public_key.clone(),
        address: own.kubespan.address.map(address_bytes).unwrap_or_default(),
        additional_addresses: own.kubespan.additional_addresses.iter().map(announced_prefix).collect(),
    });
    wire::Affiliate {
        node_id: own.node_id.clone(),
        addresses: own.addresses.iter().copied().map(address_bytes).collect(),
        hostname: own.hostname.clone(),
        nodename: own.nodename.clone(),
        machine_type: own.machine_type.name().into_owned(),
        operating_system: own.operating_system.clone(),
        kubespan: mesh,
        control_plane: own.control_plane.as_ref().map(|c| wire::ControlPlane {
            api_server_port: u32::try_from(c.port).unwrap_or_default(),
        }),
    }
}

fn announced_prefix(prefix: &Prefix) -> wire::IpPrefix {
    wire::IpPrefix {
        ip: address_bytes(prefix.addr()),
        bits: prefix.len().into(),
    }
}

/// Another node as it announced itself, and the id of the resource that tells so.
fn raw(peer: &Peer) -> (String, Affiliate) {
    let said = &peer.affiliate;
    let kind = said.machine_type.parse().unwrap_or_default();
    let affiliate = Affiliate {
        node_id: said.node_id.clone(),
        addresses: said.addresses.iter().filter_map(|a| address_from_bytes(a)).collect(),
        hostname: said.hostname.clone(),
        nodename: said.nodename.clone(),
        operating_system: said.operating_system.clone(),
        machine_type: match (kind, &said.control_plane) {
            (MachineKind::Unknown, Some(_)) => MachineKind::ControlPlane,
            (MachineKind::Unknown, None) => MachineKind::Worker,
            (kind, _) => kind,
        },
        kubespan: said.kubespan.as_ref().map(|mesh| end(mesh, peer)).unwrap_or_default(),
        control_plane: said.control_plane.as_ref().map(|c| ControlPlane {
            port: c.api_server_port.into(),
        }),
    };
    (format!("{SERVICE}{}", said.node_id), affiliate)
}

/// Another node's end of the mesh.
fn end(mesh: &wire::KubeSpan, peer: &Peer) -> KubeSpanAffiliate {
    let address = |bytes: &[u8]| -> Option<IpAddr> { address_from_bytes(bytes) };
    let prefix = |p: &wire::IpPrefix| Prefix::new(address(&p.ip)?, u8::try_from(p.bits).ok()?);
    KubeSpanAffiliate {
        public_key: mesh.public_key.clone(),
        address: address(&mesh.address),
        additional_addresses: mesh.additional_addresses.iter().filter_map(prefix).collect(),
        endpoints: peer.endpoints.clone(),
        exclude_advertised_networks: Vec::new(),
    }
}
