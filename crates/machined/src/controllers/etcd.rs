//! etcd: what this node's member is, and how it comes to be one.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use config::images;
use node_resources::cluster::Member;
use node_resources::config::{MachineConfig, MachineKind, MachineType as MachineTypeResource};
use node_resources::etcd::{EtcdConfig, EtcdMember, EtcdSpec, PKIStatus};
use node_resources::k8s::Nodename;
use node_resources::keelson::{EtcdLaunch, FileSetStatus, FileSpec};
use node_resources::network::NodeAddress;
use node_resources::secrets::{EtcdRootSecrets, EtcdSecrets};
use resource::types::Prefix;
use resource::{All, Context, One, Outcome, Outputs, Reconcile};

use super::files::file;
use super::services::ETCD_USER;
use crate::clients::etcd::Etcd;
use crate::kubernetes;
use crate::kubernetes::etcd::{DATA, SECRETS as PKI, Start};
use crate::machine_config::parsed;

/// The launch that a person asked for.
pub const BOOTSTRAP: &str = "bootstrap";
/// Says that this node left etcd: nothing is launched before the next boot.
pub const LEFT: &str = "left";
/// The launch in effect.
pub const LAUNCH: &str = "etcd";
/// Time between two tries to join, or to be promoted.
const RETRY: Duration = Duration::from_secs(1);

/// Whether a member's data is on disk.
pub fn data_exists() -> bool {
    Path::new(DATA).join("member").exists()
}

/// What the configuration says of etcd; control planes only.
pub fn config(config: One<MachineConfig>, kind: One<MachineTypeResource>) -> anyhow::Result<Outputs<EtcdConfig>> {
    if kind.0 != MachineKind::ControlPlane {
        return Ok(Outputs::none());
    }
    let config = parsed(&config)?;
    let etcd = config.cluster().and_then(|c| c.etcd.clone()).unwrap_or_default();
    let extra_args = etcd
        .extra_args
        .iter()
        .map(|(name, value)| (name.clone(), value.values().to_vec().into()))
        .collect();
    Ok(Outputs::one(
        "etcd",
        EtcdConfig {
            advertise_valid_subnets: etcd.advertised_subnets.clone(),
            listen_valid_subnets: etcd.listen_subnets.clone(),
            image: etcd.image.clone().unwrap_or_else(|| images::ETCD.to_owned()),
            extra_args,
            ..EtcdConfig::default()
        },
    ))
}

/// The member: its name, addresses and image.
pub fn spec(
    config: One<EtcdConfig>,
    nodename: One<Nodename>,
    addresses: All<NodeAddress>,
) -> anyhow::Result<Outputs<EtcdSpec>> {
    let Some(routed) = addresses.get("routed-no-k8s") else {
        return Ok(Outputs::none());
    };
    let all: Vec<IpAddr> = routed.addresses.iter().map(Prefix::addr).collect();
    let advertised_addresses = within(&all, &config.advertise_valid_subnets)?;
    if advertised_addresses.is_empty() {
        return Ok(Outputs::none());
    }
    let listen = if config.listen_valid_subnets.is_empty() {
        vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)]
    } else {
        let mut listen = within(&all, &config.listen_valid_subnets)?;
        listen.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
        listen
    };
    Ok(Outputs::one(
        "etcd",
        EtcdSpec {
            name: nodename.nodename.clone(),
            // One address is enough to be found by; the first is the node's own choice.
            advertised_addresses: advertised_addresses.into_iter().take(1).collect(),
            listen_peer_addresses: listen.clone(),
            listen_client_addresses: listen,
            image: config.image.clone(),
            extra_args: config.extra_args.clone(),
        },
    ))
}

