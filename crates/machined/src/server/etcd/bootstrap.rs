//! The first member: new, or from a snapshot.

use std::path::Path;

use anyhow::Context as _;
use api::proto::machine as proto;
use api::reply::Reply;
use node_resources::etcd::EtcdSpec;
use node_resources::keelson::EtcdLaunch;
use node_resources::service_spec::{Cgroup, Mount, ServiceSpec};
use tonic::Status;

use super::{Turns, control_plane, snapshot};
use crate::controllers::etcd::{BOOTSTRAP, LEFT, data_exists};
use crate::controllers::services::ETCD_USER;
use crate::kubernetes::etcd::{DATA, PEER_PORT, url};
use crate::kubernetes::version::Version;
use crate::node::Node;

/// Where a member's data is made from a snapshot, beside its final place.
const WORK: &str = "/var/lib/etcd.recovery";
/// The program that does it, in etcd's image.
const PROGRAM: &str = "/usr/local/bin/etcdutl";
/// How far the restored cluster's revisions are put ahead. Clients that saw revisions after the snapshot must not
/// take new ones for those: etcd's manual advises to skip more than a cluster can have written meanwhile.
const REVISIONS_AHEAD: u64 = 1_000_000_000;

/// Refuses where there is an etcd already, or can be none.
///
/// # Errors
/// This node is no control plane, or is bootstrapped.
pub fn possible(node: &Node) -> Result<(), Status> {
    control_plane(node, "bootstrap")?;
    if node.store.get::<EtcdLaunch>(LEFT).is_some() {
        return Err(Status::failed_precondition(
            "this node has left etcd: reset it before it is bootstrapped",
        ));
    }
    if data_exists() || node.store.get::<EtcdLaunch>(BOOTSTRAP).is_some() {
        return Err(Status::already_exists(
            "etcd data directory is not empty: the cluster is already bootstrapped",
        ));
    }
    Ok(())
}

/// Bootstraps etcd with this node as its first member: once, on one control plane.
///
/// # Errors
/// This node is no control plane, is not ready, or etcd runs already; the snapshot is no good.
pub async fn bootstrap(
    node: &Node,
    turns: &Turns,
    request: &proto::BootstrapRequest,
) -> Result<proto::BootstrapResponse, Status> {
    let Ok(_turn) = turns.lifecycle.try_lock() else {
        return Err(super::busy());
    };
    possible(node)?;
    if request.recover_etcd {
        recover(node, request.recover_skip_hash_check).await?;
    }
    // All of a cluster's secrets are in it; it has served, or is not wanted.
    let _ = tokio::fs::remove_file(snapshot::UPLOADED).await;
    let launch = EtcdLaunch {
        state: if request.recover_etcd { "recovered" } else { "new" }.to_owned(),
        ..EtcdLaunch::default()
    };
    node.store
        .put("api", BOOTSTRAP, launch, "bootstrap was called")
        .map_err(|e| Status::internal(e.to_string()))?;
    Ok(proto::BootstrapResponse::of(proto::Bootstrap::default()))
}

/// Makes the member's data from the uploaded snapshot. Nothing is in its place before all of it is made.
async fn recover(node: &Node, skip_checksum: bool) -> Result<(), Status> {
    let spec = node.store.list::<EtcdSpec>().into_iter().next();
    let spec = spec.ok_or_else(|| {
        Status::failed_precondition("etcd is not configured yet: the node is still starting, try again in a moment")
    })?;
    let description = snapshot::ready(node, skip_checksum).await?;
    tracing::info!(%description, "recovering etcd from a snapshot");
    let restored = async {
        prepare().context("make a folder to restore into")?;
        let program = restoring(&spec, skip_checksum);
        node.supervisor
            .run_once("etcd", &program)
            .await
            .with_context(|| format!("restore the snapshot with etcdutl of {}", spec.image))?;
        tokio::task::spawn_blocking(install)
            .await
            .context("move the restored data")?
    };
    let outcome = restored.await;
    // It has served; and a failed attempt begins with a new folder.
    let _ = tokio::fs::remove_dir_all(WORK).await;
    outcome.map_err(super::super::internal)
}

fn prepare() -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if Path::new(WORK).exists() {
        std::fs::remove_dir_all(WORK)?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(WORK)
}

/// Puts the data in its place, all at once.
fn install() -> anyhow::Result<()> {
    let from = Path::new(WORK).join("data/member");
    let to = Path::new(DATA).join("member");
    if !Path::new(DATA).exists() {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(DATA)
            .with_context(|| format!("make {DATA}"))?;
    }
    std::fs::rename(&from, &to).with_context(|| format!("move {} to {}", from.display(), to.display()))?;
    let folder = std::fs::File::open(DATA).with_context(|| format!("open {DATA}"))?;
    folder.sync_all().with_context(|| format!("sync {DATA}"))
}

/// The program that makes a member's data from the uploaded snapshot: the only member of a new cluster.
fn restoring(spec: &EtcdSpec, skip_checksum: bool) -> ServiceSpec {
    let peers: Vec<String> = spec.advertised_addresses.iter().map(|a| url(*a, PEER_PORT)).collect();
    let cluster: Vec<String> = peers.iter().map(|peer| format!("{}={peer}", spec.name)).collect();
    let mut args = vec![
        PROGRAM.to_owned(),
        "snapshot".to_owned(),
        "restore".to_owned(),
        snapshot::UPLOADED.to_owned(),
        format!("--data-dir={WORK}/data"),
        format!("--name={}", spec.name),
        format!("--initial-cluster={}", cluster.join(",")),
        format!("--initial-advertise-peer-urls={}", peers.join(",")),
    ];
    // Older ones cannot.
    if Version::of_image(&spec.image) >= Version::new(3, 6) {
        args.push(format!("--bump-revision={REVISIONS_AHEAD}"));
        args.push("--mark-compacted".to_owned());
    }
    if skip_checksum {
        args.push("--skip-hash-check".to_owned());
    }
    ServiceSpec {
        image: spec.image.clone(),
        args,
        user: ETCD_USER,
        mounts: vec![Mount::ro(snapshot::UPLOADED), Mount::rw(WORK)],
        cgroup: Cgroup {
            path: "/podruntime/etcd".to_owned(),
            ..Cgroup::default()
        },
        ..ServiceSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_becomes_the_data_of_the_only_member() {
        let spec = EtcdSpec {
            name: "cp-1".into(),
            advertised_addresses: vec!["10.5.0.2".parse().unwrap()],
            image: "registry.k8s.io/etcd:v3.7.3".into(),
            ..EtcdSpec::default()
        };
        let program = restoring(&spec, false);
        for arg in [
            "--initial-cluster=cp-1=https://10.5.0.2:2380",
            "--initial-advertise-peer-urls=https://10.5.0.2:2380",
            "--name=cp-1",
            "--mark-compacted",
        ] {
            assert!(program.args.iter().any(|a| a == arg), "{arg}: {:?}", program.args);
        }
        assert!(!program.args.iter().any(|a| a == "--skip-hash-check"));
        let old = EtcdSpec {
            image: "registry.k8s.io/etcd:3.5.21-0".into(),
            ..spec
        };
        let program = restoring(&old, true);
        assert!(!program.args.iter().any(|a| a.starts_with("--bump-revision")));
        assert!(program.args.iter().any(|a| a == "--skip-hash-check"));
    }
}
