//! Which images may be pulled.
//!
//! - [`pattern`]: patterns over names of images
//! - [`policy`]: rules in order, of which the first that matches decides
//! - [`key`]: the public keys that rules name
//! - [`simple`], [`bundle`]: the two forms in which cosign keeps signatures beside an image
//!
//! Functions of values only: what fetches signatures from registries is `image::pull`.

pub mod bundle;
pub mod fuzz;
pub mod key;
pub mod pattern;
pub mod policy;
pub mod simple;

pub use key::Key;
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
}

/// What a signature has in base64.
fn decoded(what: &str, text: &str) -> Result<Vec<u8>, Flaw> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text.trim())
        .map_err(|e| Flaw::Unreadable(format!("{what} is not base64: {e}")))
}
