//! net

use std::collections::BTreeMap;

use pki::Secret;

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// Blackhole route config.
    pub struct BlackholeRouteConfig: "network.BlackholeRouteConfigV1Alpha1", kind "BlackholeRouteConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Metric.
        metric: Option<i64> = "metric";
    }

    /// Dhcpv4 config.
    pub struct DHCPv4Config: "network.DHCPv4ConfigV1Alpha1", kind "DHCPv4Config" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Route metric.
        route_metric: Option<i64> = "routeMetric";
        /// Ignore hostname.
        ignore_hostname: Option<bool> = "ignoreHostname";
        /// Ignore routes.
        ignore_routes: Option<bool> = "ignoreRoutes".since("v1.14");
        /// Client identifier.
        client_identifier: Option<String> = "clientIdentifier".one_of(&["none", "mac", "duid"]);
        /// Duid raw.
        duid_raw: Option<String> = "duidRaw".format(Format::HexBytes);
    }

    /// Dhcpv6 config.
    pub struct DHCPv6Config: "network.DHCPv6ConfigV1Alpha1", kind "DHCPv6Config" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Route metric.
        route_metric: Option<i64> = "routeMetric";
        /// Ignore hostname.
        ignore_hostname: Option<bool> = "ignoreHostname";
        /// Client identifier.
        client_identifier: Option<String> = "clientIdentifier".one_of(&["none", "mac", "duid"]);
        /// Duid raw.
        duid_raw: Option<String> = "duidRaw".format(Format::HexBytes);
    }

    /// Ethernet channels config.
    pub struct EthernetChannelsConfig: "network.EthernetChannelsConfig" {
        /// Rx.
        rx: Option<i64> = "rx";
        /// Tx.
        tx: Option<i64> = "tx";
        /// Other.
        other: Option<i64> = "other";
        /// Combined.
        combined: Option<i64> = "combined";
    }

    /// Ethernet config.
    pub struct EthernetConfig: "network.EthernetConfigV1Alpha1", kind "EthernetConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Features.
        features: BTreeMap<String, bool> = "features";
        /// Rings.
        rings: Option<EthernetRingsConfig> = "rings";
        /// Channels.
        channels: Option<EthernetChannelsConfig> = "channels";
        /// Wake on lan.
        wake_on_lan: Vec<String> = "wakeOnLan";
    }

    /// Ethernet rings config.
    pub struct EthernetRingsConfig: "network.EthernetRingsConfig" {
        /// Rx.
        rx: Option<i64> = "rx";
        /// Tx.
        tx: Option<i64> = "tx";
        /// Rx mini.
        rx_mini: Option<i64> = "rx-mini";
        /// Rx jumbo.
        rx_jumbo: Option<i64> = "rx-jumbo";
        /// Rx buf len.
        rx_buf_len: Option<i64> = "rx-buf-len";
        /// Cqe size.
        cqe_size: Option<i64> = "cqe-size";
        /// Tx push.
        tx_push: Option<bool> = "tx-push";
        /// Rx push.
        rx_push: Option<bool> = "rx-push";
        /// Tx push buf len.
        tx_push_buf_len: Option<i64> = "tx-push-buf-len";
        /// Tcp data split.
        tcp_data_split: Option<bool> = "tcp-data-split";
    }

    /// Hcloud vipconfig.
    pub struct HCloudVIPConfig: "network.HCloudVIPConfigV1Alpha1", kind "HCloudVIPConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Link.
        link: Option<String> = "link";
        /// Api token.
        api_token: Option<Secret> = "apiToken";
    }

    /// Layer2 vipconfig.
    pub struct Layer2VIPConfig: "network.Layer2VIPConfigV1Alpha1", kind "Layer2VIPConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Link.
        link: Option<String> = "link";
    }

    /// Link alias config.
    pub struct LinkAliasConfig: "network.LinkAliasConfigV1Alpha1", kind "LinkAliasConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Selector.
        selector: Option<LinkSelector> = "selector";
    }

    /// Link selector.
    pub struct LinkSelector: "network.LinkSelector" {
        /// Match.
        match_: Option<String> = "match";
    }

    /// Routing rule config.
    pub struct RoutingRuleConfig: "network.RoutingRuleConfigV1Alpha1", kind "RoutingRuleConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Src.
        src: Option<String> = "src";
        /// Dst.
        dst: Option<String> = "dst";
        /// Table.
        table: Option<String> = "table".required();
        /// Action.
        action: Option<i64> = "action";
        /// Iif name.
        iif_name: Option<String> = "iifName";
        /// Oif name.
        oif_name: Option<String> = "oifName";
        /// Fw mark.
        fw_mark: Option<i64> = "fwMark";
        /// Fw mask.
        fw_mask: Option<i64> = "fwMask";
    }
}
