//! v1alpha1::network

use std::time::Duration;

use pki::Secret;

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// Bond.
    pub struct Bond: "v1alpha1.Bond" {
        /// Interfaces.
        interfaces: Vec<String> = "interfaces";
        /// Device selectors.
        device_selectors: Vec<NetworkDeviceSelector> = "deviceSelectors";
        /// Arp iptarget.
        arp_ip_target: Vec<String> = "arpIPTarget";
        /// Mode.
        mode: Option<String> = "mode";
        /// Xmit hash policy.
        xmit_hash_policy: Option<String> = "xmitHashPolicy";
        /// Lacp rate.
        lacp_rate: Option<String> = "lacpRate";
        /// Ad actor system.
        ad_actor_system: Option<String> = "adActorSystem";
        /// Arp validate.
        arp_validate: Option<String> = "arpValidate";
        /// Arp all targets.
        arp_all_targets: Option<String> = "arpAllTargets";
        /// Primary.
        primary: Option<String> = "primary";
        /// Primary reselect.
        primary_reselect: Option<String> = "primaryReselect";
        /// Fail over mac.
        fail_over_mac: Option<String> = "failOverMac";
        /// Ad select.
        ad_select: Option<String> = "adSelect";
        /// Miimon.
        miimon: Option<i64> = "miimon";
        /// Updelay.
        updelay: Option<i64> = "updelay";
        /// Downdelay.
        downdelay: Option<i64> = "downdelay";
        /// Arp interval.
        arp_interval: Option<i64> = "arpInterval";
        /// Resend igmp.
        resend_igmp: Option<i64> = "resendIgmp";
        /// Min links.
        min_links: Option<i64> = "minLinks";
        /// Lp interval.
        lp_interval: Option<i64> = "lpInterval";
        /// Packets per slave.
        packets_per_slave: Option<i64> = "packetsPerSlave";
        /// Num peer notif.
        num_peer_notif: Option<i64> = "numPeerNotif";
        /// Tlb dynamic lb.
        tlb_dynamic_lb: Option<i64> = "tlbDynamicLb";
        /// All slaves active.
        all_slaves_active: Option<i64> = "allSlavesActive";
        /// Use carrier.
        use_carrier: Option<bool> = "useCarrier";
        /// Ad actor sys prio.
        ad_actor_sys_prio: Option<i64> = "adActorSysPrio";
        /// Ad user port key.
        ad_user_port_key: Option<i64> = "adUserPortKey";
        /// Peer notify delay.
        peer_notify_delay: Option<i64> = "peerNotifyDelay";
    }

    /// Bridge.
    pub struct Bridge: "v1alpha1.Bridge" {
        /// Interfaces.
        interfaces: Vec<String> = "interfaces";
        /// Stp.
        stp: Option<STP> = "stp";
        /// Vlan.
        vlan: Option<BridgeVLAN> = "vlan";
    }

    /// Bridge port.
    pub struct BridgePort: "v1alpha1.BridgePort" {
        /// Master.
        master: Option<String> = "master";
    }

    /// Bridge vlan.
    pub struct BridgeVLAN: "v1alpha1.BridgeVLAN" {
        /// Vlan filtering.
        vlan_filtering: Option<bool> = "vlanFiltering";
    }

    /// Dhcpoptions.
    pub struct DHCPOptions: "v1alpha1.DHCPOptions" {
        /// Route metric.
        route_metric: Option<i64> = "routeMetric";
        /// Ipv4.
        ipv4: Option<bool> = "ipv4";
        /// Ipv6.
        ipv6: Option<bool> = "ipv6";
        /// Duidv6.
        duidv6: Option<String> = "duidv6";
    }

    /// Device.
    pub struct Device: "v1alpha1.Device" {
        /// Interface.
        interface: Option<String> = "interface";
        /// Device selector.
        device_selector: Option<NetworkDeviceSelector> = "deviceSelector";
        /// Addresses.
        addresses: Vec<String> = "addresses".check(Format::Prefix);
        /// Routes.
        routes: Vec<Route> = "routes";
        /// Bond.
        bond: Option<Bond> = "bond";
        /// Bridge.
        bridge: Option<Bridge> = "bridge";
        /// Bridge port.
        bridge_port: Option<BridgePort> = "bridgePort";
        /// Vlans.
        vlans: Vec<Vlan> = "vlans".by_key(&["vlanId"]);
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Dhcp.
        dhcp: Option<bool> = "dhcp";
        /// Ignore.
        ignore: Option<bool> = "ignore";
        /// Dummy.
        dummy: Option<bool> = "dummy";
        /// Dhcp options.
        dhcp_options: Option<DHCPOptions> = "dhcpOptions";
        /// Wireguard.
        wireguard: Option<DeviceWireguardConfig> = "wireguard";
        /// Vip.
        vip: Option<DeviceVIPConfig> = "vip";
    }

    /// Device vipconfig.
    pub struct DeviceVIPConfig: "v1alpha1.DeviceVIPConfig" {
        /// Ip.
        ip: Option<String> = "ip".check(Format::Address);
        /// Equinix metal.
        equinix_metal: Option<VIPEquinixMetalConfig> = "equinixMetal";
        /// Hcloud.
        hcloud: Option<VIPHCloudConfig> = "hcloud";
    }

    /// Device wireguard config.
    pub struct DeviceWireguardConfig: "v1alpha1.DeviceWireguardConfig" {
        /// Private key.
        private_key: Option<Secret> = "privateKey";
        /// Listen port.
        listen_port: Option<i64> = "listenPort";
        /// Firewall mark.
        firewall_mark: Option<i64> = "firewallMark";
        /// Peers.
        peers: Vec<DeviceWireguardPeer> = "peers";
    }

    /// Device wireguard peer.
    pub struct DeviceWireguardPeer: "v1alpha1.DeviceWireguardPeer" {
        /// Public key.
        public_key: Option<String> = "publicKey";
        /// Endpoint.
        endpoint: Option<String> = "endpoint".check(Format::Endpoint);
        /// Persistent keepalive interval.
        persistent_keepalive_interval: Option<Duration> = "persistentKeepaliveInterval";
        /// Allowed ips.
        allowed_ips: Vec<String> = "allowedIPs".check(Format::Prefix);
    }

    /// Extra host.
    pub struct ExtraHost: "v1alpha1.ExtraHost" {
        /// Ip.
        ip: Option<String> = "ip".check(Format::Address);
        /// Aliases.
        aliases: Vec<String> = "aliases";
    }

    /// Kube span filters.
    pub struct KubeSpanFilters: "v1alpha1.KubeSpanFilters" {
        /// Endpoints.
        endpoints: Vec<String> = "endpoints";
    }

    /// Network config.
    pub struct NetworkConfig: "v1alpha1.NetworkConfig" {
        /// Hostname.
        hostname: Option<String> = "hostname".deprecated("use HostnameConfig");
        /// Interfaces.
        interfaces: Vec<Device> = "interfaces".by_key(&["interface", "deviceSelector"]).deprecated("use LinkConfig, BondConfig, VLANConfig and the other link documents");
        /// Nameservers.
        nameservers: Vec<String> = "nameservers".check(Format::Address).deprecated("use ResolverConfig");
        /// Search domains.
        search_domains: Vec<String> = "searchDomains".deprecated("use ResolverConfig");
        /// Extra host entries.
        extra_host_entries: Vec<ExtraHost> = "extraHostEntries".deprecated("use StaticHostConfig");
        /// Kubespan.
        kubespan: Option<NetworkKubeSpan> = "kubespan".deprecated("use KubeSpanConfig");
        /// Disable search domain.
        disable_search_domain: Option<bool> = "disableSearchDomain".deprecated("use ResolverConfig");
    }

    /// Network device selector.
    pub struct NetworkDeviceSelector: "v1alpha1.NetworkDeviceSelector" {
        /// Bus path.
        bus_path: Option<String> = "busPath";
        /// Hardware addr.
        hardware_addr: Option<String> = "hardwareAddr";
        /// Permanent addr.
        permanent_addr: Option<String> = "permanentAddr";
        /// Pci id.
        pci_id: Option<String> = "pciID";
        /// Driver.
        driver: Option<String> = "driver";
        /// Physical.
        physical: Option<bool> = "physical";
    }

    /// Network kube span.
    pub struct NetworkKubeSpan: "v1alpha1.NetworkKubeSpan" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Advertise kubernetes networks.
        advertise_kubernetes_networks: Option<bool> = "advertiseKubernetesNetworks";
        /// Allow down peer bypass.
        allow_down_peer_bypass: Option<bool> = "allowDownPeerBypass";
        /// Harvest extra endpoints.
        harvest_extra_endpoints: Option<bool> = "harvestExtraEndpoints";
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Filters.
        filters: Option<KubeSpanFilters> = "filters";
    }

    /// Route.
    pub struct Route: "v1alpha1.Route" {
        /// Network.
        network: Option<String> = "network".check(Format::Prefix);
        /// Gateway.
        gateway: Option<String> = "gateway".check(Format::Address);
        /// Source.
        source: Option<String> = "source".check(Format::Address);
        /// Metric.
        metric: Option<i64> = "metric";
        /// Mtu.
        mtu: Option<i64> = "mtu";
    }

    /// Stp.
    pub struct STP: "v1alpha1.STP" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
    }

    /// Vipequinix metal config.
    pub struct VIPEquinixMetalConfig: "v1alpha1.VIPEquinixMetalConfig" {
        /// Api token.
        api_token: Option<Secret> = "apiToken";
    }

    /// Viphcloud config.
    pub struct VIPHCloudConfig: "v1alpha1.VIPHCloudConfig" {
        /// Api token.
        api_token: Option<Secret> = "apiToken";
    }

    /// Vlan.
    pub struct Vlan: "v1alpha1.Vlan" {
        /// Addresses.
        addresses: Vec<String> = "addresses".check(Format::Prefix);
        /// Routes.
        routes: Vec<Route> = "routes";
        /// Dhcp.
        dhcp: Option<bool> = "dhcp";
        /// Vlan id.
        vlan_id: Option<i64> = "vlanId";
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Vip.
        vip: Option<DeviceVIPConfig> = "vip";
        /// Dhcp options.
        dhcp_options: Option<DHCPOptions> = "dhcpOptions";
    }
}
