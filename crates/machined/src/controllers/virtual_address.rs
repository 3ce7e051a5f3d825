//! Addresses that control planes share: etcd elects which of them has one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use config::MachineType;
use config::view::{self, VirtualAddress};
use node_resources::config::MachineConfig;
use node_resources::k8s::{APIServerConfig, Nodename};
use node_resources::network::{AddressStatus, ConfigLayer, Operator, OperatorSpec, VipOperatorSpec};
use node_resources::secrets::{EtcdRootSecrets, EtcdSecrets, KubeletSecrets};
use node_resources::types::AcceptedCA;
use node_resources::v1alpha1::Service;
use pki::CertAndKey;
use resource::{All, Context, One, Outcome, Outputs, Reconcile};
use sys::net::Netlink;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::balancer::{Probe, Readiness};
use crate::clients::etcd::Etcd;
use crate::machine_config::parsed;

/// How long an address stays with a node that is not heard of. Whoever holds it gives it up earlier, see [`GIVE_UP`].
const TTL: Duration = Duration::from_secs(6);
/// Time between two renewals, and the longest that one may take.
const RENEW: Duration = Duration::from_secs(1);
/// Without a renewal for so long, the holder gives up: this, one [`RENEW`] of waiting and one of asking are less than
/// [`TTL`], so that no two nodes have the address at once.
const GIVE_UP: Duration = Duration::from_secs(3);
/// How many times a new holder tells the network, once each [`RENEW`]: a packet may be lost.
const ANNOUNCEMENTS: u32 = 3;
/// Time between two terms of office.
const PAUSE: Duration = Duration::from_secs(1);
/// How long ending orderly may take.
const LEAVE: Duration = Duration::from_secs(3);

/// The shared addresses of the configuration, control planes only. One without a link is put on the link that has
/// another address of its subnet; while there is none, nothing is done.
pub fn operators(config: One<MachineConfig>, addresses: All<AddressStatus>) -> anyhow::Result<Outputs<OperatorSpec>> {
    let config = parsed(&config)?;
    if config.machine_type() != Some(MachineType::ControlPlane) {
        return Ok(Outputs::none());
    }
    let operator = |shared: VirtualAddress| {
        let link_name = shared.link.or_else(|| link_of(shared.address, &addresses))?;
        let spec = OperatorSpec {
            operator: Operator::Vip,
            link_name,
            require_up: true,
            vip: VipOperatorSpec {
                ip: Some(shared.address),
                gratuitous_arp: true,
                ..VipOperatorSpec::default()
            },
            layer: ConfigLayer::Configuration,
            ..OperatorSpec::default()
        };
        Some((format!("configuration/vip/{}/{}", spec.link_name, shared.address), spec))
    };
    Ok(view::virtual_addresses(&config)
        .into_iter()
        .filter_map(operator)
        .collect())
}

fn link_of(address: IpAddr, addresses: &All<AddressStatus>) -> Option<String> {
    let near = |a: &&AddressStatus| a.address.addr() != address && a.address.contains(address);
    let mut near: Vec<&AddressStatus> = addresses.iter().map(|(_, a)| a).filter(near).collect();
    near.sort_by_key(|a| std::cmp::Reverse(a.address.len()));
    near.first().map(|a| a.link_name.clone())
}

/// Campaigns for each shared address while etcd works here, and has the address while elected. A node whose API server
/// does not answer gives the address up.
#[derive(Default)]
pub struct Elections {
    running: BTreeMap<Seat, Running>,
    means: Option<Means>,
}

/// What is campaigned for: an address on a link.
type Seat = (String, IpAddr);

/// What a campaign takes.
#[derive(Clone, PartialEq)]
struct Means {
    authority: Vec<u8>,
    identity: CertAndKey,
    node: String,
    api_server: SocketAddr,
    api_server_authorities: Vec<u8>,
}

struct Running {
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Elections {
    async fn end(&mut self, keep: impl Fn(&Seat) -> bool) {
        let (kept, ended) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|(seat, _)| keep(seat));
        self.running = kept;
        let ended: BTreeMap<Seat, Running> = ended;
        for (seat, running) in ended {
            drop(running.stop);
            if timeout(LEAVE, running.task).await.is_err() {
                tracing::warn!(address = %seat.1, "the shared address is still being given up");
            }
        }
    }
}

impl Reconcile for Elections {
    type Inputs = (
        All<OperatorSpec>,
        One<EtcdRootSecrets>,
        One<EtcdSecrets>,
        One<KubeletSecrets>,
        One<APIServerConfig>,
        One<Nodename>,
        All<Service>,
    );
    type Outputs = ();

