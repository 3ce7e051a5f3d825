//! Accepting connections, bounding them, and answering what comes on them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use discovery_client::proto::server::cluster_server::ClusterServer;
use futures::FutureExt;
use http::Request;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::caller::Caller;
use crate::http2::{self, RequestBody};
use crate::limits;
use crate::metrics::Metrics;
use crate::service::{Service, WATCH};
use crate::time::Clock;

/// Which protocol a port speaks.
#[derive(Clone, Debug)]
pub enum Port {
    /// gRPC, with TLS if there is a certificate.
    Grpc(Service, Option<watch::Receiver<Arc<ServerConfig>>>),
    /// HTTP/1.
    Web(axum::Router),
}

/// What bounds a port.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Connections that may be open.
    pub connections: Arc<Semaphore>,
    /// Connections that may be new.
    pub handshakes: Arc<Semaphore>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// A clock.
    pub clock: Clock,
}

impl Bounds {
    /// So many connections.
    pub fn new(connections: usize, metrics: Arc<Metrics>, clock: Clock) -> Bounds {
        Bounds {
            connections: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            handshakes: Arc::new(Semaphore::new(limits::HANDSHAKES)),
            metrics,
            clock,
        }
    }
}

/// Serves a port until `cancel`, then lets calls in progress finish.
pub async fn serve(listener: TcpListener, port: Port, bounds: Bounds, cancel: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match bounds.connections.clone().try_acquire_owned() {
                Ok(permit) => {
                    // Small messages should leave at once; a socket that refuses the option is closed already.
                    let _ = stream.set_nodelay(true);
                    let (port, bounds, cancel) = (port.clone(), bounds.clone(), cancel.clone());
                    connections.spawn(connection(stream, peer, port, bounds, permit, cancel));
                }
                Err(_) => {
                    bounds.metrics.refused_connections.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(%peer, "closed: too many connections");
                }
            },
            Err(error) => {
                // Out of descriptors, or a client that left already: the next one may fare better.
                tracing::warn!(%error, "accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
    connections.close();
    let _ = tokio::time::timeout(limits::SHUTDOWN_GRACE, connections.wait()).await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    port: Port,
    bounds: Bounds,
    _permit: OwnedSemaphorePermit,
    cancel: CancellationToken,
) {
    bounds.metrics.connections.fetch_add(1, Ordering::Relaxed);
    let caller = Caller::new(peer.ip(), bounds.clock.uptime());
    match port {
        Port::Web(router) => web(stream, router, caller, &bounds, &cancel).await,
        Port::Grpc(service, None) => {
            // The first byte within the time of a handshake: a client that says nothing is closed.
            let spoke = tokio::time::timeout(limits::HANDSHAKE, stream.peek(&mut [0])).await;
            if matches!(spoke, Ok(Ok(1))) {
                grpc(stream, service, caller, &bounds, &cancel).await;
            }
        }
        Port::Grpc(service, Some(tls)) => {
            let config = tls.borrow().clone();
            if let Some(stream) = handshake(stream, peer, config, &bounds).await {
                grpc(stream, service, caller, &bounds, &cancel).await;
            }
        }
    }
    bounds.metrics.connections.fetch_sub(1, Ordering::Relaxed);
}

async fn handshake(
    stream: TcpStream,
    peer: SocketAddr,
    config: Arc<ServerConfig>,
    bounds: &Bounds,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let Ok(_handshaking) = bounds.handshakes.try_acquire() else {
        bounds.metrics.refused_connections.fetch_add(1, Ordering::Relaxed);
        return None;
    };
    match tokio::time::timeout(limits::HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "client refused");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "client refused: the handshake took too long");
            None
        }
    }
}

async fn grpc(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: Service,
    caller: Caller,
    bounds: &Bounds,
    cancel: &CancellationToken,
) {
    let server = ClusterServer::new(service.clone())
        .max_decoding_message_size(limits::REQUEST)
        .accept_compressed(tonic::codec::CompressionEncoding::Gzip);
    let clock = bounds.clock;
    let answer = |mut request: Request<RequestBody>| {
        request.extensions_mut().insert(caller.call(clock.uptime()));
        let (mut server, service) = (server.clone(), service.clone());
        async move {
            match request.uri().path() {
                // Boxed: to begin one takes more memory than any other call, and calls are as large as the largest.
                WATCH => service.watch(request).boxed().await.map(Either::Left),
                _ => match server.call(request).await {
                    Ok(response) => response.map(Either::Right),
                    Err(never) => match never {},
                },
            }
        }
    };
    let end = async {
        tokio::select! {
            () = idle(&caller, clock) => {}
            () = cancel.cancelled() => {}
        }
    };
    if let Err(error) = http2::serve(stream, answer, end).await {
        tracing::debug!(%error, "connection ended");
    }
}

async fn web(stream: TcpStream, router: axum::Router, caller: Caller, bounds: &Bounds, cancel: &CancellationToken) {
    let clock = bounds.clock;
    let answer = {
        let caller = caller.clone();
        service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(caller.call(clock.uptime()));
            router.clone().call(request)
        })
    };
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HANDSHAKE)
        .max_buf_size(limits::HEADERS as usize);
    let connection = builder.serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return said(ended),
        () = idle(&caller, clock) => {}
        () = cancel.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(limits::SHUTDOWN_GRACE, connection).await;
}

/// Returns when there has been no call for too long.
async fn idle(caller: &Caller, clock: Clock) {
    loop {
        tokio::time::sleep(limits::IDLE / 5).await;
        if caller.is_idle(clock.uptime(), limits::IDLE) {
            return;
        }
    }
}

fn said(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
