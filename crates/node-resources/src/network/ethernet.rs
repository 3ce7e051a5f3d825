//! Settings of Ethernet interfaces.

use std::collections::BTreeMap;

use resource::types::OrderedMap;
use resource::{Message, Resource};
use serde::{Deserialize, Serialize};

use crate::network::{Duplex, Port, WolMode};
use crate::types::is_default;

/// Settings of an Ethernet interface.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "EthernetSpecs.net.talos.dev", namespace = "network")]
pub struct EthernetSpec {
    #[field(1)]
    pub rings: EthernetRingsSpec,
    #[field(2)]
    pub features: BTreeMap<String, bool>,
    #[field(3)]
    pub channels: EthernetChannelsSpec,
    #[field(4)]
    pub wake_on_lan: Vec<WolMode>,
}

/// An Ethernet interface as its driver describes it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "EthernetStatuses.net.talos.dev",
    namespace = "network",
    aliases("ethtool"),
    column("Link" = "{.linkState}"),
    column("Speed" = "{.speedMbit}")
)]
pub struct EthernetStatus {
    #[field(1)]
    pub link_state: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(2)]
    pub speed_mbit: i64,
    #[field(3)]
    pub port: Port,
    #[field(4)]
    pub duplex: Duplex,
    #[serde(skip_serializing_if = "is_default")]
    #[field(5)]
    pub our_modes: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub peer_modes: Vec<String>,
    #[field(7)]
    pub rings: Option<EthernetRingsStatus>,
    #[field(8)]
    pub features: OrderedMap,
    #[field(9)]
    pub channels: Option<EthernetChannelsStatus>,
    #[serde(rename = "wakeOnLAN", skip_serializing_if = "is_default")]
    #[field(10)]
    pub wake_on_lan: Vec<WolMode>,
}

/// Ring sizes of an interface that shall be set.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct EthernetRingsSpec {
    #[serde(skip_serializing_if = "is_default")]
    #[field(1)]
    pub rx: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(4)]
    pub tx: Option<u32>,
    #[serde(rename = "rx-mini", skip_serializing_if = "is_default")]
    #[field(2)]
    pub rx_mini: Option<u32>,
    #[serde(rename = "rx-jumbo", skip_serializing_if = "is_default")]
    #[field(3)]
    pub rx_jumbo: Option<u32>,
    #[serde(rename = "rx-buf-len", skip_serializing_if = "is_default")]
    #[field(5)]
    pub rx_buf_len: Option<u32>,
    #[serde(rename = "cqe-size", skip_serializing_if = "is_default")]
    #[field(6)]
    pub cqe_size: Option<u32>,
    #[serde(rename = "tx-push", skip_serializing_if = "is_default")]
    #[field(7)]
    pub tx_push: Option<bool>,
    #[serde(rename = "rx-push", skip_serializing_if = "is_default")]
    #[field(8)]
    pub rx_push: Option<bool>,
    #[serde(rename = "tx-push-buf-len", skip_serializing_if = "is_default")]
    #[field(9)]
    pub tx_push_buf_len: Option<u32>,
    #[serde(rename = "tcp-data-split", skip_serializing_if = "is_default")]
    #[field(10)]
    pub tcp_data_split: Option<bool>,
}

/// Queues of an interface that shall be set.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct EthernetChannelsSpec {
    #[serde(skip_serializing_if = "is_default")]
    #[field(1)]
    pub rx: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(2)]
    pub tx: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(3)]
    pub other: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(4)]
    pub combined: Option<u32>,
}

/// Queues of an interface.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct EthernetChannelsStatus {
    #[serde(rename = "rx-max", skip_serializing_if = "is_default")]
    #[field(1)]
    pub rx_max: Option<u32>,
    #[serde(rename = "tx-max", skip_serializing_if = "is_default")]
    #[field(2)]
    pub tx_max: Option<u32>,
    #[serde(rename = "other-max", skip_serializing_if = "is_default")]
    #[field(3)]
    pub other_max: Option<u32>,
    #[serde(rename = "combined-max")]
    #[field(4)]
    pub combined_max: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(5)]
    pub rx: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub tx: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(7)]
    pub other: Option<u32>,
    #[field(8)]
    pub combined: Option<u32>,
}

/// Ring sizes of an interface.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct EthernetRingsStatus {
    #[serde(rename = "rx-max")]
    #[field(1)]
    pub rx_max: Option<u32>,
    #[serde(rename = "rx-mini-max", skip_serializing_if = "is_default")]
    #[field(2)]
    pub rx_mini_max: Option<u32>,
    #[serde(rename = "rx-jumbo-max", skip_serializing_if = "is_default")]
    #[field(3)]
    pub rx_jumbo_max: Option<u32>,
    #[serde(rename = "tx-max")]
    #[field(4)]
    pub tx_max: Option<u32>,
    #[serde(rename = "tx-push-buf-len-max", skip_serializing_if = "is_default")]
    #[field(5)]
    pub tx_push_buf_len_max: Option<u32>,
    #[field(6)]
    pub rx: Option<u32>,
    #[serde(rename = "rx-mini", skip_serializing_if = "is_default")]
    #[field(7)]
    pub rx_mini: Option<u32>,
    #[serde(rename = "rx-jumbo", skip_serializing_if = "is_default")]
    #[field(8)]
    pub rx_jumbo: Option<u32>,
    #[field(9)]
    pub tx: Option<u32>,
    #[serde(rename = "rx-buf-len", skip_serializing_if = "is_default")]
    #[field(10)]
    pub rx_buf_len: Option<u32>,
    #[serde(rename = "cqe-size", skip_serializing_if = "is_default")]
    #[field(11)]
    pub cqe_size: Option<u32>,
    #[serde(rename = "tx-push")]
    #[field(12)]
    pub tx_push: Option<bool>,
    #[serde(rename = "rx-push", skip_serializing_if = "is_default")]
    #[field(13)]
    pub rx_push: Option<bool>,
    #[serde(rename = "tx-push-buf-len", skip_serializing_if = "is_default")]
    #[field(14)]
    pub tx_push_buf_len: Option<u32>,
    #[serde(rename = "tcp-data-split", skip_serializing_if = "is_default")]
    #[field(15)]
    pub tcp_data_split: Option<bool>,
}
