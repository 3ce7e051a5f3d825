//! Connections to the local machine API and to other nodes: kept, shared, bounded, dropped when idle.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::{Request, Response, Uri};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsConnector;
use tonic::Status;

use super::body::FromUpstream;
use super::limits;
use crate::dial::{MAX_FRAME_SIZE, dial};
use crate::door::body::Body;
use crate::door::causes;
use crate::endpoint::Endpoint;
use crate::method;

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Upstream {
    /// The machine API of this node.
    Local,
    /// apid of another node.
    Node(Endpoint),
}

impl Upstream {
    /// As it stands in errors.
    pub(super) fn name(&self) -> String {
        match self {
            Upstream::Local => "the machine API of this node".into(),
            Upstream::Node(endpoint) => endpoint.to_string(),
        }
    }
}

/// How much an upstream may send ahead on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    /// For most calls.
    Narrow,
    /// For some streams of bytes.
    Wide,
}

impl Lane {
    fn stream_window(self) -> u32 {
        match self {
            Lane::Narrow => limits::UPSTREAM_STREAM_WINDOW,
            Lane::Wide => limits::WIDE_STREAM_WINDOW,
        }
    }

    /// Room for every call's window: a call whose client does not read then never stops another.
    fn connection_window(self) -> u32 {
        let calls = match self {
            Lane::Narrow => limits::CALLS_PER_UPSTREAM_CONNECTION,
            Lane::Wide => limits::WIDE_STREAMS,
        };
        self.stream_window()
            .saturating_mul(u32::try_from(calls).unwrap_or(u32::MAX))
    }
}

/// All connections to others.
pub(super) struct Upstreams {
    backend: PathBuf,
    slots: Mutex<HashMap<(Upstream, Lane), Arc<Slot>>>,
    /// Places of calls in wide lanes.
    wide: Arc<Semaphore>,
}

/// The connections to one upstream.
#[derive(Default)]
struct Slot {
    connections: Mutex<Vec<Connection>>,
    /// Held while dialling, with the outcome of the last attempt that failed: calls that waited for it share it.
    dialling: tokio::sync::Mutex<Option<(Instant, Status)>>,
}

struct Connection {
    sender: SendRequest<Body>,
    calls: Arc<AtomicUsize>,
    used: Instant,
    /// The identity that it was opened with; a renewed one gets connections of its own.
    identity: Option<Arc<ClientConfig>>,
}

/// A call's place on a connection, given back on drop.
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A call's place on a connection, and in the wide lanes if it has one there.
type Places = (Place, Option<OwnedSemaphorePermit>);

type Opened = (SendRequest<Body>, Place);

impl Upstreams {
    pub(super) fn new(backend: PathBuf) -> Self {
        Self {
            backend,
            slots: Mutex::default(),
            wide: Arc::new(Semaphore::new(limits::WIDE_STREAMS)),
        }
    }

    /// Sends a request and returns the response as it comes.
    pub(super) async fn call(
        &self,
        upstream: &Upstream,
        identity: Option<&Arc<ClientConfig>>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let wide = match method::streams_bytes(request.uri().path()) {
            true => self.wide.clone().try_acquire_owned().ok(),
            false => None,
        };
        let lane = if wide.is_some() { Lane::Wide } else { Lane::Narrow };
        *request.uri_mut() = uri(upstream, request.uri())?;
        *request.version_mut() = http::Version::HTTP_2;
        let lost = |e: &dyn std::fmt::Display| Status::unavailable(format!("call {}: {e}", upstream.name()));
        let slot = self.slot(upstream, lane)?;
        let (mut sender, mut place) = self.open(&slot, upstream, lane, identity).await?;
        let response = match sender.try_send_request(request).await {
            Ok(response) => response,
            // The connection went away before it took the request: that is worth one more, on a new connection.
            Err(mut error) => match error.take_message() {
                Some(request) => {
                    (sender, place) = self.open(&slot, upstream, lane, identity).await?;
                    sender.send_request(request).await.map_err(|e| lost(&e))?
                }
                None => return Err(lost(&causes(error.error()))),
            },
        };
        let name = upstream.name();
        let places: Places = (place, wide);
        Ok(response.map(|incoming| FromUpstream::boxed(incoming, name, places)))
    }

    fn slot(&self, upstream: &Upstream, lane: Lane) -> Result<Arc<Slot>, Status> {
        let key = (upstream.clone(), lane);
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(&key) {
            return Ok(slot.clone());
        }
        if slots.len() >= limits::MAX_UPSTREAMS {
            return Err(Status::resource_exhausted(
                "connections to too many nodes are open, try again in a minute",
            ));
        }
        Ok(slots.entry(key).or_default().clone())
    }

