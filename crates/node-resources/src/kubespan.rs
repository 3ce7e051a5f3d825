//! The mesh between nodes.

use std::net::{IpAddr, SocketAddr};

use resource::types::{Prefix, Time, blank};
use resource::{ProtoEnum, Resource};
use serde::{Deserialize, Serialize};

use crate::types::{is_default, redacted};

/// How the mesh between nodes is set up.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KubeSpanConfigs.kubespan.talos.dev", namespace = "config", sensitive)]
pub struct KubeSpanConfig {
    #[field(1)]
    pub enabled: bool,
    #[field(2)]
    pub cluster_id: String,
    #[field(3)]
    pub shared_secret: String,
    #[field(4)]
    pub force_routing: bool,
    #[field(5)]
    pub advertise_kubernetes_networks: bool,
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub mtu: u32,
    #[serde(skip_serializing_if = "is_default")]
    #[field(7)]
    pub endpoint_filters: Vec<String>,
    #[field(8)]
    pub harvest_extra_endpoints: bool,
    #[serde(skip_serializing_if = "is_default")]
    #[field(9)]
    pub extra_endpoints: Vec<SocketAddr>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(10)]
    pub exclude_advertised_networks: Vec<Prefix>,
}
redacted!(KubeSpanConfig);

/// An endpoint of a peer that worked.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "KubeSpanEndpoints.kubespan.talos.dev",
    namespace = "kubespan",
    column("Endpoint" = "{.endpoint}"),
    column("Affiliate ID" = "{.affiliateID}")
)]
pub struct KubeSpanEndpoint {
    #[serde(rename = "affiliateID")]
    #[field(1)]
    pub affiliate_id: String,
    #[serde(with = "blank")]
    #[field(2)]
    pub endpoint: Option<SocketAddr>,
}

/// The node's address and key in the mesh.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "KubeSpanIdentities.kubespan.talos.dev",
    namespace = "kubespan",
    column("Address" = "{.address}"),
    column("PublicKey" = "{.publicKey}"),
    sensitive
)]
pub struct KubeSpanIdentity {
    #[serde(with = "blank")]
    #[field(1)]
    pub address: Option<Prefix>,
    #[serde(with = "blank")]
    #[field(2)]
    pub subnet: Option<Prefix>,
    #[field(3)]
    pub private_key: String,
    #[field(4)]
    pub public_key: String,
}
redacted!(KubeSpanIdentity);

/// A peer of the mesh.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "KubeSpanPeerSpecs.kubespan.talos.dev",
    namespace = "kubespan",
    column("Label" = "{.label}"),
    column("Endpoints" = "{.endpoints}")
)]
pub struct KubeSpanPeerSpec {
    #[serde(with = "blank")]
    #[field(1)]
    pub address: Option<IpAddr>,
    #[serde(rename = "allowedIPs")]
    #[field(2)]
    pub allowed_ips: Vec<Prefix>,
    #[field(3)]
    pub endpoints: Vec<SocketAddr>,
    #[field(4)]
    pub label: String,
}

/// How a peer of the mesh is doing.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "KubeSpanPeerStatuses.kubespan.talos.dev",
    namespace = "kubespan",
    column("Label" = "{.label}"),
    column("Endpoint" = "{.endpoint}"),
    column("State" = "{.state}"),
    column("Rx" = "{.receiveBytes}"),
    column("Tx" = "{.transmitBytes}")
)]
pub struct KubeSpanPeerStatus {
    #[serde(with = "blank")]
    #[field(1)]
    pub endpoint: Option<SocketAddr>,
    #[field(2)]
    pub label: String,
    #[field(3)]
    pub state: PeerState,
    #[field(4)]
    pub receive_bytes: i64,
    #[field(5)]
    pub transmit_bytes: i64,
    #[field(6)]
    pub last_handshake_time: Time,
    #[serde(with = "blank")]
    #[field(7)]
    pub last_used_endpoint: Option<SocketAddr>,
    #[field(8)]
    pub last_endpoint_change: Time,
}

/// Whether a peer of the mesh can be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum PeerState {
    #[default]
    #[value(0, "unknown")]
    Unknown,
    #[value(1, "up")]
    Up,
    #[value(2, "down")]
    Down,
}
