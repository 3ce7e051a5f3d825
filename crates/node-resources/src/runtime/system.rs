//! What the system is: version, extensions, parts, platform.

use std::collections::BTreeMap;

use resource::{Message, Resource};
use serde::{Deserialize, Serialize};

use crate::runtime::{FIPSState, SELinuxState};
use crate::types::{is_default, redacted};

/// The boot loader's entry that was booted.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "BootedEntries.talos.dev", namespace = "runtime", column("Booted Entry" = "{.bootedEntry}"))]
pub struct BootedEntry {
    #[field(1)]
    pub booted_entry: String,
}

/// Configuration of a service that an extension brings.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "ExtensionServiceConfigs.runtime.talos.dev", namespace = "runtime", sensitive)]
pub struct ExtensionServiceConfig {
    #[field(1)]
    pub files: Vec<ExtensionServiceConfigFile>,
    #[field(2)]
    pub environment: Vec<String>,
}
redacted!(ExtensionServiceConfig);

/// The configuration of a service that an extension brings is in place.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "ExtensionServiceConfigStatuses.runtime.talos.dev", namespace = "runtime")]
pub struct ExtensionServiceConfigStatus {
    #[field(1)]
    pub spec_version: String,
}

/// An extension that is part of the system.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "ExtensionStatuses.runtime.talos.dev",
    namespace = "runtime",
    aliases("extensions"),
    column("Name" = "{.metadata.name}"),
    column("Version" = "{.metadata.version}")
)]
pub struct ExtensionStatus {
    #[field(1)]
    pub image: String,
    #[field(2)]
    pub metadata: ExtensionMetadata,
}

/// A value kept besides the machine configuration.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "MetaKeys.runtime.talos.dev", namespace = "runtime", aliases("meta"), column("Value" = "{.value}"))]
pub struct MetaKey {
    #[field(1)]
    pub value: String,
}

/// Whether the values kept besides the machine configuration have been read.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "MetaLoads.runtime.talos.dev", namespace = "runtime", column("Done" = "{.done}"))]
pub struct MetaLoad {
    #[field(1)]
    pub done: bool,
}

/// What the platform says of the machine.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "PlatformMetadatas.talos.dev",
    namespace = "runtime",
    column("Platform" = "{.platform}"),
    column("Type" = "{.instanceType}"),
    column("Region" = "{.region}"),
    column("Zone" = "{.zone}")
)]
pub struct PlatformMetadata {
    #[field(1)]
    pub platform: String,
    #[field(2)]
    pub hostname: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(3)]
    pub region: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(4)]
    pub zone: String,
    #[field(5)]
    pub instance_type: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub instance_id: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(7)]
    pub provider_id: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(8)]
    pub spot: bool,
    #[serde(rename = "internalDNS", skip_serializing_if = "is_default")]
    #[field(9)]
    pub internal_dns: String,
    #[serde(rename = "externalDNS", skip_serializing_if = "is_default")]
    #[field(10)]
    pub external_dns: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(11)]
    pub tags: BTreeMap<String, String>,
}

/// A part the system is made of.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "SBOMItems.talos.dev",
    namespace = "runtime",
    aliases("sbom", "sboms"),
    column("Version" = "{.version}"),
    column("License" = "{.license}"),
    column("Extension" = "{.extension}")
)]
pub struct SBOMItem {
    #[field(1)]
    pub name: String,
    #[field(2)]
    pub version: String,
    #[field(3)]
    pub license: String,
    #[field(4)]
    pub cpes: Vec<String>,
    #[field(5)]
    pub purls: Vec<String>,
    #[field(6)]
    pub extension: bool,
}

/// How far the machine is secured.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "SecurityStates.talos.dev",
    namespace = "runtime",
    column("SecureBoot" = "{.secureBoot}"),
    column("UKISigningKeyFingerprint" = "{.ukiSigningKeyFingerprint}"),
    column("PCRSigningKeyFingerprint" = "{.pcrSigningKeyFingerprint}"),
    column("SELinuxState" = "{.selinuxState}"),
    column("ModuleSignatureEnforced" = "{.moduleSignatureEnforced}")
)]
pub struct SecurityState {
    #[field(1)]
    pub secure_boot: bool,
    #[serde(skip_serializing_if = "is_default")]
    #[field(2)]
    pub uki_signing_key_fingerprint: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(3)]
    pub pcr_signing_key_fingerprint: String,
    #[serde(skip_serializing_if = "is_default")]
    #[field(4)]
    pub selinux_state: SELinuxState,
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub fips_state: FIPSState,
    #[serde(rename = "bootedWithUKI", skip_serializing_if = "is_default")]
    #[field(5)]
    pub booted_with_uki: bool,
    #[serde(skip_serializing_if = "is_default")]
    #[field(7)]
    pub module_signature_enforced: bool,
}

/// A token that is this machine's alone.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "UniqueMachineTokens.runtime.talos.dev", namespace = "runtime", column("Token" = "{.token}"))]
pub struct UniqueMachineToken {
    #[field(1)]
    pub token: String,
}

/// The system's version.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "Versions.runtime.talos.dev",
    namespace = "runtime",
    column("Name" = "{.name}"),
    column("Version" = "{.version}")
)]
pub struct Version {
    #[field(2)]
    pub name: String,
    #[field(1)]
    pub version: String,
}

/// A file for a service that an extension brings.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionServiceConfigFile {
    #[field(1)]
    pub content: String,
    #[field(2)]
    pub mount_path: String,
}

/// What an extension says of itself.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionMetadata {
    #[field(1)]
    pub name: String,
    #[field(2)]
    pub version: String,
    #[field(3)]
    pub author: String,
    #[field(4)]
    pub description: String,
    #[field(5)]
    pub compatibility: ExtensionCompatibility,
    #[field(6)]
    pub extra_info: String,
}

/// What an extension works with.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionCompatibility {
    #[field(1)]
    pub talos: ExtensionConstraint,
}

/// A version constraint.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionConstraint {
    #[field(1)]
    pub version: String,
}
