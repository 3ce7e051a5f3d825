//! Who leads, and who is a member.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use api::proto::machine as proto;
use api::reply::Reply;
use node_resources::keelson::EtcdLaunch;
use tonic::Status;

use super::{Turns, client, client_of, refused};
use crate::clients::etcd::{Etcd, Member};
use crate::controllers::etcd::{BOOTSTRAP, LEFT, data_exists};
use crate::kubernetes::etcd::DATA;
use crate::node::Node;
use crate::services::status::State;

/// How long etcd may call the cluster unhealthy before that is its answer. It refuses to change the membership until
/// every peer has been connected for five seconds (its `HealthInterval`), so a member that has just started holds up
/// everybody's changes.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between two tries to change the membership.
const SETTLE_PAUSE: Duration = Duration::from_secs(1);
/// How long etcd may take to end after its member was removed.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// Hands leadership to another member, if this one has it.
///
/// # Errors
/// etcd does not answer, or nobody else can lead.
pub async fn forfeit(node: &Node) -> Result<proto::EtcdForfeitLeadershipResponse, Status> {
    let etcd = client(node)?;
    let status = etcd.status().await.map_err(refused)?;
    let id = status.header.as_ref().map(|h| h.member_id).unwrap_or_default();
    let member = if status.leader == id {
        let members = etcd.members(true).await.map_err(refused)?;
        hand_over(&etcd, id, &members).await?
    } else {
        String::new()
    };
    Ok(proto::EtcdForfeitLeadershipResponse::of(proto::EtcdForfeitLeadership {
        member,
        ..Default::default()
    }))
}

/// Members that can lead, or decide, beside one.
fn other_voters(members: &[Member], own: u64) -> impl Iterator<Item = &Member> {
    members.iter().filter(move |m| m.id != own && !m.is_learner)
}

/// Makes another member the leader; gives its name.
async fn hand_over(etcd: &Etcd, own: u64, members: &[Member]) -> Result<String, Status> {
    let mut last = Status::failed_precondition(
        "this is the only member of etcd that votes: there is nobody to hand leadership to",
    );
    for candidate in other_voters(members, own) {
        match etcd.move_leader(candidate.id).await {
            Ok(()) => return Ok(candidate.name.clone()),
            Err(error) => last = refused(error),
        }
    }
    Err(last)
}

/// Removes another member by its id.
///
/// # Errors
/// It is this node's own, there is none, or etcd refuses because quorum would be lost.
pub async fn remove(node: &Node, id: u64) -> Result<proto::EtcdRemoveMemberByIdResponse, Status> {
    let etcd = client(node)?;
    let status = etcd.status().await.map_err(refused)?;
    if status.header.is_some_and(|h| h.member_id == id) {
        return Err(Status::failed_precondition(format!(
            "{id:016x} is the member on this node: ask another control plane to remove it, or use `etcd leave`"
        )));
    }
    settled(|| async { etcd.remove(id).await.map_err(refused) }).await?;
    Ok(proto::EtcdRemoveMemberByIdResponse::of(
        proto::EtcdRemoveMemberById::default(),
    ))
}

