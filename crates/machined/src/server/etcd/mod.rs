//! etcd: members and status here, the rest in files of their own.

pub mod bootstrap;
pub mod membership;
pub mod snapshot;
pub mod upkeep;

use std::net::{IpAddr, Ipv4Addr};

use api::proto::machine as proto;
use api::reply::Reply;
use node_resources::config::{MachineKind, MachineType};
use node_resources::secrets::{EtcdRootSecrets, EtcdSecrets};
use tonic::{Code, Status};

use crate::clients::etcd::Etcd;
use crate::node::Node;

/// What can be done by one caller at a time.
#[derive(Debug, Default)]
pub struct Turns {
    /// Rewriting the database.
    pub defragment: tokio::sync::Mutex<()>,
    /// Uploading a snapshot and restoring it, changing the membership.
    pub lifecycle: tokio::sync::Mutex<()>,
}

fn control_plane(node: &Node, what: &str) -> Result<(), Status> {
    let kind = node.store.list::<MachineType>().into_iter().next();
    match kind.map(|k| k.0) {
        Some(MachineKind::ControlPlane) => Ok(()),
        Some(other) => Err(Status::failed_precondition(format!(
            "{what} can only be performed on a control plane node, and this is a {other}"
        ))),
        None => Err(Status::failed_precondition(format!(
            "{what}: this node has no configuration yet (apply-config first)"
        ))),
    }
}

fn busy() -> Status {
    Status::failed_precondition("another call is changing etcd on this node: wait for it to end")
}

/// What a client of etcd needs: the authority, and who we are.
fn credentials(node: &Node) -> Result<(EtcdRootSecrets, EtcdSecrets), Status> {
    control_plane(node, "this etcd call")?;
    let missing = || Status::failed_precondition("etcd has no certificates yet: the node is still starting");
    let root = node.store.list::<EtcdRootSecrets>().into_iter().next();
    let secrets = node.store.list::<EtcdSecrets>().into_iter().next();
    let root = root.ok_or_else(missing)?.spec().clone();
    Ok((root, secrets.ok_or_else(missing)?.spec().clone()))
}

/// A client of the member on this node.
fn client(node: &Node) -> Result<Etcd, Status> {
    client_of(node, IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// A client of any member.
fn client_of(node: &Node, address: IpAddr) -> Result<Etcd, Status> {
    let (root, secrets) = credentials(node)?;
    Etcd::new(address, &root.etcd_ca.crt, &secrets.etcd_admin).map_err(super::internal)
}

/// A failed call of etcd as ours: its code, what was being done, and what etcd said.
fn refused(error: anyhow::Error) -> Status {
    let Some(status) = error.chain().find_map(|e| e.downcast_ref::<Status>()) else {
        return super::internal(error);
    };
    let what = error.to_string();
    let said = status.message();
    match status.code() {
        Code::Unavailable if !said.starts_with("etcdserver") => Status::unavailable(format!(
            "{what}: etcd does not answer on this node; `service etcd` says why ({said})"
        )),
        // This is how the client's own time limit is told.
        Code::Cancelled => Status::deadline_exceeded(format!("{what}: {said}")),
        code => Status::new(code, format!("{what}: {said}")),
    }
}

/// The members of etcd.
///
/// # Errors
/// etcd does not run here, or does not answer.
pub async fn members(node: &Node, local: bool) -> Result<proto::EtcdMemberListResponse, Status> {
    let members = client(node)?.members(!local).await.map_err(refused)?;
    let member = |m: crate::clients::etcd::Member| proto::EtcdMember {
        id: m.id,
        hostname: m.name,
        peer_urls: m.peer_ur_ls,
        client_urls: m.client_ur_ls,
        is_learner: m.is_learner,
    };
    Ok(proto::EtcdMemberListResponse::of(proto::EtcdMembers {
        legacy_members: members.iter().map(|m| m.name.clone()).collect(),
        members: members.into_iter().map(member).collect(),
        ..Default::default()
    }))
}

/// The state of this node's member.
///
/// # Errors
/// As [`members`].
pub async fn status(node: &Node) -> Result<proto::EtcdStatusResponse, Status> {
    let status = client(node)?.status().await.map_err(refused)?;
    let member = proto::EtcdMemberStatus {
        storage_version: status.storage_version,
        member_id: status.header.map(|h| h.member_id).unwrap_or_default(),
        protocol_version: status.version,
        db_size: status.db_size,
        db_size_in_use: status.db_size_in_use,
        leader: status.leader,
        raft_index: status.raft_index,
        raft_term: status.raft_term,
        raft_applied_index: status.raft_applied_index,
        errors: status.errors,
        is_learner: status.is_learner,
    };
    Ok(proto::EtcdStatusResponse::of(proto::EtcdStatus {
        member_status: Some(member),
        ..Default::default()
    }))
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn what_etcd_refuses_keeps_its_code_and_says_what_was_being_done() {
        let failed = |status: Status| {
            let result: Result<(), Status> = Err(status);
            refused(result.context("remove etcd member 1f").unwrap_err())
        };
        let status = failed(Status::not_found("etcdserver: member not found"));
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(status.message(), "remove etcd member 1f: etcdserver: member not found");
        let status = failed(Status::unavailable("tcp connect error"));
        assert!(status.message().contains("`service etcd`"), "{status:?}");
        assert_eq!(
            failed(Status::cancelled("Timeout expired")).code(),
            Code::DeadlineExceeded
        );
        assert_eq!(refused(anyhow::anyhow!("x")).code(), Code::Internal);
    }
}