    async fn open(
        &self,
        slot: &Slot,
        upstream: &Upstream,
        lane: Lane,
        identity: Option<&Arc<ClientConfig>>,
    ) -> Result<Opened, Status> {
        let began = Instant::now();
        if let Some(opened) = slot.reuse(identity) {
            return Ok(opened);
        }
        let mut failed = slot.dialling.lock().await;
        if let Some(opened) = slot.reuse(identity) {
            return Ok(opened);
        }
        if let Some((when, status)) = &*failed
            && *when >= began
        {
            return Err(status.clone());
        }
        match self.connect(upstream, lane, identity).await {
            Ok(sender) => slot.add(sender, identity, upstream),
            Err(status) => {
                *failed = Some((Instant::now(), status.clone()));
                Err(status)
            }
        }
    }

    async fn connect(
        &self,
        upstream: &Upstream,
        lane: Lane,
        identity: Option<&Arc<ClientConfig>>,
    ) -> Result<SendRequest<Body>, Status> {
        let lost = |e: std::io::Error| Status::unavailable(format!("connect to {}: {e}", upstream.name()));
        let sender = match upstream {
            Upstream::Local => {
                let stream = UnixStream::connect(&self.backend).await.map_err(lost)?;
                handshake(stream, lane, false).await
            }
            Upstream::Node(endpoint) => {
                let identity = identity.ok_or_else(|| {
                    Status::unavailable("this node has no client certificate yet to call other nodes with")
                })?;
                let tls = TlsConnector::from(identity.clone());
                let stream = dial(endpoint, &tls, limits::DIAL_TIMEOUT).await.map_err(lost)?;
                handshake(stream, lane, true).await
            }
        };
        sender.map_err(|e| Status::unavailable(format!("connect to {}: {e}", upstream.name())))
    }

    /// Drops what is closed, idle or empty.
    pub(super) fn sweep(&self) {
        lock(&self.slots).retain(|_, slot| {
            let mut connections = lock(&slot.connections);
            connections.retain(|c| {
                let idle = c.calls.load(Ordering::Acquire) == 0 && c.used.elapsed() > limits::UPSTREAM_IDLE;
                !idle && !c.sender.is_closed()
            });
            // A call that is just dialling holds the slot too.
            !connections.is_empty() || Arc::strong_count(slot) > 1
        });
    }
}

impl Slot {
    fn reuse(&self, identity: Option<&Arc<ClientConfig>>) -> Option<Opened> {
        let mut connections = lock(&self.connections);
        connections.retain(|c| !c.sender.is_closed());
        let fits = |c: &&mut Connection| {
            same(c.identity.as_ref(), identity)
                && c.calls.load(Ordering::Acquire) < limits::CALLS_PER_UPSTREAM_CONNECTION
        };
        let connection = connections.iter_mut().find(fits)?;
        connection.used = Instant::now();
        connection.calls.fetch_add(1, Ordering::AcqRel);
        Some((connection.sender.clone(), Place(connection.calls.clone())))
    }

    fn add(
        &self,
        sender: SendRequest<Body>,
        identity: Option<&Arc<ClientConfig>>,
        upstream: &Upstream,
    ) -> Result<Opened, Status> {
        let mut connections = lock(&self.connections);
        // Connections of an identity that was replaced serve the calls they have, and no more.
        connections.retain(|c| same(c.identity.as_ref(), identity) || c.calls.load(Ordering::Acquire) > 0);
        if connections.len() >= limits::CONNECTIONS_PER_UPSTREAM {
            let name = upstream.name();
            return Err(Status::resource_exhausted(format!(
                "too many calls to {name} are in progress"
            )));
        }
        let calls = Arc::new(AtomicUsize::new(1));
        connections.push(Connection {
            sender: sender.clone(),
            calls: calls.clone(),
            used: Instant::now(),
            identity: identity.cloned(),
        });
        Ok((sender, Place(calls)))
    }
}

fn same(a: Option<&Arc<ClientConfig>>, b: Option<&Arc<ClientConfig>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

async fn handshake<I>(stream: I, lane: Lane, remote: bool) -> hyper::Result<SendRequest<Body>>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(lane.stream_window())
        .initial_connection_window_size(lane.connection_window())
        .max_frame_size(MAX_FRAME_SIZE)
        .max_header_list_size(limits::MAX_HEADER_LIST)
        .max_send_buf_size(limits::MAX_SEND_BUFFER);
    if remote {
        builder
            .keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(limits::KEEP_ALIVE_TIMEOUT);
    }
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = causes(&error), "upstream connection ended");
        }
    });
    Ok(sender)
}

fn uri(upstream: &Upstream, uri: &Uri) -> Result<Uri, Status> {
    let (scheme, authority) = match upstream {
        Upstream::Local => ("http", "localhost".to_owned()),
        Upstream::Node(endpoint) => ("https", endpoint.to_string()),
    };
    let built = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(uri.path());
    built
        .build()
        .map_err(|e| Status::invalid_argument(format!("call {}: {e}", upstream.name())))
}

/// The data behind these locks is whole after every statement, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
