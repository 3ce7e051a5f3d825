//! Firewall rules.

use resource::types::Prefix;
use resource::{Message, Resource};
use serde::{Deserialize, Serialize};

use crate::network::{
    ConntrackState, IcmpType, MatchOperator, NfTablesChainHook, NfTablesChainPriority, NfTablesVerdict, Protocol,
};
use crate::types::is_default;

/// A chain of firewall rules.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "NfTablesChains.net.talos.dev",
    namespace = "network",
    aliases("chain", "chains"),
    column("Type" = "{.type}"),
    column("Hook" = "{.hook}"),
    column("Priority" = "{.priority}"),
    column("Policy" = "{.policy}")
)]
pub struct NfTablesChain {
    #[serde(rename = "type")]
    #[field(1)]
    pub ty: String,
    #[field(2)]
    pub hook: NfTablesChainHook,
    #[field(3)]
    pub priority: NfTablesChainPriority,
    #[field(5)]
    pub policy: NfTablesVerdict,
    #[field(4)]
    pub rules: Vec<NfTablesRule>,
}

/// A firewall rule.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct NfTablesRule {
    #[serde(rename = "matchIIfName", skip_serializing_if = "is_default")]
    #[field(8)]
    pub match_iif_name: Option<NfTablesIfNameMatch>,
    #[serde(rename = "matchOIfName", skip_serializing_if = "is_default")]
    #[field(1)]
    pub match_oif_name: Option<NfTablesIfNameMatch>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(3)]
    pub match_mark: Option<NfTablesMark>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(11)]
    pub match_conntrack_state: Option<NfTablesConntrackStateMatch>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(5)]
    pub match_source_address: Option<NfTablesAddressMatch>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub match_destination_address: Option<NfTablesAddressMatch>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(7)]
    pub match_layer4: Option<NfTablesLayer4Match>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(10)]
    pub match_limit: Option<NfTablesLimitMatch>,
    #[serde(rename = "clampMSS", skip_serializing_if = "is_default")]
    #[field(9)]
    pub clamp_mss: Option<NfTablesClampMss>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(4)]
    pub set_mark: Option<NfTablesMark>,
    #[field(12)]
    pub anonymous_counter: bool,
    #[serde(skip_serializing_if = "is_default")]
    #[field(2)]
    pub verdict: Option<NfTablesVerdict>,
}

/// States of a connection a firewall rule is for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct NfTablesConntrackStateMatch {
    #[field(1)]
    pub states: Vec<ConntrackState>,
}

/// Links a firewall rule is for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct NfTablesIfNameMatch {
    #[field(3)]
    pub interface_name: Vec<String>,
    #[field(2)]
    pub operator: MatchOperator,
}

/// The rate up to which a firewall rule is for packets.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct NfTablesLimitMatch {
    #[field(1)]
    pub packet_rate_per_second: u64,
}

/// Addresses a firewall rule is for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct NfTablesAddressMatch {
    #[field(1)]
    pub include_subnets: Vec<Prefix>,
    #[field(2)]
    pub exclude_subnets: Vec<Prefix>,
    #[field(3)]
    pub invert: bool,
}

/// A mark on packets.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct NfTablesMark {
    #[field(1)]
    pub mask: u32,
    #[field(2)]
    pub xor: u32,
    #[field(3)]
    pub value: u32,
}

/// The segment size a firewall rule sets.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct NfTablesClampMss {
    #[field(1)]
    pub mtu: u16,
}

/// Protocol and ports a firewall rule is for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct NfTablesLayer4Match {
    #[field(1)]
    pub protocol: Protocol,
    #[serde(skip_serializing_if = "is_default")]
    #[field(2)]
    pub match_source_port: Option<NfTablesPortMatch>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(3)]
    pub match_destination_port: Option<NfTablesPortMatch>,
    #[serde(rename = "matchICMPType", skip_serializing_if = "is_default")]
    #[field(4)]
    pub match_icmp_type: Option<NfTablesIcmpTypeMatch>,
}

/// Types of ICMP messages a firewall rule is for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct NfTablesIcmpTypeMatch {
    #[field(1)]
    pub types: Vec<IcmpType>,
}

/// Ports a firewall rule is for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct NfTablesPortMatch {
    #[field(1)]
    pub ranges: Vec<PortRange>,
}

/// Ports from one to another, both included.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct PortRange {
    #[field(1)]
    pub lo: u16,
    #[field(2)]
    pub hi: u16,
}
