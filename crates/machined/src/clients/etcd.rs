//! etcd, over mutual TLS with the node's own certificates.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use hyper_util::rt::TokioIo;
use pki::CertAndKey;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// The generated messages and clients; the names are those of the packages, which refer to each other.
#[allow(missing_docs, clippy::all)]
mod generated {
    pub mod etcdserverpb {
        tonic::include_proto!("etcdserverpb");
    }
    pub mod v3electionpb {
        tonic::include_proto!("v3electionpb");
    }
}

pub use generated::etcdserverpb as proto;
use generated::v3electionpb as election;
use proto::alarm_request::AlarmAction;
use proto::cluster_client::ClusterClient;
pub use proto::downgrade_request::DowngradeAction;
use proto::lease_client::LeaseClient;
use proto::maintenance_client::MaintenanceClient;
pub use proto::{AlarmMember, AlarmType, Member, MemberAddResponse, SnapshotResponse, StatusResponse};

/// etcd's client port.
const PORT: u16 = 2379;
/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long rewriting the whole database may take.
const DEFRAGMENT_TIMEOUT: Duration = Duration::from_secs(600);

/// A client of one etcd member.
#[derive(Clone)]
pub struct Etcd {
    channel: Channel,
}

impl Etcd {
    /// A client of the member at an address; nothing is connected yet.
    ///
    /// # Errors
    /// The certificates cannot be used.
    pub fn new(address: IpAddr, ca: &[u8], identity: &CertAndKey) -> anyhow::Result<Self> {
        Self::with_timeout(address, ca, identity, CALL_TIMEOUT)
    }

    /// As [`Etcd::new`], for calls that rewrite or read the whole database.
    ///
    /// # Errors
    /// The certificates cannot be used.
    pub fn patient(address: IpAddr, ca: &[u8], identity: &CertAndKey) -> anyhow::Result<Self> {
        Self::with_timeout(address, ca, identity, DEFRAGMENT_TIMEOUT)
    }

