//! Those who watch a cluster: first everything, then every change, in order and without a gap.
//!
//! A change is encoded once and kept once, until the last who watches has read it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, Bytes, BytesMut};
use discovery_client::proto::server::WatchResponse;
use futures::Stream;
use hyper::body::{Body, Frame};
use prost::Message;
use slab::Slab;
use tonic::Status;

use crate::caller::Caller;
use crate::limits;

/// The watchers of a cluster; they end with it.
#[derive(Debug, Default)]
pub struct Watchers(Arc<Feed>);

/// One of them: messages as gRPC frames them.
#[derive(Debug)]
pub struct Subscription {
    first: Option<Bytes>,
    feed: Arc<Feed>,
    /// The number of the change that it reads next.
    next: u64,
    /// Its place among the wakers, and what is there.
    waker: Option<(usize, Waker)>,
    ended: bool,
    count: Arc<Count>,
}

/// What watchers share. Who wakes them all does not keep the first ones from reading.
#[derive(Debug, Default)]
struct Feed {
    changes: Mutex<Changes>,
    wakers: Mutex<Slab<Waker>>,
}

/// Changes that somebody has not read yet.
#[derive(Debug, Default)]
struct Changes {
    waiting: VecDeque<Change>,
    /// The number of the first that waits.
    first: u64,
    /// Watchers that miss nothing so far.
    readers: usize,
    ended: bool,
}

#[derive(Debug)]
struct Change {
    frame: Bytes,
    /// How many have not read it. Who has not read one has not read those after it.
    unread: usize,
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
        let mut changes = lock(&self.0.changes);
        if changes.readers >= limits::WATCHERS {
            return None;
        }
        changes.readers += 1;
        count.watchers.fetch_add(1, Ordering::Relaxed);
        Some(Subscription {
            first: Some(frame(first)),
            feed: self.0.clone(),
            next: changes.end(),
            waker: None,
            ended: false,
            count: count.clone(),
        })
    }

    /// Tells all of a change. Those for whom too many wait miss one, and therefore get nothing more.
    pub fn tell(&mut self, change: &WatchResponse) {
        lock(&self.0.changes).push(frame(change));
        self.0.wake();
    }

    /// Whether nobody watches.
    pub fn is_empty(&self) -> bool {
        lock(&self.0.changes).readers == 0
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        lock(&self.0.changes).ended = true;
        self.0.wake();
    }
}

impl Feed {
    fn wake(&self) {
        lock(&self.wakers).iter().for_each(|(_, waker)| waker.wake_by_ref());
    }
}

impl Changes {
    /// The number of the next change.
    fn end(&self) -> u64 {
        self.first + self.waiting.len() as u64
    }

    fn push(&mut self, frame: Bytes) {
        if self.waiting.len() >= limits::WATCH_BUFFER {
            self.cut_off();
        }
        let unread = self.readers;
        if unread > 0 {
            self.waiting.push_back(Change { frame, unread });
        }
    }

    /// Gives up those who have not read the first change.
    fn cut_off(&mut self) {
        let slow = self.waiting.front().map_or(0, |change| change.unread);
        self.readers -= slow;
        self.waiting.iter_mut().for_each(|change| change.unread -= slow);
        self.forget_read();
    }

    /// The change with a number, for one who reads them one after the other.
    fn read(&mut self, number: u64) -> Option<Bytes> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let change = self.waiting.get_mut(at)?;
        change.unread -= 1;
        let frame = change.frame.clone();
        if at == 0 {
            self.forget_read();
        }
        Some(frame)
    }

    /// One who would have read the change with this number next goes.
    fn leave(&mut self, number: u64) {
        // Who was cut off is not counted any more.
        let Some(at) = number.checked_sub(self.first) else {
            return;
        };
        self.readers -= 1;
        let unread = self.waiting.iter_mut().skip(usize::try_from(at).unwrap_or(usize::MAX));
        unread.for_each(|change| change.unread -= 1);
        self.forget_read();
    }

    fn forget_read(&mut self) {
        while self.waiting.front().is_some_and(|change| change.unread == 0) {
            self.waiting.pop_front();
            self.first += 1;
        }
        // What a burst took is given back.
        if self.waiting.is_empty() {
            self.waiting.shrink_to(4);
        }
    }
}

impl Subscription {
    /// Sees to it that this waker is woken by changes from now on.
    fn register(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some((_, known)) if known.will_wake(waker) => {}
            Some((place, known)) => {
                *known = waker.clone();
                let mut wakers = lock(&self.feed.wakers);
                let old = wakers.get_mut(*place).map(|at| std::mem::replace(at, waker.clone()));
                // Whatever the last one of a task drags along must not find the lock taken.
                drop(wakers);
                drop(old);
            }
            None => {
                let place = lock(&self.feed.wakers).insert(waker.clone());
                self.waker = Some((place, waker.clone()));
            }
        }
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
        // Before looking, so that what comes after the look wakes.
        self.register(cx.waker());
        let mut changes = lock(&self.feed.changes);
        if let Some(change) = changes.read(self.next) {
            drop(changes);
            self.next += 1;
            return Poll::Ready(Some(Ok(change)));
        }
        if self.next >= changes.first && !changes.ended {
            return Poll::Pending;
        }
        drop(changes);
        self.ended = true;
        Poll::Ready(Some(Err(self.count.reason())))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let waker = self.waker.take();
        let known = waker.and_then(|(place, _)| lock(&self.feed.wakers).try_remove(place));
        drop(known);
        lock(&self.feed.changes).leave(self.next);
        self.count.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    use futures::{FutureExt, StreamExt};

