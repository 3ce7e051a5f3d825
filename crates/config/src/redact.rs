//! The secrets of a configuration: taking them out to show the rest, and listing them to find them elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::Secret;

use crate::schema::{Shape, Struct};
use crate::yaml::node::{Node, Value};
use crate::{Config, Document, encode};

/// How the text of a secret field is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it is.
    Plain,
    /// As base64 of something.
    Base64,
}

impl Config {
    /// A copy in which the marker stands for every secret that is set. Fields that hold base64 hold the marker in
    /// base64, so that the copy is still a configuration. Comments are gone, as they could hold anything.
    pub fn redacted(&self, marker: &str) -> Self {
        let mut hide = |text: &mut String, form| match form {
            Form::Plain => marker.clone_into(text),
            Form::Base64 => *text = STANDARD.encode(marker),
        };
        let redact = |document: &Document| {
            let mut document = document.clone();
            structure(&mut document.root, document.schema, &mut hide);
            document
        };
        let documents: Vec<Document> = self.documents().map(redact).collect();
        // A marker cannot make a valid tree invalid: strings stay strings, and base64 stays base64.
        Self::from_trusted(documents.clone(), encode::stream(&documents).into_bytes())
    }

    /// The text of every secret that is set, as it stands in the configuration; what is base64 there comes decoded too,
    /// right behind it.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut found = Vec::new();
        let mut take = |text: &mut String, form| {
            found.push(Secret::new(text.as_bytes()));
            if form == Form::Base64 {
                found.extend(STANDARD.decode(text.as_bytes()).ok().map(Secret::new));
            }
        };
        for document in self.documents() {
            structure(&mut document.root.clone(), document.schema, &mut take);
        }
        found
    }
}

/// What is done with the text of each secret.
type Act<'a> = dyn FnMut(&mut String, Form) + 'a;

fn structure(node: &mut Node, schema: &Struct, act: &mut Act<'_>) {
    let Some(map) = node.as_map_mut() else { return };
    for entry in map.iter_mut() {
        if let Some(field) = schema.field(&entry.key) {
            if field.sensitive {
                everything(&mut entry.node, act);
            } else {
                value(&mut entry.node, &field.shape, act);
            }
        }
    }
}

fn value(node: &mut Node, shape: &Shape, act: &mut Act<'_>) {
    match (shape, &mut node.value) {
        (Shape::Struct(schema), _) => structure(node, schema, act),
        (Shape::List(item), Value::List(items)) => items.iter_mut().for_each(|node| value(node, item, act)),
        (Shape::Map(inner), Value::Map(map)) => map.iter_mut().for_each(|entry| value(&mut entry.node, inner, act)),
        (Shape::Secret, Value::Text(text)) if !text.is_empty() => act(text, Form::Plain),
        (Shape::Bytes { secret: true }, Value::Text(text)) if !text.is_empty() => act(text, Form::Base64),
        _ => {}
    }
}

/// Acts on every string in a free-form value.
fn everything(node: &mut Node, act: &mut Act<'_>) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|node| everything(node, act)),
        Value::Map(map) => map.iter_mut().for_each(|entry| everything(&mut entry.node, act)),
        Value::Text(text) => act(text, Form::Plain),
        _ => {}
    }
}
