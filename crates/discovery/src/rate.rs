//! How often one address may ask: so many requests a second, and more at once after a pause.
//!
//! For each address only one number is kept: when it will have paid for what it asked so far (the generic cell rate
//! algorithm).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::limits;

/// Remembers who asked.
#[derive(Debug)]
pub struct Rate {
    /// What one request costs.
    interval: Duration,
    /// How far ahead of the time an address may be.
    credit: Duration,
    paid: HashMap<IpAddr, Duration>,
    /// When to look for addresses to forget, if there is no room.
    crowded_until: Duration,
}

impl Rate {
    /// Lets an address ask `per_second`, and `burst` at once. None if `per_second` is zero: no limit.
    pub fn new(per_second: u32, burst: u32) -> Option<Rate> {
        let interval = Duration::from_secs(1).checked_div(per_second)?;
        Some(Rate {
            interval,
            credit: interval * burst.max(1).saturating_sub(1),
            paid: HashMap::new(),
            crowded_until: Duration::ZERO,
        })
    }

    /// Whether an address may ask now (any steady clock). When all room for addresses is taken, unknown ones wait.
    pub fn admit(&mut self, from: IpAddr, now: Duration) -> bool {
        let from = network(from);
        if !self.paid.contains_key(&from) && !self.has_room(now) {
            return false;
        }
        let paid = self.paid.entry(from).or_insert(now);
        let due = (*paid).max(now);
        if due > now + self.credit {
            return false;
        }
        *paid = due + self.interval;
        true
    }

    /// Addresses that are remembered.
    pub fn len(&self) -> usize {
        self.paid.len()
    }

    /// Whether nobody asked lately.
    pub fn is_empty(&self) -> bool {
        self.paid.is_empty()
    }

    /// Forgets addresses that have paid.
    pub fn forget(&mut self, now: Duration) {
        self.paid.retain(|_, paid| *paid > now);
        self.paid.shrink_to(limits::RATE_ADDRESSES / 16);
    }

    fn has_room(&mut self, now: Duration) -> bool {
        if self.paid.len() >= limits::RATE_ADDRESSES && now >= self.crowded_until {
            self.forget(now);
            self.crowded_until = now + Duration::from_secs(1);
        }
        self.paid.len() < limits::RATE_ADDRESSES
    }
}

/// Who is behind an address: with IPv6, one host has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u32) -> IpAddr {
        IpAddr::V4(last.into())
    }

    #[test]
    fn a_burst_is_let_through_and_then_so_many_a_second() {
        let mut rate = Rate::new(15, 60).unwrap();
        let admitted = |rate: &mut Rate, now| (0..1000).filter(|_| rate.admit(ip(1), now)).count();
        let start = Duration::from_secs(100);
        assert_eq!(admitted(&mut rate, start), 60);
        assert_eq!(admitted(&mut rate, start + Duration::from_secs(1)), 15);
        assert_eq!(admitted(&mut rate, start + Duration::from_secs(2)), 15);
        assert_eq!(admitted(&mut rate, start + Duration::from_secs(60)), 60);
        assert!(rate.admit(ip(2), start));
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert!(Rate::new(0, 60).is_none());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let mut rate = Rate::new(1, 1).unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let now = Duration::from_secs(5);
        assert!(rate.admit(ip("2001:db8::1"), now) && !rate.admit(ip("2001:db8::2"), now));
        assert!(rate.admit(ip("2001:db8:0:1::1"), now));
        assert!(rate.admit(ip("::ffff:10.0.0.1"), now) && !rate.admit(ip("10.0.0.1"), now));
    }

    #[test]
    fn memory_is_bounded() {
        let mut rate = Rate::new(1, 1).unwrap();
        let now = Duration::from_secs(5);
        assert!((0..limits::RATE_ADDRESSES as u32).all(|i| rate.admit(ip(i), now)));
        assert!(!rate.admit(ip(u32::MAX), now));
        assert!(rate.admit(ip(u32::MAX), now + Duration::from_secs(2)));
        assert_eq!(rate.len(), 1);
    }
}
