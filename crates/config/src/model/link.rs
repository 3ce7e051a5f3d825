//! link

use std::time::Duration;

use pki::Secret;

use crate::schema::Format;
use crate::schema::field::Address;
use crate::schema::macros::model;
use crate::schema::types::Prefix;

model! {
    /// Address config.
    pub struct AddressConfig: "network.AddressConfig" {
        /// Address.
        address: Option<Prefix> = "address".required();
        /// Route priority.
        route_priority: Option<i64> = "routePriority";
    }

    /// Bond config.
    pub struct BondConfig: "network.BondConfigV1Alpha1", kind "BondConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Hardware addr.
        hardware_addr: Option<String> = "hardwareAddr".format(Format::Mac);
        /// Links.
        links: Vec<String> = "links".required();
        /// Bond mode.
        bond_mode: Option<String> = "bondMode".required().one_of(&["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"]);
        /// Miimon.
        miimon: Option<i64> = "miimon";
        /// Updelay.
        updelay: Option<i64> = "updelay";
        /// Downdelay.
        downdelay: Option<i64> = "downdelay";
        /// Use carrier.
        use_carrier: Option<bool> = "useCarrier";
        /// Xmit hash policy.
        xmit_hash_policy: Option<String> = "xmitHashPolicy".one_of(&["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4"]);
        /// Arp interval.
        arp_interval: Option<i64> = "arpInterval";
        /// Arp ip targets.
        arp_ip_targets: Vec<Address> = "arpIpTargets";
        /// Ns ip6 targets.
        ns_ip6_targets: Vec<Address> = "nsIp6Targets";
        /// Arp validate.
        arp_validate: Option<String> = "arpValidate".one_of(&["none", "active", "backup", "all", "filter", "filter-active", "filter-backup"]);
        /// Arp all targets.
        arp_all_targets: Option<String> = "arpAllTargets".one_of(&["any", "all"]);
        /// Lacp rate.
        lacp_rate: Option<String> = "lacpRate".one_of(&["slow", "fast"]);
        /// Fail over mac.
        fail_over_mac: Option<String> = "failOverMac".one_of(&["none", "active", "follow"]);
        /// Ad select.
        ad_select: Option<String> = "adSelect".one_of(&["stable", "bandwidth", "count"]);
        /// Ad actor sys prio.
        ad_actor_sys_prio: Option<i64> = "adActorSysPrio";
        /// Ad user port key.
        ad_user_port_key: Option<i64> = "adUserPortKey";
        /// Ad lacpactive.
        ad_lacp_active: Option<String> = "adLACPActive".one_of(&["on", "off"]);
        /// Primary.
        primary: Option<String> = "primary".since("v1.14");
        /// Primary reselect.
        primary_reselect: Option<String> = "primaryReselect".one_of(&["always", "better", "failure"]);
        /// Resend igmp.
        resend_igmp: Option<i64> = "resendIGMP";
        /// Min links.
        min_links: Option<i64> = "minLinks";
        /// Lp interval.
        lp_interval: Option<i64> = "lpInterval";
        /// Packets per slave.
        packets_per_slave: Option<i64> = "packetsPerSlave";
        /// Num peer notif.
        num_peer_notif: Option<i64> = "numPeerNotif";
        /// Tlb logical lb.
        tlb_logical_lb: Option<i64> = "tlbLogicalLb";
        /// All slaves active.
        all_slaves_active: Option<i64> = "allSlavesActive";
        /// Peer notif delay.
        peer_notif_delay: Option<i64> = "peerNotifDelay";
        /// Missed max.
        missed_max: Option<i64> = "missedMax";
        /// Up.
        up: Option<bool> = "up";
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Addresses.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes.
        routes: Vec<RouteConfig> = "routes";
        /// Multicast.
        multicast: Option<bool> = "multicast";
    }

    /// Bridge config.
    pub struct BridgeConfig: "network.BridgeConfigV1Alpha1", kind "BridgeConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Hardware addr.
        hardware_addr: Option<String> = "hardwareAddr".format(Format::Mac);
        /// Links.
        links: Vec<String> = "links".required();
        /// Stp.
        stp: Option<BridgeSTPConfig> = "stp";
        /// Vlan.
        vlan: Option<BridgeVLANConfig> = "vlan";
        /// Up.
        up: Option<bool> = "up";
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Addresses.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes.
        routes: Vec<RouteConfig> = "routes";
        /// Multicast.
        multicast: Option<bool> = "multicast";
    }

    /// Bridge stpconfig.
    pub struct BridgeSTPConfig: "network.BridgeSTPConfig" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
    }

    /// Bridge vlanconfig.
    pub struct BridgeVLANConfig: "network.BridgeVLANConfig" {
        /// Filtering.
        filtering: Option<bool> = "filtering";
    }

    /// Dummy link config.
    pub struct DummyLinkConfig: "network.DummyLinkConfigV1Alpha1", kind "DummyLinkConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Hardware addr.
        hardware_addr: Option<String> = "hardwareAddr".format(Format::Mac);
        /// Up.
        up: Option<bool> = "up";
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Addresses.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes.
        routes: Vec<RouteConfig> = "routes";
        /// Multicast.
        multicast: Option<bool> = "multicast";
    }

    /// Link config.
    pub struct LinkConfig: "network.LinkConfigV1Alpha1", kind "LinkConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Up.
        up: Option<bool> = "up";
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Addresses.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes.
        routes: Vec<RouteConfig> = "routes";
        /// Multicast.
        multicast: Option<bool> = "multicast";
    }

    /// Route config.
    pub struct RouteConfig: "network.RouteConfig" {
        /// Destination.
        destination: Option<Prefix> = "destination";
        /// Gateway.
        gateway: Option<Address> = "gateway";
        /// Source.
        source: Option<Address> = "source";
        /// Metric.
        metric: Option<i64> = "metric";
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Table.
        table: Option<String> = "table";
    }

    /// Vlanconfig.
    pub struct VLANConfig: "network.VLANConfigV1Alpha1", kind "VLANConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Vlan id.
        vlan_id: Option<i64> = "vlanID".required();
        /// Vlan mode.
        vlan_mode: Option<String> = "vlanMode".one_of(&["802.1q", "802.1ad"]);
        /// Parent.
        parent: Option<String> = "parent".required();
        /// Up.
        up: Option<bool> = "up";
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Addresses.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes.
        routes: Vec<RouteConfig> = "routes";
        /// Multicast.
        multicast: Option<bool> = "multicast";
    }

    /// Vrfconfig.
    pub struct VRFConfig: "network.VRFConfigV1Alpha1", kind "VRFConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Hardware addr.
        hardware_addr: Option<String> = "hardwareAddr".format(Format::Mac);
        /// Links.
        links: Vec<String> = "links".required();
        /// Table.
        table: Option<String> = "table".required();
        /// Up.
        up: Option<bool> = "up";
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Addresses.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes.
        routes: Vec<RouteConfig> = "routes";
        /// Multicast.
        multicast: Option<bool> = "multicast";
    }

    /// Veth config.
    pub struct VethConfig: "network.VethConfigV1Alpha1", kind "VethConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Peer.
        peer: Option<VethPeerConfig> = "peer".required();
        /// Up.
        up: Option<bool> = "up";
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Addresses.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes.
        routes: Vec<RouteConfig> = "routes";
        /// Multicast.
        multicast: Option<bool> = "multicast";
    }

    /// Veth peer config.
    pub struct VethPeerConfig: "network.VethPeerConfig" {
        /// Name.
        name: Option<String> = "name".required();
        /// Up.
        up: Option<bool> = "up";
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Addresses.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes.
        routes: Vec<RouteConfig> = "routes";
        /// Multicast.
        multicast: Option<bool> = "multicast";
    }

    /// Wireguard config.
    pub struct WireguardConfig: "network.WireguardConfigV1Alpha1", kind "WireguardConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Private key.
        private_key: Option<Secret> = "privateKey".required();
        /// Listen port.
        listen_port: Option<i64> = "listenPort";
        /// Firewall mark.
        firewall_mark: Option<i64> = "firewallMark";
        /// Peers.
        peers: Vec<WireguardPeer> = "peers";
        /// Up.
        up: Option<bool> = "up";
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Addresses.
        addresses: Vec<AddressConfig> = "addresses";
        /// Routes.
        routes: Vec<RouteConfig> = "routes";
        /// Multicast.
        multicast: Option<bool> = "multicast";
    }

    /// Wireguard peer.
    pub struct WireguardPeer: "network.WireguardPeer" {
        /// Public key.
        public_key: Option<String> = "publicKey".required();
        /// Preshared key.
        preshared_key: Option<Secret> = "presharedKey";
        /// Endpoint.
        endpoint: Option<String> = "endpoint".format(Format::Endpoint);
        /// Persistent keepalive interval.
        persistent_keepalive_interval: Option<Duration> = "persistentKeepaliveInterval";
        /// Allowed ips.
        allowed_ips: Vec<Prefix> = "allowedIPs";
    }
}
