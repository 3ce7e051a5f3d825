//! The door of a node.
//!
//! Terminates mutual TLS, checks the roles in the client certificate, and passes each call to the machine API on the
//! local socket or to apid of another node, by the metadata of the call. Messages are passed as bytes; a call to many
//! nodes writes the node's name behind each answer without decoding it.
//!
//! It holds no state but connections, needs no privilege, and trusts nobody it has not seen a certificate of.

mod body;
mod fanout;
mod frame;
pub mod limits;
mod proxy;
pub mod route;
mod upstream;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use proxy::Proxy;
use upstream::Upstreams;

use crate::door;
use crate::endpoint::APID_PORT;

/// What apid needs.
#[derive(Debug)]
pub struct Config {
    /// Where clients connect.
    pub listener: TcpListener,
    /// Certificates; new connections use the newest.
    pub tls: watch::Receiver<TlsState>,
    /// The addresses of this node: calls for one of them stay here. The first names us to other nodes.
    pub local_addresses: watch::Receiver<Vec<IpAddr>>,
    /// Whether calls are passed on to other nodes: control planes do.
    pub forwarding: bool,
    /// The socket of the local machine API, which believes the roles we pass on.
    pub backend: PathBuf,
    /// Whether the node has no configuration: nobody shows a certificate, everyone is a reader, and few calls work.
    pub maintenance: bool,
    /// Whether roles matter. Without (`machine.features.rbac: false`, of old configurations) every client that has a
    /// certificate of the authority is an administrator.
    pub rbac: bool,
    /// Where other nodes listen.
    pub node_port: u16,
}

impl Config {
    /// The configuration of a node in service that passes nothing on.
    pub fn new(
        listener: TcpListener,
        tls: watch::Receiver<TlsState>,
        local_addresses: watch::Receiver<Vec<IpAddr>>,
        backend: PathBuf,
    ) -> Self {
        Self {
            listener,
            tls,
            local_addresses,
            forwarding: false,
            backend,
            maintenance: false,
            rbac: true,
            node_port: APID_PORT,
        }
    }
}

/// The certificates of the moment.
#[derive(Clone, Debug)]
pub struct TlsState {
    /// How we show ourselves and whom we let in, see `pki::tls::server_config`.
    pub server: Arc<rustls::ServerConfig>,
    /// How we call other nodes; workers and nodes in maintenance have none.
    pub client: Option<Arc<rustls::ClientConfig>>,
    /// The authorities whose clients are let in, PEM; empty where no certificate is asked for. A connection of a client
    /// whose authority is no more among them is ended.
    pub accepted_cas: Vec<u8>,
}

/// Serves until `cancel`, then lets calls in progress finish for [`limits::SHUTDOWN_GRACE`].
pub async fn serve(config: Config, cancel: CancellationToken) {
    let proxy = Proxy {
        tls: config.tls,
        local_addresses: config.local_addresses,
        forwarding: config.forwarding,
        maintenance: config.maintenance,
        rbac: config.rbac,
        node_port: config.node_port,
        upstreams: Upstreams::new(config.backend),
    };
    door::serve(config.listener, Arc::new(proxy), cancel).await;
}
