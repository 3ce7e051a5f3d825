//! DNS servers: which, for the node and for pods.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use config::view;
use resource::{One, Outputs};

use crate::controllers::files::file;
use crate::kubernetes::kubelet::POD_RESOLV_CONF;
use crate::machine_config::parsed;
use crate::resources::config::MachineConfig;
use crate::resources::keelson::FileSpec;
use crate::resources::network::{ConfigLayer, HostnameSpec, ResolverSpec, ResolverStatus};

/// Asked when nobody names another.
pub const DEFAULT: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)),
    IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
];
/// As many as programs read from the file (`MAXNS`, resolv.conf(5)).
const MOST: usize = 3;

/// What a `resolv.conf` says.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ResolvConf {
    /// Servers, in order.
    pub servers: Vec<IpAddr>,
    /// Domains tried for short names.
    pub search: Vec<String>,
}

impl ResolvConf {
    /// Reads the text of a file; what is not understood is left out, as the C library does. The last `search` or
    /// `domain` line counts.
    pub fn parse(text: &str) -> Self {
        let mut read = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                // A link-local address has its link behind it (`fe80::1%eth0`).
                Some("nameserver") => {
                    let server = words.next().and_then(|word| word.split('%').next());
                    read.servers
                        .extend(server.and_then(|server| server.parse::<IpAddr>().ok()));
                }
                Some("search" | "domain") => read.search = words.map(ToOwned::to_owned).collect(),
                _ => {}
            }
        }
        read
    }

    /// The text of a file.
    pub fn render(servers: &[IpAddr], search: &[String]) -> String {
        let mut text = String::new();
        for server in servers.iter().take(MOST) {
            let _ = writeln!(text, "nameserver {server}");
        }
        if !search.is_empty() {
            let _ = writeln!(text, "search {}", search.join(" "));
        }
        text
    }
}

/// Which servers the node shall ask: the configured ones; else those the platform gave; else the default ones.
pub fn resolver_spec(
    platform: &ResolvConf,
    config: Option<One<MachineConfig>>,
    hostname: Option<One<HostnameSpec>>,
) -> anyhow::Result<Outputs<ResolverSpec>> {
    let configured = match &config {
        Some(config) => view::resolvers(&*parsed(config)?),
        None => view::Resolvers::default(),
    };
    let mut search_domains = configured.search_domains;
    let (dns_servers, layer) = if !configured.nameservers.is_empty() {
        (configured.nameservers, ConfigLayer::Configuration)
    } else if !platform.servers.is_empty() {
        (platform.servers.clone(), ConfigLayer::Platform)
    } else {
        (DEFAULT.to_vec(), ConfigLayer::Default)
    };
    if search_domains.is_empty() && layer == ConfigLayer::Platform {
        search_domains.clone_from(&platform.search);
    }
    let domain = hostname
        .map(|hostname| hostname.domainname.clone())
        .filter(|domain| !domain.is_empty());
    if let Some(domain) = domain
        && !configured.disable_default_search_domain
        && !search_domains.contains(&domain)
    {
        search_domains.push(domain);
    }
    Ok(Outputs::one(
        "resolvers",
        ResolverSpec {
            dns_servers,
            layer,
            search_domains,
        },
    ))
}

/// Which servers the node asks.
pub fn resolver_status(spec: One<ResolverSpec>) -> Outputs<ResolverStatus> {
    let status = ResolverStatus {
        dns_servers: spec.dns_servers.clone(),
        search_domains: spec.search_domains.clone(),
    };
    Outputs::one("resolvers", status)
}

/// What pods that use the node's resolvers are given (cluster DNS, first of all): a server on the node's loopback is
/// not theirs to reach, and without any they would ask themselves.
pub fn pod_resolv_conf(resolvers: One<ResolverStatus>) -> Outputs<FileSpec> {
    let mut servers = resolvers.dns_servers.clone();
    servers.retain(|server| !server.is_loopback());
    if servers.is_empty() {
        servers.extend(DEFAULT);
    }
    let text = ResolvConf::render(&servers, &resolvers.search_domains);
    Outputs::one(POD_RESOLV_CONF, file("resolvers", text, 0o644, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "apiVersion: v1alpha1\nkind: ResolverConfig\nnameservers:\n    - address: 10.0.0.1\n\
        searchDomains:\n    domains:\n        - a.example\n";

    fn platform() -> ResolvConf {
        ResolvConf::parse(
            "# made by docker\nnameserver 127.0.0.11\nnameserver fe80::1%eth0\nsearch one two\noptions ndots:0\n",
        )
    }

    fn spec(platform: &ResolvConf, config: Option<&str>) -> ResolverSpec {
        let config = config.map(|text| One::from(MachineConfig(text.to_owned())));
        let hostname = HostnameSpec {
            domainname: "example.com".into(),
            ..HostnameSpec::default()
        };
        let outputs = resolver_spec(platform, config, Some(One::from(hostname))).unwrap();
        outputs.get("resolvers").cloned().unwrap()
    }

    #[test]
    fn the_platforms_file_is_read() {
        let read = platform();
        assert_eq!(
            read.servers,
            ["127.0.0.11".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]
        );
        assert_eq!(read.search, ["one", "two"]);
    }

    #[test]
    fn configuration_comes_before_the_platform_and_the_platform_before_the_default() {
        let configured = spec(&platform(), Some(CONFIG));
        assert_eq!(configured.dns_servers, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(configured.search_domains, ["a.example", "example.com"]);
        assert_eq!(configured.layer, ConfigLayer::Configuration);
        let given = spec(&platform(), None);
        assert_eq!(
            (given.dns_servers, given.layer),
            (platform().servers, ConfigLayer::Platform)
        );
        assert_eq!(given.search_domains, ["one", "two", "example.com"]);
        assert_eq!(spec(&ResolvConf::default(), None).dns_servers, DEFAULT);
    }

    #[test]
    fn pods_are_not_sent_to_the_nodes_loopback() {
        let text = |servers: &[&str]| {
            let dns_servers = servers.iter().map(|server| server.parse().unwrap()).collect();
            let status = ResolverStatus {
                dns_servers,
                search_domains: vec!["a".into()],
            };
            pod_resolv_conf(One::from(status))
                .get(POD_RESOLV_CONF)
                .map(|file| file.contents.clone())
                .unwrap()
        };
        assert_eq!(text(&["127.0.0.11", "10.0.0.1"]), "nameserver 10.0.0.1\nsearch a\n");
        assert_eq!(
            text(&["127.0.0.11"]),
            "nameserver 1.1.1.1\nnameserver 8.8.8.8\nsearch a\n"
        );
        assert_eq!(text(&["10.0.0.1"; 5]).matches("nameserver").count(), 3);
    }
}
