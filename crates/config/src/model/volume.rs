//! Volumes: system, user, raw, swap; their encryption and file systems.

use std::time::Duration;

use pki::Secret;

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// Chooses a disk.
    pub struct DiskSelector: "block.DiskSelector" {
        /// Expression (CEL) that is true for what is meant.
        match_: Option<String> = "match";
    }

    /// A key of an encrypted volume; one of its sources is set.
    pub struct EncryptionKey: "block.EncryptionKey" {
        /// Slot of the key, from 0.
        slot: Option<i64> = "slot";
        /// A passphrase.
        static_: Option<EncryptionKeyStatic> = "static";
        /// Key made from the machine's id: keeps honest people out, no more.
        node_id: Option<EncryptionKeyNodeID> = "nodeID";
        /// Key kept by a key management service.
        kms: Option<EncryptionKeyKMS> = "kms";
        /// Key sealed by the TPM.
        tpm: Option<EncryptionKeyTPM> = "tpm";
        /// Tie the key to the STATE volume, so that the disk does not open without it.
        lock_to_state: Option<bool> = "lockToState";
    }

    /// A key kept by a key management service.
    pub struct EncryptionKeyKMS: "block.EncryptionKeyKMS" {
        /// URL of the key management service.
        endpoint: Option<String> = "endpoint";
    }

    /// A key made from the machine's id.
    pub struct EncryptionKeyNodeID: "block.EncryptionKeyNodeID" {
    }

    /// A passphrase.
    pub struct EncryptionKeyStatic: "block.EncryptionKeyStatic" {
        /// Passphrase.
        passphrase: Option<Secret> = "passphrase";
    }

    /// A key sealed by the TPM.
    pub struct EncryptionKeyTPM: "block.EncryptionKeyTPM" {
        /// Options.
        options: Option<EncryptionKeyTPMOptions> = "options";
        /// Enrol the key only if secure boot is on.
        check_secureboot_status_on_enroll: Option<bool> = "checkSecurebootStatusOnEnroll";
    }

    /// What a key is bound to in the TPM.
    pub struct EncryptionKeyTPMOptions: "block.EncryptionKeyTPMOptions" {
        /// Registers of the TPM the key is bound to.
        pcrs: Vec<i64> = "pcrs";
    }

    /// Encryption of a volume.
    pub struct EncryptionSpec: "block.EncryptionSpec" {
        /// Kind of encryption.
        provider: Option<String> = "provider".one_of(&["luks2"]);
        /// Keys, any of which opens the volume.
        keys: Vec<EncryptionKey> = "keys";
        /// Cipher of the encryption.
        cipher: Option<String> = "cipher".one_of(&["aes-xts-plain64", "xchacha12,aes-adiantum-plain64", "xchacha20,aes-adiantum-plain64"]);
        /// Size of the encryption key in bits.
        key_size: Option<i64> = "keySize";
        /// Size of encryption blocks in bytes.
        block_size: Option<i64> = "blockSize";
        /// Options.
        options: Vec<String> = "options";
        /// Pass discards (TRIM) through the encryption.
        allow_discards: Option<bool> = "allowDiscards".since("v1.14");
    }

    /// How an existing volume is mounted.
    pub struct ExistingMountSpec: "block.ExistingMountSpec" {
        /// Mount it read-only.
        read_only: Option<bool> = "readOnly";
        /// Do not record when files were read.
        disable_access_time: Option<bool> = "disableAccessTime";
        /// Allow no set-uid programs, device files or (where it makes sense) programs.
        secure: Option<bool> = "secure";
    }

    /// Mounts a volume that exists already.
    pub struct ExistingVolumeConfig: "block.ExistingVolumeConfigV1Alpha1", kind "ExistingVolumeConfig" named {
        /// Name of the volume.
        name: Option<String> = "name".required();
        /// How members find each other.
        discovery: Option<VolumeDiscoverySpec> = "discovery";
        /// How it is mounted.
        mount: Option<ExistingMountSpec> = "mount";
        /// Regular discards of free space.
        trim: Option<TrimConfig> = "trim".since("v1.14");
        /// Regular checks of the data.
        scrub: Option<ScrubConfig> = "scrub".since("v1.14");
    }

    /// How an external volume is mounted.
    pub struct ExternalMountSpec: "block.ExternalMountSpec" {
        /// Mount it read-only.
        read_only: Option<bool> = "readOnly";
        /// Do not record when files were read.
        disable_access_time: Option<bool> = "disableAccessTime";
        /// Allow no set-uid programs, device files or (where it makes sense) programs.
        secure: Option<bool> = "secure";
        /// Share of the hypervisor.
        virtiofs: Option<VirtiofsMountSpec> = "virtiofs";
    }

    /// Mounts a share of the hypervisor.
    pub struct ExternalVolumeConfig: "block.ExternalVolumeConfigV1Alpha1", kind "ExternalVolumeConfig" named {
        /// Name of the volume.
        name: Option<String> = "name".required();
        /// Kind of file system.
        filesystem_type: Option<String> = "filesystemType".one_of(&["virtiofs"]);
        /// How it is mounted.
        mount: Option<ExternalMountSpec> = "mount";
    }

    /// When file systems are checked.
    pub struct FilesystemScrubConfig: "block.FilesystemScrubConfigV1Alpha1", kind "FilesystemScrubConfig" since "v1.14" {
        /// Time between two runs.
        interval: Option<Duration> = "interval";
    }

    /// File system of a volume.
    pub struct FilesystemSpec: "block.FilesystemSpec" {
        /// Kind of file system.
        kind: Option<String> = "type".one_of(&["ext4", "xfs", "btrfs"]);
        /// Support quotas by project.
        project_quota_support: Option<bool> = "projectQuotaSupport";
        /// Settings of XFS.
        xfs: Option<XFSSpec> = "xfs".since("v1.14");
    }

    /// When free space is discarded.
    pub struct FilesystemTrimConfig: "block.FilesystemTrimConfigV1Alpha1", kind "FilesystemTrimConfig" since "v1.14" {
        /// Time between two runs.
        interval: Option<Duration> = "interval";
    }

    /// How a volume is mounted.
    pub struct MountSpec: "block.MountSpec" {
        /// Allow no set-uid programs, device files or (where it makes sense) programs.
        secure: Option<bool> = "secure";
        /// Do not record when files were read.
        disable_access_time: Option<bool> = "disableAccessTime".since("v1.14");
    }

    /// How a volume is made.
    pub struct ProvisioningSpec: "block.ProvisioningSpec" {
        /// Chooses the disk by its properties.
        disk_selector: Option<DiskSelector> = "diskSelector";
        /// Let the volume grow to its largest size.
        grow: Option<bool> = "grow";
        /// Smallest size, such as `10GiB`.
        min_size: Option<String> = "minSize".check(Format::Size);
        /// Largest size, such as `100GiB` or `50%`.
        max_size: Option<String> = "maxSize".check(Format::Size);
    }

    /// A partition without a file system.
    pub struct RawVolumeConfig: "block.RawVolumeConfigV1Alpha1", kind "RawVolumeConfig" named {
        /// Name of the volume.
        name: Option<String> = "name".required();
        /// How it is made.
        provisioning: Option<ProvisioningSpec> = "provisioning";
        /// Encryption at rest.
        encryption: Option<EncryptionSpec> = "encryption";
    }

    /// When the file system is checked.
    pub struct ScrubConfig: "block.ScrubConfig" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// Time between two runs.
        interval: Option<Duration> = "interval";
    }

    /// A partition for swap.
    pub struct SwapVolumeConfig: "block.SwapVolumeConfigV1Alpha1", kind "SwapVolumeConfig" named {
        /// Name of the volume.
        name: Option<String> = "name".required();
        /// How it is made.
        provisioning: Option<ProvisioningSpec> = "provisioning";
        /// Encryption at rest.
        encryption: Option<EncryptionSpec> = "encryption";
    }

    /// File system of a system volume.
    pub struct SystemVolumeFilesystemSpec: "block.SystemVolumeFilesystemSpec" {
        /// Settings of XFS.
        xfs: Option<XFSSpec> = "xfs";
    }

    /// When free space is discarded.
    pub struct TrimConfig: "block.TrimConfig" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// Time between two runs.
        interval: Option<Duration> = "interval";
    }

    /// How a user volume is mounted.
    pub struct UserMountSpec: "block.UserMountSpec" {
        /// Do not record when files were read.
        disable_access_time: Option<bool> = "disableAccessTime";
        /// Allow no set-uid programs, device files or (where it makes sense) programs.
        secure: Option<bool> = "secure";
    }

    /// A volume for the user's data, mounted under /var/mnt.
    pub struct UserVolumeConfig: "block.UserVolumeConfigV1Alpha1", kind "UserVolumeConfig" named {
        /// Name of the volume.
        name: Option<String> = "name".required();
        /// A folder of the system disk, a partition, or a whole disk.
        volume_type: Option<String> = "volumeType".one_of(&["directory", "disk", "partition"]);
        /// How it is made.
        provisioning: Option<ProvisioningSpec> = "provisioning";
        /// File system.
        filesystem: Option<FilesystemSpec> = "filesystem";
        /// Encryption at rest.
        encryption: Option<EncryptionSpec> = "encryption";
        /// How it is mounted.
        mount: Option<UserMountSpec> = "mount";
        /// Regular discards of free space.
        trim: Option<TrimConfig> = "trim".since("v1.14");
        /// Regular checks of the data.
        scrub: Option<ScrubConfig> = "scrub".since("v1.14");
    }

    /// A share of the hypervisor.
    pub struct VirtiofsMountSpec: "block.VirtiofsMountSpec" {
        /// Tag of the share.
        tag: Option<String> = "tag";
    }

    /// A volume of the system.
    pub struct VolumeConfig: "block.VolumeConfigV1Alpha1", kind "VolumeConfig" named {
        /// Name of the system volume: STATE, EPHEMERAL or IMAGECACHE.
        name: Option<String> = "name".required();
        /// How it is made.
        provisioning: Option<ProvisioningSpec> = "provisioning";
        /// File system.
        filesystem: Option<SystemVolumeFilesystemSpec> = "filesystem".since("v1.14");
        /// Encryption at rest.
        encryption: Option<EncryptionSpec> = "encryption";
        /// How it is mounted.
        mount: Option<MountSpec> = "mount";
        /// Regular discards of free space.
        trim: Option<TrimConfig> = "trim".since("v1.14");
        /// Regular checks of the data.
        scrub: Option<ScrubConfig> = "scrub".since("v1.14");
    }

    /// Finds a volume.
    pub struct VolumeDiscoverySpec: "block.VolumeDiscoverySpec" {
        /// Chooses volumes by their properties.
        volume_selector: Option<VolumeSelector> = "volumeSelector";
    }

    /// Chooses a volume.
    pub struct VolumeSelector: "block.VolumeSelector" {
        /// Expression (CEL) that is true for what is meant.
        match_: Option<String> = "match";
    }

    /// Settings of XFS.
    pub struct XFSSpec: "block.XFSSpec" {
        /// Smallest size of allocation groups.
        min_allocation_group_size: Option<String> = "minAllocationGroupSize";
    }

    /// Compression of swapped memory.
    pub struct ZswapConfig: "block.ZswapConfigV1Alpha1", kind "ZswapConfig" {
        /// Largest part of memory used, in percent.
        max_pool_percent: Option<i64> = "maxPoolPercent";
        /// Give memory back under pressure.
        shrinker_enabled: Option<bool> = "shrinkerEnabled";
    }
}
