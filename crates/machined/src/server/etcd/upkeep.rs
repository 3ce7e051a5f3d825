//! Alarms, defragmentation and downgrades.

use std::net::{IpAddr, Ipv4Addr};

use api::proto::machine as proto;
use api::reply::Reply;
use tonic::Status;

use super::{Turns, client, credentials, refused};
use crate::clients::etcd::{AlarmMember, DowngradeAction, Etcd};
use crate::node::Node;

/// The alarms of the whole cluster.
///
/// # Errors
/// etcd does not run here, or does not answer.
pub async fn alarms(node: &Node) -> Result<proto::EtcdAlarmListResponse, Status> {
    let alarms = client(node)?.alarms().await.map_err(refused)?;
    Ok(proto::EtcdAlarmListResponse::of(proto::EtcdAlarm {
        member_alarms: alarms.into_iter().map(told).collect(),
        ..Default::default()
    }))
}

/// Disarms every alarm of the cluster, one after the other, and tells which there were.
///
/// # Errors
/// As [`alarms`].
pub async fn disarm(node: &Node) -> Result<proto::EtcdAlarmDisarmResponse, Status> {
    let etcd = client(node)?;
    let mut disarmed = Vec::new();
    for alarm in etcd.alarms().await.map_err(refused)? {
        disarmed.extend(etcd.disarm(alarm).await.map_err(refused)?);
    }
    Ok(proto::EtcdAlarmDisarmResponse::of(proto::EtcdAlarmDisarm {
        member_alarms: disarmed.into_iter().map(told).collect(),
        ..Default::default()
    }))
}

/// The numbers of both interfaces are the same.
fn told(alarm: AlarmMember) -> proto::EtcdMemberAlarm {
    proto::EtcdMemberAlarm {
        member_id: alarm.member_id,
        alarm: alarm.alarm,
    }
}

/// Rewrites the database of this node's member without holes.
///
/// # Errors
/// It is being done already, or as [`alarms`].
pub async fn defragment(node: &Node, turns: &Turns) -> Result<proto::EtcdDefragmentResponse, Status> {
    let (root, secrets) = credentials(node)?;
    let Ok(_turn) = turns.defragment.try_lock() else {
        return Err(Status::failed_precondition(
            "this member is being defragmented already: wait for it to end",
        ));
    };
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let etcd = Etcd::patient(local, &root.etcd_ca.crt, &secrets.etcd_admin).map_err(super::super::internal)?;
    etcd.defragment().await.map_err(refused)?;
    Ok(proto::EtcdDefragmentResponse::of(proto::EtcdDefragment::default()))
}

async fn downgrade(
    node: &Node,
    action: DowngradeAction,
    version: &str,
) -> Result<Option<proto::EtcdClusterDowngrade>, Status> {
    let version = version.trim_start_matches('v');
    let cluster_version = client(node)?.downgrade(action, version).await.map_err(refused)?;
    Ok(Some(proto::EtcdClusterDowngrade { cluster_version }))
}

/// Asks whether the cluster can be downgraded to a version; nothing changes.
///
/// # Errors
/// It cannot, or as [`alarms`].
pub async fn validate_downgrade(node: &Node, version: &str) -> Result<proto::EtcdDowngradeValidateResponse, Status> {
    let cluster_downgrade = downgrade(node, DowngradeAction::Validate, version).await?;
    Ok(proto::EtcdDowngradeValidateResponse::of(proto::EtcdDowngradeValidate {
        cluster_downgrade,
        ..Default::default()
    }))
}

/// Lets members of an older version take part.
///
/// # Errors
/// As [`validate_downgrade`].
pub async fn enable_downgrade(node: &Node, version: &str) -> Result<proto::EtcdDowngradeEnableResponse, Status> {
    let cluster_downgrade = downgrade(node, DowngradeAction::Enable, version).await?;
    Ok(proto::EtcdDowngradeEnableResponse::of(proto::EtcdDowngradeEnable {
        cluster_downgrade,
        ..Default::default()
    }))
}

/// Ends that, if it was so.
///
/// # Errors
/// As [`alarms`].
pub async fn cancel_downgrade(node: &Node) -> Result<proto::EtcdDowngradeCancelResponse, Status> {
    let cluster_downgrade = downgrade(node, DowngradeAction::Cancel, "").await?;
    Ok(proto::EtcdDowngradeCancelResponse::of(proto::EtcdDowngradeCancel {
        cluster_downgrade,
        ..Default::default()
    }))
}
