//! Patches: strategic merges and JSON patches, applied in order.
//!
//! A patch either applies whole or not at all, and what comes out has passed the same checks as any configuration.

mod json;
mod merge;

use crate::config::check;
use crate::problem::{DecodeErrors, Problem};
use crate::yaml::syntax::{self, RawKind};
use crate::{Config, Document, encode};

/// A change to a configuration.
#[derive(Clone)]
pub struct Patch(Kind);

/// Values are left out, because they may be secret.
impl std::fmt::Debug for Patch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Json(patch) => write!(f, "JSON patch of {} operations", patch.0.len()),
            Kind::Strategic(documents) => f.debug_tuple("Patch").field(documents).finish(),
        }
    }
}

#[derive(Clone)]
enum Kind {
    /// Operations of RFC 6902.
    Json(json_patch::Patch),
    /// Documents that are laid over the ones that are there.
    Strategic(Vec<Document>),
}

/// Why a patch cannot be read or applied.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The patch is wrong in itself.
    #[error("patch: {0}")]
    Decode(DecodeErrors),
    /// The patch is a list, but not of JSON patch operations.
    #[error("patch: this list is not a JSON patch: {0}")]
    Json(String),
    /// The configuration has several documents, or no main one.
    #[error(
        "JSON patches work on the main document alone, and this configuration has {0}: use a strategic merge patch"
    )]
    JsonOnSeveral(String),
    /// An operation of a JSON patch failed.
    #[error("apply JSON patch: {0}")]
    Operation(String),
    /// A strategic merge failed.
    #[error("apply patch: {0}")]
    Merge(Problem),
    /// The patched configuration is wrong.
    #[error("the patched configuration is wrong: {0}")]
    Result(DecodeErrors),
}

impl Patch {
    /// Reads a patch: a JSON patch if it is a list of operations, otherwise a strategic merge.
    pub fn load(text: &[u8]) -> Result<Self, PatchError> {
        let decode = |problem| PatchError::Decode(DecodeErrors::one(problem));
        let raw = syntax::read(text).map_err(decode)?;
        if let [raw] = raw.as_slice()
            && let RawKind::List(operations) = &raw.kind
        {
            return Ok(Self(Kind::Json(json::read(operations)?)));
        }
        Ok(Self(Kind::Strategic(check(&raw, true).map_err(PatchError::Decode)?)))
    }

    /// As [`Self::load`], of a file, whose name stands in errors.
    pub fn load_named(text: &[u8], name: &str) -> Result<Self, PatchError> {
        Self::load(text).map_err(|error| match error {
            PatchError::Decode(errors) => PatchError::Decode(errors.named(name.to_owned())),
            other => other,
        })
    }

    /// True if it changes nothing whatever it is applied to.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Kind::Json(patch) => patch.0.is_empty(),
            Kind::Strategic(documents) => documents.is_empty(),
        }
    }
}

/// Applies patches in order. The configuration given is not changed; without patches the same one comes back, byte for
/// byte.
pub fn apply(config: &Config, patches: &[Patch]) -> Result<Config, PatchError> {
    let mut patched = config.clone();
    for patch in patches.iter().filter(|patch| !patch.is_empty()) {
        let text = match &patch.0 {
            Kind::Json(operations) => json::apply(&patched, operations)?,
            Kind::Strategic(changes) => {
                let mut documents: Vec<Document> = patched.documents().cloned().collect();
                merge::apply(&mut documents, changes).map_err(PatchError::Merge)?;
                documents.sort_by_key(|document| !document.is_main());
                encode::stream(&documents)
            }
        };
        // Reading it back checks the whole and gives every value its place in the new text.
        let next = Config::decode(text.as_bytes()).map_err(PatchError::Result)?;
        if next != patched {
            patched = next;
        }
    }
    Ok(patched)
}
