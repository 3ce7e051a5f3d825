//! One connection to the kernel's network configuration, and one listener to its changes, for all observers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{Stream, StreamExt};
use resource::{Context, Waker};
use sys::net::{Address, Change, Link, Netlink, Route, Rule};
use tokio_util::sync::CancellationToken;

use crate::logs::lock;

/// A pod that starts brings a dozen changes within milliseconds; observers run once after them.
const BURST: Duration = Duration::from_millis(50);
/// How long to wait before listening again after the kernel closed the connection.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// The network as the kernel has it; clones share the connection.
#[derive(Clone, Default)]
pub struct Network {
    shared: Arc<Mutex<Shared>>,
    /// The kernel answers one dump at a time on a socket, and refuses a second with "busy".
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Shared {
    netlink: Option<Netlink>,
    /// Who wants to know of what, by the controller's name.
    listeners: BTreeMap<&'static str, (&'static [Change], Waker)>,
}

impl Network {
    /// All links.
    pub async fn links(&self) -> sys::Result<Vec<Link>> {
        let _turn = self.turn.lock().await;
        let read = self.netlink()?.links().await;
        self.checked(read)
    }

    /// All addresses.
    pub async fn addresses(&self) -> sys::Result<Vec<Address>> {
        let _turn = self.turn.lock().await;
        let read = self.netlink()?.addresses().await;
        self.checked(read)
    }

    /// All routes.
    pub async fn routes(&self) -> sys::Result<Vec<Route>> {
        let _turn = self.turn.lock().await;
        let read = self.netlink()?.routes().await;
        self.checked(read)
    }

    /// All routing rules.
    pub async fn rules(&self) -> sys::Result<Vec<Rule>> {
        let _turn = self.turn.lock().await;
        let read = self.netlink()?.rules().await;
        self.checked(read)
    }

    fn netlink(&self) -> sys::Result<Netlink> {
        let mut shared = lock(&self.shared);
        match &shared.netlink {
            Some(netlink) => Ok(netlink.clone()),
            None => Ok(shared.netlink.insert(Netlink::open()?).clone()),
        }
    }

    /// A connection that failed is not used again.
    fn checked<T>(&self, read: sys::Result<T>) -> sys::Result<T> {
        if read.is_err() {
            lock(&self.shared).netlink = None;
        }
        read
    }

    /// From now on changes of these kinds wake the controller. Asking again changes nothing.
    pub fn listen(&self, changes: &'static [Change], cx: &Context) {
        let first = {
            let mut shared = lock(&self.shared);
            let first = shared.listeners.is_empty();
            shared.listeners.insert(cx.name, (changes, cx.waker.clone()));
            first
        };
        if first {
            tokio::spawn(self.clone().watch(cx.cancel.clone()));
        }
    }

    async fn watch(self, cancel: CancellationToken) {
        let listening = async {
            loop {
                match sys::net::monitor() {
                    Ok(changes) => {
                        // What changed between two connections was not told.
                        self.wake(&[Change::Link, Change::Address, Change::Route, Change::Rule]);
                        self.pass_on(changes).await;
                        tracing::debug!("the kernel closed the connection that tells of network changes");
                    }
                    Err(error) => tracing::warn!("network changes are seen late: {error}"),
                }
                tokio::time::sleep(LISTEN_AGAIN).await;
            }
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            () = listening => {}
        }
    }

    async fn pass_on(&self, mut changes: impl Stream<Item = Change> + Unpin) {
        while let Some(first) = changes.next().await {
            let mut seen = vec![first];
            let end = tokio::time::sleep(BURST);
            tokio::pin!(end);
            loop {
                tokio::select! {
                    change = changes.next() => match change {
                        Some(change) if !seen.contains(&change) => seen.push(change),
                        Some(_) => {}
                        None => break,
                    },
                    () = &mut end => break,
                }
            }
            self.wake(&seen);
        }
    }

    fn wake(&self, seen: &[Change]) {
        for (changes, waker) in lock(&self.shared).listeners.values() {
            if changes.iter().any(|change| seen.contains(change)) {
                waker.wake();
            }
        }
    }
}

/// The name of a link, by its number.
pub fn name_of(links: &[Link], index: u32) -> Option<&str> {
    links
        .iter()
        .find(|link| link.index == index)
        .map(|link| link.name.as_str())
}
