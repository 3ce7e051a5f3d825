//! A stub resolver for statically linked programs.
//!
//! The C library's `getaddrinfo` loads shared objects at run time, which a static program cannot do. This crate does
//! the part such programs need: `/etc/hosts`, then the name servers and search list of `/etc/resolv.conf`, asking for
//! A and AAAA over UDP and again over TCP when an answer was cut short. It blocks; call it from a blocking thread.
//!
//! [`wire`] is for a server that passes questions on: what such a server has to understand of messages.
//!
//! ```no_run
//! let resolver = dns::Resolver::from_system();
//! let addresses = resolver.resolve("kubernetes.default")?;
//! # Ok::<(), dns::Error>(())
//! ```

pub mod fuzz;
mod message;
mod system;
pub mod wire;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use message::{Answer, RecordType};

/// Why a name has no address.
#[derive(Debug)]
pub enum Error {
    /// Every server answered that the name does not exist.
    NotFound(String),
    /// No server gave a usable answer; the text says what the last one did.
    NoAnswer(String, String),
    /// The name cannot be asked for: empty, or a label longer than 63 bytes.
    BadName(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotFound(name) => write!(f, "resolve {name}: no such name"),
            Error::NoAnswer(name, why) => write!(f, "resolve {name}: {why}"),
            Error::BadName(name) => write!(f, "resolve {name:?}: not a domain name"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::other(error.to_string())
    }
}

/// Where to look names up: the hosts table, servers and search list, as read at creation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolver {
    /// Names with fixed addresses, lower case.
    pub hosts: Vec<(String, IpAddr)>,
    /// Servers, asked in order.
    pub servers: Vec<SocketAddr>,
    /// Domains tried after the name itself (or before it, see `ndots`).
    pub search: Vec<String>,
    /// A name with fewer dots than this is tried with the search list first.
    pub ndots: usize,
    /// How long one question may take.
    pub timeout: Duration,
}

impl Resolver {
    /// Reads `/etc/hosts` and `/etc/resolv.conf`; missing files are empty ones.
    pub fn from_system() -> Resolver {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Resolver::parse(&read("/etc/hosts"), &read("/etc/resolv.conf"))
    }

    /// Builds a resolver from the contents of a hosts file and a resolv.conf.
    pub fn parse(hosts: &str, resolv_conf: &str) -> Resolver {
        system::parse(hosts, resolv_conf)
    }

