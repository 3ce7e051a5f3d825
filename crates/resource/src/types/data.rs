//! Bytes and untyped data.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::proto::{self, ProtoValue};
use crate::yaml::ORDERED;

macro_rules! bytes_on_the_wire {
    ($ty:ty) => {
        impl ProtoValue for $ty {
            fn encode(&self, number: u32, out: &mut Vec<u8>) {
                proto::bytes(&self.0, number, out);
            }
            fn is_default(&self) -> bool {
                self.0.is_empty()
            }
        }
        impl From<Vec<u8>> for $ty {
            fn from(bytes: Vec<u8>) -> Self {
                Self(bytes)
            }
        }
        impl std::ops::Deref for $ty {
            type Target = [u8];
            fn deref(&self) -> &[u8] {
                &self.0
            }
        }
    };
}

/// Bytes, a list of numbers in YAML.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub Vec<u8>);
bytes_on_the_wire!(Bytes);

/// Bytes, base64 in YAML.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Base64(pub Vec<u8>);
bytes_on_the_wire!(Base64);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD
            .decode(&text)
            .map(Self)
            .map_err(|error| D::Error::custom(format!("read base64: {error}")))
    }
}

/// Untyped data, `google.protobuf.Struct` on the wire; its keys are sorted in YAML.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Struct(pub Map<String, Value>);

impl Struct {
    /// The object of a JSON value; empty for anything else.
    #[must_use]
    pub fn from_json(value: Value) -> Self {
        match value {
            Value::Object(map) => Self(map),
            _ => Self::default(),
        }
    }

    /// As a JSON value.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Value> for Struct {
    fn from(value: Value) -> Self {
        Self::from_json(value)
    }
}

impl ProtoValue for Struct {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        self.0.encode(number, out);
    }
    fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

/// Named values that keep their order: a mapping in YAML, repeated `{1 name, 2 status}` messages on the wire.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OrderedMap(pub Vec<(String, String)>);

impl OrderedMap {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for OrderedMap {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        struct Entries<'a>(&'a [(String, String)]);
        impl Serialize for Entries<'_> {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let mut map = to.serialize_map(Some(self.0.len()))?;
                for (key, value) in self.0 {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
        to.serialize_newtype_struct(ORDERED, &Entries(&self.0))
    }
}

impl<'de> Deserialize<'de> for OrderedMap {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vec<(String, String)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of names to texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    found.push(entry);
                }
                Ok(found)
            }
        }
        from.deserialize_map(Entries).map(Self)
    }
}

impl ProtoValue for OrderedMap {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        for (name, status) in &self.0 {
            proto::nested(number, out, |inner| {
                name.encode_field(1, inner);
                status.encode_field(2, inner);
            });
        }
    }
    fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn bytes_are_numbers_or_base64_in_yaml() {
        assert_eq!(yaml::to_string(&Bytes(vec![1, 255])).unwrap(), "- 1\n- 255\n");
        assert_eq!(yaml::to_string(&Base64(b"hello".to_vec())).unwrap(), "aGVsbG8=\n");
        assert_eq!(yaml::from_str::<Base64>("aGVsbG8=").unwrap().0, b"hello");
    }

    #[test]
    fn an_ordered_map_keeps_its_order_and_a_struct_is_sorted() {
        let map: OrderedMap = yaml::from_str("b: off [fixed]\na: on\n").unwrap();
        assert_eq!(yaml::to_string(&map).unwrap(), "b: off [fixed]\na: on\n");
        let data = Struct::from_json(serde_json::json!({"b": 1, "a": {"d": 1, "c": 2}}));
        assert_eq!(yaml::to_string(&data).unwrap(), "a:\n    c: 2\n    d: 1\nb: 1\n");
    }
}
