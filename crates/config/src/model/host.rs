//! host

use std::time::Duration;

use crate::schema::Format;
use crate::schema::field::Address;
use crate::schema::macros::model;

model! {
    /// Httpprobe config.
    pub struct HTTPProbeConfig: "network.HTTPProbeConfigV1Alpha1", kind "HTTPProbeConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Interval.
        interval: Option<Duration> = "interval";
        /// Failure threshold.
        failure_threshold: Option<i64> = "failureThreshold";
        /// Url.
        url: Option<String> = "url".required().format(Format::Url(&["http", "https"]));
        /// Timeout.
        timeout: Option<Duration> = "timeout";
    }

    /// Host dnsconfig.
    pub struct HostDNSConfig: "network.HostDNSConfig" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Forward kube dnsto host.
        forward_kube_dns_to_host: Option<bool> = "forwardKubeDNSToHost";
        /// Resolve member names.
        resolve_member_names: Option<bool> = "resolveMemberNames";
    }

    /// Hostname config.
    pub struct HostnameConfig: "network.HostnameConfigV1Alpha1", kind "HostnameConfig" {
        /// Auto.
        auto: Option<String> = "auto".one_of(&["stable", "off"]);
        /// Hostname.
        hostname: Option<String> = "hostname";
    }

    /// Ntpconfig.
    pub struct NTPConfig: "network.NTPConfig" {
        /// Servers.
        servers: Vec<String> = "servers";
        /// Use nts.
        use_nts: Option<bool> = "useNTS".since("v1.14");
    }

    /// Nameserver config.
    pub struct NameserverConfig: "network.NameserverConfig" {
        /// Address.
        address: Option<Address> = "address";
        /// Protocol.
        protocol: Option<String> = "protocol".one_of(&["Do53", "DoT", "DoH"]).since("v1.14");
        /// Tls server name.
        tls_server_name: Option<String> = "tlsServerName".since("v1.14");
    }

    /// Ptpconfig.
    pub struct PTPConfig: "network.PTPConfig" {
        /// Devices.
        devices: Vec<String> = "devices";
    }

    /// Resolver config.
    pub struct ResolverConfig: "network.ResolverConfigV1Alpha1", kind "ResolverConfig" {
        /// Nameservers.
        nameservers: Vec<NameserverConfig> = "nameservers";
        /// Search domains.
        search_domains: Option<SearchDomainsConfig> = "searchDomains";
        /// Host dns.
        host_dns: Option<HostDNSConfig> = "hostDNS".since("v1.14");
    }

    /// Search domains config.
    pub struct SearchDomainsConfig: "network.SearchDomainsConfig" {
        /// Domains.
        domains: Vec<String> = "domains";
        /// Disable default.
        disable_default: Option<bool> = "disableDefault";
    }

    /// Static host config.
    pub struct StaticHostConfig: "network.StaticHostConfigV1Alpha1", kind "StaticHostConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Hostnames.
        hostnames: Vec<String> = "hostnames";
    }

    /// Tcpprobe config.
    pub struct TCPProbeConfig: "network.TCPProbeConfigV1Alpha1", kind "TCPProbeConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Interval.
        interval: Option<Duration> = "interval";
        /// Failure threshold.
        failure_threshold: Option<i64> = "failureThreshold";
        /// Endpoint.
        endpoint: Option<String> = "endpoint".required();
        /// Timeout.
        timeout: Option<Duration> = "timeout";
    }

    /// Time sync config.
    pub struct TimeSyncConfig: "network.TimeSyncConfigV1Alpha1", kind "TimeSyncConfig" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Boot timeout.
        boot_timeout: Option<Duration> = "bootTimeout";
        /// Ntp.
        ntp: Option<NTPConfig> = "ntp";
        /// Ptp.
        ptp: Option<PTPConfig> = "ptp";
    }
}
