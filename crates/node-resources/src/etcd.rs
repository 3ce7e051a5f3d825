//! etcd as it shall run.

use std::collections::BTreeMap;
use std::net::IpAddr;

use resource::Resource;
use serde::{Deserialize, Serialize};

use crate::types::{ArgValues, is_default};

/// What the machine configuration says of etcd.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "EtcdConfigs.etcd.talos.dev", namespace = "etcd", column("Image" = "{.image}"))]
pub struct EtcdConfig {
    #[serde(skip_serializing_if = "is_default")]
    #[field(1)]
    pub advertise_valid_subnets: Vec<String>,
    #[field(2)]
    pub advertise_exclude_subnets: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(5)]
    pub listen_valid_subnets: Vec<String>,
    #[field(6)]
    pub listen_exclude_subnets: Vec<String>,
    #[field(3)]
    pub image: String,
    #[field(7)]
    pub extra_args: BTreeMap<String, ArgValues>,
}

/// This node's member of etcd.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "EtcdMembers.etcd.talos.dev", namespace = "etcd", column("Member ID" = "{.memberID}"))]
pub struct EtcdMember {
    #[serde(rename = "memberID")]
    #[field(1)]
    pub member_id: String,
}

/// Whether etcd's certificates are on disk.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "PKIStatuses.etcd.talos.dev",
    namespace = "etcd",
    column("Ready" = "{.ready}"),
    column("Secrets Version" = "{.version}")
)]
pub struct PKIStatus {
    #[field(1)]
    pub ready: bool,
    #[field(2)]
    pub version: String,
}

/// What etcd is run with.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "EtcdSpecs.etcd.talos.dev",
    namespace = "etcd",
    column("Name" = "{.name}"),
    column("AdvertisedAddresses" = "{.advertisedAddresses}"),
    column("ListenPeerAddresses" = "{.listenPeerAddresses}"),
    column("ListenClientAddresses" = "{.listenClientAddresses}")
)]
pub struct EtcdSpec {
    #[field(1)]
    pub name: String,
    #[field(2)]
    pub advertised_addresses: Vec<IpAddr>,
    #[field(5)]
    pub listen_peer_addresses: Vec<IpAddr>,
    #[field(6)]
    pub listen_client_addresses: Vec<IpAddr>,
    #[field(3)]
    pub image: String,
    #[field(7)]
    pub extra_args: BTreeMap<String, ArgValues>,
}
