//! An address with the length of its network prefix.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::text_serde;
use crate::proto::{self, ProtoValue};

/// `10.5.0.2/24`: an address in its network. `common.NetIPPrefix` on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

/// Why a text is no prefix.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no address with a prefix length (write \"10.0.0.5/24\")")]
pub struct ParsePrefixError(String);

impl Prefix {
    /// `None` if the length is more than the address has bits.
    #[must_use]
    pub fn new(addr: IpAddr, len: u8) -> Option<Self> {
        (len <= bits(addr)).then_some(Self { addr, len })
    }

    /// The prefix that is this one address.
    #[must_use]
    pub fn host(addr: IpAddr) -> Self {
        Self { addr, len: bits(addr) }
    }

    /// The address, with its host part.
    #[must_use]
    pub fn addr(&self) -> IpAddr {
        self.addr
    }

    /// The length of the network part in bits.
    #[must_use]
    pub fn len(&self) -> u8 {
        self.len
    }

    /// Whether the prefix is of length zero: everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The network: the address without its host part.
    #[must_use]
    pub fn masked(&self) -> Self {
        let host_bits = u32::from(bits(self.addr) - self.len);
        let addr = match self.addr {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        };
        Self { addr, len: self.len }
    }

    /// Whether an address is in this network.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.addr.is_ipv4() == addr.is_ipv4() && self.masked() == Self { addr, len: self.len }.masked()
    }

    /// Whether the networks share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Prefix) -> bool {
        self.contains(other.addr) && other.len >= self.len || other.contains(self.addr) && self.len >= other.len
    }
}

fn bits(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

/// Every IPv4 address; there only so that specs with a prefix can have a default.
impl Default for Prefix {
    fn default() -> Self {
        Self {
            addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            len: 0,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl FromStr for Prefix {
    type Err = ParsePrefixError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text
            .split_once('/')
            .and_then(|(addr, len)| Some((addr.parse().ok()?, len.parse().ok()?)));
        parts
            .and_then(|(addr, len)| Self::new(addr, len))
            .ok_or_else(|| ParsePrefixError(text.to_owned()))
    }
}

text_serde!(Prefix);

impl ProtoValue for Prefix {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        proto::nested(number, out, |inner| {
            proto::bytes(&proto::octets(&self.addr), 1, inner);
            i32::from(self.len).encode_field(2, inner);
        });
    }
    fn is_default(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_knows_its_network() {
        let prefix: Prefix = "10.5.0.2/24".parse().unwrap();
        assert_eq!(prefix.to_string(), "10.5.0.2/24");
        assert_eq!(prefix.masked().to_string(), "10.5.0.0/24");
        assert!(prefix.contains("10.5.0.77".parse().unwrap()) && !prefix.contains("10.5.1.1".parse().unwrap()));
        assert!(
            "0.0.0.0/0"
                .parse::<Prefix>()
                .unwrap()
                .contains("9.9.9.9".parse().unwrap())
        );
        assert!(!"0.0.0.0/0".parse::<Prefix>().unwrap().contains("::1".parse().unwrap()));
        assert!(prefix.overlaps(&"10.0.0.0/8".parse().unwrap()) && !prefix.overlaps(&"10.5.1.0/24".parse().unwrap()));
    }

    #[test]
    fn what_is_no_prefix_is_refused_with_an_example() {
        let error = "10.0.0.5".parse::<Prefix>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"10.0.0.5\" is no address with a prefix length (write \"10.0.0.5/24\")"
        );
        assert!("10.0.0.5/33".parse::<Prefix>().is_err() && "::/129".parse::<Prefix>().is_err());
    }

    #[test]
    fn on_the_wire_it_is_bytes_and_length() {
        let mut out = Vec::new();
        "10.5.0.2/24".parse::<Prefix>().unwrap().encode(1, &mut out);
        assert_eq!(out, [0x0a, 0x08, 0x0a, 4, 10, 5, 0, 2, 0x10, 24]);
    }
}
