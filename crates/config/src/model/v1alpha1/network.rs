//! The long-standing network section of a machine.

use std::time::Duration;

use pki::Secret;

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// A bond of several links.
    pub struct Bond: "v1alpha1.Bond" {
        /// Links.
        interfaces: Vec<String> = "interfaces";
        /// Choose the links by their properties.
        device_selectors: Vec<NetworkDeviceSelector> = "deviceSelectors";
        /// Addresses watched by ARP.
        arp_ip_target: Vec<String> = "arpIPTarget";
        /// How the links share the work.
        mode: Option<String> = "mode";
        /// What decides which link a packet takes.
        xmit_hash_policy: Option<String> = "xmitHashPolicy";
        /// How often LACP packets are asked for.
        lacp_rate: Option<String> = "lacpRate";
        /// System identifier in LACP.
        ad_actor_system: Option<String> = "adActorSystem";
        /// Which ARP probes and replies are checked.
        arp_validate: Option<String> = "arpValidate";
        /// Whether any or all ARP targets must answer.
        arp_all_targets: Option<String> = "arpAllTargets";
        /// Link that is used while it is up.
        primary: Option<String> = "primary";
        /// When the primary link is used again after it came back.
        primary_reselect: Option<String> = "primaryReselect";
        /// What happens to hardware addresses on fail-over.
        fail_over_mac: Option<String> = "failOverMac";
        /// How the active LACP aggregator is chosen.
        ad_select: Option<String> = "adSelect";
        /// Milliseconds between checks of the links.
        miimon: Option<i64> = "miimon";
        /// Milliseconds before a link that came up is used.
        updelay: Option<i64> = "updelay";
        /// Milliseconds before a link that went down is taken out.
        downdelay: Option<i64> = "downdelay";
        /// Milliseconds between ARP probes.
        arp_interval: Option<i64> = "arpInterval";
        /// Membership reports sent after a fail-over.
        resend_igmp: Option<i64> = "resendIgmp";
        /// Links that must be up for the bond to be up.
        min_links: Option<i64> = "minLinks";
        /// Seconds between learning packets.
        lp_interval: Option<i64> = "lpInterval";
        /// Packets sent on a link before the next has its turn.
        packets_per_slave: Option<i64> = "packetsPerSlave";
        /// Notifications sent after a fail-over.
        num_peer_notif: Option<i64> = "numPeerNotif";
        /// Balance by load.
        tlb_dynamic_lb: Option<i64> = "tlbDynamicLb";
        /// Whether frames received on inactive links are kept.
        all_slaves_active: Option<i64> = "allSlavesActive";
        /// Trust the driver's report of the carrier.
        use_carrier: Option<bool> = "useCarrier";
        /// System priority in LACP.
        ad_actor_sys_prio: Option<i64> = "adActorSysPrio";
        /// User part of the port key in LACP.
        ad_user_port_key: Option<i64> = "adUserPortKey";
        /// Milliseconds between notifications after a fail-over.
        peer_notify_delay: Option<i64> = "peerNotifyDelay";
    }

    /// A bridge of several links.
    pub struct Bridge: "v1alpha1.Bridge" {
        /// Links.
        interfaces: Vec<String> = "interfaces";
        /// Spanning tree.
        stp: Option<STP> = "stp";
        /// VLAN settings.
        vlan: Option<BridgeVLAN> = "vlan";
    }

    /// Membership of a bridge.
    pub struct BridgePort: "v1alpha1.BridgePort" {
        /// Name of the bridge.
        master: Option<String> = "master";
    }

    /// VLAN settings of a bridge.
    pub struct BridgeVLAN: "v1alpha1.BridgeVLAN" {
        /// Forward by VLAN.
        vlan_filtering: Option<bool> = "vlanFiltering";
    }

    /// Options of DHCP.
    pub struct DHCPOptions: "v1alpha1.DHCPOptions" {
        /// Metric of routes from the server.
        route_metric: Option<i64> = "routeMetric";
        /// Use DHCPv4.
        ipv4: Option<bool> = "ipv4";
        /// Use DHCPv6.
        ipv6: Option<bool> = "ipv6";
        /// DUID of DHCPv6.
        duidv6: Option<String> = "duidv6";
    }

    /// A link and what is configured on it.
    pub struct Device: "v1alpha1.Device" {
        /// Name of the link.
        interface: Option<String> = "interface";
        /// Chooses the link by its properties instead of its name.
        device_selector: Option<NetworkDeviceSelector> = "deviceSelector";
        /// Addresses of the link, each with its prefix length.
        addresses: Vec<String> = "addresses".check(Format::Prefix);
        /// Routes of the link.
        routes: Vec<Route> = "routes";
        /// Makes the link a bond of others.
        bond: Option<Bond> = "bond";
        /// Makes the link a bridge of others.
        bridge: Option<Bridge> = "bridge";
        /// Puts the link into a bridge.
        bridge_port: Option<BridgePort> = "bridgePort";
        /// VLANs on the link.
        vlans: Vec<Vlan> = "vlans".by_key(&["vlanId"]);
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// Get addresses by DHCP.
        dhcp: Option<bool> = "dhcp";
        /// Leave the link alone.
        ignore: Option<bool> = "ignore";
        /// Makes the link a dummy.
        dummy: Option<bool> = "dummy";
        /// Options of DHCP.
        dhcp_options: Option<DHCPOptions> = "dhcpOptions";
        /// Makes the link a WireGuard tunnel.
        wireguard: Option<DeviceWireguardConfig> = "wireguard";
        /// An address shared by several machines.
        vip: Option<DeviceVIPConfig> = "vip";
    }

    /// An address shared by several machines, one of which has it.
    pub struct DeviceVIPConfig: "v1alpha1.DeviceVIPConfig" {
        /// IP address.
        ip: Option<String> = "ip".check(Format::Address);
        /// Tell Equinix Metal where the address is.
        equinix_metal: Option<VIPEquinixMetalConfig> = "equinixMetal";
        /// Tell Hetzner Cloud where the address is.
        hcloud: Option<VIPHCloudConfig> = "hcloud";
    }

    /// A WireGuard tunnel.
    pub struct DeviceWireguardConfig: "v1alpha1.DeviceWireguardConfig" {
        /// Private key.
        private_key: Option<Secret> = "privateKey";
        /// UDP port; any if not given.
        listen_port: Option<i64> = "listenPort";
        /// Mark of the link's own packets.
        firewall_mark: Option<i64> = "firewallMark";
        /// Peers.
        peers: Vec<DeviceWireguardPeer> = "peers";
    }

    /// A peer of a WireGuard tunnel.
    pub struct DeviceWireguardPeer: "v1alpha1.DeviceWireguardPeer" {
        /// Public key of the peer.
        public_key: Option<String> = "publicKey";
        /// Address and port of the peer.
        endpoint: Option<String> = "endpoint".check(Format::Endpoint);
        /// Time between packets that keep the path open.
        persistent_keepalive_interval: Option<Duration> = "persistentKeepaliveInterval";
        /// Networks whose traffic goes to and is accepted from the peer.
        allowed_ips: Vec<String> = "allowedIPs".check(Format::Prefix);
    }

    /// An additional line of /etc/hosts.
    pub struct ExtraHost: "v1alpha1.ExtraHost" {
        /// IP address.
        ip: Option<String> = "ip".check(Format::Address);
        /// Names of the address.
        aliases: Vec<String> = "aliases";
    }

    /// What the mesh leaves out.
    pub struct KubeSpanFilters: "v1alpha1.KubeSpanFilters" {
        /// Networks whose addresses are announced; `!` before one leaves it out.
        endpoints: Vec<String> = "endpoints";
    }

    /// Network of the machine.
    pub struct NetworkConfig: "v1alpha1.NetworkConfig" {
        /// Name of the machine.
        hostname: Option<String> = "hostname".deprecated("use HostnameConfig");
        /// Links.
        interfaces: Vec<Device> = "interfaces".by_key(&["interface", "deviceSelector"]).deprecated("use LinkConfig, BondConfig, VLANConfig and the other link documents");
        /// Addresses of name servers, in order.
        nameservers: Vec<String> = "nameservers".check(Format::Address).deprecated("use ResolverConfig");
        /// Domains tried for short names.
        search_domains: Vec<String> = "searchDomains".deprecated("use ResolverConfig");
        /// Additional lines of /etc/hosts.
        extra_host_entries: Vec<ExtraHost> = "extraHostEntries".deprecated("use StaticHostConfig");
        /// The WireGuard mesh.
        kubespan: Option<NetworkKubeSpan> = "kubespan".deprecated("use KubeSpanConfig");
        /// Do not add the machine's own domain to the search domains.
        disable_search_domain: Option<bool> = "disableSearchDomain".deprecated("use ResolverConfig");
    }

    /// Chooses a link by its properties.
    pub struct NetworkDeviceSelector: "v1alpha1.NetworkDeviceSelector" {
        /// Path of the device on its bus; `*` stands for anything.
        bus_path: Option<String> = "busPath";
        /// Hardware (MAC) address.
        hardware_addr: Option<String> = "hardwareAddr";
        /// Hardware address burnt into the device.
        permanent_addr: Option<String> = "permanentAddr";
        /// Vendor and product id on the PCI bus.
        pci_id: Option<String> = "pciID";
        /// Kernel driver of the device.
        driver: Option<String> = "driver";
        /// Only physical links.
        physical: Option<bool> = "physical";
    }

    /// The WireGuard mesh.
    pub struct NetworkKubeSpan: "v1alpha1.NetworkKubeSpan" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// Send pod and service networks through the mesh.
        advertise_kubernetes_networks: Option<bool> = "advertiseKubernetesNetworks";
        /// Send traffic to peers that are down outside the mesh.
        allow_down_peer_bypass: Option<bool> = "allowDownPeerBypass";
        /// Learn endpoints from what peers see of each other.
        harvest_extra_endpoints: Option<bool> = "harvestExtraEndpoints";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// What is left out.
        filters: Option<KubeSpanFilters> = "filters";
    }

    /// A route.
    pub struct Route: "v1alpha1.Route" {
        /// Destination network; all if not given.
        network: Option<String> = "network".check(Format::Prefix);
        /// Address of the next hop.
        gateway: Option<String> = "gateway".check(Format::Address);
        /// Source address of packets.
        source: Option<String> = "source".check(Format::Address);
        /// Metric: the route with the smallest is used.
        metric: Option<i64> = "metric";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
    }

    /// Spanning tree.
    pub struct STP: "v1alpha1.STP" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
    }

    /// Credentials for Equinix Metal.
    pub struct VIPEquinixMetalConfig: "v1alpha1.VIPEquinixMetalConfig" {
        /// Token for the cloud's API.
        api_token: Option<Secret> = "apiToken";
    }

    /// Credentials for Hetzner Cloud.
    pub struct VIPHCloudConfig: "v1alpha1.VIPHCloudConfig" {
        /// Token for the cloud's API.
        api_token: Option<Secret> = "apiToken";
    }

    /// A VLAN on a link.
    pub struct Vlan: "v1alpha1.Vlan" {
        /// Addresses of the link, each with its prefix length.
        addresses: Vec<String> = "addresses".check(Format::Prefix);
        /// Routes of the link.
        routes: Vec<Route> = "routes";
        /// Get addresses by DHCP.
        dhcp: Option<bool> = "dhcp";
        /// VLAN id, 1 to 4094.
        vlan_id: Option<i64> = "vlanId";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// An address shared by several machines.
        vip: Option<DeviceVIPConfig> = "vip";
        /// Options of DHCP.
        dhcp_options: Option<DHCPOptions> = "dhcpOptions";
    }
}
