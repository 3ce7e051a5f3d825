//! DNS servers: which, for the node and for pods.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use config::view;
use node_resources::config::MachineConfig;
use node_resources::keelson::FileSpec;
use node_resources::network::{ConfigLayer, DNSResolveCache, HostnameSpec, ResolverSpec, ResolverStatus};
use resource::{All, One, Outputs};

use crate::controllers::files::file;
use crate::controllers::host_dns;
use crate::kubernetes::kubelet::POD_RESOLV_CONF;
use crate::machine_config::parsed;

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

/// What pods that use the node's resolvers are given (cluster DNS, first of all): the node's own server, if it is there
/// for them. A server on the node's loopback is not theirs to reach, and without any they would ask themselves.
pub fn pod_resolv_conf(resolvers: One<ResolverStatus>, caches: All<DNSResolveCache>) -> Outputs<FileSpec> {
    let mut servers = resolvers.dns_servers.clone();
    servers.retain(|server| !server.is_loopback());
    if host_dns::answers(&caches, host_dns::FOR_PODS) {
        servers = vec![host_dns::FOR_PODS.into()];
    } else if servers.is_empty() {
        servers.extend(DEFAULT);
    }
    let text = ResolvConf::render(&servers, &resolvers.search_domains);
    Outputs::one(POD_RESOLV_CONF, file("resolvers", text, 0o644, 0))
}

/// Stands before each line of the platform's file in the node's own.
const REMEMBERED: &str = "# platform: ";

/// A text with the platform's file remembered in it: in a container the file outlasts the node's restart, and would be
/// taken for the platform's word.
pub fn remembering(platform: &str, text: &str) -> String {
    let mut out = String::from("# Written by the node, which keeps here what the platform gave it.\n");
    for line in platform.lines() {
        let _ = writeln!(out, "{REMEMBERED}{line}");
    }
    out + text
}

/// What the platform said, of a file that the platform or the node wrote.
pub fn of_platform(text: &str) -> String {
    let remembered: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(REMEMBERED)).collect();
    if remembered.is_empty() {
        return text.to_owned();
    }
    remembered.join("\n") + "\n"
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
    fn what_the_platform_gave_is_still_known_after_a_restart() {
        let platform = "nameserver 10.0.2.3\nsearch one\n";
        let written = remembering(platform, "nameserver 127.0.0.53\n");
        assert_eq!(of_platform(&written), platform);
        assert_eq!(
            of_platform(&remembering(&of_platform(&written), "nameserver 1.1.1.1\n")),
            platform
        );
        assert_eq!(of_platform(platform), platform);
        assert_eq!(
            ResolvConf::parse(&written).servers,
            ["127.0.0.53".parse::<IpAddr>().unwrap()]
        );
    }

    #[test]
    fn pods_are_sent_to_the_nodes_own_server_if_it_answers_them() {
        let running = || DNSResolveCache {
            status: "running".into(),
        };
        let caches = All::from([
            ("tcp-169.254.116.108:53", running()),
            ("udp-169.254.116.108:53", running()),
        ]);
        let status = ResolverStatus {
            dns_servers: vec!["10.0.0.1".parse().unwrap()],
            ..ResolverStatus::default()
        };
        let files = pod_resolv_conf(One::from(status), caches);
        assert_eq!(
            files.get(POD_RESOLV_CONF).unwrap().contents,
            "nameserver 169.254.116.108\n"
        );
    }

    #[test]
    fn pods_are_not_sent_to_the_nodes_loopback() {
        let none = || All::from([] as [(&str, DNSResolveCache); 0]);
        let text = |servers: &[&str]| {
            let dns_servers = servers.iter().map(|server| server.parse().unwrap()).collect();
            let status = ResolverStatus {
                dns_servers,
                search_domains: vec!["a".into()],
            };
            pod_resolv_conf(One::from(status), none())
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
