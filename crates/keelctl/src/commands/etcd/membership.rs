//! `etcd forfeit-leadership`, `etcd leave` and `etcd remove-member`.

use anyhow::Result;
use api::proto::machine::{EtcdForfeitLeadershipRequest, EtcdLeaveClusterRequest, EtcdRemoveMemberByIdRequest};

use crate::output::note;
use crate::session::{Session, failed};

/// Hands leadership to another member.
pub async fn forfeit(session: &Session) -> Result<()> {
    let target = session.single("etcd forfeit-leadership")?;
    let request = EtcdForfeitLeadershipRequest {};
    let response = target.client.machine().etcd_forfeit_leadership(request).await;
    let response = response.map_err(|status| failed(&status).context("error forfeiting leadership"))?;
    for message in response.into_inner().messages {
        note(&match message.member.as_str() {
            "" => format!("{}: is not the leader, nothing to do", target.node),
            leader => format!("{}: the leader is now {leader}", target.node),
        });
    }
    Ok(())
}

/// Lets a node leave.
pub async fn leave(session: &Session) -> Result<()> {
    let target = session.single("etcd leave")?;
    let response = target
        .client
        .machine()
        .etcd_leave_cluster(EtcdLeaveClusterRequest {})
        .await;
    response
        .map(drop)
        .map_err(|status| failed(&status).context("error leaving etcd"))
}

/// Removes a member whose node is gone.
pub async fn remove(session: &Session, member_id: u64) -> Result<()> {
    let target = session.single("etcd remove-member")?;
    let request = EtcdRemoveMemberByIdRequest { member_id };
    let response = target.client.machine().etcd_remove_member_by_id(request).await;
    response
        .map(drop)
        .map_err(|status| failed(&status).context("error removing the member"))
}
