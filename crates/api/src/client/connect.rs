//! Connections: endpoint after endpoint, TCP and TLS under one deadline.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio_rustls::TlsConnector;
use tonic::transport::Channel;

use crate::dial::{MAX_FRAME_SIZE, Stream, dial};
use crate::endpoint::{Endpoint, EndpointError};

/// A ping this often finds a peer that is gone; nodes permit one every ten seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// No answer to a ping for that long: the connection is dead, and the next endpoint is tried.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a node may send ahead in one call, and in all of a connection: enough for a fast stream over a long way.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An endpoint cannot be read.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// There is nowhere to connect to.
    #[error("no endpoint is given: name one with --endpoints or in the client configuration")]
    NoEndpoint,
    /// An endpoint cannot be the authority of a request.
    #[error("endpoint {0}: not usable as an address: {1}")]
    Authority(String, #[source] tonic::transport::Error),
}

/// Why no endpoint could be connected to: each with its reason.
#[derive(Debug)]
struct AllFailed(Vec<(Endpoint, io::Error)>);

impl std::fmt::Display for AllFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (endpoint, error)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}connect to {endpoint}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for AllFailed {}

pub(crate) fn channel(
    endpoints: Arc<[Endpoint]>,
    tls: rustls::ClientConfig,
    attempt: Duration,
) -> Result<Channel, Error> {
    let first = endpoints.first().ok_or(Error::NoEndpoint)?;
    // The scheme of this URI would make tonic do TLS itself; `origin` is what the server sees.
    let authority = |e| Error::Authority(first.to_string(), e);
    let origin = format!("https://{first}").parse().map_err(|_| Error::NoEndpoint)?;
    let builder = tonic::transport::Endpoint::from_shared(format!("http://{first}"))
        .map_err(authority)?
        .origin(origin)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME_SIZE)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(false);
    let dialer = Arc::new(Dialer {
        endpoints,
        tls: TlsConnector::from(Arc::new(tls)),
        attempt,
        preferred: AtomicUsize::new(0),
    });
    let connect = tower::service_fn(move |_| {
        let dialer = dialer.clone();
        async move { dialer.dial().await.map(TokioIo::new) }
    });
    Ok(builder.connect_with_connector_lazy(connect))
}

struct Dialer {
    endpoints: Arc<[Endpoint]>,
    tls: TlsConnector,
    attempt: Duration,
    /// The endpoint that answered last; the search for another begins after it.
    preferred: AtomicUsize,
}

impl Dialer {
    async fn dial(&self) -> Result<Stream, AllFailed> {
        let count = self.endpoints.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failed = Vec::new();
        for index in (0..count).map(|i| (first + i) % count) {
            let endpoint = &self.endpoints[index];
            match dial(endpoint, &self.tls, self.attempt).await {
                Ok(stream) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(stream);
                }
                Err(error) => failed.push((endpoint.clone(), error)),
            }
        }
        Err(AllFailed(failed))
    }
}
