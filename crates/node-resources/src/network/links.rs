//! Network links.

use std::net::IpAddr;

use resource::types::{Duration, Prefix};
use resource::{Message, Resource};
use serde::{Deserialize, Serialize};

use crate::network::{
    AdLacpActive, AdSelect, ArpAllTargets, ArpValidate, BondMode, BondXmitHashPolicy, ConfigLayer, Duplex, FailOverMac,
    LacpRate, LinkFlags, LinkType, OperationalState, Port, PrimaryReselect, RoutingTable, VlanProtocol,
};
use crate::types::{HardwareAddr, is_default, redacted};

/// Settings of a network device, as the machine configuration gives them.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "DeviceConfigSpecs.net.talos.dev", namespace = "network", sensitive)]
pub struct DeviceConfigSpec {}
redacted!(DeviceConfigSpec);

/// The hardware address that identifies the node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "HardwareAddresses.net.talos.dev", namespace = "network")]
pub struct HardwareAddress {
    #[field(1)]
    pub name: String,
    #[field(2)]
    pub hardware_addr: HardwareAddr,
}

/// Another name for a link.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "LinkAliasSpecs.net.talos.dev", namespace = "network", column("Alias" = "{.alias}"))]
pub struct LinkAliasSpec {
    #[field(1)]
    pub alias: String,
}

/// Asks for links to be looked at anew.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "LinkRefreshes.net.talos.dev", namespace = "network")]
pub struct LinkRefresh {
    #[field(1)]
    pub generation: i64,
}

/// A network link that shall be set up.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "LinkSpecs.net.talos.dev", namespace = "network", sensitive)]
pub struct LinkSpec {
    #[field(1)]
    pub name: String,
    #[field(2)]
    pub logical: bool,
    #[field(3)]
    pub up: bool,
    #[field(4)]
    pub mtu: u32,
    #[field(5)]
    pub kind: String,
    #[serde(rename = "type")]
    #[field(6)]
    pub ty: LinkType,
    #[serde(skip_serializing_if = "is_default")]
    #[field(15)]
    pub hardware_addr: HardwareAddr,
    #[serde(skip_serializing_if = "is_default")]
    #[field(7)]
    pub parent_name: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(8)]
    pub bondslave: BondSlave,
    #[serde(skip_serializing_if = "is_default")]
    #[field(9)]
    pub bridge_slave: BridgeSlave,
    #[serde(skip_serializing_if = "is_default")]
    #[field(18)]
    pub vrf_slave: VrfSlave,
    #[serde(skip_serializing_if = "is_default")]
    #[field(10)]
    pub vlan: VlanSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(11)]
    pub bond_master: BondMasterSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(12)]
    pub bridge_master: BridgeMasterSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(17)]
    pub vrf_master: VrfMasterSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(13)]
    pub wireguard: WireguardSpec,
    #[field(14)]
    pub layer: ConfigLayer,
    #[serde(skip_serializing_if = "is_default")]
    #[field(16)]
    pub multicast: Option<bool>,
}
redacted!(LinkSpec);

/// A network link as it is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "LinkStatuses.net.talos.dev",
    namespace = "network",
    aliases("link", "links"),
    column("Alias" = "{.alias}"),
    column("Type" = "{.type}"),
    column("Kind" = "{.kind}"),
    column("Hw Addr" = "{.hardwareAddr}"),
    column("Oper State" = "{.operationalState}"),
    column("Link State" = "{.linkState}")
)]
pub struct LinkStatus {
    #[serde(skip_serializing_if = "is_default")]
    #[field(31)]
    pub alias: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(32)]
    pub alt_names: Vec<String>,
    #[field(1)]
    pub index: u32,
    #[serde(rename = "type")]
    #[field(2)]
    pub ty: LinkType,
    #[field(3)]
    pub link_index: u32,
    #[field(4)]
    pub flags: LinkFlags,
    #[field(5)]
    pub hardware_addr: HardwareAddr,
    #[field(30)]
    pub permanent_addr: HardwareAddr,
    #[field(6)]
    pub broadcast_addr: HardwareAddr,
    #[field(7)]
    pub mtu: u32,
    #[field(8)]
    pub queue_disc: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(9)]
    pub master_index: u32,
    #[field(10)]
    pub operational_state: OperationalState,
    #[field(11)]
    pub kind: String,
    #[field(12)]
    pub slave_kind: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(13)]
    pub bus_path: String,
    #[serde(rename = "pciID", skip_serializing_if = "is_default")]
    #[field(14)]
    pub pci_id: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(15)]
    pub driver: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(16)]
    pub driver_version: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(17)]
    pub firmware_version: String,
    #[serde(rename = "productID", skip_serializing_if = "is_default")]
    #[field(18)]
    pub product_id: String,
    #[serde(rename = "vendorID", skip_serializing_if = "is_default")]
    #[field(19)]
    pub vendor_id: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(20)]
    pub product: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(21)]
    pub vendor: String,
    #[field(22)]
    pub link_state: bool,
    #[serde(skip_serializing_if = "is_default")]
    #[field(23)]
    pub speed_mbit: i64,
    #[field(24)]
    pub port: Port,
    #[field(25)]
    pub duplex: Duplex,
    #[serde(skip_serializing_if = "is_default")]
    #[field(26)]
    pub vlan: VlanSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(27)]
    pub bridge_master: BridgeMasterSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(28)]
    pub bond_master: BondMasterSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(33)]
    pub vrf_master: VrfMasterSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(29)]
    pub wireguard: WireguardSpec,
}

