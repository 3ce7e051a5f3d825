//! What images must be signed with.

use resource::types::Time;
use resource::{Message, Resource};
use serde::{Deserialize, Serialize};

use crate::types::is_default;

/// A rule about images: the first that matches decides, in the order of their names.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "ImageVerificationRules.security.talos.dev",
    namespace = "security",
    column("Pattern" = "{.imagePattern}"),
    column("Skip" = "{.skip}"),
    column("Deny" = "{.deny}")
)]
pub struct ImageVerificationRule {
    /// Pattern over registry and repository.
    #[field(2)]
    pub image_pattern: String,
    /// No signature is wanted.
    #[field(3)]
    pub skip: bool,
    /// The images may not come.
    #[field(4)]
    pub deny: bool,
    /// The identity that must have signed.
    #[serde(skip_serializing_if = "is_default")]
    #[field(5)]
    pub keyless_verifier: Option<ImageKeylessVerifierSpec>,
    /// The key that must have signed.
    #[serde(skip_serializing_if = "is_default")]
    #[field(6)]
    pub public_key_verifier: Option<ImagePublicKeyVerifierSpec>,
}

/// Whom keyless signatures of images are traced back to.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "TUFTrustedRoots.security.talos.dev",
    namespace = "security",
    column("Last Refresh" = "{.lastRefreshTime}")
)]
pub struct TUFTrustedRoot {
    /// Always the first of times: nothing is fetched.
    #[field(1)]
    pub last_refresh_time: Time,
    /// A `trusted_root.json` of sigstore.
    #[field(2)]
    pub json_data: String,
}

/// Which key must have signed an image.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct ImagePublicKeyVerifierSpec {
    /// A certificate or a public key, PEM.
    #[field(1)]
    pub certificate: String,
}

/// Which identity must have signed an image.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageKeylessVerifierSpec {
    #[field(1)]
    pub issuer: String,
    #[field(2)]
    pub subject: String,
    #[field(3)]
    pub subject_regex: String,
}
