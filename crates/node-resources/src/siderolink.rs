//! The link to a fleet manager.

use std::net::SocketAddr;

use resource::Resource;
use resource::types::blank;
use serde::{Deserialize, Serialize};

use crate::types::redacted;

/// The link to a fleet manager.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "SiderolinkConfigs.siderolink.talos.dev",
    namespace = "config",
    column("API Endpoint" = "{.apiEndpoint}"),
    column("Tunnel" = "{.tunnel}"),
    sensitive
)]
pub struct SiderolinkConfig {
    #[field(1)]
    pub api_endpoint: String,
    #[field(2)]
    pub host: String,
    #[field(3)]
    pub join_token: String,
    #[field(4)]
    pub insecure: bool,
    #[field(5)]
    pub tunnel: bool,
}
redacted!(SiderolinkConfig);

/// How the link to a fleet manager is doing.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "SiderolinkStatuses.siderolink.talos.dev",
    namespace = "config",
    column("Host" = "{.host}"),
    column("Connected" = "{.connected}")
)]
pub struct SiderolinkStatus {
    #[field(1)]
    pub host: String,
    #[field(2)]
    pub connected: bool,
    #[field(3)]
    pub link_name: String,
    #[field(4)]
    pub grpc_tunnel: bool,
}

/// The tunnel of the link to a fleet manager.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "SiderolinkTunnels.siderolink.talos.dev",
    namespace = "config",
    column("API Endpoint" = "{.apiEndpoint}"),
    column("Link name" = "{.linkName}"),
    column("MTU" = "{.mtu}"),
    column("Node address" = "{.nodeAddress}"),
    sensitive
)]
pub struct SiderolinkTunnel {
    #[field(1)]
    pub api_endpoint: String,
    #[field(2)]
    pub link_name: String,
    #[field(3)]
    pub mtu: i64,
    #[serde(with = "blank")]
    #[field(4)]
    pub node_address: Option<SocketAddr>,
}
redacted!(SiderolinkTunnel);
