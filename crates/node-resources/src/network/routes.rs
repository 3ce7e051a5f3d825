//! Routes and routing rules.

use std::net::IpAddr;

use resource::Resource;
use resource::types::{Prefix, blank};
use serde::{Deserialize, Serialize};

use crate::network::{
    ConfigLayer, Family, RouteFlags, RouteProtocol, RouteType, RoutingRuleAction, RoutingTable, Scope,
};
use crate::types::is_default;

/// A route that shall exist.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "RouteSpecs.net.talos.dev", namespace = "network")]
pub struct RouteSpec {
    #[field(1)]
    pub family: Family,
    #[serde(with = "blank")]
    #[field(2)]
    pub dst: Option<Prefix>,
    #[serde(with = "blank")]
    #[field(3)]
    pub src: Option<IpAddr>,
    #[serde(with = "blank")]
    #[field(4)]
    pub gateway: Option<IpAddr>,
    #[field(5)]
    pub out_link_name: String,
    #[field(6)]
    pub table: RoutingTable,
    #[field(7)]
    pub priority: u32,
    #[field(8)]
    pub scope: Scope,
    #[serde(rename = "type")]
    #[field(9)]
    pub ty: RouteType,
    #[field(10)]
    pub flags: RouteFlags,
    #[field(11)]
    pub protocol: RouteProtocol,
    #[field(12)]
    pub layer: ConfigLayer,
    #[serde(skip_serializing_if = "is_default")]
    #[field(13)]
    pub mtu: u32,
}

/// A route as it is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "RouteStatuses.net.talos.dev",
    namespace = "network",
    aliases("route", "routes"),
    column("Destination" = "{.dst}"),
    column("Gateway" = "{.gateway}"),
    column("Link" = "{.outLinkName}"),
    column("Metric" = "{.priority}")
)]
pub struct RouteStatus {
    #[field(1)]
    pub family: Family,
    #[serde(with = "blank")]
    #[field(2)]
    pub dst: Option<Prefix>,
    #[serde(with = "blank")]
    #[field(3)]
    pub src: Option<IpAddr>,
    #[serde(with = "blank")]
    #[field(4)]
    pub gateway: Option<IpAddr>,
    #[field(5)]
    pub out_link_index: u32,
    #[field(6)]
    pub out_link_name: String,
    #[field(7)]
    pub table: RoutingTable,
    #[field(8)]
    pub priority: u32,
    #[field(9)]
    pub scope: Scope,
    #[serde(rename = "type")]
    #[field(10)]
    pub ty: RouteType,
    #[field(11)]
    pub flags: RouteFlags,
    #[field(12)]
    pub protocol: RouteProtocol,
    #[serde(skip_serializing_if = "is_default")]
    #[field(13)]
    pub mtu: u32,
}

/// A routing rule that shall exist.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "RoutingRuleSpecs.net.talos.dev", namespace = "network")]
pub struct RoutingRuleSpec {
    #[field(1)]
    pub family: Family,
    #[serde(with = "blank")]
    #[field(2)]
    pub src: Option<Prefix>,
    #[serde(with = "blank")]
    #[field(3)]
    pub dst: Option<Prefix>,
    #[field(4)]
    pub table: RoutingTable,
    #[field(5)]
    pub priority: u32,
    #[field(6)]
    pub action: RoutingRuleAction,
    #[field(7)]
    pub iif_name: String,
    #[field(8)]
    pub oif_name: String,
    #[field(9)]
    pub fw_mark: u32,
    #[field(10)]
    pub fw_mask: u32,
    #[field(11)]
    pub layer: ConfigLayer,
}

/// A routing rule as it is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "RoutingRuleStatuses.net.talos.dev",
    namespace = "network",
    aliases("routingrule", "routingrules"),
    column("Src" = "{.src}"),
    column("Dst" = "{.dst}"),
    column("Table" = "{.table}"),
    column("Priority" = "{.priority}")
)]
pub struct RoutingRuleStatus {
    #[field(1)]
    pub family: Family,
    #[serde(with = "blank")]
    #[field(2)]
    pub src: Option<Prefix>,
    #[serde(with = "blank")]
    #[field(3)]
    pub dst: Option<Prefix>,
    #[field(4)]
    pub table: RoutingTable,
    #[field(5)]
    pub priority: u32,
    #[field(6)]
    pub action: RoutingRuleAction,
    #[serde(skip_serializing_if = "is_default")]
    #[field(7)]
    pub iif_name: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(8)]
    pub oif_name: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(9)]
    pub fw_mark: u32,
    #[serde(skip_serializing_if = "is_default")]
    #[field(10)]
    pub fw_mask: u32,
}
