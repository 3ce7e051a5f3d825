//! One connection of a client: TLS, who it is, its calls, its end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pki::roles::RoleSet;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::census::Census;
use super::{Caller, Handler, body, causes, limits};

/// Serves one client until it leaves, is idle too long, or `cancel`; then its calls may finish.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Arc<ServerConfig>,
    handler: Arc<impl Handler>,
    census: Arc<Census>,
    cancel: CancellationToken,
) {
    let handshaking = census.handshake(peer.ip());
    let accept = TlsAcceptor::from(tls)
        .accept_with(stream, |session| session.set_buffer_limit(Some(limits::MAX_TLS_BUFFER)))
        .into_fallible();
    let stream = tokio::select! {
        accepted = tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, accept) => match accepted {
            Ok(Ok(stream)) => stream,
            Ok(Err((error, stream))) => {
                tracing::info!(%peer, %error, "client refused");
                return farewell(stream).await;
            }
            Err(_) => return tracing::info!(%peer, "client refused: the handshake took too long"),
        },
        () = handshaking.ended.cancelled() => return tracing::debug!(%peer, "client gives way: too many handshakes"),
        () = cancel.cancelled() => return,
    };
    drop(handshaking);
    let Some(_established) = census.established(peer.ip()) else {
        tracing::warn!(%peer, "client refused: too many connections");
        return;
    };
    match identify(&stream, peer) {
        Ok(caller) => calls(stream, Arc::new(caller), handler, cancel).await,
        Err(error) => tracing::info!(%peer, %error, "client refused: its certificate cannot be read"),
    }
}

/// Lets a refused client read why. Closing a socket with unread data resets it, and the alert would be lost with it.
async fn farewell(mut stream: TcpStream) {
    let drain = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(limits::FAREWELL_BYTES), &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(limits::FAREWELL_TIMEOUT, drain).await;
}

fn identify(stream: &TlsStream<TcpStream>, peer: SocketAddr) -> Result<Caller, pki::Error> {
    let (_, session) = stream.get_ref();
    let Some([certificate, ..]) = session.peer_certificates() else {
        return Ok(Caller {
            peer,
            roles: RoleSet::default(),
            until: None,
            certificate: None,
        });
    };
    Ok(Caller {
        peer,
        roles: pki::tls::peer_roles(certificate)?,
        until: Some(pki::cert_info_der(certificate)?.not_after),
        certificate: Some(certificate.to_vec()),
    })
}

async fn calls(
    stream: TlsStream<TcpStream>,
    caller: Arc<Caller>,
    handler: Arc<impl Handler>,
    cancel: CancellationToken,
) {
    let peer = caller.peer;
    let chain = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec);
    let distrusted = {
        let handler = handler.clone();
        async move {
            match chain {
                Some(chain) => handler.distrusted(chain).await,
                None => std::future::pending().await,
            }
        }
    };
    let activity = Arc::new(Activity::new());
    let service = {
        let activity = activity.clone();
        service_fn(move |request| {
            let (handler, caller) = (handler.clone(), caller.clone());
            let call = activity.clone().begin();
            async move {
                let response = handler.answer(caller, request).await;
                Ok::<_, std::convert::Infallible>(response.map(|body| body::holding(body, call)))
            }
        })
    };
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::MAX_CALLS_PER_CONNECTION)
        .max_header_list_size(limits::MAX_HEADER_LIST)
        .initial_stream_window_size(limits::CLIENT_STREAM_WINDOW)
        .initial_connection_window_size(limits::CLIENT_CONNECTION_WINDOW)
        .max_send_buf_size(limits::MAX_SEND_BUFFER)
        .keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEP_ALIVE_TIMEOUT);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection, distrusted);

    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = cancel.cancelled() => None,
        () = activity.idle() => None,
        () = distrusted.as_mut() => {
            tracing::info!(%peer, "connection ended: the authority of the client is not accepted any more");
            return;
        }
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = grace(&cancel) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error = causes(&error), "connection ended");
    }
}

async fn grace(cancel: &CancellationToken) {
    cancel.cancelled().await;
    tokio::time::sleep(limits::SHUTDOWN_GRACE).await;
}

/// Calls in progress on a connection, and when the last one ended.
struct Activity {
    calls: AtomicUsize,
    /// There was one.
    called: AtomicBool,
    ended: Mutex<Instant>,
}

/// A call in progress until this is dropped.
pub(super) struct InProgress(Arc<Activity>);

impl Activity {
    fn new() -> Self {
        Self {
            calls: AtomicUsize::new(0),
            called: AtomicBool::new(false),
            ended: Mutex::new(Instant::now()),
        }
    }

    fn begin(self: Arc<Self>) -> InProgress {
        self.calls.fetch_add(1, Ordering::AcqRel);
        self.called.store(true, Ordering::Release);
        InProgress(self)
    }

    /// Returns when there has been no call for too long.
    async fn idle(&self) {
        loop {
            let since = self.ended.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
            let busy = self.calls.load(Ordering::Acquire) > 0;
            let timeout = match self.called.load(Ordering::Acquire) {
                true => limits::IDLE_TIMEOUT,
                false => limits::FIRST_CALL_TIMEOUT,
            };
            match timeout.checked_sub(since) {
                None | Some(Duration::ZERO) if !busy => return,
                Some(left) if !busy => tokio::time::sleep(left).await,
                _ => tokio::time::sleep(timeout).await,
            }
        }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        *self.0.ended.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
    }
}
