//! What the machine is made of.

use resource::Resource;
use serde::{Deserialize, Serialize};

/// A memory module.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "MemoryModules.hardware.talos.dev",
    namespace = "hardware",
    aliases("memorymodules", "ram"),
    column("Manufacturer" = "{.manufacturer}"),
    column("Model" = "{.productName}"),
    column("SizeMiB" = "{.sizeMiB}")
)]
pub struct MemoryModule {
    #[field(1)]
    pub size_mi_b: u32,
    #[field(2)]
    pub device_locator: String,
    #[field(3)]
    pub bank_locator: String,
    #[field(4)]
    pub speed: u32,
    #[field(5)]
    pub manufacturer: String,
    #[field(6)]
    pub serial_number: String,
    #[field(7)]
    pub asset_tag: String,
    #[field(8)]
    pub product_name: String,
}

/// The driver a PCI device shall have.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "PCIDriverRebindConfigs.runtime.talos.dev",
    namespace = "hardware",
    column("Name" = "{.name}"),
    column("PCI ID" = "{.pciID}"),
    column("TargetDriver" = "{.targetDriver}")
)]
pub struct PCIDriverRebindConfig {
    #[serde(rename = "pciID")]
    #[field(1)]
    pub pci_id: String,
    #[field(2)]
    pub target_driver: String,
}

/// The driver a PCI device was given.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "PCIDriverRebindStatuses.runtime.talos.dev",
    namespace = "hardware",
    aliases("pcidriverrebinds"),
    column("Name" = "{.name}"),
    column("PCI ID" = "{.pciID}"),
    column("TargetDriver" = "{.targetDriver}")
)]
pub struct PCIDriverRebindStatus {
    #[serde(rename = "pciID")]
    #[field(1)]
    pub pci_id: String,
    #[field(2)]
    pub target_driver: String,
}

/// A PCI device.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "PCIDevices.hardware.talos.dev",
    namespace = "hardware",
    aliases("devices", "device"),
    column("Class" = "{.class}"),
    column("Subclass" = "{.subclass}"),
    column("Vendor" = "{.vendor}"),
    column("Product" = "{.product}")
)]
pub struct PCIDevice {
    #[field(1)]
    pub class: String,
    #[field(2)]
    pub subclass: String,
    #[field(3)]
    pub vendor: String,
    #[field(4)]
    pub product: String,
    #[serde(rename = "class_id")]
    #[field(5)]
    pub class_id: String,
    #[serde(rename = "subclass_id")]
    #[field(6)]
    pub subclass_id: String,
    #[serde(rename = "vendor_id")]
    #[field(7)]
    pub vendor_id: String,
    #[serde(rename = "product_id")]
    #[field(8)]
    pub product_id: String,
    #[field(9)]
    pub driver: String,
}

/// A register of the TPM was extended.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "PCRStatuses.hardware.talos.dev", namespace = "hardware")]
pub struct PCRStatus {}

/// A processor.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "Processors.hardware.talos.dev",
    namespace = "hardware",
    aliases("cpus", "cpu"),
    column("Manufacturer" = "{.manufacturer}"),
    column("Model" = "{.productName}"),
    column("Cores" = "{.coreCount}"),
    column("Threads" = "{.threadCount}")
)]
pub struct Processor {
    #[field(1)]
    pub socket: String,
    #[field(2)]
    pub manufacturer: String,
    #[field(3)]
    pub product_name: String,
    #[field(4)]
    pub max_speed_mhz: u32,
    #[field(5)]
    pub boot_speed_mhz: u32,
    #[field(6)]
    pub status: u32,
    #[field(7)]
    pub serial_number: String,
    #[field(8)]
    pub asset_tag: String,
    #[field(9)]
    pub part_number: String,
    #[field(10)]
    pub core_count: u32,
    #[field(11)]
    pub core_enabled: u32,
    #[field(12)]
    pub thread_count: u32,
}

/// What the firmware says of the machine.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "SystemInformations.hardware.talos.dev",
    namespace = "hardware",
    aliases("systeminformation"),
    column("Manufacturer" = "{.manufacturer}"),
    column("ProductName" = "{.productName}"),
    column("Version" = "{.version}"),
    column("SerialNumber" = "{.serialnumber}"),
    column("UUID" = "{.uuid}"),
    column("WakeUpType" = "{.wakeUpType}"),
    column("SKUNumber" = "{.skuNumber}")
)]
pub struct SystemInformation {
    #[field(1)]
    pub manufacturer: String,
    #[field(2)]
    pub product_name: String,
    #[field(3)]
    pub version: String,
    #[field(4)]
    pub serialnumber: String,
    #[field(5)]
    pub uuid: String,
    #[field(6)]
    pub wake_up_type: String,
    #[field(7)]
    pub sku_number: String,
}