/// The addresses in the subnets; a `!` before a subnet leaves it out.
fn within(addresses: &[IpAddr], subnets: &[String]) -> anyhow::Result<Vec<IpAddr>> {
    let parse = |s: &str| s.parse::<Prefix>().with_context(|| format!("{s:?} is not a subnet"));
    let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
    for subnet in subnets {
        match subnet.strip_prefix('!') {
            Some(subnet) => unwanted.push(parse(subnet)?),
            None => wanted.push(parse(subnet)?),
        }
    }
    let any = |subnets: &[Prefix], a: IpAddr| subnets.iter().any(|s| s.contains(a));
    let keep = |a: &&IpAddr| (wanted.is_empty() || any(&wanted, **a)) && !any(&unwanted, **a);
    Ok(addresses.iter().filter(keep).copied().collect())
}

/// etcd's certificates as files.
pub fn files(root: One<EtcdRootSecrets>, secrets: One<EtcdSecrets>) -> anyhow::Result<Outputs<FileSpec>> {
    let mut files = Outputs::none();
    files.insert(format!("{PKI}/ca.crt"), etcd_file(&root.etcd_ca.crt)?);
    let pairs = [
        ("server", &secrets.etcd),
        ("peer", &secrets.etcd_peer),
        ("admin", &secrets.etcd_admin),
    ];
    for (name, pair) in pairs {
        files.insert(format!("{PKI}/{name}.crt"), etcd_file(&pair.crt)?);
        files.insert(format!("{PKI}/{name}.key"), etcd_file(pair.key.expose())?);
    }
    Ok(files)
}

fn etcd_file(pem: &[u8]) -> anyhow::Result<FileSpec> {
    Ok(file(
        "etcd",
        std::str::from_utf8(pem).context("a certificate is not text")?,
        0o400,
        ETCD_USER,
    ))
}

/// Whether etcd's certificates are on disk.
pub fn pki_status(files: All<FileSetStatus>) -> Outputs<PKIStatus> {
    let status = |set: &FileSetStatus| PKIStatus {
        ready: true,
        version: set.version.clone(),
    };
    files
        .get("etcd")
        .map(|set| Outputs::one("etcd", status(set)))
        .unwrap_or_default()
}

/// etcd's command line.
///
/// # Errors
/// The configuration's extra arguments change what the node manages.
pub fn command_line(spec: &EtcdSpec, launch: &EtcdLaunch) -> anyhow::Result<Vec<String>> {
    let etcd = kubernetes::etcd::Etcd {
        name: spec.name.clone(),
        advertised_addresses: spec.advertised_addresses.clone(),
        listen_peer_addresses: spec.listen_peer_addresses.clone(),
        listen_client_addresses: spec.listen_client_addresses.clone(),
        image: spec.image.clone(),
        extra_args: spec
            .extra_args
            .iter()
            .map(|(k, v)| (k.clone(), v.values.clone()))
            .collect(),
    };
    let members = || {
        let pair = |m: &str| m.split_once('=').map(|(name, url)| (name.to_owned(), url.to_owned()));
        launch.initial_cluster.split(',').filter_map(pair).collect()
    };
    let start = match launch.state.as_str() {
        "new" => Start::New,
        "joining" => Start::Existing(members()),
        _ => Start::Restart,
    };
    let args = kubernetes::etcd::args(&etcd, &start)?;
    Ok(std::iter::once(kubernetes::etcd::PROGRAM.to_owned())
        .chain(args)
        .collect())
}

/// Decides how the member starts: from its data, as the first of a cluster, or by joining others.
pub struct Launch;

type LaunchInputs = (
    One<EtcdSpec>,
    All<EtcdLaunch>,
    All<Member>,
    One<EtcdRootSecrets>,
    One<EtcdSecrets>,
);

impl Reconcile for Launch {
    type Inputs = LaunchInputs;
    type Outputs = Outputs<EtcdLaunch>;

