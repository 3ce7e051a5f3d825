//! Talking to nodes.
//!
//! A [`Client`] holds one connection to the first endpoint that answers and moves on to the next when that one goes
//! away. Endpoints are where it connects; nodes are who the calls are for: the endpoint passes them on.

mod ask;
mod connect;
mod explain;
mod many;
mod target;

use std::sync::Arc;
use std::time::Duration;

use pki::roles::Role;
use tonic::codec::CompressionEncoding;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

pub use ask::{CALL_LIMIT, within};
pub use connect::Error;
pub(crate) use connect::channel;
pub use explain::explain;
pub use many::{NodeReply, per_node, per_node_stream};
pub use target::{NODE, NODES, Target};

use crate::MAX_MESSAGE_SIZE;
use crate::endpoint::{APID_PORT, Endpoint};
use crate::proto;

/// How long one endpoint may take to accept a connection before the next one is tried.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a client needs to know.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Where to connect, in order of preference: `host` or `host:port`; the port is 50000 if not said.
    pub endpoints: Vec<String>,
    /// Who the calls are for, as the endpoint knows them; empty means the endpoint itself.
    pub nodes: Vec<String>,
    /// Authorities and identity, see `pki::tls::client_config`.
    pub tls: rustls::ClientConfig,
    /// Bound of one connection attempt: name, TCP and TLS together.
    pub timeout: Duration,
}

impl ClientOptions {
    /// Options with no endpoint and no node yet.
    pub fn new(tls: rustls::ClientConfig) -> Self {
        Self {
            endpoints: Vec::new(),
            nodes: Vec::new(),
            tls,
            timeout: ATTEMPT_TIMEOUT,
        }
    }
}

/// A connection that adds the chosen nodes to every call.
pub type Wire = InterceptedService<Channel, Target>;

/// A client of the machine API. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    target: Target,
    endpoints: Arc<[Endpoint]>,
}

impl Client {
    /// A client that connects when it is first used, and again whenever the connection was lost.
    /// Needs a tokio runtime.
    pub fn connect(options: ClientOptions) -> Result<Self, Error> {
        let parse = |text: &String| Endpoint::parse(text, APID_PORT);
        let endpoints: Arc<[Endpoint]> = options.endpoints.iter().map(parse).collect::<Result<_, _>>()?;
        let channel = channel(endpoints.clone(), options.tls, options.timeout)?;
        Ok(Self {
            channel,
            target: Target::of(&options.nodes),
            endpoints,
        })
    }

    /// The same connection, for other nodes.
    pub fn with_nodes<S: AsRef<str>>(&self, nodes: &[S]) -> Self {
        let target = Target::of(nodes);
        Self {
            target: match self.target.role() {
                Some(role) => target.with_role(role),
                None => target,
            },
            ..self.clone()
        }
    }

    /// The same connection, with calls made with this role. Nodes grant that to nodes alone.
    pub fn with_role(&self, role: Role) -> Self {
        Self {
            target: self.target.clone().with_role(role),
            ..self.clone()
        }
    }

    /// The nodes that calls are for; empty means the endpoint.
    pub fn nodes(&self) -> &[String] {
        self.target.nodes()
    }

    /// Where it connects.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// What to call an answer that does not say who it is from: the only node, or else the endpoint.
    pub fn fallback_name(&self) -> String {
        match (self.nodes(), &*self.endpoints) {
            ([node], _) => node.clone(),
            ([], [endpoint, ..]) => endpoint.host.clone(),
            _ => String::new(),
        }
    }

    /// The connection, for clients of services that have no function here.
    pub fn wire(&self) -> Wire {
        InterceptedService::new(self.channel.clone(), self.target.clone())
    }
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident: $client:path;)*) => {
        impl Client {
            $($(#[$doc])*
            pub fn $name(&self) -> $client {
                <$client>::new(self.wire())
                    .max_decoding_message_size(MAX_MESSAGE_SIZE)
                    // What is too large is the node's to say: its answer tells why.
                    .max_encoding_message_size(usize::MAX)
                    .accept_compressed(CompressionEncoding::Gzip)
            })*
        }
    };
}

services! {
    /// Everything about one machine.
    machine: proto::machine::machine_service_client::MachineServiceClient<Wire>;
    /// Images of the container runtimes.
    image: proto::machine::image_service_client::ImageServiceClient<Wire>;
    /// Install and upgrade with progress.
    lifecycle: proto::machine::lifecycle_service_client::LifecycleServiceClient<Wire>;
    /// Debug containers.
    debug: proto::machine::debug_service_client::DebugServiceClient<Wire>;
    /// LVM objects.
    lvm: proto::machine::lvm_service_client::LvmServiceClient<Wire>;
    /// Software RAID.
    md: proto::machine::md_service_client::MdServiceClient<Wire>;
    /// Space on file systems.
    space: proto::machine::storage_service_client::StorageServiceClient<Wire>;
    /// Resources.
    state: proto::cosi::resource::state_client::StateClient<Wire>;
    /// History of resources, and plans.
    insight: proto::keelson::machine::insight_service_client::InsightServiceClient<Wire>;
    /// What a node does for its cluster (ours).
    own_cluster: proto::keelson::machine::cluster_service_client::ClusterServiceClient<Wire>;
    /// Disks.
    storage: proto::storage::storage_service_client::StorageServiceClient<Wire>;
    /// Clocks.
    time: proto::time::time_service_client::TimeServiceClient<Wire>;
    /// Health of the cluster.
    cluster: proto::cluster::cluster_service_client::ClusterServiceClient<Wire>;
    /// The controllers.
    inspect: proto::inspect::inspect_service_client::InspectServiceClient<Wire>;
}
