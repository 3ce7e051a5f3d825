//! What a request is granted: names of the node that asks, nothing else. A pure function.

use std::net::IpAddr;

use pki::{Csr, Terms, Usage};

use super::server::SameNode;

/// Lifetime of node certificates; they are renewed at half of it.
pub(super) const LIFETIME: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// Names in one certificate: more than a node has.
const MAX_NAMES: usize = 64;

/// Why nothing is granted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "the request comes from {peer}, and asks for {}: a node gets certificates for the address it is known by \
         (does something between translate addresses?)",
        list(asked)
    )]
    OtherAddress { peer: IpAddr, asked: Vec<IpAddr> },
    #[error("the request asks for {0} names, at most {MAX_NAMES} are possible")]
    TooMany(usize),
}

fn list(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "no address".into();
    }
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

/// The terms for a request from that address. Addresses are those of the request that belong to the peer; names are
/// those of the request that are not reserved for the control plane. The subject of the request is not looked at:
/// it could claim roles.
pub(crate) fn grant(
    csr: &Csr,
    peer: IpAddr,
    same_node: &SameNode,
    reserved_names: &[String],
    now: std::time::SystemTime,
) -> Result<Terms, Refusal> {
    let names = csr.dns_names.len() + csr.ips.len();
    if names > MAX_NAMES {
        return Err(Refusal::TooMany(names));
    }
    let peer = peer.to_canonical();
    if !csr.ips.iter().any(|ip| ip.to_canonical() == peer) {
        let asked = csr.ips.clone();
        return Err(Refusal::OtherAddress { peer, asked });
    }
    let of_peer = |ip: &&IpAddr| ip.to_canonical() == peer || same_node(peer, **ip);
    let reserved = |name: &&String| !reserved_names.iter().any(|r| r.eq_ignore_ascii_case(name));
    let ips: Vec<_> = csr.ips.iter().filter(of_peer).copied().collect();
    let dns_names: Vec<_> = csr.dns_names.iter().filter(reserved).cloned().collect();
    let common_name = dns_names.first().cloned().unwrap_or_else(|| peer.to_string());
    Ok(Terms {
        subject: Some((common_name, Vec::new())),
        dns_names: Some(dns_names),
        ips: Some(ips),
        usage: Usage::Server,
        ttl: LIFETIME,
        now,
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn csr(ips: &[&str], names: &[&str]) -> Csr {
        Csr {
            common_name: "claimed".into(),
            organizations: vec!["os:admin".into()],
            dns_names: names.iter().map(|n| (*n).to_owned()).collect(),
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            public_key: Vec::new(),
        }
    }

    fn grant_to(peer: &str, csr: &Csr) -> Result<Terms, Refusal> {
        let same = |a: IpAddr, b: IpAddr| a.to_string() == "10.0.0.5" && b.to_string() == "fd00::5";
        grant(
            csr,
            peer.parse().unwrap(),
            &same,
            &["api.cluster".into()],
            SystemTime::now(),
        )
    }

    #[test]
    fn a_node_gets_its_own_addresses_and_names_and_no_role() {
        let wish = csr(
            &["127.0.0.1", "10.0.0.5", "10.0.0.1", "fd00::5"],
            &["worker-1", "API.cluster"],
        );
        let terms = grant_to("::ffff:10.0.0.5", &wish).unwrap();
        let ips: Vec<String> = terms.ips.unwrap().iter().map(IpAddr::to_string).collect();
        assert_eq!(ips, ["10.0.0.5", "fd00::5"]);
        assert_eq!(terms.dns_names.unwrap(), ["worker-1"]);
        assert_eq!(terms.subject.unwrap(), ("worker-1".to_owned(), vec![]));
        assert_eq!(terms.usage, Usage::Server);
    }

    #[test]
    fn who_asks_for_another_node_gets_nothing() {
        let refusal = grant_to("10.0.0.9", &csr(&["10.0.0.5"], &[])).unwrap_err();
        assert!(
            refusal
                .to_string()
                .contains("comes from 10.0.0.9, and asks for 10.0.0.5"),
            "{refusal}"
        );
        assert!(grant_to("10.0.0.9", &csr(&[], &["x"])).is_err());
        let many: Vec<&str> = vec!["10.0.0.5"; 100];
        assert_eq!(
            grant_to("10.0.0.5", &csr(&many, &[])).unwrap_err(),
            Refusal::TooMany(100)
        );
    }
}
