//! LVM and RAID.

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// A logical volume.
    pub struct LVMLogicalVolumeConfig: "storage.LVMLogicalVolumeConfigV1Alpha1", kind "LVMLogicalVolumeConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Kind of volume.
        kind: Option<String> = "type";
        /// Number of copies beside the first.
        mirrors: Option<i64> = "mirrors";
        /// Number of stripes.
        stripes: Option<i64> = "stripes";
        /// How it is made.
        provisioning: Option<LVMLogicalVolumeProvisioningSpec> = "provisioning";
    }

    /// Where a logical volume is made.
    pub struct LVMLogicalVolumeProvisioningSpec: "storage.LVMLogicalVolumeProvisioningSpec" {
        /// Volume group it is made in.
        volume_group: Option<String> = "volumeGroup";
        /// Smallest size, such as `10GiB`.
        min_size: Option<String> = "minSize".check(Format::Size);
        /// Largest size, such as `100GiB` or `50%`.
        max_size: Option<String> = "maxSize".check(Format::Size);
    }

    /// A volume group.
    pub struct LVMVolumeGroupConfig: "storage.LVMVolumeGroupConfigV1Alpha1", kind "LVMVolumeGroupConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// How it is made.
        provisioning: Option<ProvisioningSpec> = "provisioning";
    }

    /// Chooses volumes for a volume group.
    pub struct LVMVolumeSelectorSpec: "storage.LVMVolumeSelectorSpec" {
        /// Expression (CEL) that is true for what is meant.
        match_: Option<String> = "match";
    }

    /// How a volume is made.
    pub struct ProvisioningSpec: "storage.ProvisioningSpec" {
        /// Chooses volumes by their properties.
        volume_selector: Option<LVMVolumeSelectorSpec> = "volumeSelector";
    }

    /// A RAID array.
    pub struct RAIDArrayConfig: "storage.RAIDArrayConfigV1Alpha1", kind "RAIDArrayConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// RAID level.
        level: Option<String> = "level".one_of(&["raid1"]);
        /// Version of the metadata.
        metadata: Option<String> = "metadata".one_of(&["1.0", "1.2"]);
        /// How it is made.
        provisioning: Option<RAIDProvisioningSpec> = "provisioning";
    }

    /// What a RAID array is made of.
    pub struct RAIDProvisioningSpec: "storage.RAIDProvisioningSpec" {
        /// Chooses volumes by their properties.
        volume_selector: Option<RAIDVolumeSelector> = "volumeSelector";
    }

    /// Chooses volumes for a RAID array.
    pub struct RAIDVolumeSelector: "storage.RAIDVolumeSelector" {
        /// Expression (CEL) that is true for what is meant.
        match_: Option<String> = "match";
    }
}
