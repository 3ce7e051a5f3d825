//! Names, resolvers and time of the machine.

use std::net::IpAddr;
use std::time::Duration;

use crate::Config;
use crate::model::host;
use crate::model::net::Layer2VIPConfig;
use crate::model::v1alpha1::DeviceVIPConfig;

/// How the machine gets its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hostname {
    /// This one.
    Static(String),
    /// Made from the machine's identity, so that it stays the same, unless DHCP or the platform give one.
    Stable,
    /// From DHCP or the platform; otherwise from an address of the machine.
    FromNetwork,
}

/// How the machine gets its name.
pub fn hostname(config: &Config) -> Hostname {
    let document = config.document::<host::HostnameConfig>(None);
    let legacy = config.machine();
    let set = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    if let Some(name) = document.as_ref().and_then(|document| set(&document.hostname)) {
        return Hostname::Static(name);
    }
    if let Some(name) = legacy
        .and_then(|machine| machine.network.as_ref())
        .and_then(|network| set(&network.hostname))
    {
        return Hostname::Static(name);
    }
    let stable = match document.and_then(|document| document.auto) {
        Some(auto) => auto == "stable",
        None => legacy
            .and_then(|machine| machine.features.as_ref()?.stable_hostname)
            .unwrap_or_default(),
    };
    if stable {
        Hostname::Stable
    } else {
        Hostname::FromNetwork
    }
}

/// An address that control planes share: one of them has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualAddress {
    /// The address.
    pub address: IpAddr,
    /// The link it is on; none if it is to be found by the address.
    pub link: Option<String>,
}

/// The addresses that control planes share. Those that a cloud has to be told of are left out.
pub fn virtual_addresses(config: &Config) -> Vec<VirtualAddress> {
    let shared = |vip: &Option<DeviceVIPConfig>, link: Option<String>| {
        let vip = vip
            .as_ref()
            .filter(|v| v.equinix_metal.is_none() && v.hcloud.is_none())?;
        let address = vip.ip.as_ref()?.parse().ok()?;
        Some(VirtualAddress { address, link })
    };
    let mut found: Vec<VirtualAddress> = Vec::new();
    let devices = config.machine().and_then(|machine| machine.network.as_ref());
    for device in devices.iter().flat_map(|network| &network.interfaces) {
        let link = device.interface.clone().filter(|name| !name.is_empty());
        found.extend(shared(&device.vip, link.clone()));
        for vlan in &device.vlans {
            let name = link.as_ref().zip(vlan.vlan_id).map(|(link, id)| format!("{link}.{id}"));
            found.extend(shared(&vlan.vip, name));
        }
    }
    for document in config.all::<Layer2VIPConfig>() {
        if let Some(address) = document.name.as_ref().and_then(|name| name.parse().ok()) {
            let link = document.link.clone().filter(|name| !name.is_empty());
            found.push(VirtualAddress { address, link });
        }
    }
    found
}

/// Name servers and search domains; empty lists mean that none are configured here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolvers {
    /// Addresses of name servers, in order.
    pub nameservers: Vec<IpAddr>,
    /// Domains tried for short names.
    pub search_domains: Vec<String>,
    /// Do not add the machine's own domain to the search domains.
    pub disable_default_search_domain: bool,
}

/// Name servers and search domains.
pub fn resolvers(config: &Config) -> Resolvers {
    let mut view = Resolvers::default();
    if let Some(network) = config.machine().and_then(|machine| machine.network.as_ref()) {
        view.nameservers = network
            .nameservers
            .iter()
            .filter_map(|address| address.parse().ok())
            .collect();
        view.search_domains.clone_from(&network.search_domains);
        view.disable_default_search_domain = network.disable_search_domain.unwrap_or_default();
    }
    if let Some(document) = config.document::<host::ResolverConfig>(None) {
        if !document.nameservers.is_empty() {
            view.nameservers = document
                .nameservers
                .iter()
                .filter_map(|server| Some(server.address?.0))
                .collect();
        }
        if let Some(search) = document.search_domains {
            view.search_domains = search.domains;
            view.disable_default_search_domain = search.disable_default.unwrap_or_default();
        }
    }
    view
}

/// How the clock is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeSync {
    /// Whether it is set from the network at all.
    pub enabled: bool,
    /// Time servers; the default one if none are configured.
    pub servers: Vec<String>,
    /// How long the boot waits for the time; zero means for ever.
    pub boot_timeout: Duration,
}

/// Where the time comes from if nothing is configured.
pub const DEFAULT_TIME_SERVER: &str = "time.cloudflare.com";

/// How the clock is set.
pub fn time_sync(config: &Config) -> TimeSync {
    let mut view = TimeSync {
        enabled: true,
        servers: Vec::new(),
        boot_timeout: Duration::ZERO,
    };
    if let Some(time) = config.machine().and_then(|machine| machine.time.as_ref()) {
        view.enabled = !time.disabled.unwrap_or_default();
        view.servers.clone_from(&time.servers);
        view.boot_timeout = time.boot_timeout.unwrap_or_default();
    }
    if let Some(document) = config.document::<host::TimeSyncConfig>(None) {
        view.enabled = document.enabled.unwrap_or(true);
        view.boot_timeout = document.boot_timeout.unwrap_or_default();
        view.servers = document.ntp.map(|ntp| ntp.servers).unwrap_or_default();
    }
    if view.servers.is_empty() {
        view.servers.push(DEFAULT_TIME_SERVER.to_owned());
    }
    view
}

/// A line of `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraHost {
    /// The address.
    pub ip: String,
    /// Its names.
    pub aliases: Vec<String>,
}

/// Additional lines of `/etc/hosts`.
pub fn extra_hosts(config: &Config) -> Vec<ExtraHost> {
    let legacy = config.machine().and_then(|machine| machine.network.as_ref());
    let legacy = legacy.into_iter().flat_map(|network| &network.extra_host_entries);
    let legacy = legacy.map(|entry| ExtraHost {
        ip: entry.ip.clone().unwrap_or_default(),
        aliases: entry.aliases.clone(),
    });
    let document = |entry: host::StaticHostConfig| ExtraHost {
        ip: entry.name.unwrap_or_default(),
        aliases: entry.hostnames,
    };
    legacy.chain(config.all().into_iter().map(document)).collect()
}

/// The host's DNS cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostDns {
    /// Whether it runs.
    pub enabled: bool,
    /// Cluster DNS asks it.
    pub forward_kube_dns_to_host: bool,
    /// It knows the names of the cluster's members.
    pub resolve_member_names: bool,
}

/// The host's DNS cache.
pub fn host_dns(config: &Config) -> HostDns {
    let document = config
        .document::<host::ResolverConfig>(None)
        .and_then(|document| document.host_dns);
    if let Some(dns) = document {
        return HostDns {
            enabled: dns.enabled.unwrap_or_default(),
            forward_kube_dns_to_host: dns.forward_kube_dns_to_host.unwrap_or_default(),
            resolve_member_names: dns.resolve_member_names.unwrap_or_default(),
        };
    }
    let legacy = config
        .machine()
        .and_then(|machine| machine.features.as_ref()?.host_dns.as_ref());
    legacy.map_or_else(HostDns::default, |dns| HostDns {
        enabled: dns.enabled.unwrap_or_default(),
        forward_kube_dns_to_host: dns.forward_kube_dns_to_host.unwrap_or_default(),
        resolve_member_names: dns.resolve_member_names.unwrap_or_default(),
    })
}
