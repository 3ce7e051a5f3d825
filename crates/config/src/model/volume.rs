//! volume

use std::time::Duration;

use pki::Secret;

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// Disk selector.
    pub struct DiskSelector: "block.DiskSelector" {
        /// Match.
        match_: Option<String> = "match";
    }

    /// Encryption key.
    pub struct EncryptionKey: "block.EncryptionKey" {
        /// Slot.
        slot: Option<i64> = "slot";
        /// Static.
        static_: Option<EncryptionKeyStatic> = "static";
        /// Node id.
        node_id: Option<EncryptionKeyNodeID> = "nodeID";
        /// Kms.
        kms: Option<EncryptionKeyKMS> = "kms";
        /// Tpm.
        tpm: Option<EncryptionKeyTPM> = "tpm";
        /// Lock to state.
        lock_to_state: Option<bool> = "lockToState";
    }

    /// Encryption key kms.
    pub struct EncryptionKeyKMS: "block.EncryptionKeyKMS" {
        /// Endpoint.
        endpoint: Option<String> = "endpoint";
    }

    /// Encryption key node id.
    pub struct EncryptionKeyNodeID: "block.EncryptionKeyNodeID" {
    }

    /// Encryption key static.
    pub struct EncryptionKeyStatic: "block.EncryptionKeyStatic" {
        /// Passphrase.
        passphrase: Option<Secret> = "passphrase";
    }

    /// Encryption key tpm.
    pub struct EncryptionKeyTPM: "block.EncryptionKeyTPM" {
        /// Options.
        options: Option<EncryptionKeyTPMOptions> = "options";
        /// Check secureboot status on enroll.
        check_secureboot_status_on_enroll: Option<bool> = "checkSecurebootStatusOnEnroll";
    }

    /// Encryption key tpmoptions.
    pub struct EncryptionKeyTPMOptions: "block.EncryptionKeyTPMOptions" {
        /// Pcrs.
        pcrs: Vec<i64> = "pcrs";
    }

    /// Encryption spec.
    pub struct EncryptionSpec: "block.EncryptionSpec" {
        /// Provider.
        provider: Option<String> = "provider".one_of(&["luks2"]);
        /// Keys.
        keys: Vec<EncryptionKey> = "keys";
        /// Cipher.
        cipher: Option<String> = "cipher".one_of(&["aes-xts-plain64", "xchacha12,aes-adiantum-plain64", "xchacha20,aes-adiantum-plain64"]);
        /// Key size.
        key_size: Option<i64> = "keySize";
        /// Block size.
        block_size: Option<i64> = "blockSize";
        /// Options.
        options: Vec<String> = "options";
        /// Allow discards.
        allow_discards: Option<bool> = "allowDiscards".since("v1.14");
    }

    /// Existing mount spec.
    pub struct ExistingMountSpec: "block.ExistingMountSpec" {
        /// Read only.
        read_only: Option<bool> = "readOnly";
        /// Disable access time.
        disable_access_time: Option<bool> = "disableAccessTime";
        /// Secure.
        secure: Option<bool> = "secure";
    }

    /// Existing volume config.
    pub struct ExistingVolumeConfig: "block.ExistingVolumeConfigV1Alpha1", kind "ExistingVolumeConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Discovery.
        discovery: Option<VolumeDiscoverySpec> = "discovery";
        /// Mount.
        mount: Option<ExistingMountSpec> = "mount";
        /// Trim.
        trim: Option<TrimConfig> = "trim".since("v1.14");
        /// Scrub.
        scrub: Option<ScrubConfig> = "scrub".since("v1.14");
    }

    /// External mount spec.
    pub struct ExternalMountSpec: "block.ExternalMountSpec" {
        /// Read only.
        read_only: Option<bool> = "readOnly";
        /// Disable access time.
        disable_access_time: Option<bool> = "disableAccessTime";
        /// Secure.
        secure: Option<bool> = "secure";
        /// Virtiofs.
        virtiofs: Option<VirtiofsMountSpec> = "virtiofs";
    }

    /// External volume config.
    pub struct ExternalVolumeConfig: "block.ExternalVolumeConfigV1Alpha1", kind "ExternalVolumeConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Filesystem type.
        filesystem_type: Option<String> = "filesystemType".one_of(&["virtiofs"]);
        /// Mount.
        mount: Option<ExternalMountSpec> = "mount";
    }

    /// Filesystem scrub config.
    pub struct FilesystemScrubConfig: "block.FilesystemScrubConfigV1Alpha1", kind "FilesystemScrubConfig" since "v1.14" {
        /// Interval.
        interval: Option<Duration> = "interval";
    }

    /// Filesystem spec.
    pub struct FilesystemSpec: "block.FilesystemSpec" {
        /// Type.
        kind: Option<String> = "type".one_of(&["ext4", "xfs", "btrfs"]);
        /// Project quota support.
        project_quota_support: Option<bool> = "projectQuotaSupport";
        /// Xfs.
        xfs: Option<XFSSpec> = "xfs".since("v1.14");
    }

    /// Filesystem trim config.
    pub struct FilesystemTrimConfig: "block.FilesystemTrimConfigV1Alpha1", kind "FilesystemTrimConfig" since "v1.14" {
        /// Interval.
        interval: Option<Duration> = "interval";
    }

    /// Mount spec.
    pub struct MountSpec: "block.MountSpec" {
        /// Secure.
        secure: Option<bool> = "secure";
        /// Disable access time.
        disable_access_time: Option<bool> = "disableAccessTime".since("v1.14");
    }

    /// Provisioning spec.
    pub struct ProvisioningSpec: "block.ProvisioningSpec" {
        /// Disk selector.
        disk_selector: Option<DiskSelector> = "diskSelector";
        /// Grow.
        grow: Option<bool> = "grow";
        /// Min size.
        min_size: Option<String> = "minSize".check(Format::Size);
        /// Max size.
        max_size: Option<String> = "maxSize".check(Format::Size);
    }

    /// Raw volume config.
    pub struct RawVolumeConfig: "block.RawVolumeConfigV1Alpha1", kind "RawVolumeConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Provisioning.
        provisioning: Option<ProvisioningSpec> = "provisioning";
        /// Encryption.
        encryption: Option<EncryptionSpec> = "encryption";
    }

    /// Scrub config.
    pub struct ScrubConfig: "block.ScrubConfig" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Interval.
        interval: Option<Duration> = "interval";
    }

    /// Swap volume config.
    pub struct SwapVolumeConfig: "block.SwapVolumeConfigV1Alpha1", kind "SwapVolumeConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Provisioning.
        provisioning: Option<ProvisioningSpec> = "provisioning";
        /// Encryption.
        encryption: Option<EncryptionSpec> = "encryption";
    }

    /// System volume filesystem spec.
    pub struct SystemVolumeFilesystemSpec: "block.SystemVolumeFilesystemSpec" {
        /// Xfs.
        xfs: Option<XFSSpec> = "xfs";
    }

    /// Trim config.
    pub struct TrimConfig: "block.TrimConfig" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Interval.
        interval: Option<Duration> = "interval";
    }

    /// User mount spec.
    pub struct UserMountSpec: "block.UserMountSpec" {
        /// Disable access time.
        disable_access_time: Option<bool> = "disableAccessTime";
        /// Secure.
        secure: Option<bool> = "secure";
    }

    /// User volume config.
    pub struct UserVolumeConfig: "block.UserVolumeConfigV1Alpha1", kind "UserVolumeConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Volume type.
        volume_type: Option<String> = "volumeType".one_of(&["directory", "disk", "partition"]);
        /// Provisioning.
        provisioning: Option<ProvisioningSpec> = "provisioning";
        /// Filesystem.
        filesystem: Option<FilesystemSpec> = "filesystem";
        /// Encryption.
        encryption: Option<EncryptionSpec> = "encryption";
        /// Mount.
        mount: Option<UserMountSpec> = "mount";
        /// Trim.
        trim: Option<TrimConfig> = "trim".since("v1.14");
        /// Scrub.
        scrub: Option<ScrubConfig> = "scrub".since("v1.14");
    }

    /// Virtiofs mount spec.
    pub struct VirtiofsMountSpec: "block.VirtiofsMountSpec" {
        /// Tag.
        tag: Option<String> = "tag";
    }

    /// Volume config.
    pub struct VolumeConfig: "block.VolumeConfigV1Alpha1", kind "VolumeConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Provisioning.
        provisioning: Option<ProvisioningSpec> = "provisioning";
        /// Filesystem.
        filesystem: Option<SystemVolumeFilesystemSpec> = "filesystem".since("v1.14");
        /// Encryption.
        encryption: Option<EncryptionSpec> = "encryption";
        /// Mount.
        mount: Option<MountSpec> = "mount";
        /// Trim.
        trim: Option<TrimConfig> = "trim".since("v1.14");
        /// Scrub.
        scrub: Option<ScrubConfig> = "scrub".since("v1.14");
    }

    /// Volume discovery spec.
    pub struct VolumeDiscoverySpec: "block.VolumeDiscoverySpec" {
        /// Volume selector.
        volume_selector: Option<VolumeSelector> = "volumeSelector";
    }

    /// Volume selector.
    pub struct VolumeSelector: "block.VolumeSelector" {
        /// Match.
        match_: Option<String> = "match";
    }

    /// Xfsspec.
    pub struct XFSSpec: "block.XFSSpec" {
        /// Min allocation group size.
        min_allocation_group_size: Option<String> = "minAllocationGroupSize";
    }

    /// Zswap config.
    pub struct ZswapConfig: "block.ZswapConfigV1Alpha1", kind "ZswapConfig" {
        /// Max pool percent.
        max_pool_percent: Option<i64> = "maxPoolPercent";
        /// Shrinker enabled.
        shrinker_enabled: Option<bool> = "shrinkerEnabled";
    }
}
