//! One call to many nodes: answers concatenated, streams merged, every message marked with its node.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Response};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::body;
use super::frame::{Frames, frame, node_metadata, put_entry, put_reply, too_large};
use super::limits;
use super::route::Destination;
use crate::MAX_MESSAGE_SIZE;
use crate::door::body::Body;

/// Sends the (complete) request to one destination.
pub(super) trait SendTo: Send + Sync + 'static {
    /// When the whole call must be done.
    fn deadline(&self) -> Option<Instant>;
    fn send(&self, to: Destination, body: Bytes) -> impl Future<Output = Result<Response<Body>, Status>> + Send;
}

/// A unary call: one reply with the entries of all, in the order in which the nodes were named.
pub(super) async fn unary(sender: Arc<impl SendTo>, nodes: Vec<Destination>, request: Bytes) -> Response<Body> {
    // What all answers together may take: a larger reply no client would accept.
    let budget = Arc::new(AtomicUsize::new(MAX_MESSAGE_SIZE));
    let answers = futures::stream::iter(nodes).map(|node| {
        let (sender, budget, request) = (sender.clone(), budget.clone(), request.clone());
        async move {
            let name = node.name.clone();
            let mut entries = Vec::new();
            let result = async {
                let reply = single(sender.send(node, request).await?).await?;
                let size = reply.len() + name.len() + 16;
                let left = |left: usize| left.checked_sub(size);
                budget
                    .fetch_update(Ordering::AcqRel, Ordering::Acquire, left)
                    .map_err(|_| {
                        Status::resource_exhausted("the answers of all nodes are too large together: ask fewer")
                    })?;
                put_reply(&mut entries, &reply, &node_metadata(&name, None))
            };
            if let Err(status) = within(sender.deadline(), result).await {
                entries.clear();
                put_entry(&mut entries, &[], &node_metadata(&name, Some(&status)));
            }
            entries
        }
    });
    let entries: Vec<Vec<u8>> = answers.buffered(limits::FAN_OUT_AT_ONCE).collect().await;
    let reply = frame(&entries.concat());
    body::messages(futures::stream::once(async { reply }))
}

/// A streaming call: messages of all as they come. A node that fails sends a last message that says so.
pub(super) fn streaming(sender: Arc<impl SendTo>, nodes: Vec<Destination>, request: &Bytes) -> Response<Body> {
    let (queue, messages) = mpsc::channel(limits::FAN_OUT_QUEUE);
    for node in nodes {
        let (sender, queue, request) = (sender.clone(), queue.clone(), request.clone());
        tokio::spawn(async move {
            let name = node.name.clone();
            // When the client goes away nobody waits for this node any more, however long it is silent.
            let result = tokio::select! {
                result = within(sender.deadline(), pump(&*sender, node, request, &queue)) => result,
                () = queue.closed() => return,
            };
            if let Err(status) = result {
                let _ = queue.send(frame(&node_metadata(&name, Some(&status)))).await;
            }
        });
    }
    body::messages(ReceiverStream::new(messages))
}

async fn within<T>(deadline: Option<Instant>, future: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match deadline {
        None => future.await,
        Some(deadline) => tokio::time::timeout_at(deadline, future)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("the node did not answer in time"))),
    }
}

async fn pump(
    sender: &impl SendTo,
    node: Destination,
    request: Bytes,
    queue: &mpsc::Sender<Bytes>,
) -> Result<(), Status> {
    let metadata = node_metadata(&node.name, None);
    let (headers, mut frames) = open(sender.send(node, request).await?)?;
    while let Some(message) = frames.next().await? {
        let marked = [&message[..], &metadata].concat();
        if queue.send(frame(&marked)).await.is_err() {
            return Ok(());
        }
    }
    status(&headers, frames.trailers.as_ref())
}

/// The only message of a unary response.
async fn single(response: Response<Body>) -> Result<Bytes, Status> {
    let (headers, mut frames) = open(response)?;
    let first = frames.next().await?;
    if let Some(reply) = &first
        && reply.len() > MAX_MESSAGE_SIZE
    {
        return Err(too_large(reply.len()));
    }
    // Trailers come after the end of the data.
    while frames.next().await?.is_some() {}
    status(&headers, frames.trailers.as_ref())?;
    first.ok_or_else(|| Status::internal("the response has no message"))
}

fn open(response: Response<Body>) -> Result<(HeaderMap, Frames<Body>), Status> {
    let (parts, body) = response.into_parts();
    if parts.status != http::StatusCode::OK {
        return Err(Status::unavailable(format!("the node answered HTTP {}", parts.status)));
    }
    Ok((parts.headers, Frames::new(body)))
}

/// The status of a response: in its trailers, or in its headers if there is nothing else.
fn status(headers: &HeaderMap, trailers: Option<&HeaderMap>) -> Result<(), Status> {
    let found = trailers
        .and_then(Status::from_header_map)
        .or_else(|| Status::from_header_map(headers));
    match found {
        Some(status) if status.code() == tonic::Code::Ok => Ok(()),
        Some(status) => Err(status),
        None => Err(Status::internal("the response ended without a status")),
    }
}