    fn change(name: &str) -> WatchResponse {
        let affiliate = discovery_client::proto::server::Affiliate {
            id: name.to_owned(),
            ..Default::default()
        };
        WatchResponse {
            affiliates: vec![affiliate],
            deleted: false,
        }
    }

    fn kept(watchers: &Watchers) -> usize {
        lock(&watchers.0.changes).waiting.len()
    }

    /// What it has now; None if it waits.
    fn now(watcher: &mut Subscription) -> Option<Result<Bytes, tonic::Code>> {
        let next = watcher.next().now_or_never()?;
        Some(next.expect("it has not ended").map_err(|status| status.code()))
    }

    #[tokio::test]
    async fn a_watcher_that_does_not_read_is_cut_off_and_others_are_not() {
        let (mut watchers, count) = (Watchers::default(), Arc::new(Count::default()));
        let mut slow = watchers.add(&WatchResponse::default(), &count).unwrap();
        let mut quick = watchers.add(&WatchResponse::default(), &count).unwrap();
        assert!(quick.next().await.unwrap().is_ok());
        for _ in 0..limits::WATCH_BUFFER {
            watchers.tell(&WatchResponse::default());
            assert!(quick.next().await.unwrap().is_ok());
        }
        // As many as may wait; one more is too many.
        assert_eq!(kept(&watchers), limits::WATCH_BUFFER);
        assert!(slow.next().await.unwrap().is_ok());
        watchers.tell(&WatchResponse::default());
        assert!(quick.next().await.unwrap().is_ok());
        assert_eq!(slow.next().await.unwrap().unwrap_err().code(), tonic::Code::Aborted);
        assert!(slow.next().await.is_none());
        // Nothing is kept for one who is not told any more, and there is room for another.
        assert_eq!((kept(&watchers), lock(&watchers.0.changes).readers), (0, 1));
        drop(slow);
        assert_eq!(count.watchers.load(Ordering::Relaxed), 1);
        assert_eq!(count.cut_off.load(Ordering::Relaxed), 1);
        assert!(!watchers.is_empty());
    }

    #[tokio::test]
    async fn each_gets_every_change_from_when_it_came_and_what_all_have_read_is_forgotten() {
        let (mut watchers, count) = (Watchers::default(), Arc::new(Count::default()));
        watchers.tell(&change("before"));
        let mut first = watchers.add(&change("all"), &count).unwrap();
        watchers.tell(&change("one"));
        let mut second = watchers.add(&change("all and one"), &count).unwrap();
        watchers.tell(&change("two"));
        let third = watchers.add(&change("all, one and two"), &count).unwrap();
        watchers.tell(&change("three"));
        let sent = |names: &[&str]| {
            names
                .iter()
                .map(|name| Some(Ok(frame(&change(name)))))
                .collect::<Vec<_>>()
        };
        let got = |watcher: &mut Subscription, many| (0..many).map(|_| now(watcher)).collect::<Vec<_>>();
        assert_eq!(got(&mut first, 4), sent(&["all", "one", "two", "three"]));
        assert_eq!((now(&mut first), kept(&watchers)), (None, 2));
        assert_eq!(got(&mut second, 2), sent(&["all and one", "two"]));
        assert_eq!(kept(&watchers), 1);
        // One who goes without having read keeps nothing.
        drop(third);
        assert_eq!(kept(&watchers), 1);
        assert_eq!(got(&mut second, 1), sent(&["three"]));
        assert_eq!((now(&mut second), kept(&watchers)), (None, 0));
    }

    #[tokio::test]
    async fn one_that_waits_is_woken_wherever_it_was_polled_last() {
        let (mut watchers, count) = (Watchers::default(), Arc::new(Count::default()));
        let mut watcher = watchers.add(&WatchResponse::default(), &count).unwrap();
        assert!(now(&mut watcher).is_some());
        assert_eq!(now(&mut watcher), None);
        let waits = tokio::spawn(async move { watcher.next().await.unwrap().unwrap() });
        tokio::task::yield_now().await;
        watchers.tell(&change("one"));
        assert_eq!(waits.await.unwrap(), frame(&change("one")));
        assert!(watchers.is_empty());
    }

    #[tokio::test]
    async fn the_end_comes_after_the_last_change() {
        let (mut watchers, count) = (Watchers::default(), Arc::new(Count::default()));
        let mut watcher = watchers.add(&change("all"), &count).unwrap();
        watchers.tell(&change("one"));
        count.stopping.store(true, Ordering::Release);
        drop(watchers);
        assert_eq!(now(&mut watcher), Some(Ok(frame(&change("all")))));
        assert_eq!(now(&mut watcher), Some(Ok(frame(&change("one")))));
        assert_eq!(now(&mut watcher), Some(Err(tonic::Code::Unavailable)));
        assert_eq!(count.cut_off.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn those_who_left_are_forgotten() {
        let (mut watchers, count) = (Watchers::default(), Arc::new(Count::default()));
        for _ in 0..2 * limits::WATCHERS {
            let mut watcher = watchers.add(&WatchResponse::default(), &count).unwrap();
            assert!(now(&mut watcher).is_some());
            assert_eq!(now(&mut watcher), None);
        }
        assert!(watchers.is_empty() && lock(&watchers.0.wakers).is_empty());
    }

    #[tokio::test]
    async fn there_is_an_end_to_how_many_may_watch() {
        let (mut watchers, count) = (Watchers::default(), Arc::new(Count::default()));
        let mut all: Vec<Subscription> = Vec::new();
        while let Some(watcher) = watchers.add(&WatchResponse::default(), &count) {
            all.push(watcher);
        }
        assert_eq!(all.len(), limits::WATCHERS);
        all.pop();
        assert!(watchers.add(&WatchResponse::default(), &count).is_some());
    }
}
