//! What the machine's files say about names.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::Resolver;

/// Port of name servers.
const DNS_PORT: u16 = 53;
/// glibc uses at most this many servers (MAXNS) …
const MAX_SERVERS: usize = 3;
/// … and this many search domains before glibc 2.26; longer lists only delay a failure.
const MAX_SEARCH: usize = 32;

pub(crate) fn parse(hosts: &str, resolv_conf: &str) -> Resolver {
    let mut resolver = Resolver {
        ndots: 1,
        timeout: Duration::from_secs(5),
        ..Resolver::default()
    };
    for line in hosts.lines() {
        let mut words = without_comment(line).split_whitespace();
        if let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) {
            resolver
                .hosts
                .extend(words.map(|name| (name.to_ascii_lowercase(), address)));
        }
    }
    for line in resolv_conf.lines() {
        let mut words = without_comment(line).split_whitespace();
        match words.next() {
            Some("nameserver") => {
                if let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) {
                    resolver.servers.push(SocketAddr::new(address, DNS_PORT));
                }
            }
            Some("search" | "domain") => {
                resolver.search = words.map(|w| w.trim_end_matches('.').to_ascii_lowercase()).collect();
            }
            Some("options") => {
                for option in words {
                    if let Some(Ok(ndots)) = option.strip_prefix("ndots:").map(str::parse::<usize>) {
                        resolver.ndots = ndots.min(15);
                    } else if let Some(Ok(seconds)) = option.strip_prefix("timeout:").map(str::parse::<u64>) {
                        resolver.timeout = Duration::from_secs(seconds.clamp(1, 30));
                    }
                }
            }
            _ => {}
        }
    }
    resolver.servers.truncate(MAX_SERVERS);
    resolver.search.retain(|domain| !domain.is_empty());
    resolver.search.truncate(MAX_SEARCH);
    resolver
}

fn without_comment(line: &str) -> &str {
    line.split(['#', ';']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_of_a_pod_is_read() {
        let resolver = parse(
            "127.0.0.1 localhost\n",
            "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
        );
        assert_eq!(resolver.servers, ["10.96.0.10:53".parse::<SocketAddr>().unwrap()]);
        assert_eq!(resolver.search.len(), 3);
        assert_eq!(resolver.ndots, 5);
    }
}