    fn with_timeout(address: IpAddr, ca: &[u8], identity: &CertAndKey, timeout: Duration) -> anyhow::Result<Self> {
        let tls = pki::tls::client_config(ca, Some(identity)).context("make the TLS client of etcd")?;
        let connector = TlsConnector::from(std::sync::Arc::new(tls));
        let endpoint = Endpoint::from_static("http://etcd")
            .timeout(timeout)
            .connect_timeout(CALL_TIMEOUT);
        let channel = endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
            let connector = connector.clone();
            async move {
                let stream = tokio::net::TcpStream::connect((address, PORT)).await?;
                let stream = connector.connect(ServerName::IpAddress(address.into()), stream).await?;
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            }
        }));
        Ok(Self { channel })
    }

    fn cluster(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel.clone())
    }

    fn leases(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone())
    }

    fn maintenance(&self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel.clone())
    }

    /// The members; with `linearizable` as the majority knows them.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn members(&self, linearizable: bool) -> anyhow::Result<Vec<Member>> {
        let request = proto::MemberListRequest { linearizable };
        Ok(self
            .cluster()
            .member_list(request)
            .await
            .context("list etcd members")?
            .into_inner()
            .members)
    }

    /// The member that answers: its id and the cluster's.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn status(&self) -> anyhow::Result<StatusResponse> {
        Ok(self
            .maintenance()
            .status(proto::StatusRequest {})
            .await
            .context("ask etcd for its status")?
            .into_inner())
    }

    /// Adds a member that first learns.
    ///
    /// # Errors
    /// etcd does not answer or refuses.
    pub async fn add_learner(&self, peer_url: &str) -> anyhow::Result<MemberAddResponse> {
        let request = proto::MemberAddRequest {
            peer_ur_ls: vec![peer_url.to_owned()],
            is_learner: true,
        };
        Ok(self
            .cluster()
            .member_add(request)
            .await
            .context("add an etcd member")?
            .into_inner())
    }

    /// Makes a learner a voter.
    ///
    /// # Errors
    /// etcd does not answer, or the learner has not caught up.
    pub async fn promote(&self, id: u64) -> anyhow::Result<()> {
        self.cluster()
            .member_promote(proto::MemberPromoteRequest { id })
            .await
            .with_context(|| format!("promote etcd member {id:x}"))?;
        Ok(())
    }

    /// Removes a member.
    ///
    /// # Errors
    /// etcd does not answer or refuses.
    pub async fn remove(&self, id: u64) -> anyhow::Result<()> {
        self.cluster()
            .member_remove(proto::MemberRemoveRequest { id })
            .await
            .with_context(|| format!("remove etcd member {id:x}"))?;
        Ok(())
    }

    /// Hands leadership to another member. Only the leader can.
    ///
    /// # Errors
    /// etcd does not answer, or the other one is not fit to lead.
    pub async fn move_leader(&self, to: u64) -> anyhow::Result<()> {
        self.maintenance()
            .move_leader(proto::MoveLeaderRequest { target_id: to })
            .await
            .with_context(|| format!("hand etcd's leadership to member {to:x}"))?;
        Ok(())
    }

    /// The alarms of all members.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn alarms(&self) -> anyhow::Result<Vec<AlarmMember>> {
        self.alarm(AlarmAction::Get, AlarmMember::default())
            .await
            .context("list etcd's alarms")
    }

    /// Disarms one alarm; gives what was disarmed.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn disarm(&self, alarm: AlarmMember) -> anyhow::Result<Vec<AlarmMember>> {
        self.alarm(AlarmAction::Deactivate, alarm)
            .await
            .with_context(|| format!("disarm the alarm of etcd member {:x}", alarm.member_id))
    }

    async fn alarm(&self, action: AlarmAction, alarm: AlarmMember) -> Result<Vec<AlarmMember>, tonic::Status> {
        let request = proto::AlarmRequest {
            action: action.into(),
            member_id: alarm.member_id,
            alarm: alarm.alarm,
        };
        Ok(self.maintenance().alarm(request).await?.into_inner().alarms)
    }

    /// Rewrites the member's database without the holes in it; the member answers nobody meanwhile.
    ///
    /// # Errors
    /// etcd does not answer, or cannot do it.
    pub async fn defragment(&self) -> anyhow::Result<()> {
        self.maintenance()
            .defragment(proto::DefragmentRequest {})
            .await
            .context("defragment etcd's database")?;
        Ok(())
    }

    /// The member's database as it is now, in pieces; the last 32 bytes are the SHA-256 of those before.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn snapshot(&self) -> anyhow::Result<tonic::Streaming<SnapshotResponse>> {
        let answer = self.maintenance().snapshot(proto::SnapshotRequest {}).await;
        Ok(answer.context("take a snapshot of etcd")?.into_inner())
    }

    /// Validates, enables or cancels a downgrade of the cluster; gives the cluster's version.
    ///
    /// # Errors
    /// etcd does not answer, or refuses.
    pub async fn downgrade(&self, action: DowngradeAction, version: &str) -> anyhow::Result<String> {
        let request = proto::DowngradeRequest {
            action: action.into(),
            version: version.to_owned(),
        };
        let what = || match action {
            DowngradeAction::Validate => format!("ask whether etcd can be downgraded to {version}"),
            DowngradeAction::Enable => format!("enable the downgrade of etcd to {version}"),
            DowngradeAction::Cancel => "cancel the downgrade of etcd".to_owned(),
        };
        let answer = self.maintenance().downgrade(request).await.with_context(what)?;
        Ok(answer.into_inner().version)
    }

    /// A lease: what is kept under it is gone when it has not been renewed for `ttl` (whole seconds).
    ///
    /// # Errors
    /// etcd does not answer, or has no majority.
    pub async fn grant(&self, ttl: Duration) -> anyhow::Result<i64> {
        let request = proto::LeaseGrantRequest {
            ttl: i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX),
            id: 0,
        };
        let answer = self.leases().lease_grant(request).await;
        Ok(answer.context("ask etcd for a lease")?.into_inner().id)
    }

    /// Renews a lease; false if it has ended.
    ///
    /// # Errors
    /// etcd does not answer, or has no majority.
    pub async fn renew(&self, lease: i64) -> anyhow::Result<bool> {
        let request = proto::LeaseKeepAliveRequest { id: lease };
        let one = futures::stream::iter([request]);
        let answers = self.leases().lease_keep_alive(one).await;
        let answer = answers.context("renew a lease in etcd")?.into_inner().message().await;
        Ok(answer
            .context("renew a lease in etcd")?
            .is_some_and(|lease| lease.ttl > 0))
    }

    /// Ends a lease, and what is kept under it.
    ///
    /// # Errors
    /// etcd does not answer, or has no majority.
    pub async fn revoke(&self, lease: i64) -> anyhow::Result<()> {
        let answer = self
            .leases()
            .lease_revoke(proto::LeaseRevokeRequest { id: lease })
            .await;
        answer.context("end a lease in etcd")?;
        Ok(())
    }

    /// Waits to win an election: until all who campaigned before have given up, or lost their leases. Who stops waiting
    /// is no longer a candidate. What is won is lost with the lease.
    ///
    /// # Errors
    /// etcd does not answer, the lease has ended, or the call has taken as long as calls of this client may.
    pub async fn campaign(&self, name: &str, lease: i64, value: &str) -> anyhow::Result<()> {
        let request = election::CampaignRequest {
            name: name.into(),
            lease,
            value: value.into(),
        };
        let mut client = election::election_client::ElectionClient::new(self.channel.clone());
        client
            .campaign(request)
            .await
            .with_context(|| format!("campaign for {name} in etcd"))?;
        Ok(())
    }
}
