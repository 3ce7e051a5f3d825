//! DHCP, shared addresses, checks, and what the platform says.

use std::net::IpAddr;

use resource::types::{Duration, blank};
use resource::{Message, Resource};
use serde::{Deserialize, Serialize};

use crate::network::{
    AddressSpec, ClientIdentifier, ConfigLayer, HostnameSpec, LinkSpec, Operator, ResolverSpec, RouteSpec,
    TimeServerSpec,
};
use crate::runtime::PlatformMetadata;
use crate::types::{is_default, redacted};

/// A protocol that configures a link: DHCP, or a shared address.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "OperatorSpecs.net.talos.dev", namespace = "network", sensitive)]
pub struct OperatorSpec {
    #[field(1)]
    pub operator: Operator,
    #[field(2)]
    pub link_name: String,
    #[field(3)]
    pub require_up: bool,
    #[field(4)]
    pub dhcp4: Dhcp4OperatorSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(5)]
    pub dhcp6: Dhcp6OperatorSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub vip: VipOperatorSpec,
    #[field(7)]
    pub layer: ConfigLayer,
}
redacted!(OperatorSpec);

/// What the platform says of the network.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "PlatformConfigs.net.talos.dev", namespace = "network")]
pub struct PlatformConfig {
    #[field(1)]
    pub addresses: Vec<AddressSpec>,
    #[field(2)]
    pub links: Vec<LinkSpec>,
    #[field(3)]
    pub routes: Vec<RouteSpec>,
    #[field(4)]
    pub hostnames: Vec<HostnameSpec>,
    #[field(5)]
    pub resolvers: Vec<ResolverSpec>,
    #[field(6)]
    pub time_servers: Vec<TimeServerSpec>,
    #[field(7)]
    pub operators: Vec<OperatorSpec>,
    #[serde(rename = "externalIPs")]
    #[field(8)]
    pub external_ips: Vec<IpAddr>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(9)]
    pub probes: Vec<ProbeSpec>,
    #[field(10)]
    pub metadata: Option<PlatformMetadata>,
}

/// A check of the network.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "ProbeSpecs.net.talos.dev", namespace = "network")]
pub struct ProbeSpec {
    #[field(1)]
    pub interval: Duration,
    #[field(2)]
    pub failure_threshold: i64,
    #[field(3)]
    pub tcp: TcpProbeSpec,
    #[field(4)]
    pub layer: ConfigLayer,
}

/// How a check of the network went.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "ProbeStatuses.net.talos.dev",
    namespace = "network",
    aliases("probe", "probes"),
    column("Success" = "{.success}")
)]
pub struct ProbeStatus {
    #[field(1)]
    pub success: bool,
    #[field(2)]
    pub last_error: String,
}

/// How DHCP for IPv6 is done.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct Dhcp6OperatorSpec {
    #[field(2)]
    pub route_metric: u32,
    #[field(3)]
    pub skip_hostname_request: bool,
    #[field(4)]
    pub client_identifier: ClientIdentifierSpec,
}

/// An address that control planes share.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct VipOperatorSpec {
    #[serde(with = "blank")]
    #[field(1)]
    pub ip: Option<IpAddr>,
    #[serde(rename = "gratuitousARP")]
    #[field(2)]
    pub gratuitous_arp: bool,
    #[field(3)]
    pub equinix_metal: VipEquinixMetalSpec,
    #[field(4)]
    pub hcloud: VipHCloudSpec,
}

/// How DHCP for IPv4 is done.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct Dhcp4OperatorSpec {
    #[field(1)]
    pub route_metric: u32,
    #[serde(skip_serializing_if = "is_default")]
    #[field(2)]
    pub skip_hostname_request: bool,
    #[field(3)]
    pub client_identifier: ClientIdentifierSpec,
}

/// A check by opening a connection.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpProbeSpec {
    #[field(1)]
    pub endpoint: String,
    #[field(2)]
    pub timeout: Duration,
}

/// What a DHCP client says it is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientIdentifierSpec {
    #[field(1)]
    pub client_identifier: ClientIdentifier,
    #[serde(skip_serializing_if = "is_default")]
    #[field(2)]
    pub duid_raw_hex: String,
}

/// A shared address at Equinix Metal.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct VipEquinixMetalSpec {
    #[serde(rename = "projectID")]
    #[field(1)]
    pub project_id: String,
    #[serde(rename = "deviceID")]
    #[field(2)]
    pub device_id: String,
    #[field(3)]
    pub api_token: String,
}

/// A shared address at Hetzner Cloud.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct VipHCloudSpec {
    #[serde(rename = "deviceID")]
    #[field(1)]
    pub device_id: i64,
    #[serde(rename = "networkID")]
    #[field(2)]
    pub network_id: i64,
    #[field(3)]
    pub api_token: String,
}
