//! Who calls: the address of the connection, or the one a trusted proxy names.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;

/// A client's connection, as the connection itself or a call on it holds it.
#[derive(Clone, Debug)]
pub struct Caller {
    connection: Arc<Connection>,
    /// Held by calls in progress, which is how an idle connection is known.
    _busy: Option<Arc<()>>,
}

#[derive(Debug)]
struct Connection {
    peer: IpAddr,
    last_call: AtomicU64,
    busy: Arc<()>,
}

impl Caller {
    /// A connection from `peer`, at `now` (of a steady clock).
    pub fn new(peer: IpAddr, now: Duration) -> Caller {
        let connection = Connection {
            peer: peer.to_canonical(),
            last_call: AtomicU64::new(now.as_secs()),
            busy: Arc::default(),
        };
        Caller {
            connection: Arc::new(connection),
            _busy: None,
        }
    }

    /// A call begins.
    pub fn call(&self, now: Duration) -> Caller {
        self.connection.last_call.store(now.as_secs(), Ordering::Relaxed);
        Caller {
            connection: self.connection.clone(),
            _busy: Some(self.connection.busy.clone()),
        }
    }

    /// Whether no call is in progress and none began for `limit`.
    pub fn is_idle(&self, now: Duration, limit: Duration) -> bool {
        let last = Duration::from_secs(self.connection.last_call.load(Ordering::Relaxed));
        Arc::strong_count(&self.connection.busy) == 1 && now.saturating_sub(last) >= limit
    }

    /// The address at the other end.
    pub fn peer(&self) -> IpAddr {
        self.connection.peer
    }
}

/// A network whose hosts are believed when they say for whom they call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// The text is not a network.
#[derive(Debug, thiserror::Error)]
#[error("write an address, or a network such as 10.0.0.0/8 or fd00::/8")]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Network, NotANetwork> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| NotANetwork)?;
        (bits <= most).then_some(Network { address, bits }).ok_or(NotANetwork)
    }
}

impl Network {
    fn contains(&self, other: IpAddr) -> bool {
        let (a, b, length) = match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()) << 96, u128::from(b.to_bits()) << 96, 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return false,
        };
        let bits = u32::from(self.bits.min(length));
        bits == 0 || (a ^ b) >> (128 - bits) == 0
    }
}

/// The client's address. `X-Forwarded-For` is read from its end, as each proxy appends whom it was called by, and only
/// as long as trusted proxies wrote it; `X-Real-IP` is read when there is no such list.
pub fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let values = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let listed: Vec<&str> = values("x-forwarded-for").flat_map(|value| value.split(',')).collect();
    if listed.is_empty() {
        let real = values("x-real-ip").next().and_then(parse);
        return real.unwrap_or(peer);
    }
    let mut last = peer;
    for text in listed.into_iter().rev() {
        let Some(address) = parse(text) else { break };
        last = address;
        if !is_trusted(address) {
            break;
        }
    }
    last
}

fn parse(text: &str) -> Option<IpAddr> {
    text.trim().parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let forwarded = headers(&[("x-forwarded-for", "6.6.6.6, 192.0.2.7, 10.1.1.1")]);
        assert_eq!(address(ip("192.0.2.1"), &forwarded, &trusted), ip("192.0.2.1"));
        assert_eq!(address(ip("10.9.9.9"), &forwarded, &trusted), ip("192.0.2.7"));
        assert_eq!(
            address(ip("fd00::1"), &headers(&[("x-real-ip", "192.0.2.8")]), &trusted),
            ip("192.0.2.8")
        );
        assert_eq!(
            address(ip("10.9.9.9"), &headers(&[("x-forwarded-for", "unknown")]), &trusted),
            ip("10.9.9.9")
        );
        assert_eq!(address(ip("10.9.9.9"), &headers(&[]), &trusted), ip("10.9.9.9"));
    }

    #[test]
    fn networks_are_read() {
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "host"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains(ip("1.2.3.4")));
        assert!(!"10.0.0.1".parse::<Network>().unwrap().contains(ip("10.0.0.2")));
    }

    #[test]
    fn a_connection_is_idle_when_no_call_holds_it() {
        let seconds = Duration::from_secs;
        let caller = Caller::new(ip("127.0.0.1"), seconds(0));
        let call = caller.call(seconds(10));
        assert!(!caller.is_idle(seconds(100), seconds(60)));
        drop(call);
        assert!(caller.is_idle(seconds(100), seconds(60)) && !caller.is_idle(seconds(60), seconds(60)));
    }
}
