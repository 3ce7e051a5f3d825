//! Network links: physical, bonds, bridges, VLANs, WireGuard and others.

use std::time::Duration;

use pki::Secret;

use crate::schema::Format;
use crate::schema::field::Address;
use crate::schema::macros::model;
use crate::schema::types::Prefix;

model! {
    /// An address of a link.
    pub struct AddressConfig: "network.AddressConfig" {
        /// IP address.
        address: Option<Prefix> = "address".required();
        /// Priority of the route to the address's network.
        route_priority: Option<i64> = "routePriority";
    }

    /// A bond of several links.
    pub struct BondConfig: "network.BondConfigV1Alpha1", kind "BondConfig" named {
        /// Name of the link.
        name: Option<String> = "name".required();
        /// Hardware (MAC) address.
        hardware_addr: Option<String> = "hardwareAddr".format(Format::Mac);
        /// Names of the links in it.
        links: Vec<String> = "links".required();
        /// How the links share the work.
        bond_mode: Option<String> = "bondMode".required().one_of(&["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"]);
        /// Milliseconds between checks of the links.
        miimon: Option<i64> = "miimon";
        /// Milliseconds before a link that came up is used.
        updelay: Option<i64> = "updelay";
        /// Milliseconds before a link that went down is taken out.
        downdelay: Option<i64> = "downdelay";
        /// Trust the driver's report of the carrier.
        use_carrier: Option<bool> = "useCarrier";
        /// What decides which link a packet takes.
        xmit_hash_policy: Option<String> = "xmitHashPolicy".one_of(&["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4"]);
        /// Milliseconds between ARP probes.
        arp_interval: Option<i64> = "arpInterval";
        /// IPv4 addresses watched by ARP.
        arp_ip_targets: Vec<Address> = "arpIpTargets";
        /// IPv6 addresses watched by neighbor solicitation.
        ns_ip6_targets: Vec<Address> = "nsIp6Targets";
        /// Which ARP probes and replies are checked.
        arp_validate: Option<String> = "arpValidate".one_of(&["none", "active", "backup", "all", "filter", "filter-active", "filter-backup"]);
        /// Whether any or all ARP targets must answer.
        arp_all_targets: Option<String> = "arpAllTargets".one_of(&["any", "all"]);
        /// How often LACP packets are asked for.
        lacp_rate: Option<String> = "lacpRate".one_of(&["slow", "fast"]);
        /// What happens to hardware addresses on fail-over.
        fail_over_mac: Option<String> = "failOverMac".one_of(&["none", "active", "follow"]);
        /// How the active LACP aggregator is chosen.
        ad_select: Option<String> = "adSelect".one_of(&["stable", "bandwidth", "count"]);
        /// System priority in LACP.
        ad_actor_sys_prio: Option<i64> = "adActorSysPrio";
        /// User part of the port key in LACP.
        ad_user_port_key: Option<i64> = "adUserPortKey";
        /// Whether LACP packets are sent actively.
        ad_lacp_active: Option<String> = "adLACPActive".one_of(&["on", "off"]);
        /// Link that is used while it is up.
        primary: Option<String> = "primary".since("v1.14");
        /// When the primary link is used again after it came back.
        primary_reselect: Option<String> = "primaryReselect".one_of(&["always", "better", "failure"]);
        /// Membership reports sent after a fail-over.
        resend_igmp: Option<i64> = "resendIGMP";
        /// Links that must be up for the bond to be up.
        min_links: Option<i64> = "minLinks";
        /// Seconds between learning packets.
        lp_interval: Option<i64> = "lpInterval";
        /// Packets sent on a link before the next has its turn.
        packets_per_slave: Option<i64> = "packetsPerSlave";
        /// Notifications sent after a fail-over.
        num_peer_notif: Option<i64> = "numPeerNotif";
        /// Balance by load.
        tlb_logical_lb: Option<i64> = "tlbLogicalLb";
        /// Whether frames received on inactive links are kept.
        all_slaves_active: Option<i64> = "allSlavesActive";
        /// Milliseconds between notifications after a fail-over.
        peer_notif_delay: Option<i64> = "peerNotifDelay";
        /// Failed ARP probes after which a link is down.
        missed_max: Option<i64> = "missedMax";
        /// Bring the link up.
        up: Option<bool> = "up";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// Addresses of the link, each with its prefix length.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes of the link.
        routes: Vec<RouteConfig> = "routes";
        /// Receive multicast.
        multicast: Option<bool> = "multicast";
    }

    /// A bridge of several links.
    pub struct BridgeConfig: "network.BridgeConfigV1Alpha1", kind "BridgeConfig" named {
        /// Name of the link.
        name: Option<String> = "name".required();
        /// Hardware (MAC) address.
        hardware_addr: Option<String> = "hardwareAddr".format(Format::Mac);
        /// Names of the links in it.
        links: Vec<String> = "links".required();
        /// Spanning tree.
        stp: Option<BridgeSTPConfig> = "stp";
        /// VLAN settings.
        vlan: Option<BridgeVLANConfig> = "vlan";
        /// Bring the link up.
        up: Option<bool> = "up";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// Addresses of the link, each with its prefix length.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes of the link.
        routes: Vec<RouteConfig> = "routes";
        /// Receive multicast.
        multicast: Option<bool> = "multicast";
    }

    /// Spanning tree of a bridge.
    pub struct BridgeSTPConfig: "network.BridgeSTPConfig" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
    }

    /// VLAN settings of a bridge.
    pub struct BridgeVLANConfig: "network.BridgeVLANConfig" {
        /// Forward by VLAN.
        filtering: Option<bool> = "filtering";
    }

    /// A dummy link.
    pub struct DummyLinkConfig: "network.DummyLinkConfigV1Alpha1", kind "DummyLinkConfig" named {
        /// Name of the link.
        name: Option<String> = "name".required();
        /// Hardware (MAC) address.
        hardware_addr: Option<String> = "hardwareAddr".format(Format::Mac);
        /// Bring the link up.
        up: Option<bool> = "up";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// Addresses of the link, each with its prefix length.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes of the link.
        routes: Vec<RouteConfig> = "routes";
        /// Receive multicast.
        multicast: Option<bool> = "multicast";
    }

    /// A link that exists already.
    pub struct LinkConfig: "network.LinkConfigV1Alpha1", kind "LinkConfig" named {
        /// Name of the link.
        name: Option<String> = "name".required();
        /// Bring the link up.
        up: Option<bool> = "up";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// Addresses of the link, each with its prefix length.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes of the link.
        routes: Vec<RouteConfig> = "routes";
        /// Receive multicast.
        multicast: Option<bool> = "multicast";
    }

    /// A route.
    pub struct RouteConfig: "network.RouteConfig" {
        /// Destination network; all if not given.
        destination: Option<Prefix> = "destination";
        /// Address of the next hop.
        gateway: Option<Address> = "gateway";
        /// Source address of packets.
        source: Option<Address> = "source";
        /// Metric: the route with the smallest is used.
        metric: Option<i64> = "metric";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// Routing table.
        table: Option<String> = "table";
    }

    /// A VLAN on a link.
    pub struct VLANConfig: "network.VLANConfigV1Alpha1", kind "VLANConfig" named {
        /// Name of the link.
        name: Option<String> = "name".required();
        /// VLAN id, 1 to 4094.
        vlan_id: Option<i64> = "vlanID".required();
        /// Protocol of the VLAN.
        vlan_mode: Option<String> = "vlanMode".one_of(&["802.1q", "802.1ad"]);
        /// Link the VLAN is on.
        parent: Option<String> = "parent".required();
        /// Bring the link up.
        up: Option<bool> = "up";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// Addresses of the link, each with its prefix length.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes of the link.
        routes: Vec<RouteConfig> = "routes";
        /// Receive multicast.
        multicast: Option<bool> = "multicast";
    }

    /// A routing domain of several links.
    pub struct VRFConfig: "network.VRFConfigV1Alpha1", kind "VRFConfig" named {
        /// Name of the link.
        name: Option<String> = "name".required();
        /// Hardware (MAC) address.
        hardware_addr: Option<String> = "hardwareAddr".format(Format::Mac);
        /// Names of the links in it.
        links: Vec<String> = "links".required();
        /// Routing table.
        table: Option<String> = "table".required();
        /// Bring the link up.
        up: Option<bool> = "up";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// Addresses of the link, each with its prefix length.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes of the link.
        routes: Vec<RouteConfig> = "routes";
        /// Receive multicast.
        multicast: Option<bool> = "multicast";
    }

    /// A pair of virtual links.
    pub struct VethConfig: "network.VethConfigV1Alpha1", kind "VethConfig" named since "v1.14" {
        /// Name of the link.
        name: Option<String> = "name".required();
        /// The other end.
        peer: Option<VethPeerConfig> = "peer".required();
        /// Bring the link up.
        up: Option<bool> = "up";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// Addresses of the link, each with its prefix length.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes of the link.
        routes: Vec<RouteConfig> = "routes";
        /// Receive multicast.
        multicast: Option<bool> = "multicast";
    }

    /// The other end of a pair of virtual links.
    pub struct VethPeerConfig: "network.VethPeerConfig" {
        /// Name.
        name: Option<String> = "name".required();
        /// Bring the link up.
        up: Option<bool> = "up";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// Addresses of the link, each with its prefix length.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes of the link.
        routes: Vec<RouteConfig> = "routes";
        /// Receive multicast.
        multicast: Option<bool> = "multicast";
    }

    /// A WireGuard tunnel.
    pub struct WireguardConfig: "network.WireguardConfigV1Alpha1", kind "WireguardConfig" named {
        /// Name of the link.
        name: Option<String> = "name".required();
        /// Private key.
        private_key: Option<Secret> = "privateKey".required();
        /// UDP port; any if not given.
        listen_port: Option<i64> = "listenPort";
        /// Mark of the link's own packets.
        firewall_mark: Option<i64> = "firewallMark";
        /// Peers.
        peers: Vec<WireguardPeer> = "peers";
        /// Bring the link up.
        up: Option<bool> = "up";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// Addresses of the link, each with its prefix length.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes of the link.
        routes: Vec<RouteConfig> = "routes";
        /// Receive multicast.
        multicast: Option<bool> = "multicast";
    }

    /// A peer of a WireGuard tunnel.
    pub struct WireguardPeer: "network.WireguardPeer" {
        /// Public key of the peer.
        public_key: Option<String> = "publicKey".required();
        /// Key shared by both peers beside their own.
        preshared_key: Option<Secret> = "presharedKey";
        /// Address and port of the peer.
        endpoint: Option<String> = "endpoint".format(Format::Endpoint);
        /// Time between packets that keep the path open.
        persistent_keepalive_interval: Option<Duration> = "persistentKeepaliveInterval";
        /// Networks whose traffic goes to and is accepted from the peer.
        allowed_ips: Vec<Prefix> = "allowedIPs";
    }
}
