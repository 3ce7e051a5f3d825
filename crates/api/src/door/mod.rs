//! A TLS port that answers gRPC calls: accepting, identifying and bounding clients, whatever their calls do.

pub(crate) mod body;
mod census;
mod connection;
pub mod limits;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use hyper::body::Incoming;
use pki::roles::RoleSet;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use body::Body;
use census::{Bounds, Census};

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Where it connects from.
    pub(crate) peer: SocketAddr,
    /// The roles in the client certificate.
    pub(crate) roles: RoleSet,
    /// When that certificate ends. Connections live longer than handshakes, so each call looks again.
    pub(crate) until: Option<SystemTime>,
    /// The client certificate, DER.
    pub(crate) certificate: Option<Vec<u8>>,
}

/// What is behind the door.
pub(crate) trait Handler: Send + Sync + 'static {
    /// The certificates for the next connection.
    fn tls(&self) -> Arc<rustls::ServerConfig>;

    /// Answers a call; failures are answers too.
    fn answer(
        self: Arc<Self>,
        caller: Arc<Caller>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// Called every half minute.
    fn sweep(&self) {}

    /// Returns when a client that showed this chain would not be let in any more: its authority is not accepted now.
    fn distrusted(self: Arc<Self>, _chain: Vec<CertificateDer<'static>>) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// Serves until `cancel`, then lets calls in progress finish for [`limits::SHUTDOWN_GRACE`].
pub(crate) async fn serve(listener: TcpListener, handler: Arc<impl Handler>, cancel: CancellationToken) {
    let census = Arc::new(Census::new(Bounds {
        handshakes: limits::MAX_HANDSHAKES,
        handshakes_per_address: limits::MAX_HANDSHAKES_PER_ADDRESS,
        connections: limits::MAX_CONNECTIONS,
        connections_per_address: limits::MAX_CONNECTIONS_PER_ADDRESS,
    }));
    let connections = TaskTracker::new();
    let mut sweep = tokio::time::interval(Duration::from_secs(30));
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            _ = sweep.tick() => handler.sweep(),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    // Small messages should leave at once; a socket that refuses the option is closed already.
                    let _ = stream.set_nodelay(true);
                    let (tls, handler) = (handler.tls(), handler.clone());
                    connections.spawn(connection::serve(stream, peer, tls, handler, census.clone(), cancel.clone()));
                }
                Err(error) => {
                    // Out of descriptors, or a client that left already: the next one may fare better.
                    tracing::warn!(%error, "accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    connections.close();
    let _ = tokio::time::timeout(limits::SHUTDOWN_GRACE, connections.wait()).await;
}

/// An error with what caused it: the reason of a lost connection is one or two levels down.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
