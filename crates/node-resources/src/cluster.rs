//! Who is in the cluster.

use std::net::{IpAddr, SocketAddr};

use resource::types::{Bytes, Prefix, blank};
use resource::{Message, Resource};
use serde::{Deserialize, Serialize};

use crate::config::MachineKind;
use crate::types::{is_default, redacted};

/// A node that discovery heard of, member or not.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "Affiliates.cluster.talos.dev",
    namespace = "cluster",
    column("Hostname" = "{.hostname}"),
    column("Machine Type" = "{.machineType}"),
    column("Addresses" = "{.addresses}")
)]
pub struct Affiliate {
    #[field(1)]
    pub node_id: String,
    #[field(2)]
    pub addresses: Vec<IpAddr>,
    #[field(3)]
    pub hostname: String,
    #[field(4)]
    pub nodename: String,
    #[field(5)]
    pub operating_system: String,
    #[field(6)]
    pub machine_type: MachineKind,
    #[serde(skip_serializing_if = "is_default")]
    #[field(7)]
    pub kubespan: KubeSpanAffiliate,
    #[field(8)]
    pub control_plane: Option<ControlPlane>,
}

/// How the node finds the others.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "DiscoveryConfigs.cluster.talos.dev", namespace = "config", sensitive)]
pub struct DiscoveryConfig {
    #[field(1)]
    pub discovery_enabled: bool,
    #[field(2)]
    pub registry_kubernetes_enabled: bool,
    #[field(3)]
    pub registry_service_enabled: bool,
    #[field(4)]
    pub service_endpoint: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(5)]
    pub service_endpoint_insecure: bool,
    #[field(6)]
    pub service_encryption_key: Bytes,
    #[serde(rename = "serviceClusterID")]
    #[field(7)]
    pub service_cluster_id: String,
}
redacted!(DiscoveryConfig);

/// The node's identity in discovery.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "Identities.cluster.talos.dev", namespace = "cluster", column("ID" = "{.nodeId}"))]
pub struct Identity {
    #[field(1)]
    pub node_id: String,
}

/// The cluster's identity.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "Infos.cluster.talos.dev",
    namespace = "cluster",
    column("Cluster ID" = "{.clusterId}"),
    column("Cluster Name" = "{.clusterName}")
)]
pub struct Info {
    #[field(1)]
    pub cluster_id: String,
    #[field(2)]
    pub cluster_name: String,
}

/// A member of the cluster.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "Members.cluster.talos.dev",
    namespace = "cluster",
    column("Hostname" = "{.hostname}"),
    column("Machine Type" = "{.machineType}"),
    column("OS" = "{.operatingSystem}"),
    column("Addresses" = "{.addresses}")
)]
pub struct Member {
    #[field(1)]
    pub node_id: String,
    #[field(2)]
    pub addresses: Vec<IpAddr>,
    #[field(3)]
    pub hostname: String,
    #[field(4)]
    pub machine_type: MachineKind,
    #[field(5)]
    pub operating_system: String,
    #[field(6)]
    pub control_plane: Option<ControlPlane>,
}

/// Whether pods may use the machine API.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KubernetesAccessConfigs.cluster.talos.dev", namespace = "config")]
pub struct KubernetesAccessConfig {
    #[field(1)]
    pub enabled: bool,
    #[serde(rename = "allowedAPIRoles")]
    #[field(2)]
    pub allowed_api_roles: Vec<String>,
    #[field(3)]
    pub allowed_kubernetes_namespaces: Vec<String>,
}

/// What a control-plane node offers.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlane {
    #[field(1)]
    pub port: i64,
}

/// A node's end of the mesh.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeSpanAffiliate {
    #[field(1)]
    pub public_key: String,
    #[serde(with = "blank")]
    #[field(2)]
    pub address: Option<IpAddr>,
    #[field(3)]
    pub additional_addresses: Vec<Prefix>,
    #[field(4)]
    pub endpoints: Vec<SocketAddr>,
    #[field(5)]
    pub exclude_advertised_networks: Vec<Prefix>,
}
