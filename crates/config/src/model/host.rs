//! Names, resolvers, time and probes of the machine.

use std::time::Duration;

use crate::schema::Format;
use crate::schema::field::Address;
use crate::schema::macros::model;

model! {
    /// Checks a URL and lets the network be ready only when it answers.
    pub struct HTTPProbeConfig: "network.HTTPProbeConfigV1Alpha1", kind "HTTPProbeConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Time between two runs.
        interval: Option<Duration> = "interval";
        /// Failures in a row after which the probe is down.
        failure_threshold: Option<i64> = "failureThreshold";
        /// URL.
        url: Option<String> = "url".required().format(Format::Url(&["http", "https"]));
        /// Time allowed.
        timeout: Option<Duration> = "timeout";
    }

    /// The machine's DNS cache.
    pub struct HostDNSConfig: "network.HostDNSConfig" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// Cluster DNS asks the machine's DNS cache.
        forward_kube_dns_to_host: Option<bool> = "forwardKubeDNSToHost";
        /// Resolve the names of the cluster's members.
        resolve_member_names: Option<bool> = "resolveMemberNames";
    }

    /// Name of the machine.
    pub struct HostnameConfig: "network.HostnameConfigV1Alpha1", kind "HostnameConfig" {
        /// How to make a name by itself: `stable` from the machine's identity, `off` not at all.
        auto: Option<String> = "auto".one_of(&["stable", "off"]);
        /// Name of the machine.
        hostname: Option<String> = "hostname";
    }

    /// Time from servers.
    pub struct NTPConfig: "network.NTPConfig" {
        /// Time servers.
        servers: Vec<String> = "servers";
        /// Use authenticated time (NTS).
        use_nts: Option<bool> = "useNTS".since("v1.14");
    }

    /// A name server.
    pub struct NameserverConfig: "network.NameserverConfig" {
        /// IP address.
        address: Option<Address> = "address";
        /// Protocol.
        protocol: Option<String> = "protocol".one_of(&["Do53", "DoT", "DoH"]).since("v1.14");
        /// Name expected in the server's certificate.
        tls_server_name: Option<String> = "tlsServerName".since("v1.14");
    }

    /// Time from hardware.
    pub struct PTPConfig: "network.PTPConfig" {
        /// PTP devices.
        devices: Vec<String> = "devices";
    }

    /// Name servers and search domains.
    pub struct ResolverConfig: "network.ResolverConfigV1Alpha1", kind "ResolverConfig" {
        /// Addresses of name servers, in order.
        nameservers: Vec<NameserverConfig> = "nameservers";
        /// Domains tried for short names.
        search_domains: Option<SearchDomainsConfig> = "searchDomains";
        /// The machine's DNS cache.
        host_dns: Option<HostDNSConfig> = "hostDNS".since("v1.14");
    }

    /// Domains tried for short names.
    pub struct SearchDomainsConfig: "network.SearchDomainsConfig" {
        /// Domains tried for short names.
        domains: Vec<String> = "domains";
        /// Do not add the machine's own domain.
        disable_default: Option<bool> = "disableDefault";
    }

    /// An additional line of /etc/hosts.
    pub struct StaticHostConfig: "network.StaticHostConfigV1Alpha1", kind "StaticHostConfig" named {
        /// The IP address.
        name: Option<String> = "name".required();
        /// Names of the address.
        hostnames: Vec<String> = "hostnames";
    }

    /// Checks a TCP port and lets the network be ready only when it answers.
    pub struct TCPProbeConfig: "network.TCPProbeConfigV1Alpha1", kind "TCPProbeConfig" named {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Time between two runs.
        interval: Option<Duration> = "interval";
        /// Failures in a row after which the probe is down.
        failure_threshold: Option<i64> = "failureThreshold";
        /// Host and port to connect to.
        endpoint: Option<String> = "endpoint".required();
        /// Time allowed.
        timeout: Option<Duration> = "timeout";
    }

    /// The clock.
    pub struct TimeSyncConfig: "network.TimeSyncConfigV1Alpha1", kind "TimeSyncConfig" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// How long the boot waits for the time; 0 waits for ever.
        boot_timeout: Option<Duration> = "bootTimeout";
        /// Time from servers.
        ntp: Option<NTPConfig> = "ntp";
        /// Time from hardware.
        ptp: Option<PTPConfig> = "ptp";
    }
}
