//! storage

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// Lvmlogical volume config.
    pub struct LVMLogicalVolumeConfig: "storage.LVMLogicalVolumeConfigV1Alpha1", kind "LVMLogicalVolumeConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Type.
        kind: Option<String> = "type";
        /// Mirrors.
        mirrors: Option<i64> = "mirrors";
        /// Stripes.
        stripes: Option<i64> = "stripes";
        /// Provisioning.
        provisioning: Option<LVMLogicalVolumeProvisioningSpec> = "provisioning";
    }

    /// Lvmlogical volume provisioning spec.
    pub struct LVMLogicalVolumeProvisioningSpec: "storage.LVMLogicalVolumeProvisioningSpec" {
        /// Volume group.
        volume_group: Option<String> = "volumeGroup";
        /// Min size.
        min_size: Option<String> = "minSize".check(Format::Size);
        /// Max size.
        max_size: Option<String> = "maxSize".check(Format::Size);
    }

    /// Lvmvolume group config.
    pub struct LVMVolumeGroupConfig: "storage.LVMVolumeGroupConfigV1Alpha1", kind "LVMVolumeGroupConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Provisioning.
        provisioning: Option<ProvisioningSpec> = "provisioning";
    }

    /// Lvmvolume selector spec.
    pub struct LVMVolumeSelectorSpec: "storage.LVMVolumeSelectorSpec" {
        /// Match.
        match_: Option<String> = "match";
    }

    /// Provisioning spec.
    pub struct ProvisioningSpec: "storage.ProvisioningSpec" {
        /// Volume selector.
        volume_selector: Option<LVMVolumeSelectorSpec> = "volumeSelector";
    }

    /// Raidarray config.
    pub struct RAIDArrayConfig: "storage.RAIDArrayConfigV1Alpha1", kind "RAIDArrayConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Level.
        level: Option<String> = "level".one_of(&["raid1"]);
        /// Metadata.
        metadata: Option<String> = "metadata".one_of(&["1.0", "1.2"]);
        /// Provisioning.
        provisioning: Option<RAIDProvisioningSpec> = "provisioning";
    }

    /// Raidprovisioning spec.
    pub struct RAIDProvisioningSpec: "storage.RAIDProvisioningSpec" {
        /// Volume selector.
        volume_selector: Option<RAIDVolumeSelector> = "volumeSelector";
    }

    /// Raidvolume selector.
    pub struct RAIDVolumeSelector: "storage.RAIDVolumeSelector" {
        /// Match.
        match_: Option<String> = "match";
    }
}
