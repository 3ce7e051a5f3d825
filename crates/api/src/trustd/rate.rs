//! How often one address may ask. A worker asks twice a day; somebody who guesses tokens asks all the time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Requests of one address in a [`WINDOW`]: room for a node that restarts in a loop.
pub(super) const REQUESTS: u32 = 30;
/// Wrong tokens of one address in a [`WINDOW`]. A token has 80 bits, so this is about log lines more than luck.
pub(super) const FAILURES: u32 = 5;
/// The time in which they are counted.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered: more than a cluster has nodes. When it is full, unknown ones wait.
const ADDRESSES: usize = 8192;

/// Counts by address.
#[derive(Debug, Default)]
pub(super) struct Rate {
    counts: HashMap<IpAddr, Count>,
}

#[derive(Debug)]
struct Count {
    began: Instant,
    requests: u32,
    failures: u32,
}

impl Rate {
    /// Counts a request; false if it is one too many.
    pub(super) fn admit(&mut self, from: IpAddr, now: Instant) -> bool {
        if self.counts.len() >= ADDRESSES && !self.counts.contains_key(&from) {
            self.counts.retain(|_, count| now.duration_since(count.began) < WINDOW);
            if self.counts.len() >= ADDRESSES {
                return false;
            }
        }
        let count = self.counts.entry(from).or_insert_with(|| Count::new(now));
        if now.duration_since(count.began) >= WINDOW {
            *count = Count::new(now);
        }
        count.requests = count.requests.saturating_add(1);
        count.requests <= REQUESTS && count.failures < FAILURES
    }

    /// Counts a wrong token.
    pub(super) fn failed(&mut self, from: IpAddr) {
        if let Some(count) = self.counts.get_mut(&from) {
            count.failures = count.failures.saturating_add(1);
        }
    }
}

impl Count {
    fn new(began: Instant) -> Self {
        Self {
            began,
            requests: 0,
            failures: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u32) -> IpAddr {
        IpAddr::V4(last.into())
    }

    #[test]
    fn an_address_that_asks_too_often_waits_and_others_do_not() {
        let (mut rate, now) = (Rate::default(), Instant::now());
        assert!((0..REQUESTS).all(|_| rate.admit(ip(1), now)));
        assert!(!rate.admit(ip(1), now) && rate.admit(ip(2), now));
        assert!(rate.admit(ip(1), now + WINDOW));
    }

    #[test]
    fn wrong_tokens_count_more() {
        let (mut rate, now) = (Rate::default(), Instant::now());
        for _ in 0..FAILURES {
            assert!(rate.admit(ip(1), now));
            rate.failed(ip(1));
        }
        assert!(!rate.admit(ip(1), now));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut rate, now) = (Rate::default(), Instant::now());
        assert!((0..ADDRESSES as u32).all(|i| rate.admit(ip(i), now)));
        assert!(!rate.admit(ip(u32::MAX), now) && rate.admit(ip(7), now));
        assert!(rate.admit(ip(u32::MAX), now + WINDOW));
        assert_eq!(rate.counts.len(), 1);
    }
}
