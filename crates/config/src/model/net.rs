//! Addresses by DHCP, virtual addresses, link settings and routing rules.

use std::collections::BTreeMap;

use pki::Secret;

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// Drops traffic to a network.
    pub struct BlackholeRouteConfig: "network.BlackholeRouteConfigV1Alpha1", kind "BlackholeRouteConfig" named {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Metric: the route with the smallest is used.
        metric: Option<i64> = "metric";
    }

    /// Gets IPv4 addresses for a link by DHCP.
    pub struct DHCPv4Config: "network.DHCPv4ConfigV1Alpha1", kind "DHCPv4Config" named {
        /// Name of the link.
        name: Option<String> = "name".required();
        /// Metric of routes from the server.
        route_metric: Option<i64> = "routeMetric";
        /// Do not take the name from the server.
        ignore_hostname: Option<bool> = "ignoreHostname";
        /// Do not take routes from the server.
        ignore_routes: Option<bool> = "ignoreRoutes".since("v1.14");
        /// What the client identifies itself with to the server.
        client_identifier: Option<String> = "clientIdentifier".one_of(&["none", "mac", "duid"]);
        /// The client's DUID, in hex.
        duid_raw: Option<String> = "duidRaw".format(Format::HexBytes);
    }

    /// Gets IPv6 addresses for a link by DHCP.
    pub struct DHCPv6Config: "network.DHCPv6ConfigV1Alpha1", kind "DHCPv6Config" named {
        /// Name of the link.
        name: Option<String> = "name".required();
        /// Metric of routes from the server.
        route_metric: Option<i64> = "routeMetric";
        /// Do not take the name from the server.
        ignore_hostname: Option<bool> = "ignoreHostname";
        /// What the client identifies itself with to the server.
        client_identifier: Option<String> = "clientIdentifier".one_of(&["none", "mac", "duid"]);
        /// The client's DUID, in hex.
        duid_raw: Option<String> = "duidRaw".format(Format::HexBytes);
    }

    /// Numbers of queues of an Ethernet device.
    pub struct EthernetChannelsConfig: "network.EthernetChannelsConfig" {
        /// Receiving.
        rx: Option<i64> = "rx";
        /// Sending.
        tx: Option<i64> = "tx";
        /// Queues for other purposes.
        other: Option<i64> = "other";
        /// Queues that both receive and send.
        combined: Option<i64> = "combined";
    }

    /// Settings of an Ethernet device.
    pub struct EthernetConfig: "network.EthernetConfigV1Alpha1", kind "EthernetConfig" named {
        /// Name of the link.
        name: Option<String> = "name".required();
        /// Features of the device, as `ethtool -k` names them.
        features: BTreeMap<String, bool> = "features";
        /// Sizes of ring buffers.
        rings: Option<EthernetRingsConfig> = "rings";
        /// Numbers of queues.
        channels: Option<EthernetChannelsConfig> = "channels";
        /// What wakes the machine.
        wake_on_lan: Vec<String> = "wakeOnLan";
    }

    /// Sizes of ring buffers of an Ethernet device.
    pub struct EthernetRingsConfig: "network.EthernetRingsConfig" {
        /// Receiving.
        rx: Option<i64> = "rx";
        /// Sending.
        tx: Option<i64> = "tx";
        /// Size of the ring for small frames.
        rx_mini: Option<i64> = "rx-mini";
        /// Size of the ring for jumbo frames.
        rx_jumbo: Option<i64> = "rx-jumbo";
        /// Length of receive buffers.
        rx_buf_len: Option<i64> = "rx-buf-len";
        /// Size of completion queue entries.
        cqe_size: Option<i64> = "cqe-size";
        /// Whether frames to send are pushed.
        tx_push: Option<bool> = "tx-push";
        /// Whether received frames are pushed.
        rx_push: Option<bool> = "rx-push";
        /// Length of push buffers for sending.
        tx_push_buf_len: Option<i64> = "tx-push-buf-len";
        /// Whether headers and data are split.
        tcp_data_split: Option<bool> = "tcp-data-split";
    }

    /// An address shared by several machines at Hetzner Cloud.
    pub struct HCloudVIPConfig: "network.HCloudVIPConfigV1Alpha1", kind "HCloudVIPConfig" named {
        /// The shared address.
        name: Option<String> = "name".required();
        /// Name of the link.
        link: Option<String> = "link";
        /// Token for the cloud's API.
        api_token: Option<Secret> = "apiToken";
    }

    /// An address shared by several machines of one network.
    pub struct Layer2VIPConfig: "network.Layer2VIPConfigV1Alpha1", kind "Layer2VIPConfig" named {
        /// The shared address.
        name: Option<String> = "name".required().check(Format::Address);
        /// Name of the link; the one with an address of the same subnet if not given.
        link: Option<String> = "link";
    }

    /// Gives a link another name.
    pub struct LinkAliasConfig: "network.LinkAliasConfigV1Alpha1", kind "LinkAliasConfig" named {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Chooses by properties.
        selector: Option<LinkSelector> = "selector";
    }

    /// Chooses a link.
    pub struct LinkSelector: "network.LinkSelector" {
        /// Expression (CEL) that is true for what is meant.
        match_: Option<String> = "match";
    }

    /// A rule that chooses a routing table.
    pub struct RoutingRuleConfig: "network.RoutingRuleConfigV1Alpha1", kind "RoutingRuleConfig" named {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Source network.
        src: Option<String> = "src";
        /// Destination network.
        dst: Option<String> = "dst";
        /// Routing table.
        table: Option<String> = "table".required();
        /// What the rule does, as a number of the kernel's FIB rules.
        action: Option<i64> = "action";
        /// Packets that come in by this link.
        iif_name: Option<String> = "iifName";
        /// Packets that leave by this link.
        oif_name: Option<String> = "oifName";
        /// Packets with this mark.
        fw_mark: Option<i64> = "fwMark";
        /// Which bits of the mark count.
        fw_mask: Option<i64> = "fwMask";
    }
}
