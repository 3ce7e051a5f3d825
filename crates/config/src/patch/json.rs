//! JSON patches (RFC 6902).

use serde_json::Value;

use super::PatchError;
use crate::yaml::emit;
use crate::yaml::node::Node;
use crate::yaml::scalar::{self, Meaning};
use crate::yaml::syntax::{Raw, RawKind};
use crate::{Config, encode};

/// Reads the operations.
pub fn read(operations: &[Raw]) -> Result<json_patch::Patch, PatchError> {
    let mut patch = Vec::with_capacity(operations.len());
    for (i, operation) in operations.iter().enumerate() {
        let operation = serde_json::from_value(to_json(operation))
            .map_err(|error| PatchError::Json(format!("operation {} (line {}): {error}", i + 1, operation.at.line)))?;
        patch.push(operation);
    }
    Ok(json_patch::Patch(patch))
}

/// Applies the operations to the only document and returns the new text.
pub fn apply(config: &Config, patch: &json_patch::Patch) -> Result<String, PatchError> {
    let documents: Vec<_> = config.documents().collect();
    let [document] = documents.as_slice() else {
        return Err(PatchError::JsonOnSeveral(format!("{} documents", documents.len())));
    };
    if !document.is_main() {
        return Err(PatchError::JsonOnSeveral(format!(
            "only a {} document",
            document.kind()
        )));
    }
    let mut value = document.to_json();
    json_patch::patch(&mut value, patch).map_err(|error| PatchError::Operation(error.to_string()))?;
    let mut root = Node::from(&value);
    encode::arrange(&mut root, document.schema);
    Ok(emit::document(&root))
}

fn to_json(raw: &Raw) -> Value {
    match &raw.kind {
        RawKind::Scalar { text, plain: false } => Value::from(text.as_str()),
        RawKind::Scalar { text, plain: true } => match scalar::meaning(text) {
            Meaning::Null => Value::Null,
            Meaning::Bool(value) => value.into(),
            Meaning::Integer(value) => match (i64::try_from(value), u64::try_from(value)) {
                (Ok(value), _) => value.into(),
                (_, Ok(value)) => value.into(),
                _ => Value::from(text.as_str()),
            },
            Meaning::Float(value) => value.into(),
            Meaning::Text => Value::from(text.as_str()),
        },
        RawKind::List(items) => items.iter().map(to_json).collect(),
        RawKind::Map(entries) => Value::Object(entries.iter().map(|(k, v)| (k.text.clone(), to_json(v))).collect()),
    }
}
