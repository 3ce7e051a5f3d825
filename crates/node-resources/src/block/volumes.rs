//! Volumes as they shall be, and as they are.

use resource::types::Bytes;
use resource::{Message, Resource};
use serde::{Deserialize, Serialize};

use crate::block::{
    EncryptionKeyType, EncryptionProviderType, FilesystemType, FsParameterType, VolumePhase, VolumeType,
};
use crate::types::{is_default, redacted};

/// Whether the configuration's own disks are set up.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "UserDiskConfigStatuses.block.talos.dev", namespace = "runtime", column("Ready" = "{.ready}"))]
pub struct UserDiskConfigStatus {
    #[field(1)]
    pub ready: bool,
    #[field(2)]
    pub torn_down: bool,
}

/// A volume as it shall be.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "VolumeConfigs.block.talos.dev", namespace = "runtime", sensitive)]
pub struct VolumeConfig {
    #[serde(skip_serializing_if = "is_default")]
    #[field(1)]
    pub parent_id: String,
    #[serde(rename = "type")]
    #[field(2)]
    pub ty: VolumeType,
    #[field(3)]
    pub provisioning: ProvisioningSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub encryption: EncryptionSpec,
    #[field(4)]
    pub locator: LocatorSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(5)]
    pub mount: MountSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(7)]
    pub symlink: SymlinkProvisioningSpec,
}
redacted!(VolumeConfig);

/// Held while volumes must not be closed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "VolumeLifecycles.block.talos.dev", namespace = "runtime")]
pub struct VolumeLifecycle {}

/// A volume as it is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "VolumeStatuses.block.talos.dev",
    namespace = "runtime",
    column("Type" = "{.type}"),
    column("Phase" = "{.phase}"),
    column("Location" = "{.location}"),
    column("Size" = "{.prettySize}")
)]
pub struct VolumeStatus {
    #[field(1)]
    pub phase: VolumePhase,
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub pre_fail_phase: VolumePhase,
    #[serde(rename = "type")]
    #[field(16)]
    pub ty: VolumeType,
    #[serde(rename = "parentID", skip_serializing_if = "is_default")]
    #[field(19)]
    pub parent_id: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(2)]
    pub location: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(11)]
    pub mount_location: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(8)]
    pub partition_index: i64,
    #[serde(skip_serializing_if = "is_default")]
    #[field(7)]
    pub parent_location: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(4)]
    pub uuid: String,
    #[serde(rename = "partitionUUID", skip_serializing_if = "is_default")]
    #[field(5)]
    pub partition_uuid: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(9)]
    pub size: u64,
    #[serde(skip_serializing_if = "is_default")]
    #[field(13)]
    pub pretty_size: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(10)]
    pub filesystem: FilesystemType,
    #[serde(skip_serializing_if = "is_default")]
    #[field(12)]
    pub encryption_provider: EncryptionProviderType,
    #[serde(skip_serializing_if = "is_default")]
    #[field(14)]
    pub encryption_failed_syncs: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(17)]
    pub configured_encryption_keys: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(20)]
    pub encryption_locked_to_state: bool,
    #[serde(skip_serializing_if = "is_default")]
    #[field(21)]
    pub encryption_slot: Option<i64>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(22)]
    pub tpm_encryption_options: TpmEncryptionOptionsInfo,
    #[serde(skip_serializing_if = "is_default")]
    #[field(15)]
    pub mount_spec: MountSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(18)]
    pub symlink: SymlinkProvisioningSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(3)]
    pub error_message: String,
}

/// How a volume that exists is found.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct LocatorSpec {
    #[serde(rename = "match", skip_serializing_if = "is_default")]
    #[field(skip)]
    pub matches: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(skip)]
    pub disk_match: String,
}

/// A symbolic link that is a volume.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct SymlinkProvisioningSpec {
    #[field(1)]
    pub symlink_target_path: String,
    #[field(2)]
    pub force: bool,
}

/// How a volume is encrypted.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct EncryptionSpec {
    #[field(1)]
    pub provider: EncryptionProviderType,
    #[field(2)]
    pub keys: Vec<EncryptionKey>,
    #[field(3)]
    pub cipher: String,
    #[field(4)]
    pub key_size: u64,
    #[field(5)]
    pub block_size: u64,
    #[field(6)]
    pub perf_options: Vec<String>,
}

/// How a volume that does not exist is made.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct ProvisioningSpec {
    #[serde(skip_serializing_if = "is_default")]
    #[field(3)]
    pub wave: i64,
    #[serde(skip_serializing_if = "is_default")]
    #[field(1)]
    pub disk_selector: DiskSelector,
    #[serde(skip_serializing_if = "is_default")]
    #[field(2)]
    pub partition_spec: PartitionSpec,
    #[serde(skip_serializing_if = "is_default")]
    #[field(4)]
    pub filesystem_spec: FilesystemSpec,
}

/// How a volume is mounted.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct MountSpec {
    #[field(1)]
    pub target_path: String,
    #[field(2)]
    pub selinux_label: String,
    #[field(3)]
    pub project_quota_support: bool,
    #[serde(skip_serializing_if = "is_default")]
    #[field(4)]
    pub parent_id: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(5)]
    pub file_mode: u32,
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub uid: i64,
    #[serde(skip_serializing_if = "is_default")]
    #[field(7)]
    pub gid: i64,
    #[serde(skip_serializing_if = "is_default")]
    #[field(8)]
    pub recursive_relabel: bool,
    #[serde(skip_serializing_if = "is_default")]
    #[field(9)]
    pub bind_target: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(10)]
    pub parameters: Vec<ParameterSpec>,
}

/// Registers of the TPM a key is bound to.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct TpmEncryptionOptionsInfo {
    #[field(1)]
    pub pcrs: Vec<i64>,
    #[field(2)]
    pub pub_key_pcrs: Vec<i64>,
}

/// A key of an encrypted volume.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct EncryptionKey {
    #[field(1)]
    pub slot: i64,
    #[serde(rename = "type")]
    #[field(2)]
    pub ty: EncryptionKeyType,
    #[field(6)]
    pub lock_to_state: bool,
    #[field(3)]
    pub static_passphrase: String,
    #[field(4)]
    pub kms_endpoint: String,
    #[field(5)]
    pub tpm_check_secureboot_status_on_enroll: bool,
    #[field(7)]
    pub pcrs: Vec<i64>,
    #[field(8)]
    pub pub_key_pcrs: Vec<i64>,
}

/// A file system that shall be made.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct FilesystemSpec {
    #[serde(rename = "type")]
    #[field(1)]
    pub ty: FilesystemType,
    #[field(2)]
    pub label: String,
}

/// A partition that shall be made.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct PartitionSpec {
    #[field(1)]
    pub min_size: u64,
    #[field(2)]
    pub max_size: u64,
    #[field(6)]
    pub relative_max_size: u64,
    #[field(7)]
    pub negative_max_size: bool,
    #[field(3)]
    pub grow: bool,
    #[field(4)]
    pub label: String,
    #[serde(rename = "typeUUID")]
    #[field(5)]
    pub type_uuid: String,
}

/// Which disk is meant.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskSelector {
    #[serde(rename = "match")]
    #[field(skip)]
    pub matches: String,
    #[field(2)]
    pub external: String,
}

/// A parameter of a file system.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct ParameterSpec {
    #[serde(rename = "type")]
    #[field(1)]
    pub ty: FsParameterType,
    #[field(2)]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(3)]
    pub string: Option<String>,
    #[field(5)]
    pub binary: Bytes,
}
