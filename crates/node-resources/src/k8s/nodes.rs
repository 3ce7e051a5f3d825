//! This node in Kubernetes, and where its API is.

use std::collections::BTreeMap;
use std::net::IpAddr;

use resource::types::Prefix;
use resource::{Message, Resource};
use serde::{Deserialize, Serialize};

use crate::types::redacted;

/// Where the Kubernetes API is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "Endpoints.kubernetes.talos.dev",
    namespace = "controlplane",
    column("Addresses" = "{.addresses}"),
    column("Hosts" = "{.hosts}")
)]
pub struct Endpoint {
    #[field(1)]
    pub addresses: Vec<IpAddr>,
    #[field(2)]
    pub hosts: Vec<String>,
}

/// How the node's own balancer is doing.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "KubePrismStatuses.kubernetes.talos.dev",
    namespace = "k8s",
    column("HOST" = "{.host}"),
    column("HEALTHY" = "{.healthy}")
)]
pub struct KubePrismStatus {
    #[field(1)]
    pub host: String,
    #[field(2)]
    pub healthy: bool,
}

/// The node's own balancer of API servers.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "KubePrismConfigs.kubernetes.talos.dev",
    namespace = "k8s",
    column("Host" = "{.host}"),
    column("Port" = "{.port}"),
    column("Endpoints" = "{.endpoints}")
)]
pub struct KubePrismConfig {
    #[field(1)]
    pub host: String,
    #[field(2)]
    pub port: i64,
    #[field(3)]
    pub endpoints: Vec<KubePrismEndpoint>,
}

/// The API servers the node's own balancer may use.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "KubePrismEndpoints.kubernetes.talos.dev",
    namespace = "k8s",
    column("Hosts" = "{.endpoints[*].host}"),
    column("Ports" = "{.endpoints[*].port}")
)]
pub struct KubePrismEndpoints {
    #[field(1)]
    pub endpoints: Vec<KubePrismEndpoint>,
}

/// An annotation the Kubernetes node shall have.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "NodeAnnotationSpecs.k8s.talos.dev", namespace = "k8s", column("Value" = "{.value}"), sensitive)]
pub struct NodeAnnotationSpec {
    #[field(1)]
    pub key: String,
    #[field(2)]
    pub value: String,
}
redacted!(NodeAnnotationSpec);

/// The Kubernetes node shall take no new pods.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Resource)]
#[serde(default)]
#[resource(type = "NodeCordonedSpecs.k8s.talos.dev", namespace = "k8s", sensitive)]
pub struct NodeCordonedSpec {}
redacted!(NodeCordonedSpec);

/// A label the Kubernetes node shall have.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "NodeLabelSpecs.k8s.talos.dev", namespace = "k8s", column("Value" = "{.value}"), sensitive)]
pub struct NodeLabelSpec {
    #[field(1)]
    pub key: String,
    #[field(2)]
    pub value: String,
}
redacted!(NodeLabelSpec);

/// The Kubernetes node as its API tells it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "NodeStatuses.kubernetes.talos.dev",
    namespace = "k8s",
    column("Ready" = "{.nodeReady}"),
    column("Unschedulable" = "{.unschedulable}")
)]
pub struct NodeStatus {
    #[field(1)]
    pub nodename: String,
    #[field(2)]
    pub node_ready: bool,
    #[field(3)]
    pub unschedulable: bool,
    #[field(4)]
    pub labels: BTreeMap<String, String>,
    #[field(5)]
    pub annotations: BTreeMap<String, String>,
    #[serde(rename = "podCIDRs")]
    #[field(6)]
    pub pod_cidrs: Vec<Prefix>,
}

/// A taint the Kubernetes node shall have.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "NodeTaintSpecs.k8s.talos.dev",
    namespace = "k8s",
    column("Effect" = "{.effect}"),
    column("Value" = "{.value}"),
    sensitive
)]
pub struct NodeTaintSpec {
    #[field(1)]
    pub key: String,
    #[field(2)]
    pub effect: String,
    #[field(3)]
    pub value: String,
}
redacted!(NodeTaintSpec);

/// The addresses the kubelet uses as its own.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "NodeIPs.kubernetes.talos.dev", namespace = "k8s")]
pub struct NodeIP {
    #[field(1)]
    pub addresses: Vec<IpAddr>,
}

/// Which addresses the kubelet may use as its own.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "NodeIPConfigs.kubernetes.talos.dev", namespace = "k8s")]
pub struct NodeIPConfig {
    #[field(1)]
    pub valid_subnets: Vec<String>,
    #[field(2)]
    pub exclude_subnets: Vec<String>,
}

/// The name of the Kubernetes node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "Nodenames.kubernetes.talos.dev", namespace = "k8s", column("Nodename" = "{.nodename}"))]
pub struct Nodename {
    #[field(1)]
    pub nodename: String,
    #[field(2)]
    pub hostname_version: String,
    #[field(3)]
    pub skip_node_registration: bool,
}

/// An API server.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct KubePrismEndpoint {
    #[field(1)]
    pub host: String,
    #[field(2)]
    pub port: u32,
}
