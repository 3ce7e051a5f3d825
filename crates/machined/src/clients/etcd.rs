//! etcd, over mutual TLS with the node's own certificates.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use hyper_util::rt::TokioIo;
use pki::CertAndKey;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// The generated messages and clients.
#[allow(missing_docs, clippy::all)]
pub mod proto {
    tonic::include_proto!("etcdserverpb");
}

use proto::cluster_client::ClusterClient;
use proto::maintenance_client::MaintenanceClient;
pub use proto::{Member, MemberAddResponse, StatusResponse};

/// etcd's client port.
const PORT: u16 = 2379;
/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

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
        let tls = pki::tls::client_config(ca, Some(identity)).context("make the TLS client of etcd")?;
        let connector = TlsConnector::from(std::sync::Arc::new(tls));
        let endpoint = Endpoint::from_static("http://etcd")
            .timeout(CALL_TIMEOUT)
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
        let mut client = MaintenanceClient::new(self.channel.clone());
        Ok(client
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
}
