//! Addresses, and sets of them.

use std::net::IpAddr;

use resource::Resource;
use resource::types::{Prefix, blank};
use serde::{Deserialize, Serialize};

use crate::network::{AddressFlags, AddressSortAlgorithm, ConfigLayer, Family, Scope};
use crate::types::is_default;

/// An address a link shall have.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "AddressSpecs.net.talos.dev", namespace = "network")]
pub struct AddressSpec {
    #[field(1)]
    pub address: Prefix,
    #[field(2)]
    pub link_name: String,
    #[field(3)]
    pub family: Family,
    #[field(4)]
    pub scope: Scope,
    #[field(5)]
    pub flags: AddressFlags,
    #[serde(rename = "announceWithARP", skip_serializing_if = "is_default")]
    #[field(6)]
    pub announce_with_arp: bool,
    #[serde(skip_serializing_if = "is_default")]
    #[field(8)]
    pub priority: u32,
    #[field(7)]
    pub layer: ConfigLayer,
}

/// An address a link has.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "AddressStatuses.net.talos.dev",
    namespace = "network",
    aliases("address", "addresses"),
    column("Address" = "{.address}"),
    column("Link" = "{.linkName}")
)]
pub struct AddressStatus {
    #[field(1)]
    pub address: Prefix,
    #[serde(with = "blank", skip_serializing_if = "is_default")]
    #[field(2)]
    pub local: Option<IpAddr>,
    #[serde(with = "blank", skip_serializing_if = "is_default")]
    #[field(3)]
    pub broadcast: Option<IpAddr>,
    #[serde(with = "blank", skip_serializing_if = "is_default")]
    #[field(4)]
    pub anycast: Option<IpAddr>,
    #[serde(with = "blank", skip_serializing_if = "is_default")]
    #[field(5)]
    pub multicast: Option<IpAddr>,
    #[field(6)]
    pub link_index: u32,
    #[field(7)]
    pub link_name: String,
    #[field(8)]
    pub family: Family,
    #[field(9)]
    pub scope: Scope,
    #[field(10)]
    pub flags: AddressFlags,
    #[field(11)]
    pub priority: u32,
}

/// A set of the node's addresses.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "NodeAddresses.net.talos.dev",
    namespace = "network",
    column("Addresses" = "{.addresses}"),
    column("SortAlgorithm" = "{.sortAlgorithm}")
)]
pub struct NodeAddress {
    #[field(1)]
    pub addresses: Vec<Prefix>,
    #[field(2)]
    pub sort_algorithm: AddressSortAlgorithm,
}

/// Which addresses belong to a set.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "NodeAddressFilters.net.talos.dev",
    namespace = "network",
    column("Include Subnets" = "{.includeSubnets}"),
    column("Exclude Subnets" = "{.excludeSubnets}")
)]
pub struct NodeAddressFilter {
    #[field(1)]
    pub include_subnets: Vec<Prefix>,
    #[field(2)]
    pub exclude_subnets: Vec<Prefix>,
}

/// In which order addresses are given.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "NodeAddressSortAlgorithms.net.talos.dev",
    namespace = "network",
    column("Algorithm" = "{.algorithm}")
)]
pub struct NodeAddressSortAlgorithm {
    #[field(1)]
    pub algorithm: AddressSortAlgorithm,
}
