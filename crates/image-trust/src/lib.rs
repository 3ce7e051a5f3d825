//! Which images may be pulled.
//!
//! - [`pattern`]: patterns over names of images
//! - [`policy`]: rules in order, of which the first that matches decides
//! - [`key`]: the public keys that rules name
//! - [`keyless`]: signers whom identity providers know
//! - [`simple`], [`bundle`]: the two forms in which cosign keeps signatures beside an image
//!
//! Functions of values only: what fetches signatures from registries is `image::pull`.

pub mod bundle;
pub mod fuzz;
pub mod key;
pub mod keyless;
pub mod pattern;
pub mod policy;
pub mod simple;

use std::fmt;
use std::sync::Arc;

pub use key::Key;
pub use keyless::{Identity, TrustRoot};
pub use pattern::Pattern;
pub use policy::{Decision, Keyless, Policy, Rule};

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It is not what it should be.
    #[error("the signature cannot be read: {0}")]
    Unreadable(String),
    /// Another key made it, or what is signed was changed.
    #[error("the signature is not by this key")]
    OtherKey,
    /// It is right, and says something else than that this image is good.
    #[error("the signature is for {0}")]
    OtherThing(String),
    /// It should be by somebody whom an identity provider knows, and is not.
    #[error(transparent)]
    Keyless(#[from] keyless::Flaw),
}

/// Who must have signed.
#[derive(Clone, Debug)]
pub enum Signatory {
    /// Whoever has this key.
    Key(Key),
    /// Somebody whom an identity provider knows, and whom that is traced back to.
    Identity(Identity, Arc<TrustRoot>),
}

impl Signatory {
    /// Checks that this signatory made a signature; `evidence` is what is beside it.
    fn signed(
        &self,
        signed: keyless::Signed<'_>,
        evidence: impl FnOnce() -> Result<Option<keyless::Evidence>, keyless::Flaw>,
    ) -> Result<(), Flaw> {
        match self {
            Self::Key(key) if key.verifies(signed.message, signed.signature) => Ok(()),
            Self::Key(_) => Err(Flaw::OtherKey),
            Self::Identity(identity, root) => {
                let evidence = evidence()?.ok_or(keyless::Flaw::NoCertificate)?;
                Ok(keyless::check(signed, &evidence, identity, root)?)
            }
        }
    }
}

/// As in "signed …".
impl fmt::Display for Signatory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "with the key",
            Self::Identity(..) => "by the identity",
        })
    }
}

/// What a signature has in base64.
fn decoded(what: &str, text: &str) -> Result<Vec<u8>, Flaw> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text.trim())
        .map_err(|e| Flaw::Unreadable(format!("{what} is not base64: {e}")))
}
