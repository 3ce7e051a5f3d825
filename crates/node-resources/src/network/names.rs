//! Names: of the node, of DNS and time servers; and how far the network is.

use std::net::{IpAddr, SocketAddr};

use resource::Resource;
use resource::types::blank;
use serde::{Deserialize, Serialize};

use crate::network::ConfigLayer;
use crate::types::is_default;

/// A listener of the node's own DNS resolver.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "DNSResolveCaches.net.talos.dev", namespace = "network", column("Status" = "{.status}"))]
pub struct DNSResolveCache {
    #[field(1)]
    pub status: String,
}

/// A DNS server the node's own resolver asks.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "DNSUpstreams.net.talos.dev",
    namespace = "network",
    column("Healthy" = "{.healthy}"),
    column("Address" = "{.addr}")
)]
pub struct DNSUpstream {
    #[field(1)]
    pub addr: String,
    #[field(2)]
    pub healthy: String,
}

/// How the node's own DNS resolver is set up.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "HostDNSConfigs.net.talos.dev", namespace = "network", column("Enabled" = "{.enabled}"))]
pub struct HostDNSConfig {
    #[field(1)]
    pub enabled: bool,
    #[field(2)]
    pub listen_addresses: Vec<SocketAddr>,
    #[serde(rename = "serviceHostDNSAddress", with = "blank", skip_serializing_if = "is_default")]
    #[field(3)]
    pub service_host_dns_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(4)]
    pub resolve_member_names: bool,
}

/// A name the node shall have.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "HostnameSpecs.net.talos.dev", namespace = "network")]
pub struct HostnameSpec {
    #[field(1)]
    pub hostname: String,
    #[field(2)]
    pub domainname: String,
    #[field(3)]
    pub layer: ConfigLayer,
}

/// The name the node has.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "HostnameStatuses.net.talos.dev",
    namespace = "network",
    aliases("hostname"),
    column("Hostname" = "{.hostname}"),
    column("Domainname" = "{.domainname}")
)]
pub struct HostnameStatus {
    #[field(1)]
    pub hostname: String,
    #[field(2)]
    pub domainname: String,
}

/// DNS servers the node shall ask.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "ResolverSpecs.net.talos.dev",
    namespace = "network",
    column("Layer" = "{.layer}"),
    column("Resolvers" = "{.dnsServers}"),
    column("Search Domains" = "{.searchDomains}")
)]
pub struct ResolverSpec {
    #[field(1)]
    pub dns_servers: Vec<IpAddr>,
    #[field(2)]
    pub layer: ConfigLayer,
    #[serde(skip_serializing_if = "is_default")]
    #[field(3)]
    pub search_domains: Vec<String>,
}

/// DNS servers the node asks.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "ResolverStatuses.net.talos.dev",
    namespace = "network",
    aliases("resolvers"),
    column("Resolvers" = "{.dnsServers}"),
    column("Search Domains" = "{.searchDomains}")
)]
pub struct ResolverStatus {
    #[field(1)]
    pub dns_servers: Vec<IpAddr>,
    #[field(2)]
    pub search_domains: Vec<String>,
}

/// How far the network is set up.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "NetworkStatuses.net.talos.dev",
    namespace = "network",
    aliases("netstatus", "netstatuses"),
    column("Address" = "{.addressReady}"),
    column("Connectivity" = "{.connectivityReady}"),
    column("Hostname" = "{.hostnameReady}"),
    column("Etc" = "{.etcFilesReady}")
)]
pub struct NetworkStatus {
    #[field(1)]
    pub address_ready: bool,
    #[field(2)]
    pub connectivity_ready: bool,
    #[field(3)]
    pub hostname_ready: bool,
    #[field(4)]
    pub etc_files_ready: bool,
}

/// Time servers the node shall use.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "TimeServerSpecs.net.talos.dev", namespace = "network")]
pub struct TimeServerSpec {
    #[field(1)]
    pub time_servers: Vec<String>,
    #[field(2)]
    pub layer: ConfigLayer,
}

/// Time servers the node uses.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "TimeServerStatuses.net.talos.dev",
    namespace = "network",
    aliases("timeserver", "timeservers"),
    column("Timeservers" = "{.timeServers}")
)]
pub struct TimeServerStatus {
    #[field(1)]
    pub time_servers: Vec<String>,
}
