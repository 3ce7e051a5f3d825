//! Those who watch a cluster: first everything, then every change, in order and without a gap.
//!
//! A change is encoded once, whoever many are told of it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use discovery_client::proto::server::WatchResponse;
use futures::Stream;
use hyper::body::{Body, Frame};
use prost::Message;
use tokio::sync::mpsc;
use tonic::Status;

use crate::caller::Caller;
use crate::limits;

/// The sending ends of a cluster's watchers.
#[derive(Debug, Default)]
pub struct Watchers(Vec<mpsc::Sender<Bytes>>);

/// The receiving end: messages as gRPC frames them.
#[derive(Debug)]
pub struct Subscription {
    first: Option<Bytes>,
    rest: mpsc::Receiver<Bytes>,
    ended: bool,
    count: Arc<Count>,
}

/// A message as it is sent: not compressed, its length, itself.
fn frame(message: &WatchResponse) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(5 + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // There is room for all of it.
    let _ = message.encode(&mut bytes);
    bytes.freeze()
}

/// How many there are, and whether they are told to go.
#[derive(Debug, Default)]
pub struct Count {
    /// Watchers of all clusters.
    pub watchers: AtomicUsize,
    /// Watchers that were too slow so far.
    pub cut_off: AtomicUsize,
    /// Set when the service stops.
    pub stopping: AtomicBool,
}

impl Watchers {
    /// Adds one, who is shown `first` now. None if there are too many.
    pub fn add(&mut self, first: &WatchResponse, count: &Arc<Count>) -> Option<Subscription> {
        if self.0.len() == self.0.capacity() {
            self.forget_closed();
        }
        if self.0.len() >= limits::WATCHERS {
            return None;
        }
        let (send, rest) = mpsc::channel(limits::WATCH_BUFFER);
        self.0.push(send);
        count.watchers.fetch_add(1, Ordering::Relaxed);
        Some(Subscription {
            first: Some(frame(first)),
            rest,
            ended: false,
            count: count.clone(),
        })
    }

    /// Tells all of a change. One whose buffer is full misses it, and therefore gets nothing more.
    pub fn tell(&mut self, change: &WatchResponse) {
        let change = frame(change);
        self.0.retain(|watcher| watcher.try_send(change.clone()).is_ok());
    }

    /// Forgets those who have gone.
    pub fn forget_closed(&mut self) {
        self.0.retain(|watcher| !watcher.is_closed());
    }

    /// Whether nobody watches.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Stream for Subscription {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        match self.rest.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(change)) => Poll::Ready(Some(Ok(change))),
            Poll::Ready(None) => {
                self.ended = true;
                Poll::Ready(Some(Err(self.count.reason())))
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.count.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A subscription as the body of an answer, which keeps its connection from being idle. The default has nothing.
#[derive(Debug, Default)]
pub struct WatchBody(Option<(Subscription, Option<Caller>)>);

impl WatchBody {
    /// The body of an answer to a caller.
    pub fn new(subscription: Subscription, caller: Option<Caller>) -> WatchBody {
        WatchBody(Some((subscription, caller)))
    }
}

impl Body for WatchBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some((subscription, _)) = &mut self.0 else {
            return Poll::Ready(None);
        };
        Pin::new(subscription).poll_next(cx).map(|next| {
            Some(Ok(match next? {
                Ok(message) => Frame::data(message),
                Err(status) => {
                    let mut trailers = http::HeaderMap::new();
                    // Nothing in our statuses cannot be in a header.
                    let _ = status.add_header(&mut trailers);
                    Frame::trailers(trailers)
                }
            }))
        })
    }
}

impl Count {
    fn reason(&self) -> Status {
        if self.stopping.load(Ordering::Acquire) {
            return Status::unavailable("the service is stopping: connect again");
        }
        self.cut_off.fetch_add(1, Ordering::Relaxed);
        Status::aborted(format!(
            "{} changes waited and were not read: watch again",
            limits::WATCH_BUFFER
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    #[tokio::test]
    async fn a_watcher_that_does_not_read_is_cut_off_and_others_are_not() {
        let (mut watchers, count) = (Watchers::default(), Arc::new(Count::default()));
        let mut slow = watchers.add(&WatchResponse::default(), &count).unwrap();
        let mut quick = watchers.add(&WatchResponse::default(), &count).unwrap();
        assert!(quick.next().await.unwrap().is_ok());
        for _ in 0..=limits::WATCH_BUFFER {
            watchers.tell(&WatchResponse::default());
            assert!(quick.next().await.unwrap().is_ok());
        }
        for _ in 0..=limits::WATCH_BUFFER {
            assert!(slow.next().await.unwrap().is_ok());
        }
        assert_eq!(slow.next().await.unwrap().unwrap_err().code(), tonic::Code::Aborted);
        assert!(slow.next().await.is_none());
        drop(slow);
        assert_eq!(count.watchers.load(Ordering::Relaxed), 1);
        assert_eq!(watchers.0.len(), 1);
    }

    #[tokio::test]
    async fn those_who_left_are_forgotten() {
        let (mut watchers, count) = (Watchers::default(), Arc::new(Count::default()));
        for _ in 0..1000 {
            drop(watchers.add(&WatchResponse::default(), &count));
        }
        assert!(watchers.0.len() < 10);
        watchers.forget_closed();
        assert!(watchers.is_empty());
    }
}
