//! Addresses of nodes as people write them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The machine API listens here.
pub const APID_PORT: u16 = 50000;
/// Certificate signing listens here, on control planes.
pub const TRUSTD_PORT: u16 = 50001;

/// A host (name or address) and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Text that is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("endpoint {text:?}: {reason} (write a name or an address, with \":port\" if it is not {default})")]
pub struct EndpointError {
    text: String,
    reason: &'static str,
    default: u16,
}

impl Endpoint {
    /// Reads `host`, `host:port`, an IPv6 address bare or in brackets, each optionally after `https://`.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, EndpointError> {
        let error = |reason| EndpointError {
            text: text.to_owned(),
            reason,
            default: default_port,
        };
        let rest = text.trim();
        let rest = rest.strip_prefix("https://").unwrap_or(rest).trim_end_matches('/');
        if rest.is_empty() {
            return Err(error("it is empty"));
        }
        if rest.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self::new(rest, default_port));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) = bracketed.split_once(']').ok_or(error("a bracket is not closed"))?;
                if host.parse::<Ipv6Addr>().is_err() {
                    return Err(error("there is no IPv6 address in the brackets"));
                }
                match port {
                    "" => (host, None),
                    port => (
                        host,
                        Some(port.strip_prefix(':').ok_or(error("something follows the bracket"))?),
                    ),
                }
            }
            None => match rest.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if host.is_empty() || !rest.starts_with('[') && host.contains([':', '/', '@', ' ']) {
            return Err(error("the host is not a name or an address"));
        }
        let port = match port.map(str::parse) {
            None => default_port,
            Some(Ok(port)) if port != 0 => port,
            Some(_) => return Err(error("the port is not a number from 1 to 65535")),
        };
        Ok(Self::new(host, port))
    }

    /// From parts.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// The address, if the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip().to_string(), address.port())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_ports_and_ipv6_are_read() {
        for (text, shown) in [
            ("10.5.0.2", "10.5.0.2:50000"),
            ("10.5.0.2:6000", "10.5.0.2:6000"),
            ("cp.example.org", "cp.example.org:50000"),
            ("https://cp.example.org:443/", "cp.example.org:443"),
            ("fd00::1", "[fd00::1]:50000"),
            ("[fd00::1]", "[fd00::1]:50000"),
            ("[fd00::1]:50", "[fd00::1]:50"),
            ("::1", "[::1]:50000"),
        ] {
            assert_eq!(Endpoint::parse(text, APID_PORT).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_a_reason() {
        for text in [
            "",
            "  ",
            ":50",
            "a:b",
            "a:0",
            "a:70000",
            "[fd00::1",
            "[x]:1",
            "[::1]50",
            "a b",
            "fd00:::1:2",
        ] {
            let error = Endpoint::parse(text, APID_PORT).unwrap_err().to_string();
            assert!(error.contains("endpoint"), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_is_read_again_from_how_it_is_shown(text in "[a-z0-9.:\\[\\]/@ -]{0,40}") {
            if let Ok(endpoint) = Endpoint::parse(&text, APID_PORT) {
                proptest::prop_assert_eq!(Endpoint::parse(&endpoint.to_string(), 1), Ok(endpoint));
            }
        }
    }
}
