//! Where resources are kept besides memory.

use serde_json::Value;

use crate::metadata::Metadata;

/// A resource as it is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct Stored {
    /// Everything but the spec.
    pub metadata: Metadata,
    /// The spec in its YAML form.
    pub spec: Value,
}

/// Keeps resources beyond the life of the process. The store reads a type when it is registered and writes each
/// change before it shows it to anybody, holding its lock: a backend must be quick, or answer from a queue of its own.
///
/// Without one, resources live in memory only.
pub trait Backend: Send + Sync {
    /// Every resource of a type.
    fn load(&self, ty: &str) -> Result<Vec<Stored>, String>;
    /// Whether resources of the type are kept at all.
    fn keeps(&self, ty: &str) -> bool;
    /// Keeps a new or changed resource.
    fn save(&self, resource: &Stored) -> Result<(), String>;
    /// Forgets a resource.
    fn remove(&self, namespace: &str, ty: &str, id: &str) -> Result<(), String>;
}