    async fn reconcile(
        &mut self,
        (operators, root, etcd, kubelet, server, nodename, services): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<()>> {
        let means = Means {
            authority: root.etcd_ca.crt.clone(),
            identity: etcd.etcd_admin.clone(),
            node: nodename.nodename.clone(),
            api_server: SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(server.local_port)?)),
            api_server_authorities: AcceptedCA::bundle(&kubelet.accepted_cas),
        };
        if self.means.as_ref() != Some(&means) {
            self.end(|_| false).await;
            self.means = Some(means.clone());
        }
        let seat = |operator: &OperatorSpec| Some((operator.link_name.clone(), operator.vip.ip?));
        let wanted: Vec<Seat> = operators.iter().filter_map(|(_, operator)| seat(operator)).collect();
        self.end(|seat| wanted.contains(seat)).await;
        // One that runs sees by itself when etcd does not.
        if services.get("etcd").is_some_and(|etcd| etcd.healthy) {
            for seat in wanted {
                if let Entry::Vacant(free) = self.running.entry(seat) {
                    let running = start(free.key(), &means)?;
                    free.insert(running);
                }
            }
        }
        Ok(Outcome::done(()))
    }

    async fn idle(&mut self, _: &Context) -> anyhow::Result<()> {
        self.end(|_| false).await;
        Ok(())
    }

    async fn stop(&mut self, _: &Context) {
        self.end(|_| false).await;
    }
}

fn start((link, address): &Seat, means: &Means) -> anyhow::Result<Running> {
    let cancel = CancellationToken::new();
    let candidate = Candidate {
        net: Netlink::open()?,
        link: link.clone(),
        address: *address,
        node: means.node.clone(),
        etcd: Etcd::patient(Ipv4Addr::LOCALHOST.into(), &means.authority, &means.identity)?,
        api_server: means.api_server,
        probe: super::kube_prism::readiness(means.api_server_authorities.clone()),
        cancel: cancel.clone(),
    };
    Ok(Running {
        stop: cancel.drop_guard(),
        task: tokio::spawn(candidate.run()),
    })
}

/// One node that campaigns for one address.
struct Candidate {
    net: Netlink,
    link: String,
    address: IpAddr,
    node: String,
    etcd: Etcd,
    api_server: SocketAddr,
    probe: Probe,
    cancel: CancellationToken,
}

impl Candidate {
    async fn run(self) {
        let mut told = String::new();
        while !self.cancel.is_cancelled() {
            // From an earlier run that ended without giving it up.
            self.lay_down().await;
            if let Err(error) = self.term().await {
                let error = format!("{error:#}");
                if error != told {
                    tracing::info!(address = %self.address, error, "no candidate for the shared address now");
                }
                told = error;
            }
            let _ = timeout(PAUSE, self.cancel.cancelled()).await;
        }
    }

    /// Campaigns, and has the address until something is wrong or this node is asked to stop.
    async fn term(&self) -> anyhow::Result<()> {
        self.ready().await?;
        let asked = Instant::now();
        let id = timeout(RENEW, self.etcd.grant(TTL))
            .await
            .context("ask etcd for a lease")??;
        let mut lease = Lease {
            etcd: &self.etcd,
            id,
            renewed: asked,
        };
        let result = self.elected(&mut lease).await;
        // First the address, then the right to it.
        self.lay_down().await;
        let _ = timeout(RENEW, self.etcd.revoke(id)).await;
        result
    }

