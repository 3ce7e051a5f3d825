//! Taking the secrets out of a configuration, to show it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::schema::{Shape, Struct};
use crate::yaml::node::{Node, Value};
use crate::{Config, Document, encode};

impl Config {
    /// A copy in which the marker stands for every secret that is set. Fields that hold base64 hold the marker in
    /// base64, so that the copy is still a configuration. Comments are gone, as they could hold anything.
    pub fn redacted(&self, marker: &str) -> Self {
        let redact = |document: &Document| {
            let mut document = document.clone();
            structure(&mut document.root, document.schema, marker);
            document
        };
        let documents: Vec<Document> = self.documents().map(redact).collect();
        // A marker cannot make a valid tree invalid: strings stay strings, and base64 stays base64.
        Self::from_trusted(documents.clone(), encode::stream(&documents).into_bytes())
    }
}

fn structure(node: &mut Node, schema: &Struct, marker: &str) {
    let Some(map) = node.as_map_mut() else { return };
    for entry in map.iter_mut() {
        if let Some(field) = schema.field(&entry.key) {
            if field.sensitive {
                everything(&mut entry.node, marker);
            } else {
                value(&mut entry.node, &field.shape, marker);
            }
        }
    }
}

fn value(node: &mut Node, shape: &Shape, marker: &str) {
    match (shape, &mut node.value) {
        (Shape::Struct(schema), _) => structure(node, schema, marker),
        (Shape::List(item), Value::List(items)) => items.iter_mut().for_each(|node| value(node, item, marker)),
        (Shape::Map(inner), Value::Map(map)) => map.iter_mut().for_each(|entry| value(&mut entry.node, inner, marker)),
        (Shape::Secret, Value::Text(text)) if !text.is_empty() => marker.clone_into(text),
        (Shape::Bytes { secret: true }, Value::Text(text)) if !text.is_empty() => *text = STANDARD.encode(marker),
        _ => {}
    }
}

/// Replaces every string in a free-form value.
fn everything(node: &mut Node, marker: &str) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|node| everything(node, marker)),
        Value::Map(map) => map.iter_mut().for_each(|entry| everything(&mut entry.node, marker)),
        Value::Text(text) => marker.clone_into(text),
        _ => {}
    }
}
