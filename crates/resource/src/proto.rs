//! The protobuf form of a spec: proto3 encoding, written field by field with the numbers of `#[field(n)]`.
//!
//! Only encoding is here: what comes in over the wire is read from its YAML form.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde_json::{Map, Value};

/// Something that can stand in a numbered field.
pub trait ProtoValue {
    /// Writes the field, whatever its value.
    fn encode(&self, number: u32, out: &mut Vec<u8>);

    /// Whether this is the value a reader assumes when the field is missing.
    fn is_default(&self) -> bool;

    /// Writes the field unless it has its default value.
    fn encode_field(&self, number: u32, out: &mut Vec<u8>) {
        if !self.is_default() {
            self.encode(number, out);
        }
    }

    /// Writes a repeated field; scalars are packed.
    fn encode_repeated(items: &[Self], number: u32, out: &mut Vec<u8>)
    where
        Self: Sized,
    {
        for item in items {
            item.encode(number, out);
        }
    }
}

/// A message: what `#[derive(Message)]` and `#[derive(Resource)]` implement.
pub trait Message {
    /// Writes every field that has not its default value.
    fn encode_fields(&self, out: &mut Vec<u8>);

    /// The message by itself.
    fn encode_to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_fields(&mut out);
        out
    }
}

/// A name that is none of an enumeration's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is no {what} (known: {known})")]
pub struct UnknownName {
    what: &'static str,
    text: String,
    known: String,
}

impl UnknownName {
    /// `what` is the enumeration's name, `known` its values.
    #[must_use]
    pub fn new(what: &'static str, text: &str, known: &[&str]) -> Self {
        Self {
            what,
            text: text.to_owned(),
            known: known.join(", "),
        }
    }
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// Writes a base-128 number.
pub fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn tag(number: u32, wire: u32, out: &mut Vec<u8>) {
    varint(u64::from(number << 3 | wire), out);
}

/// Writes a length-delimited field.
pub fn bytes(value: &[u8], number: u32, out: &mut Vec<u8>) {
    tag(number, BYTES, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Writes a nested message.
pub fn encode_message<M: Message + ?Sized>(message: &M, number: u32, out: &mut Vec<u8>) {
    bytes(&message.encode_to_vec(), number, out);
}

/// Whether a message has nothing but defaults.
pub fn is_empty_message<M: Message + ?Sized>(message: &M) -> bool {
    message.encode_to_vec().is_empty()
}

/// Writes a nested message whose fields a function writes.
pub fn nested(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    bytes(&inner, number, out);
}

macro_rules! integers {
    ($($ty:ty as $wide:ty),+) => {$(
        impl ProtoValue for $ty {
            fn encode(&self, number: u32, out: &mut Vec<u8>) {
                tag(number, VARINT, out);
                varint(<$wide>::from(*self) as u64, out);
            }
            fn is_default(&self) -> bool {
                *self == <$ty>::default()
            }
            fn encode_repeated(items: &[Self], number: u32, out: &mut Vec<u8>) {
                let mut packed = Vec::with_capacity(items.len());
                for item in items {
                    varint(<$wide>::from(*item) as u64, &mut packed);
                }
                bytes(&packed, number, out);
            }
        }
    )+};
}
integers!(i32 as i64, i64 as i64, u16 as u64, u32 as u64, u64 as u64, bool as u64);

/// A number by itself, bytes as a list.
impl ProtoValue for u8 {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        u32::from(*self).encode(number, out);
    }
    fn is_default(&self) -> bool {
        *self == 0
    }
    fn encode_repeated(items: &[Self], number: u32, out: &mut Vec<u8>) {
        bytes(items, number, out);
    }
}

impl ProtoValue for f64 {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        tag(number, FIXED64, out);
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn is_default(&self) -> bool {
        self.to_bits() == 0
    }
}

impl ProtoValue for f32 {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        tag(number, FIXED32, out);
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn is_default(&self) -> bool {
        self.to_bits() == 0
    }
}

impl ProtoValue for String {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        bytes(self.as_bytes(), number, out);
    }
    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

impl<T: ProtoValue> ProtoValue for Vec<T> {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        T::encode_repeated(self, number, out);
    }
    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

impl<T: ProtoValue> ProtoValue for Option<T> {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        if let Some(value) = self {
            value.encode(number, out);
        }
    }
    fn is_default(&self) -> bool {
        self.is_none()
    }
}

impl<T: ProtoValue> ProtoValue for Box<T> {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        (**self).encode(number, out);
    }
    fn is_default(&self) -> bool {
        (**self).is_default()
    }
}