/// Tries again while etcd calls the cluster unhealthy, for as long as members that just started need to settle.
async fn settled<T, F: Future<Output = Result<T, Status>>>(change: impl Fn() -> F) -> Result<T, Status> {
    let deadline = tokio::time::Instant::now() + SETTLE_TIMEOUT;
    loop {
        match change().await {
            Err(status) if unsettled(&status) && tokio::time::Instant::now() < deadline => {
                tracing::info!(reason = status.message(), "waiting for etcd to settle");
                tokio::time::sleep(SETTLE_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// Whether etcd refuses a change of the membership only for now: `ErrUnhealthy` of its API.
fn unsettled(status: &Status) -> bool {
    status.code() == tonic::Code::Unavailable && status.message().contains("etcdserver: unhealthy cluster")
}

/// What came of leaving.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Departure {
    /// The member was removed.
    Left,
    /// It is the only one: its data is all there is, so it stayed.
    OnlyMember,
    /// There is none on this node.
    NoMember,
}

/// Takes this node's member out of the cluster; what is on disk stays.
///
/// # Errors
/// etcd does not answer, or refuses.
pub async fn depart(node: &Node) -> Result<Departure, Status> {
    settled(|| try_to_depart(node)).await
}

async fn try_to_depart(node: &Node) -> Result<Departure, Status> {
    if !data_exists() {
        return Ok(Departure::NoMember);
    }
    let local = client(node)?;
    let status = local.status().await.map_err(refused)?;
    let id = status.header.as_ref().map(|h| h.member_id).unwrap_or_default();
    let members = if status.is_learner {
        // A learner answers nothing about the membership that others have not told it.
        local.members(false).await
    } else {
        local.members(true).await
    };
    let members = members.map_err(refused)?;
    if !members.iter().any(|m| m.id != id) {
        return Ok(Departure::OnlyMember);
    }
    if status.leader == id {
        hand_over(&local, id, &members).await?;
    }
    // A member that is removed ends, often before it has answered: others are asked first.
    let addresses = other_voters(&members, id).filter_map(client_address);
    let mut last = None;
    for address in addresses {
        match client_of(node, address)?.remove(id).await {
            Ok(()) => return Ok(Departure::Left),
            Err(error) => last = Some(refused(error)),
        }
    }
    match last {
        Some(last) if last.code() != tonic::Code::Unavailable || unsettled(&last) => Err(last),
        _ => local.remove(id).await.map(|()| Departure::Left).map_err(refused),
    }
}

/// Where a member listens for clients.
fn client_address(member: &Member) -> Option<IpAddr> {
    let url = member.client_ur_ls.first()?;
    let authority = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let authority = authority.trim_end_matches('/');
    authority.parse::<std::net::SocketAddr>().ok().map(|a| a.ip())
}

/// Leaves etcd: hands over leadership, removes this node's member, ends etcd here and deletes its data.
///
/// # Errors
/// This is the only member, etcd does not answer, or its data cannot be deleted.
pub async fn leave(node: &Node, turns: &Turns) -> Result<proto::EtcdLeaveClusterResponse, Status> {
    super::control_plane(node, "leaving etcd")?;
    let Ok(_turn) = turns.lifecycle.try_lock() else {
        return Err(super::busy());
    };
    match depart(node).await? {
        Departure::Left => {}
        Departure::OnlyMember => {
            return Err(Status::failed_precondition(
                "this is the only member of etcd: leaving would lose the cluster's state (save it with `etcd \
                 snapshot`, then `reset` the node)",
            ));
        }
        Departure::NoMember => return Err(Status::failed_precondition("etcd has no member on this node")),
    }
    end(node).await.map_err(super::super::internal)?;
    Ok(proto::EtcdLeaveClusterResponse::of(proto::EtcdLeaveCluster::default()))
}

/// Ends etcd on this node until the next boot, and deletes its data.
async fn end(node: &Node) -> anyhow::Result<()> {
    let launch = EtcdLaunch {
        state: "left".to_owned(),
        ..EtcdLaunch::default()
    };
    node.store.put("api", LEFT, launch, "etcd leave was called")?;
    if node.store.get::<EtcdLaunch>(BOOTSTRAP).is_some() {
        node.store.destroy::<EtcdLaunch>("api", BOOTSTRAP)?;
    }
    let mut board = node.supervisor.board();
    let ended = board.wait_for(|b| {
        b.get("etcd")
            .is_none_or(|s| matches!(s.state, State::Waiting | State::Finished | State::Initialized))
    });
    tokio::time::timeout(STOP_TIMEOUT, ended)
        .await
        .context("the member was removed, but etcd does not end: reset the node")?
        .context("the supervisor is gone")?;
    let data = Path::new(DATA).join("member");
    tokio::fs::remove_dir_all(&data)
        .await
        .with_context(|| format!("the member was removed; delete {}", data.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, url: &str, is_learner: bool) -> Member {
        Member {
            id,
            client_ur_ls: vec![url.to_owned()],
            is_learner,
            ..Member::default()
        }
    }

    fn unhealthy() -> Status {
        Status::unavailable("remove etcd member 1: etcdserver: unhealthy cluster")
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_waits_for_members_that_just_started() {
        let tries = std::cell::Cell::new(0);
        let change = || async {
            tries.set(tries.get() + 1);
            if tries.get() < 7 {
                Err(unhealthy())
            } else {
                Ok(tries.get())
            }
        };
        assert_eq!(settled(change).await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_does_not_wait_forever_nor_for_anything_else() {
        let start = tokio::time::Instant::now();
        assert_eq!(
            settled(|| async { Err::<(), _>(unhealthy()) })
                .await
                .unwrap_err()
                .message(),
            unhealthy().message()
        );
        let waited = start.elapsed();
        assert!(waited >= SETTLE_TIMEOUT && waited < SETTLE_TIMEOUT * 2, "{waited:?}");

        let start = tokio::time::Instant::now();
        let other = settled(|| async { Err::<(), _>(Status::not_found("etcdserver: member not found")) }).await;
        assert_eq!(other.unwrap_err().code(), tonic::Code::NotFound);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[test]
    fn leadership_goes_to_another_member_that_votes() {
        let members = [member(1, "", false), member(2, "", true), member(3, "", false)];
        let ids: Vec<u64> = other_voters(&members, 1).map(|m| m.id).collect();
        assert_eq!(ids, [3]);
    }

    #[test]
    fn a_members_address_is_read_from_its_url() {
        let address = |url: &str| client_address(&member(1, url, false));
        assert_eq!(address("https://10.5.0.2:2379"), "10.5.0.2".parse().ok());
        assert_eq!(address("https://[fd00::2]:2379/"), "fd00::2".parse().ok());
        assert_eq!(address("https://name:2379"), None);
    }
}
