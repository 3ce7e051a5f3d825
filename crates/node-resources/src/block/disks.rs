//! Disks, what is on them, and swap.

use resource::Resource;
use serde::{Deserialize, Serialize};

/// A block device as the kernel names it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "BlockDevices.block.talos.dev",
    namespace = "runtime",
    column("Type" = "{.type}"),
    column("PartitionName" = "{.partitionName}"),
    column("Generation" = "{.generation}")
)]
pub struct BlockDevice {
    #[serde(rename = "type")]
    #[field(1)]
    pub ty: String,
    #[field(2)]
    pub major: i64,
    #[field(3)]
    pub minor: i64,
    #[field(4)]
    pub partition_name: String,
    #[field(5)]
    pub partition_number: i64,
    #[field(7)]
    pub device_path: String,
    #[field(6)]
    pub generation: i64,
    #[field(8)]
    pub parent: String,
    #[field(9)]
    pub secondaries: Vec<String>,
}

/// What was found on a block device.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "DiscoveredVolumes.block.talos.dev",
    namespace = "runtime",
    column("Type" = "{.type}"),
    column("Size" = "{.pretty_size}"),
    column("Discovered" = "{.name}"),
    column("Label" = "{.label}"),
    column("PartitionLabel" = "{.partition_label}")
)]
pub struct DiscoveredVolume {
    #[serde(rename = "dev_path")]
    #[field(17)]
    pub dev_path: String,
    #[serde(rename = "type")]
    #[field(14)]
    pub ty: String,
    #[serde(rename = "device_path")]
    #[field(15)]
    pub device_path: String,
    #[field(16)]
    pub parent: String,
    #[serde(rename = "parent_dev_path")]
    #[field(18)]
    pub parent_dev_path: String,
    #[field(20)]
    pub offset: u64,
    #[field(1)]
    pub size: u64,
    #[serde(rename = "pretty_size")]
    #[field(19)]
    pub pretty_size: String,
    #[serde(rename = "sector_size")]
    #[field(2)]
    pub sector_size: u64,
    #[serde(rename = "io_size")]
    #[field(3)]
    pub io_size: u64,
    #[field(4)]
    pub name: String,
    #[field(5)]
    pub uuid: String,
    #[field(6)]
    pub label: String,
    #[serde(rename = "block_size")]
    #[field(7)]
    pub block_size: u32,
    #[serde(rename = "filesystem_block_size")]
    #[field(8)]
    pub filesystem_block_size: u32,
    #[serde(rename = "probed_size")]
    #[field(9)]
    pub probed_size: u64,
    #[serde(rename = "partition_uuid")]
    #[field(10)]
    pub partition_uuid: String,
    #[serde(rename = "partition_type")]
    #[field(11)]
    pub partition_type: String,
    #[serde(rename = "partition_label")]
    #[field(12)]
    pub partition_label: String,
    #[serde(rename = "partition_index")]
    #[field(13)]
    pub partition_index: u64,
}

/// Asks for block devices to be looked at anew.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "DiscoveryRefreshRequests.block.talos.dev",
    namespace = "runtime",
    column("Request" = "{.request}")
)]
pub struct DiscoveryRefreshRequest {
    #[field(1)]
    pub request: i64,
}

/// How far the look at block devices is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "DiscoveryRefreshStatuses.block.talos.dev",
    namespace = "runtime",
    column("Request" = "{.request}")
)]
pub struct DiscoveryRefreshStatus {
    #[field(1)]
    pub request: i64,
}

/// A disk.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "Disks.block.talos.dev",
    namespace = "runtime",
    column("Size" = "{.pretty_size}"),
    column("Read Only" = "{.readonly}"),
    column("Transport" = "{.transport}"),
    column("Rotational" = "{.rotational}"),
    column("WWID" = "{.wwid}"),
    column("Model" = "{.model}"),
    column("Serial" = "{.serial}")
)]
pub struct Disk {
    #[serde(rename = "dev_path")]
    #[field(14)]
    pub dev_path: String,
    #[field(1)]
    pub size: u64,
    #[serde(rename = "pretty_size")]
    #[field(15)]
    pub pretty_size: String,
    #[serde(rename = "io_size")]
    #[field(2)]
    pub io_size: u64,
    #[serde(rename = "sector_size")]
    #[field(3)]
    pub sector_size: u64,
    #[field(4)]
    pub readonly: bool,
    #[field(13)]
    pub cdrom: bool,
    #[field(5)]
    pub model: String,
    #[field(6)]
    pub serial: String,
    #[field(7)]
    pub modalias: String,
    #[field(8)]
    pub wwid: String,
    #[field(17)]
    pub uuid: String,
    #[serde(rename = "bus_path")]
    #[field(9)]
    pub bus_path: String,
    #[serde(rename = "sub_system")]
    #[field(10)]
    pub sub_system: String,
    #[field(11)]
    pub transport: String,
    #[field(12)]
    pub rotational: bool,
    #[serde(rename = "secondary_disks")]
    #[field(16)]
    pub secondary_disks: Vec<String>,
    #[field(18)]
    pub symlinks: Vec<String>,
}

/// Swap in use.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "SwapStatuses.block.talos.dev",
    namespace = "runtime",
    aliases("swap", "swaps"),
    column("Device" = "{.device}"),
    column("Size" = "{.sizeHuman}"),
    column("Used" = "{.usedHuman}"),
    column("Priority" = "{.priority}")
)]
pub struct SwapStatus {
    #[field(1)]
    pub device: String,
    #[serde(rename = "type")]
    #[field(7)]
    pub ty: String,
    #[field(2)]
    pub size: u64,
    #[field(3)]
    pub size_human: String,
    #[field(4)]
    pub used: u64,
    #[field(5)]
    pub used_human: String,
    #[field(6)]
    pub priority: i32,
}

/// The names under `/dev/disk` of a block device.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "BlockSymlinks.block.talos.dev", namespace = "runtime")]
pub struct BlockSymlink {
    #[field(1)]
    pub paths: Vec<String>,
}

/// The disk the system is on.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "SystemDisks.block.talos.dev", namespace = "runtime", column("Disk" = "{.diskID}"))]
pub struct SystemDisk {
    #[serde(rename = "diskID")]
    #[field(1)]
    pub disk_id: String,
    #[field(2)]
    pub dev_path: String,
}

/// Compressed swap.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "ZswapStatuses.block.talos.dev",
    namespace = "runtime",
    column("Total Size" = "{.totalSizeHuman}"),
    column("Stored Pages" = "{.storedPages}"),
    column("Written Back" = "{.writtenBackPages}"),
    column("Pool Limit Hit" = "{.poolLimitHit}")
)]
pub struct ZswapStatus {
    #[field(1)]
    pub total_size: u64,
    #[field(2)]
    pub total_size_human: String,
    #[field(3)]
    pub stored_pages: u64,
    #[field(4)]
    pub pool_limit_hit: u64,
    #[field(5)]
    pub reject_reclaim_fail: u64,
    #[field(6)]
    pub reject_alloc_fail: u64,
    #[field(7)]
    pub reject_kmemcache_fail: u64,
    #[field(8)]
    pub reject_compress_fail: u64,
    #[field(9)]
    pub reject_compress_poor: u64,
    #[field(10)]
    pub written_back_pages: u64,
}