impl<K: ProtoValue, T: ProtoValue> ProtoValue for BTreeMap<K, T> {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        for (key, value) in self {
            nested(number, out, |entry| {
                key.encode(1, entry);
                value.encode(2, entry);
            });
        }
    }
    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

/// The bytes of an address, four or sixteen.
pub(crate) fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// `common.NetIP`.
impl ProtoValue for IpAddr {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        nested(number, out, |inner| bytes(&octets(self), 1, inner));
    }
    fn is_default(&self) -> bool {
        false
    }
}

/// `common.NetIPPort`.
impl ProtoValue for SocketAddr {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        nested(number, out, |inner| {
            bytes(&octets(&self.ip()), 1, inner);
            self.port().encode_field(2, inner);
        });
    }
    fn is_default(&self) -> bool {
        false
    }
}

/// `google.protobuf.Struct`.
impl ProtoValue for Map<String, Value> {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        nested(number, out, |inner| struct_fields(self, inner));
    }
    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

/// `google.protobuf.Struct` if it is an object; anything else has no protobuf form and is left out.
impl ProtoValue for Value {
    fn encode(&self, number: u32, out: &mut Vec<u8>) {
        if let Value::Object(object) = self {
            object.encode(number, out);
        }
    }
    fn is_default(&self) -> bool {
        !self.is_object()
    }
}

fn struct_fields(object: &Map<String, Value>, out: &mut Vec<u8>) {
    for (key, value) in object {
        nested(1, out, |entry| {
            bytes(key.as_bytes(), 1, entry);
            nested(2, entry, |inner| any_value(value, inner));
        });
    }
}

/// `google.protobuf.Value`.
fn any_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => 0_i32.encode(1, out),
        Value::Number(number) => number.as_f64().unwrap_or_default().encode(2, out),
        Value::String(text) => bytes(text.as_bytes(), 3, out),
        Value::Bool(yes) => yes.encode(4, out),
        Value::Object(object) => nested(5, out, |inner| struct_fields(object, inner)),
        Value::Array(items) => nested(6, out, |list| {
            for item in items {
                nested(1, list, |inner| any_value(item, inner));
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(value: &impl ProtoValue) -> Vec<u8> {
        let mut out = Vec::new();
        value.encode_field(1, &mut out);
        out
    }

    #[test]
    fn scalars_are_written_as_the_protobuf_specification_shows() {
        assert_eq!(one(&150_u32), [0x08, 0x96, 0x01]);
        assert_eq!(one(&"testing".to_owned()), *b"\x0a\x07testing");
        assert_eq!(
            one(&-1_i32),
            [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
        );
        assert_eq!(
            one(&vec![3_u32, 270, 86942]),
            [0x0a, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05]
        );
        assert_eq!(one(&vec![1_u8, 200]), [0x0a, 0x02, 1, 200]);
        assert_eq!(one(&1.0_f64), [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    }

    #[test]
    fn defaults_are_left_out_and_present_options_are_not() {
        assert!(one(&0_u32).is_empty() && one(&String::new()).is_empty() && one(&false).is_empty());
        assert!(one(&None::<u32>).is_empty());
        assert_eq!(one(&Some(0_u32)), [0x08, 0x00]);
    }

    #[test]
    fn addresses_are_the_messages_of_the_common_package() {
        let address: IpAddr = "10.5.0.2".parse().unwrap();
        assert_eq!(one(&address), [0x0a, 0x06, 0x0a, 0x04, 10, 5, 0, 2]);
        let port: SocketAddr = "127.0.0.1:53".parse().unwrap();
        assert_eq!(one(&port), [0x0a, 0x08, 0x0a, 0x04, 127, 0, 0, 1, 0x10, 53]);
    }

    #[test]
    fn a_map_is_repeated_entries() {
        let map = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        assert_eq!(one(&map), *b"\x0a\x06\x0a\x01a\x12\x01b");
    }

    #[test]
    fn json_becomes_a_protobuf_struct() {
        assert_eq!(one(&json!({"a": true})), *b"\x0a\x09\x0a\x07\x0a\x01a\x12\x02\x20\x01");
        assert!(one(&Value::Null).is_empty());
    }
}
