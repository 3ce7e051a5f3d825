//! Who needs which volume, and what is mounted.

use resource::Resource;
use serde::{Deserialize, Serialize};

use crate::block::{EncryptionProviderType, FilesystemType};
use crate::types::is_default;

/// A volume that shall be mounted, and for whom.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "MountRequests.block.talos.dev",
    namespace = "runtime",
    column("Volume" = "{.volumeID}"),
    column("Parent" = "{.parentID}"),
    column("Requesters" = "{.requesters}")
)]
pub struct MountRequest {
    #[serde(rename = "volumeID")]
    #[field(1)]
    pub volume_id: String,
    #[serde(rename = "parentID")]
    #[field(2)]
    pub parent_id: String,
    #[field(5)]
    pub read_only: bool,
    #[field(6)]
    pub detached: bool,
    #[serde(skip_serializing_if = "is_default")]
    #[field(7)]
    pub disable_access_time: bool,
    #[serde(skip_serializing_if = "is_default")]
    #[field(8)]
    pub secure: bool,
    #[field(3)]
    pub requesters: Vec<String>,
    #[serde(rename = "requesterIDs")]
    #[field(4)]
    pub requester_ids: Vec<String>,
}

/// A mount.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "MountStatuses.block.talos.dev",
    namespace = "runtime",
    column("Source" = "{.source}"),
    column("Target" = "{.target}"),
    column("Filesystem" = "{.filesystem}"),
    column("Volume" = "{.spec.volumeID}")
)]
pub struct MountStatus {
    #[field(1)]
    pub spec: MountRequest,
    #[field(3)]
    pub source: String,
    #[field(2)]
    pub target: String,
    #[field(4)]
    pub filesystem: FilesystemType,
    #[serde(skip_serializing_if = "is_default")]
    #[field(7)]
    pub encryption_provider: EncryptionProviderType,
    #[field(5)]
    pub read_only: bool,
    #[field(6)]
    pub project_quota_support: bool,
    #[field(8)]
    pub detached: bool,
}

/// Somebody needs a volume.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "VolumeMountRequests.block.talos.dev",
    namespace = "runtime",
    column("Volume ID" = "{.volumeID}"),
    column("Requester" = "{.requester}")
)]
pub struct VolumeMountRequest {
    #[serde(rename = "volumeID")]
    #[field(1)]
    pub volume_id: String,
    #[field(2)]
    pub requester: String,
    #[field(3)]
    pub read_only: bool,
    #[field(4)]
    pub detached: bool,
    #[field(5)]
    pub disable_access_time: bool,
    #[field(6)]
    pub secure: bool,
}

/// A volume somebody needs is there.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "VolumeMountStatuses.block.talos.dev",
    namespace = "runtime",
    column("Volume ID" = "{.volumeID}"),
    column("Requester" = "{.requester}"),
    column("Target" = "{.target}")
)]
pub struct VolumeMountStatus {
    #[serde(rename = "volumeID")]
    #[field(1)]
    pub volume_id: String,
    #[field(2)]
    pub requester: String,
    #[field(3)]
    pub target: String,
    #[field(4)]
    pub read_only: bool,
    #[field(5)]
    pub detached: bool,
    #[field(6)]
    pub disable_access_time: bool,
    #[field(7)]
    pub secure: bool,
}