    /// The addresses of `name`, IPv4 first. An address is its own answer.
    pub fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![address]);
        }
        let wanted = name.trim_end_matches('.').to_ascii_lowercase();
        if wanted.is_empty() || wanted.split('.').any(|label| label.is_empty() || label.len() > 63) {
            return Err(Error::BadName(name.to_owned()));
        }
        let fixed: Vec<IpAddr> = self
            .hosts
            .iter()
            .filter(|(host, _)| *host == wanted)
            .map(|(_, a)| *a)
            .collect();
        if !fixed.is_empty() {
            return Ok(fixed);
        }
        if wanted == "localhost" {
            return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        }
        let mut last = Error::NoAnswer(
            name.to_owned(),
            "no name server is configured in /etc/resolv.conf".to_owned(),
        );
        for candidate in self.candidates(name, &wanted) {
            match self.ask(&candidate) {
                Ok(addresses) => return Ok(addresses),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn candidates(&self, name: &str, wanted: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![wanted.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{wanted}.{domain}"));
        if wanted.matches('.').count() >= self.ndots {
            std::iter::once(wanted.to_owned()).chain(searched).collect()
        } else {
            searched.chain(std::iter::once(wanted.to_owned())).collect()
        }
    }

    fn ask(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        let mut last = "no name server is configured in /etc/resolv.conf".to_owned();
        // Two rounds: a datagram may be lost.
        for server in self.servers.iter().chain(self.servers.iter()) {
            match self.ask_both(name, *server) {
                Ok(addresses) if addresses.is_empty() => return Err(Error::NotFound(name.to_owned())),
                Ok(addresses) => return Ok(addresses),
                Err(error) => last = format!("name server {server}: {error}"),
            }
        }
        Err(Error::NoAnswer(name.to_owned(), last))
    }

    fn ask_both(&self, name: &str, server: SocketAddr) -> io::Result<Vec<IpAddr>> {
        let mut addresses = self.question(name, RecordType::A, server)?;
        // Some servers refuse AAAA outright; what A gave is still an answer.
        match self.question(name, RecordType::Aaaa, server) {
            Ok(more) => addresses.extend(more),
            Err(error) if addresses.is_empty() => return Err(error),
            Err(_) => {}
        }
        Ok(addresses)
    }

    fn question(&self, name: &str, kind: RecordType, server: SocketAddr) -> io::Result<Vec<IpAddr>> {
        let id = random_id();
        let query = message::query(id, name, kind);
        let local: SocketAddr = if server.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(local)?;
        socket.set_read_timeout(Some(self.timeout))?;
        socket.connect(server)?;
        socket.send(&query)?;
        let mut buffer = [0u8; 4096];
        // Datagrams with another id are answers to somebody else's question; a few are skipped.
        for _ in 0..8 {
            let length = socket.recv(&mut buffer)?;
            match message::answer(&buffer[..length], id, kind)? {
                Answer::Other => {}
                Answer::Truncated => return self.question_tcp(&query, id, kind, server),
                Answer::Addresses(addresses) => return Ok(addresses),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "only answers to other questions came",
        ))
    }

    fn question_tcp(&self, query: &[u8], id: u16, kind: RecordType, server: SocketAddr) -> io::Result<Vec<IpAddr>> {
        let mut stream = TcpStream::connect_timeout(&server, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        let length = u16::try_from(query.len()).map_err(io::Error::other)?;
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(query)?;
        let mut length = [0u8; 2];
        stream.read_exact(&mut length)?;
        let mut reply = vec![0u8; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply)?;
        match message::answer(&reply, id, kind)? {
            Answer::Addresses(addresses) => Ok(addresses),
            Answer::Truncated | Answer::Other => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the answer over TCP does not fit the question",
            )),
        }
    }
}

/// An id that another sender cannot guess: std's hash keys are seeded by the kernel.
fn random_id() -> u16 {
    use std::hash::{BuildHasher, Hasher};
    (std::collections::hash_map::RandomState::new().build_hasher().finish() & 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(reply: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0u8; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&reply(&buffer[..length]), from);
            }
        });
        address
    }

    fn resolver(address: SocketAddr) -> Resolver {
        Resolver {
            servers: vec![address],
            search: vec!["default.svc.cluster.local".into()],
            ndots: 5,
            timeout: Duration::from_secs(2),
            ..Resolver::default()
        }
    }

    #[test]
    fn a_short_name_is_completed_with_the_search_list() {
        let address = server(|query| {
            let text = String::from_utf8_lossy(query).into_owned();
            if text.contains("cluster") && query[query.len() - 3] == 1 {
                message::reply_for_test(query, &[[10, 96, 0, 7]])
            } else {
                message::reply_for_test(query, &[])
            }
        });
        assert_eq!(
            resolver(address).resolve("web").unwrap(),
            ["10.96.0.7".parse::<IpAddr>().unwrap()]
        );
    }

    #[test]
    fn a_name_nobody_knows_is_not_found() {
        let address = server(|query| message::reply_for_test(query, &[]));
        assert!(matches!(resolver(address).resolve("nope"), Err(Error::NotFound(_))));
    }

    #[test]
    fn an_address_is_its_own_answer_and_hosts_come_before_servers() {
        let resolver = Resolver::parse("10.0.0.9 Gateway gw # the router\n", "");
        assert_eq!(
            resolver.resolve("10.1.2.3").unwrap(),
            ["10.1.2.3".parse::<IpAddr>().unwrap()]
        );
        assert_eq!(resolver.resolve("[::1]").unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(
            resolver.resolve("gateway").unwrap(),
            ["10.0.0.9".parse::<IpAddr>().unwrap()]
        );
        assert!(
            resolver
                .resolve("unknown")
                .unwrap_err()
                .to_string()
                .contains("no name server")
        );
    }
}
