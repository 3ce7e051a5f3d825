//! From text as written to a typed tree: every key known, every value of its type. All problems of a document are
//! collected, each with its place and what would be right.

use super::format::{Format, Mismatch, parse_duration};
use super::suggest::closest;
use super::types::{Ports, Prefix};
use super::{FieldSchema, Shape, Struct};
use crate::problem::{DocumentId, Position, Problem};
use crate::yaml::node::{Entry, Map, Node, Value};
use crate::yaml::scalar::{self, Meaning};
use crate::yaml::syntax::{Raw, RawKind};

/// Problems collected from one text before giving up; more would not help anyone.
pub const MAX_PROBLEMS: usize = 50;

/// The key of a patch that asks for a deletion.
pub const PATCH_KEY: &str = "$patch";

/// Checks one document against its schema. In a patch, `$patch` may stand where a value or key may.
pub struct Checker<'a> {
    /// The document, for messages.
    pub document: &'a DocumentId,
    /// Whether this is a patch.
    pub is_patch: bool,
    /// What was wrong so far.
    pub problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    /// Checks a document's map.
    pub fn document(&mut self, raw: &Raw, schema: &'static Struct) -> Node {
        self.structure(raw, schema, "")
    }

    fn problem(&mut self, path: &str, at: Position, message: impl Into<String>, fix: Option<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            let document = Some(Box::new(self.document.clone()));
            self.problems.push(Problem {
                document,
                path: path.to_owned(),
                at,
                message: message.into(),
                fix,
            });
        }
    }

    fn wrong(&mut self, raw: &Raw, path: &str, want: &str) -> Value {
        let got = match &raw.kind {
            RawKind::Scalar { text, .. } if text.len() <= 60 => format!("{text:?} is not {want}"),
            RawKind::Scalar { .. } => format!("this text is not {want}"),
            RawKind::List(_) => format!("a list stands where {want} is wanted"),
            RawKind::Map(_) => format!("a map stands where {want} is wanted"),
        };
        self.problem(path, raw.at, got, None);
        Value::Null
    }

    fn structure(&mut self, raw: &Raw, schema: &'static Struct, path: &str) -> Node {
        let RawKind::Map(entries) = &raw.kind else {
            let value = if raw.is_null() {
                Value::Null
            } else {
                self.wrong(raw, path, "a map of fields")
            };
            return Node { value, at: raw.at };
        };
        let mut map = Map::default();
        for (key, value) in entries {
            let path = join(path, &key.text);
            let node = if let Some(field) = schema.field(&key.text) {
                self.field(value, field, &path)
            } else if schema.kind.is_some() && matches!(key.text.as_str(), "apiVersion" | "kind") {
                Node {
                    value: Value::Text(value.text().unwrap_or_default().to_owned()),
                    at: value.at,
                }
            } else if self.is_patch && key.text == PATCH_KEY {
                Node {
                    value: self.directive(value, &path),
                    at: value.at,
                }
            } else {
                self.unknown_key(schema, &key.text, key.at, &path);
                continue;
            };
            // Nothing after a key is the same as no key.
            if !node.is_null() {
                map.push(Entry {
                    key: key.text.clone(),
                    at: key.at,
                    node,
                });
            }
        }
        Node {
            value: Value::Map(map),
            at: raw.at,
        }
    }

    fn unknown_key(&mut self, schema: &'static Struct, key: &str, at: Position, path: &str) {
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let names = || schema.fields.iter().map(|field| field.name);
        let fix = match closest(key, names()) {
            Some(name) => format!("did you mean {name}?"),
            None if schema.fields.is_empty() => "it has no fields".to_owned(),
            None => format!("known here: {}", names().collect::<Vec<_>>().join(", ")),
        };
        self.problem(path, at, "there is no such field", Some(fix));
    }

    fn directive(&mut self, raw: &Raw, path: &str) -> Value {
        match raw.text() {
            Some("delete") => Value::Text("delete".into()),
            _ => {
                self.problem(
                    path,
                    raw.at,
                    "this is not a patch directive",
                    Some("the only one is delete".into()),
                );
                Value::Null
            }
        }
    }

    /// In a patch, `{$patch: delete}` may stand in the place of any value.
    fn deletion(&mut self, raw: &Raw, path: &str) -> Option<Node> {
        let RawKind::Map(entries) = &raw.kind else { return None };
        match entries.as_slice() {
            [(key, value)] if self.is_patch && key.text == PATCH_KEY => {
                let directive = Node {
                    value: self.directive(value, path),
                    at: value.at,
                };
                Some(Node {
                    value: Value::Map([(PATCH_KEY, directive)].into_iter().collect()),
                    at: raw.at,
                })
            }
            _ => None,
        }
    }

    fn field(&mut self, raw: &Raw, field: &FieldSchema, path: &str) -> Node {
        if raw.is_null() && !matches!(field.shape, Shape::Free) {
            return Node {
                value: Value::Null,
                at: raw.at,
            };
        }
        if let Some(deletion) = self.deletion(raw, path) {
            return deletion;
        }
        self.value(raw, &field.shape, field.format, path)
    }

    fn value(&mut self, raw: &Raw, shape: &Shape, format: Format, path: &str) -> Node {
        let value = match shape {
            Shape::Struct(schema) => return self.structure(raw, schema, path),
            Shape::Free => return self.free(raw, path),
            Shape::List(item) => self.list(raw, item, format, path),
            Shape::Map(value) => self.map(raw, value, format, path),
            Shape::OneOrMany => match &raw.kind {
                RawKind::List(_) => self.list(raw, &Shape::Text, format, path),
                _ => self.text(raw, format, path),
            },
            Shape::Text | Shape::Secret => self.text(raw, format, path),
            Shape::Duration => self.parsed(raw, path, Format::Duration, |text| parse_duration(text).is_some()),
            Shape::Address => self.parsed(raw, path, Format::Address, |text| {
                text.parse::<std::net::IpAddr>().is_ok()
            }),
            Shape::Prefix => self.parsed(raw, path, Format::Prefix, |text| text.parse::<Prefix>().is_ok()),
            Shape::Bytes { .. } => self.bytes(raw, path),
            Shape::Bool => match &raw.kind {
                RawKind::Scalar { text, plain: true } => match scalar::boolean(text) {
                    Some(value) => Value::Bool(value),
                    None => self.wrong(raw, path, "true or false"),
                },
                RawKind::Scalar { text, plain: false } if scalar::boolean(text).is_some() => {
                    self.problem(
                        path,
                        raw.at,
                        format!("{text:?} is a string"),
                        Some("write it without quotes".into()),
                    );
                    Value::Null
                }
                _ => self.wrong(raw, path, "true or false"),
            },
            Shape::Integer => self.integer(raw, path),
            Shape::Mode => self.mode(raw, path),
            Shape::Ports => match &raw.kind {
                RawKind::Scalar { text, plain } => match (scalar::integer(text), text.parse::<Ports>()) {
                    (Some(port), _) if *plain && (0..=65535).contains(&port) => Value::Integer(port),
                    (_, Ok(_)) => Value::Text(text.clone()),
                    _ => self.wrong(raw, path, "a port or a range of ports such as 1000-2000"),
                },
                _ => self.wrong(raw, path, "a port or a range of ports such as 1000-2000"),
            },
        };
        Node { value, at: raw.at }
    }

    fn list(&mut self, raw: &Raw, item: &Shape, format: Format, path: &str) -> Value {
        let RawKind::List(items) = &raw.kind else {
            return self.wrong(raw, path, "a list");
        };
        let mut nodes = Vec::with_capacity(items.len());
        for (i, raw) in items.iter().enumerate() {
            let path = format!("{path}[{i}]");
            if raw.is_null() && !matches!(item, Shape::Free) {
                self.problem(
                    &path,
                    raw.at,
                    "an item of the list is empty",
                    Some("remove it or give it a value".into()),
                );
                continue;
            }
            nodes.push(self.value(raw, item, format, &path));
        }
        Value::List(nodes)
    }

    fn map(&mut self, raw: &Raw, shape: &Shape, format: Format, path: &str) -> Value {
        let RawKind::Map(entries) = &raw.kind else {
            return self.wrong(raw, path, "a map");
        };
        let mut map = Map::default();
        for (key, raw) in entries {
            let path = join(path, &key.text);
            if self.is_patch && key.text == PATCH_KEY {
                let node = Node {
                    value: self.directive(raw, &path),
                    at: raw.at,
                };
                map.push(Entry {
                    key: key.text.clone(),
                    at: key.at,
                    node,
                });
                continue;
            }
            let node = match self.deletion(raw, &path) {
                Some(deletion) => deletion,
                // A key with nothing after it has the zero value of its type.
                None if raw.is_null() => match shape {
                    Shape::Text | Shape::Secret | Shape::OneOrMany => Node {
                        value: Value::Text(String::new()),
                        at: raw.at,
                    },
                    Shape::Bool => Node {
                        value: Value::Bool(false),
                        at: raw.at,
                    },
                    Shape::Struct(_) => Node {
                        value: Value::Map(Map::default()),
                        at: raw.at,
                    },
                    _ => continue,
                },
                None => self.value(raw, shape, format, &path),
            };
            map.push(Entry {
                key: key.text.clone(),
                at: key.at,
                node,
            });
        }
        Value::Map(map)
    }

    fn text(&mut self, raw: &Raw, format: Format, path: &str) -> Value {
        let RawKind::Scalar { text, .. } = &raw.kind else {
            return self.wrong(raw, path, "a string");
        };
        // An empty string is how an optional field is left out by some tools.
        if !text.is_empty()
            && let Err(Mismatch { message, fix }) = format.judge(text)
        {
            self.problem(path, raw.at, message, fix);
        }
        Value::Text(text.clone())
    }

    fn parsed(&mut self, raw: &Raw, path: &str, format: Format, parses: impl Fn(&str) -> bool) -> Value {
        match &raw.kind {
            RawKind::Scalar { text, .. } if text.is_empty() => Value::Null,
            RawKind::Scalar { text, .. } if parses(text) => Value::Text(text.clone()),
            _ => self.text(raw, format, path),
        }
    }

    fn bytes(&mut self, raw: &Raw, path: &str) -> Value {
        let RawKind::Scalar { text, .. } = &raw.kind else {
            return self.wrong(raw, path, "base64 text");
        };
        if super::field::decode_base64(text).is_none() {
            let fix = if text.starts_with("-----BEGIN") {
                "encode the PEM with base64"
            } else {
                "check that it was copied whole"
            };
            self.problem(path, raw.at, "the value is not base64", Some(fix.into()));
        }
        Value::Text(text.clone())
    }

    fn integer(&mut self, raw: &Raw, path: &str) -> Value {
        match &raw.kind {
            RawKind::Scalar { text, plain: true } => match scalar::integer(text).map(i64::try_from) {
                Some(Ok(number)) => Value::Integer(number.into()),
                _ => self.wrong(raw, path, "a whole number"),
            },
            RawKind::Scalar { text, plain: false } if scalar::integer(text).is_some() => {
                self.problem(
                    path,
                    raw.at,
                    format!("{text:?} is a string"),
                    Some("write it without quotes".into()),
                );
                Value::Null
            }
            _ => self.wrong(raw, path, "a whole number"),
        }
    }

    /// Permissions are octal however they are written: `0644`, `0o644`, or `"644"` in quotes.
    fn mode(&mut self, raw: &Raw, path: &str) -> Value {
        let want = "the permissions of a file in octal, such as 0o644";
        match &raw.kind {
            RawKind::Scalar { text, plain } => {
                let number = if *plain {
                    scalar::integer(text)
                } else {
                    i128::from_str_radix(text, 8).ok()
                };
                match number {
                    Some(number) if (0..=0o7777).contains(&number) => {
                        Value::Octal(u32::try_from(number).unwrap_or_default())
                    }
                    _ => self.wrong(raw, path, want),
                }
            }
            _ => self.wrong(raw, path, want),
        }
    }

    fn free(&mut self, raw: &Raw, path: &str) -> Node {
        let value = match &raw.kind {
            RawKind::Scalar { text, plain: false } => Value::Text(text.clone()),
            RawKind::Scalar { text, plain: true } => match scalar::meaning(text) {
                Meaning::Null => Value::Null,
                Meaning::Bool(value) => Value::Bool(value),
                Meaning::Integer(value) => Value::Integer(value),
                Meaning::Float(value) => Value::Float(value),
                Meaning::Text => Value::Text(text.clone()),
            },
            RawKind::List(items) => {
                let item = |(i, item)| self.free(item, &format!("{path}[{i}]"));
                Value::List(items.iter().enumerate().map(item).collect())
            }
            RawKind::Map(entries) => {
                let mut map = Map::default();
                for (key, value) in entries {
                    let path = join(path, &key.text);
                    let node = self.free(value, &path);
                    map.push(Entry {
                        key: key.text.clone(),
                        at: key.at,
                        node,
                    });
                }
                Value::Map(map)
            }
        };
        Node { value, at: raw.at }
    }
}

/// Path of a key in a map. Keys that contain dots or slashes are put in brackets so that the path can be read.
pub fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$'));
    match (path.is_empty(), plain) {
        (true, _) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (false, false) => format!("{path}[{key:?}]"),
    }
}
