//! Those who watch a cluster: first everything, then every change, in order and without a gap.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use discovery_client::proto::server::WatchResponse;
use futures::Stream;
use tokio::sync::mpsc;
use tonic::Status;

use crate::limits;

/// The sending ends of a cluster's watchers.
#[derive(Debug, Default)]
pub struct Watchers(Vec<mpsc::Sender<Arc<WatchResponse>>>);

/// The receiving end.
#[derive(Debug)]
pub struct Subscription {
    first: Option<WatchResponse>,
    rest: mpsc::Receiver<Arc<WatchResponse>>,
    ended: bool,
    count: Arc<Count>,
}

/// How many there are, and whether they are told to go.
#[derive(Debug, Default)]
pub struct Count {
    /// Watchers of all clusters.
    pub watchers: AtomicUsize,
    /// Watchers that were too slow so far.
    pub cut_off: AtomicUsize,
    /// Set when the service stops.
    pub stopping: std::sync::atomic::AtomicBool,
}

impl Watchers {
    /// Adds one, who is shown `first` now. None if there are too many.
    pub fn add(&mut self, first: WatchResponse, count: &Arc<Count>) -> Option<Subscription> {
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
            first: Some(first),
            rest,
            ended: false,
            count: count.clone(),
        })
    }

    /// Tells all of a change. One whose buffer is full misses it, and therefore gets nothing more.
    pub fn tell(&mut self, change: WatchResponse) {
        let change = Arc::new(change);
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
    type Item = Result<WatchResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        match self.rest.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(change)) => Poll::Ready(Some(Ok(WatchResponse::clone(&change)))),
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
        let mut slow = watchers.add(WatchResponse::default(), &count).unwrap();
        let mut quick = watchers.add(WatchResponse::default(), &count).unwrap();
        assert!(quick.next().await.unwrap().is_ok());
        for _ in 0..=limits::WATCH_BUFFER {
            watchers.tell(WatchResponse::default());
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
            drop(watchers.add(WatchResponse::default(), &count));
        }
        assert!(watchers.0.len() < 10);
        watchers.forget_closed();
        assert!(watchers.is_empty());
    }
}
