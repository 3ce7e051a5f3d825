//! An OCI distribution server: pull from a layout that others build, push into a store of its own.
//!
//! Names: a layout names images by their full upstream reference (`registry.k8s.io/pause:3.10`). A mirror client such
//! as containerd asks for `/v2/pause/manifests/3.10?ns=registry.k8s.io`; the same image is also at
//! `/v2/registry.k8s.io/pause/manifests/3.10`, and at `/v2/pause/manifests/3.10` while only one registry has it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = tokio::net::TcpListener::bind(("10.5.0.1", 5000)).await?;
//! let registry = image::registry::Registry::new(image::registry::Options {
//!     layout: Some("dist/images".into()),
//!     ..Default::default()
//! })?;
//! image::registry::serve(listener, registry, tokio_util::sync::CancellationToken::new()).await?;
//! # Ok(()) }
//! ```

mod answer;
mod catalog;
mod push;
mod route;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::oci::{Layout, LayoutError};
use catalog::Catalog;
use push::Uploads;

/// What a registry serves and how much it lets a client ask for.
#[derive(Clone, Debug)]
pub struct Options {
    /// A layout to pull from; never written. Changes to it are seen at the next request.
    pub layout: Option<PathBuf>,
    /// A folder for pushed images; without it pushing is refused.
    pub store: Option<PathBuf>,
    /// Connections served at the same time; more wait in the listener's queue.
    pub max_connections: usize,
    /// Largest blob taken in a push, in bytes.
    pub max_blob: u64,
    /// Uploads in progress at the same time.
    pub max_uploads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            layout: None,
            store: None,
            max_connections: 256,
            max_blob: 8 << 30,
            max_uploads: 64,
        }
    }
}

/// Largest manifest taken; the distribution specification asks registries for at least this.
pub(crate) const MAX_MANIFEST: usize = 4 << 20;
/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A registry; clones share everything.
#[derive(Clone)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) catalog: Catalog,
    pub(crate) uploads: Option<Uploads>,
    connections: Arc<Semaphore>,
}

impl Registry {
    /// Prepares the store's folders; reads nothing else yet.
    pub fn new(options: Options) -> Result<Registry, LayoutError> {
        let store = options.store.map(Layout::create).transpose()?;
        let uploads = match &store {
            Some(store) => Some(Uploads::new(store.clone(), options.max_blob, options.max_uploads)?),
            None => None,
        };
        let layouts = store.into_iter().chain(options.layout.map(Layout::at)).collect();
        Ok(Registry {
            inner: Arc::new(Inner {
                catalog: Catalog::new(layouts),
                uploads,
                connections: Arc::new(Semaphore::new(options.max_connections.max(1))),
            }),
        })
    }
}

/// Serves until `cancel`; then connections in progress are dropped.
pub async fn serve(listener: TcpListener, registry: Registry, cancel: CancellationToken) -> std::io::Result<()> {
    serve_with(listener, registry, None, cancel).await
}

/// The same over TLS, if `tls` says with which certificate.
pub async fn serve_with(
    listener: TcpListener,
    registry: Registry,
    tls: Option<Arc<rustls::ServerConfig>>,
    cancel: CancellationToken,
) -> std::io::Result<()> {
    let acceptor = tls.map(tokio_rustls::TlsAcceptor::from);
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let permit = tokio::select! {
            () = cancel.cancelled() => break,
            permit = registry.inner.connections.clone().acquire_owned() => permit.map_err(std::io::Error::other)?,
        };
        let stream = tokio::select! {
            () = cancel.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, or the client is gone already: neither ends the server.
                    tracing::warn!(%error, "registry: accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (registry, acceptor) = (registry.clone(), acceptor.clone());
        connections.spawn(async move {
            let _permit = permit;
            let _ = stream.set_nodelay(true);
            let Some(acceptor) = acceptor else {
                return connection(stream, registry).await;
            };
            match tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => connection(stream, registry).await,
                Ok(Err(error)) => tracing::debug!(%error, "registry: handshake failed"),
                Err(_) => tracing::debug!("registry: handshake took too long"),
            }
        });
    }
    connections.shutdown().await;
    Ok(())
}

/// Answers what comes over a connection, until it ends.
async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, registry: Registry) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let registry = registry.clone();
        async move { Ok::<_, std::convert::Infallible>(route::answer(&registry, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "registry: connection ended");
    }
}

#[cfg(test)]
mod tests;
