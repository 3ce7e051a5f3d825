//! What a resource says: typed, and with its type erased.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::definition::Field;
use crate::proto::Message;
use crate::yaml;

/// The typed content of a resource; implemented by `#[derive(Resource)]`.
///
/// Its serde form is its YAML form, so field names and `skip_serializing_if` decide what `get -o yaml` shows.
pub trait Spec: Message + Clone + PartialEq + Debug + Send + Sync + Serialize + DeserializeOwned + 'static {
    /// The full type, such as `Members.cluster.talos.dev`.
    const TYPE: &'static str;
    /// The namespace its resources are in unless said otherwise.
    const NAMESPACE: &'static str;
    /// Further names.
    const ALIASES: &'static [&'static str] = &[];
    /// Title and JSONPath of what `get` shows.
    const COLUMNS: &'static [(&'static str, &'static str)] = &[];
    /// What it is, in a sentence or two.
    const DESCRIPTION: &'static str = "";
    /// Its fields in the order of YAML.
    const FIELDS: &'static [Field] = &[];
    /// Only administrators may read it.
    const SENSITIVE: bool = false;
    /// No names but [`Self::ALIASES`].
    const SKIP_AUTOMATIC_ALIASES: bool = false;

    /// As protobuf.
    fn encode_proto(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// As JSON, in the order of the YAML form.
    fn to_json(&self) -> Value {
        yaml::to_value(self).unwrap_or_else(|error| Value::String(error.to_string()))
    }

    /// As YAML, a document by itself.
    fn to_yaml(&self) -> String {
        yaml::to_string(self).unwrap_or_else(|error| format!("# {error}\n"))
    }
}

/// A spec of any type.
pub(crate) trait ErasedSpec: Any + Debug + Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn same(&self, other: &dyn ErasedSpec) -> bool;
    fn json(&self) -> Value;
    /// For the YAML writer alone.
    fn marked(&self) -> Value;
    fn proto(&self) -> Vec<u8>;
    fn sensitive(&self) -> bool;
}

impl<S: Spec> ErasedSpec for S {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn same(&self, other: &dyn ErasedSpec) -> bool {
        other.as_any().downcast_ref::<S>() == Some(self)
    }
    fn json(&self) -> Value {
        self.to_json()
    }
    fn marked(&self) -> Value {
        yaml::to_marked(self).unwrap_or_else(|error| Value::String(error.to_string()))
    }
    fn proto(&self) -> Vec<u8> {
        self.encode_proto()
    }
    fn sensitive(&self) -> bool {
        S::SENSITIVE
    }
}

/// What stands for the spec of a resource that is not there.
#[derive(Debug)]
pub(crate) struct Tombstone;

impl ErasedSpec for Tombstone {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn same(&self, other: &dyn ErasedSpec) -> bool {
        other.as_any().is::<Tombstone>()
    }
    fn json(&self) -> Value {
        Value::Object(serde_json::Map::new())
    }
    fn marked(&self) -> Value {
        self.json()
    }
    fn proto(&self) -> Vec<u8> {
        Vec::new()
    }
    fn sensitive(&self) -> bool {
        false
    }
}

pub(crate) type SharedSpec = Arc<dyn ErasedSpec>;