/// A link's place in a routing domain.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct VrfSlave {
    #[field(1)]
    pub master_name: String,
}

/// A bond of links.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct BondMasterSpec {
    #[field(1)]
    pub mode: BondMode,
    #[field(2)]
    pub xmit_hash_policy: BondXmitHashPolicy,
    #[field(3)]
    pub lacp_rate: LacpRate,
    #[field(4)]
    pub arp_validate: ArpValidate,
    #[field(5)]
    pub arp_all_targets: ArpAllTargets,
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub primary: Option<u32>,
    #[field(7)]
    pub primary_reselect: PrimaryReselect,
    #[field(8)]
    pub fail_over_mac: FailOverMac,
    #[field(9)]
    pub ad_select: AdSelect,
    #[field(10)]
    pub miimon: u32,
    #[field(11)]
    pub updelay: u32,
    #[field(12)]
    pub downdelay: u32,
    #[field(13)]
    pub arp_interval: u32,
    #[field(14)]
    pub resend_igmp: u32,
    #[field(15)]
    pub min_links: u32,
    #[field(16)]
    pub lp_interval: u32,
    #[field(17)]
    pub packets_per_slave: u32,
    #[field(18)]
    pub num_peer_notif: u8,
    #[field(19)]
    pub tlb_logical_lb: u8,
    #[field(20)]
    pub all_slaves_active: u8,
    #[field(21)]
    pub use_carrier: bool,
    #[field(22)]
    pub ad_actor_sys_prio: u16,
    #[field(23)]
    pub ad_user_port_key: u16,
    #[field(24)]
    pub peer_notify_delay: u32,
    #[field(25)]
    pub arp_ip_targets: Vec<IpAddr>,
    #[field(26)]
    pub ns_ip6_targets: Vec<IpAddr>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(27)]
    pub ad_lacp_active: Option<AdLacpActive>,
    #[field(28)]
    pub missed_max: u8,
}

/// A bridge.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct BridgeMasterSpec {
    #[field(1)]
    pub stp: StpSpec,
    #[field(2)]
    pub vlan: BridgeVlanSpec,
}

/// A routing domain.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct VrfMasterSpec {
    #[field(1)]
    pub table: RoutingTable,
}

/// A WireGuard link.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct WireguardSpec {
    #[field(1)]
    pub private_key: String,
    #[field(2)]
    pub public_key: String,
    #[field(3)]
    pub listen_port: i64,
    #[field(4)]
    pub firewall_mark: i64,
    #[field(5)]
    pub peers: Vec<WireguardPeer>,
}

/// A link's place in a bridge.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct BridgeSlave {
    #[field(1)]
    pub master_name: String,
}

/// A VLAN.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct VlanSpec {
    #[serde(rename = "vlanID")]
    #[field(1)]
    pub vlan_id: u16,
    #[field(2)]
    pub vlan_protocol: VlanProtocol,
}

/// A link's place in a bond.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct BondSlave {
    #[field(1)]
    pub master_name: String,
    #[field(2)]
    pub slave_index: i64,
}

/// The spanning tree of a bridge.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct StpSpec {
    #[field(1)]
    pub enabled: bool,
}

/// VLANs of a bridge.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct BridgeVlanSpec {
    #[field(1)]
    pub filtering_enabled: bool,
}

/// A peer of a WireGuard link.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct WireguardPeer {
    #[field(1)]
    pub public_key: String,
    #[field(2)]
    pub preshared_key: String,
    #[field(3)]
    pub endpoint: String,
    #[field(4)]
    pub persistent_keepalive_interval: Duration,
    #[serde(rename = "allowedIPs")]
    #[field(5)]
    pub allowed_ips: Vec<Prefix>,
}
