//! Snapshots: streamed out, and taken in for a recovery.

use std::io;
use std::path::{Path, PathBuf};

use api::proto::common::Data;
use api::proto::machine as proto;
use api::reply::Reply;
use etcd_snapshot::{Checksum, Description, Snapshot};
use futures::StreamExt as _;
use node_resources::secrets::KubernetesRootSecrets;
use tokio::io::AsyncWriteExt as _;
use tonic::codegen::BoxStream;
use tonic::{Response, Status, Streaming};

use super::{Turns, credentials, refused};
use crate::clients::etcd::Etcd;
use crate::controllers::services::ETCD_USER;
use crate::node::Node;

/// Where an uploaded snapshot waits for the bootstrap (a path of the interface).
pub const UPLOADED: &str = "/var/lib/etcd.snapshot";

/// The database of this node's member, and its SHA-256 in the last 32 bytes, as etcd sends it.
///
/// # Errors
/// etcd does not run here, or does not answer. What fails later ends the stream.
pub async fn save(node: &Node) -> Result<Response<BoxStream<Data>>, Status> {
    let (root, secrets) = credentials(node)?;
    let local = std::net::Ipv4Addr::LOCALHOST.into();
    let etcd = Etcd::patient(local, &root.etcd_ca.crt, &secrets.etcd_admin).map_err(super::super::internal)?;
    let pieces = etcd.snapshot().await.map_err(refused)?;
    let data = pieces.map(|piece| {
        piece.map(|piece| Data {
            metadata: None,
            bytes: piece.blob,
        })
    });
    Ok(Response::new(Box::pin(data)))
}

/// Takes in a snapshot to recover from. It is kept only if it is one of etcd, whole, and of this cluster.
///
/// Whether its checksum is right is asked by the bootstrap, which knows if it shall be asked.
///
/// # Errors
/// This node is no control plane, has an etcd already, or the snapshot is no good.
pub async fn upload(node: &Node, turns: &Turns, pieces: Streaming<Data>) -> Result<proto::EtcdRecoverResponse, Status> {
    let Ok(_turn) = turns.lifecycle.try_lock() else {
        return Err(super::busy());
    };
    super::bootstrap::possible(node)?;
    let partial = PathBuf::from(format!("{UPLOADED}.part"));
    let taken = async {
        write(&partial, pieces).await?;
        let description = check(node, &partial).await?;
        tokio::fs::rename(&partial, UPLOADED)
            .await
            .map_err(|e| failed("keep", &partial, &e))?;
        Ok(description)
    };
    match taken.await {
        Ok(description) => {
            tracing::info!(%description, "a snapshot of etcd was uploaded");
            Ok(proto::EtcdRecoverResponse::of(proto::EtcdRecover::default()))
        }
        Err(status) => {
            // There may be nothing to remove; the refusal is what matters.
            let _ = tokio::fs::remove_file(&partial).await;
            Err(status)
        }
    }
}

/// Writes a stream to a file that only etcd can read.
async fn write(path: &Path, mut pieces: Streaming<Data>) -> Result<(), Status> {
    let error = |e: io::Error| failed("write", path, &e);
    let mut file = tokio::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .await
        .map_err(error)?;
    std::os::unix::fs::fchown(&file, Some(ETCD_USER), Some(ETCD_USER)).map_err(error)?;
    while let Some(piece) = pieces.message().await? {
        file.write_all(&piece.bytes).await.map_err(error)?;
    }
    file.flush().await.map_err(error)?;
    file.sync_all().await.map_err(error)
}

/// Refuses what is no snapshot of this cluster's etcd. Goes through all of it.
async fn check(node: &Node, path: &Path) -> Result<Description, Status> {
    let described = {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || Snapshot::open(&path)?.describe())
    };
    let described = described.await.map_err(|e| Status::internal(e.to_string()))?;
    let description = described.map_err(|error| match error {
        etcd_snapshot::Error::Io(error) => failed("read", path, &error),
        bad => refusal(&bad.to_string()),
    })?;
    let root = node.store.list::<KubernetesRootSecrets>().into_iter().next();
    let root = root.ok_or_else(|| {
        Status::failed_precondition("the secrets of Kubernetes are not there yet: the node is still starting")
    })?;
    let accepted = root.accepted_cas.iter().map(|ca| ca.crt.as_slice());
    let own = std::iter::once(root.issuing_ca.crt.as_slice()).chain(accepted);
    if !description.kubernetes.is_one_of(own) {
        return Err(refusal(
            "it is of a cluster with another Kubernetes authority (cluster.ca); configure this node with the \
             secrets of the cluster that the snapshot was taken of",
        ));
    }
    Ok(description)
}

/// Refuses an uploaded snapshot that may not be restored: checked once more, with its checksum.
///
/// # Errors
/// There is none, or it is no good.
pub async fn ready(node: &Node, skip_checksum: bool) -> Result<Description, Status> {
    let path = Path::new(UPLOADED);
    if !path.exists() {
        return Err(Status::failed_precondition(
            "no snapshot was uploaded: upload one first (`bootstrap --recover-from` does both)",
        ));
    }
    let description = check(node, path).await?;
    let checksum = tokio::task::spawn_blocking(move || Snapshot::open(path).map(|s| s.checksum()));
    let checksum = checksum.await.map_err(|e| Status::internal(e.to_string()))?;
    let checksum = match checksum {
        Ok(Ok(checksum)) => checksum,
        Ok(Err(error)) => return Err(failed("read", path, &error)),
        Err(error) => return Err(refusal(&error.to_string())),
    };
    verdict(checksum, skip_checksum)?;
    Ok(description)
}

fn verdict(checksum: Checksum, skip: bool) -> Result<(), Status> {
    match checksum {
        Checksum::Right => Ok(()),
        _ if skip => Ok(()),
        Checksum::Wrong => Err(refusal("it changed since it was saved: its SHA-256 is wrong")),
        Checksum::Absent => Err(refusal(
            "it has no checksum; if it was copied from a data folder, use --recover-skip-hash-check",
        )),
    }
}

fn refusal(why: &str) -> Status {
    Status::invalid_argument(format!("the snapshot is refused, nothing was changed: {why}"))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Status {
    Status::internal(format!("{what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_right_checksum_will_do_unless_it_is_not_asked_for() {
        assert!(verdict(Checksum::Right, false).is_ok());
        for checksum in [Checksum::Wrong, Checksum::Absent] {
            assert!(verdict(checksum, true).is_ok());
            let status = verdict(checksum, false).unwrap_err();
            assert!(status.message().contains("nothing was changed"), "{status:?}");
        }
    }
}