    async fn reconcile(
        &mut self,
        (spec, launches, members, root, secrets): LaunchInputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        if launches.get(LEFT).is_some() {
            return Ok(Outcome::done(Outputs::none()));
        }
        if let Some(launch) = launches.get(LAUNCH) {
            // Decided once per boot: the arguments only matter to the first start.
            return Ok(Outcome::done(Outputs::one(LAUNCH, launch.spec().clone())));
        }
        let Some(own) = spec.advertised_addresses.first() else {
            return Ok(Outcome::unchanged());
        };
        let peer_url = format!("https://{}", std::net::SocketAddr::from((*own, 2380)));
        let itself = format!("{}={peer_url}", spec.name);
        let launch = |state: &str, initial_cluster: String| EtcdLaunch {
            state: state.to_owned(),
            initial_cluster,
        };
        if data_exists() {
            return Ok(Outcome::done(Outputs::one(LAUNCH, launch("existing", itself))));
        }
        if launches.get(BOOTSTRAP).is_some() {
            return Ok(Outcome::done(Outputs::one(LAUNCH, launch("new", itself))));
        }
        for address in others(&members, &spec.name) {
            let etcd = Etcd::new(address, &root.etcd_ca.crt, &secrets.etcd_admin)?;
            match join(&etcd, &spec.name, &peer_url).await {
                Ok(initial_cluster) => {
                    return Ok(Outcome::done(Outputs::one(LAUNCH, launch("joining", initial_cluster))));
                }
                Err(error) => tracing::info!(%address, error = format!("{error:#}"), "joining etcd: not yet"),
            }
        }
        Ok(Outcome::unchanged().requeue(RETRY))
    }
}

/// Addresses of the other control planes.
fn others(members: &All<Member>, own: &str) -> Vec<IpAddr> {
    members
        .iter()
        .filter(|(name, m)| m.control_plane.is_some() && *name != own)
        .filter_map(|(_, m)| m.addresses.first().copied())
        .collect()
}

/// Adds this node as a learner, and gives what its first start has to know.
async fn join(etcd: &Etcd, name: &str, peer_url: &str) -> anyhow::Result<String> {
    let mut members = etcd.members(true).await?;
    if !members.iter().any(|m| m.peer_ur_ls.iter().any(|u| u == peer_url)) {
        members = etcd.add_learner(peer_url).await?.members;
    }
    let part = |m: &crate::clients::etcd::Member| {
        let name = if m.peer_ur_ls.iter().any(|u| u == peer_url) {
            name
        } else {
            &m.name
        };
        m.peer_ur_ls
            .iter()
            .map(|url| format!("{name}={url}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    Ok(members.iter().map(part).collect::<Vec<_>>().join(","))
}

/// Reports the member's id, and asks for its promotion while it is a learner.
pub struct Membership;

impl Reconcile for Membership {
    type Inputs = (
        One<EtcdSpec>,
        One<EtcdRootSecrets>,
        One<EtcdSecrets>,
        All<Member>,
        All<node_resources::v1alpha1::Service>,
    );
    type Outputs = Outputs<EtcdMember>;

    async fn reconcile(
        &mut self,
        (spec, root, secrets, members, services): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        // A learner is never healthy: it is not ready for clients before it is promoted.
        if !services.get("etcd").is_some_and(|s| s.running) {
            return Ok(Outcome::done(Outputs::none()));
        }
        let local = Etcd::new(IpAddr::V4(Ipv4Addr::LOCALHOST), &root.etcd_ca.crt, &secrets.etcd_admin)?;
        let Ok(status) = local.status().await else {
            return Ok(Outcome::unchanged().requeue(RETRY));
        };
        let id = status.header.as_ref().map(|h| h.member_id).unwrap_or_default();
        let outputs = Outputs::one(
            "local",
            EtcdMember {
                member_id: format!("{id:016x}"),
            },
        );
        if !status.is_learner {
            return Ok(Outcome::done(outputs));
        }
        // A learner answers nothing about the membership: a voter has to be asked.
        for address in others(&members, &spec.name) {
            let voter = Etcd::new(address, &root.etcd_ca.crt, &secrets.etcd_admin)?;
            match voter.promote(id).await {
                Ok(()) => break,
                Err(error) => tracing::info!(%address, error = format!("{error:#}"), "promotion in etcd: not yet"),
            }
        }
        Ok(Outcome::done(outputs).requeue(RETRY))
    }
}
