//! What the container runtime is told.

use std::collections::BTreeMap;

use pki::CertAndKey;
use resource::types::{Base64, Struct};
use resource::{Message, ProtoEnum, Resource};
use serde::{Deserialize, Serialize};

use crate::types::{is_default, pair, redacted};

/// Whether there is a cache of images on the node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "ImageCacheConfigs.cri.talos.dev",
    namespace = "cri",
    column("Status" = "{.status}"),
    column("CopyStatus" = "{.copyStatus}"),
    column("Roots" = "{.roots}")
)]
pub struct ImageCacheConfig {
    #[field(1)]
    pub status: ImageCacheStatus,
    #[field(3)]
    pub copy_status: ImageCacheCopyStatus,
    #[field(2)]
    pub roots: Vec<String>,
}

/// Mirrors, credentials and TLS of image registries.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "RegistryConfigs.cri.talos.dev", namespace = "cri", sensitive)]
pub struct RegistryConfig {
    #[serde(skip_serializing_if = "is_default")]
    #[field(1)]
    pub mirrors: BTreeMap<String, RegistryMirrorConfig>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(2)]
    pub auths: BTreeMap<String, RegistryAuthConfig>,
    #[serde(skip_serializing_if = "is_default")]
    #[field(3)]
    pub tls: BTreeMap<String, RegistryTlsConfig>,
}
redacted!(RegistryConfig);

/// A seccomp profile for pods.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "SeccompProfiles.cri.talos.dev", namespace = "cri")]
pub struct SeccompProfile {
    #[field(1)]
    pub name: String,
    #[field(2)]
    pub value: Struct,
}

/// Credentials for a registry.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct RegistryAuthConfig {
    #[field(1)]
    pub username: String,
    #[field(2)]
    pub password: String,
    #[field(3)]
    pub auth: String,
    #[field(4)]
    pub identity_token: String,
}

/// The mirrors of a registry.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct RegistryMirrorConfig {
    #[field(1)]
    pub endpoints: Vec<RegistryEndpointConfig>,
    #[field(3)]
    pub skip_fallback: bool,
}

/// TLS of a registry.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct RegistryTlsConfig {
    #[field(1, with = pair)]
    pub client_identity: CertAndKey,
    #[field(2)]
    pub ca: Base64,
    #[field(3)]
    pub insecure_skip_verify: bool,
}

/// A mirror of a registry.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct RegistryEndpointConfig {
    #[field(1)]
    pub endpoint: String,
    #[field(2)]
    pub override_path: bool,
}

/// Whether there is a cache of images on the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum ImageCacheStatus {
    #[default]
    #[value(0, "unknown")]
    Unknown,
    #[value(1, "disabled")]
    Disabled,
    #[value(2, "preparing")]
    Preparing,
    #[value(3, "ready")]
    Ready,
}

/// How far the copy of the cache to the disk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum ImageCacheCopyStatus {
    #[default]
    #[value(0, "unknown")]
    Unknown,
    #[value(1, "skipped")]
    Skipped,
    #[value(2, "pending")]
    Pending,
    #[value(3, "ready")]
    Ready,
}