    async fn elected(&self, lease: &mut Lease<'_>) -> anyhow::Result<()> {
        let name = format!("keelson/virtual-address/{}", self.address);
        let campaign = self.etcd.campaign(&name, lease.id, &self.node);
        let mut campaign = std::pin::pin!(campaign);
        let mut tick = interval(RENEW);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                won = &mut campaign => break won?,
                () = self.cancel.cancelled() => return Ok(()),
                _ = tick.tick() => self.still_fit(lease).await?,
            }
        }
        self.still_fit(lease).await?;
        tracing::info!(address = %self.address, link = self.link, "this node has the shared address");
        let mut announced = 0;
        loop {
            // Also what somebody else took away.
            self.take_up().await?;
            if announced < ANNOUNCEMENTS {
                announced += 1;
                self.announce().await?;
            }
            tokio::select! {
                () = self.cancel.cancelled() => return Ok(()),
                _ = tick.tick() => self.still_fit(lease).await?,
            }
        }
    }

    async fn still_fit(&self, lease: &mut Lease<'_>) -> anyhow::Result<()> {
        lease.renew().await?;
        self.ready().await
    }

    /// Whether this node's API server answers; a second look excuses a single bad answer.
    async fn ready(&self) -> anyhow::Result<()> {
        for _ in 0..2 {
            if let Ok(Readiness::Yes) = timeout(RENEW, (self.probe)(self.api_server)).await {
                return Ok(());
            }
        }
        bail!("the API server of this node is not ready")
    }

    fn prefix_length(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    async fn take_up(&self) -> anyhow::Result<()> {
        let added = self
            .net
            .add_address(&self.link, self.address, self.prefix_length())
            .await;
        added.context("take up the shared address")
    }

    async fn lay_down(&self) {
        let removed = self
            .net
            .delete_address(&self.link, self.address, self.prefix_length())
            .await;
        if let Err(error) = removed {
            tracing::warn!(%error, "give up the shared address");
        }
    }

    async fn announce(&self) -> anyhow::Result<()> {
        let link = self.net.link(&self.link).await?;
        let link = link.with_context(|| format!("there is no link {}", self.link))?;
        Ok(sys::net::announce(&link, self.address)?)
    }
}

/// A right that ends when it is not renewed.
struct Lease<'a> {
    etcd: &'a Etcd,
    id: i64,
    /// When the last renewal that went well was asked for.
    renewed: Instant,
}

impl Lease<'_> {
    /// # Errors
    /// It has ended, or nobody could be asked for too long.
    async fn renew(&mut self) -> anyhow::Result<()> {
        let asked = Instant::now();
        match timeout(RENEW, self.etcd.renew(self.id)).await {
            Ok(Ok(true)) => self.renewed = asked,
            Ok(Ok(false)) => bail!("the lease in etcd has ended"),
            Ok(Err(_)) | Err(_) => ensure!(self.renewed.elapsed() < GIVE_UP, "etcd does not answer"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> All<AddressStatus> {
        let status = |link: &str, address: &str| {
            let status = AddressStatus {
                address: address.parse().unwrap(),
                link_name: link.to_owned(),
                ..AddressStatus::default()
            };
            (format!("{link}/{address}"), status)
        };
        [
            status("eth0", "10.5.0.2/24"),
            status("eth1", "10.0.0.2/8"),
            status("eth2", "10.5.0.50/32"),
        ]
        .into_iter()
        .collect()
    }

    fn wanted(text: &str) -> Vec<String> {
        let config = One::from(MachineConfig(text.to_owned()));
        let operators = operators(config, addresses()).unwrap();
        operators.iter().map(|(id, _)| id.to_owned()).collect()
    }

    const CONTROL_PLANE: &str = "version: v1alpha1\nmachine:\n    type: controlplane\n";

    #[test]
    fn an_address_is_on_the_link_of_its_subnet_unless_the_configuration_names_one() {
        let found = "---\napiVersion: v1alpha1\nkind: Layer2VIPConfig\nname: 10.5.0.50\n";
        assert_eq!(
            wanted(&format!("{CONTROL_PLANE}{found}")),
            ["configuration/vip/eth0/10.5.0.50"]
        );
        let named = format!("{CONTROL_PLANE}{found}link: eth7\n");
        assert_eq!(wanted(&named), ["configuration/vip/eth7/10.5.0.50"]);
        let nowhere = found.replace("10.5.0.50", "192.168.1.1");
        assert_eq!(wanted(&format!("{CONTROL_PLANE}{nowhere}")), [""; 0]);
    }

    #[test]
    fn the_long_standing_field_works_too_also_on_a_vlan() {
        let interface = "    network:\n        interfaces:\n            - interface: eth1\n              vip:\n                  \
                         ip: 10.5.0.51\n              vlans:\n                  - vlanId: 7\n                    vip:\n                        \
                         ip: 10.5.0.52\n";
        let seats = wanted(&format!("{CONTROL_PLANE}{interface}"));
        assert_eq!(
            seats,
            ["configuration/vip/eth1.7/10.5.0.52", "configuration/vip/eth1/10.5.0.51"]
        );
    }

    #[test]
    fn a_worker_shares_none() {
        let text = CONTROL_PLANE.replace("controlplane", "worker");
        let found = "---\napiVersion: v1alpha1\nkind: Layer2VIPConfig\nname: 10.5.0.50\n";
        assert_eq!(wanted(&format!("{text}{found}")), [""; 0]);
    }

    #[test]
    fn a_holder_gives_up_before_another_may_be_elected() {
        assert!(GIVE_UP + RENEW + RENEW < TTL);
    }
}
