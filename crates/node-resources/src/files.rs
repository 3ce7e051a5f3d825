//! Files under `/etc`.

use resource::Resource;
use serde::{Deserialize, Serialize};

use crate::types::redacted;

/// A file under `/etc` that shall exist.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "EtcFileSpecs.files.talos.dev", namespace = "files", sensitive)]
pub struct EtcFileSpec {
    #[field(1)]
    pub contents: String,
    #[field(2)]
    pub mode: u32,
    #[serde(rename = "selinux_label")]
    #[field(3)]
    pub selinux_label: String,
}
redacted!(EtcFileSpec);

/// A file under `/etc` that exists.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "EtcFileStatuses.files.talos.dev", namespace = "files")]
pub struct EtcFileStatus {
    #[field(1)]
    pub spec_version: String,
}
