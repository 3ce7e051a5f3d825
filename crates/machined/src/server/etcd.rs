//! etcd: bootstrap, members, status.

use std::net::{IpAddr, Ipv4Addr};

use api::proto::machine as proto;
use api::reply::Reply;
use tonic::Status;

use crate::clients::etcd::Etcd;
use crate::controllers::etcd::{BOOTSTRAP, data_exists};
use crate::node::Node;
use crate::resources::config::{MachineKind, MachineType};
use crate::resources::keelson::EtcdLaunch;
use crate::resources::secrets::{EtcdRootSecrets, EtcdSecrets};

/// Bootstraps etcd with this node as its first member: once, on one control plane.
///
/// # Errors
/// This node is no control plane, is not ready, or etcd runs already.
pub async fn bootstrap(node: &Node, request: &proto::BootstrapRequest) -> Result<proto::BootstrapResponse, Status> {
    if request.recover_etcd {
        return Err(Status::unimplemented(
            "bootstrap from a snapshot is not implemented yet",
        ));
    }
    control_plane(node, "bootstrap")?;
    if data_exists() || node.store.get::<EtcdLaunch>(BOOTSTRAP).is_some() {
        return Err(Status::already_exists(
            "etcd data directory is not empty: the cluster is already bootstrapped",
        ));
    }
    let launch = EtcdLaunch {
        state: "new".to_owned(),
        ..EtcdLaunch::default()
    };
    node.store
        .put("api", BOOTSTRAP, launch, "bootstrap was called")
        .map_err(|e| Status::internal(e.to_string()))?;
    Ok(proto::BootstrapResponse::of(proto::Bootstrap::default()))
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

fn client(node: &Node) -> Result<Etcd, Status> {
    control_plane(node, "etcd queries")?;
    let missing = || Status::failed_precondition("etcd has no certificates yet: the node is still starting");
    let root = node
        .store
        .list::<EtcdRootSecrets>()
        .into_iter()
        .next()
        .ok_or_else(missing)?;
    let secrets = node
        .store
        .list::<EtcdSecrets>()
        .into_iter()
        .next()
        .ok_or_else(missing)?;
    Etcd::new(IpAddr::V4(Ipv4Addr::LOCALHOST), &root.etcd_ca.crt, &secrets.etcd_admin).map_err(super::internal)
}

/// The members of etcd.
///
/// # Errors
/// etcd does not run here, or does not answer.
pub async fn members(node: &Node, local: bool) -> Result<proto::EtcdMemberListResponse, Status> {
    let members = client(node)?.members(!local).await.map_err(super::internal)?;
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
    let status = client(node)?.status().await.map_err(super::internal)?;
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
