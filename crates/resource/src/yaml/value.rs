//! From anything serializable to a JSON value that keeps struct order and sorts map keys as Go does.

use std::cmp::Ordering;
use std::fmt::Display;

use serde::ser::{self, Serialize};
use serde_json::{Map, Number, Value};

/// A newtype struct of this name keeps the order of the map inside it, and quotes its texts only where the syntax
/// needs it: go-yaml writes what it was given as nodes like that (`rx-gro: on`).
pub const ORDERED: &str = "$resource::yaml::Ordered";

/// Stands before a text that is not to be quoted for its meaning; no text has it, it is not a character.
pub(super) const NODE: char = '\u{10ffff}';

/// Why a value has no YAML form.
#[derive(Debug, thiserror::Error)]
#[error("write a value as YAML: {0}")]
pub struct ToValueError(String);

impl ser::Error for ToValueError {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// A value as JSON, structs in field order and maps in Go's key order.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, ToValueError> {
    value.serialize(ToValue {
        sorted: true,
        marked: false,
    })
}

/// As [`to_value`], with texts marked that are not to be quoted for their meaning: for [`emit`](super::emit) alone.
pub(crate) fn to_marked<T: Serialize + ?Sized>(value: &T) -> Result<Value, ToValueError> {
    value.serialize(ToValue {
        sorted: true,
        marked: true,
    })
}

/// The order go-yaml gives map keys: letters after other signs, runs of digits by their value.
#[must_use]
pub fn go_key_order(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut digits = false;
    for (i, (&x, &y)) in a.iter().zip(&b).enumerate() {
        if x == y {
            digits = x.is_numeric();
            continue;
        }
        return match (x.is_alphabetic(), y.is_alphabetic()) {
            (true, true) => x.cmp(&y),
            (x_letter, y_letter) if x_letter || y_letter => match (digits, x_letter) {
                (true, true) | (false, false) => Ordering::Less,
                _ => Ordering::Greater,
            },
            _ => by_number(&a, &b, i).then(x.cmp(&y)),
        };
    }
    a.len().cmp(&b.len())
}

fn by_number(a: &[char], b: &[char], start: usize) -> Ordering {
    let mut seed = 0;
    if a[start] == '0' || b[start] == '0' {
        let before = a[..start].iter().rev().take_while(|c| c.is_ascii_digit());
        seed = u64::from(before.into_iter().any(|c| *c != '0'));
    }
    let read = |text: &[char]| {
        let digits = text[start..].iter().map_while(|c| c.to_digit(10));
        digits.fold((seed, 0_usize), |(n, len), d| {
            (n.wrapping_mul(10).wrapping_add(u64::from(d)), len + 1)
        })
    };
    read(a).cmp(&read(b))
}

/// Go's order is not a total one, so this inserts one by one instead of using a sort that insists on it.
fn sort_keys(entries: Map<String, Value>) -> Map<String, Value> {
    let mut sorted: Vec<(String, Value)> = Vec::with_capacity(entries.len());
    for entry in entries {
        let place = sorted.partition_point(|other| go_key_order(&other.0, &entry.0) != Ordering::Greater);
        sorted.insert(place, entry);
    }
    sorted.into_iter().collect()
}

#[derive(Clone, Copy)]
struct ToValue {
    sorted: bool,
    marked: bool,
}

impl ToValue {
    fn inside(self, name: &str) -> Self {
        Self {
            sorted: self.sorted && name != ORDERED,
            ..self
        }
    }
}

type Done = Result<Value, ToValueError>;

impl ser::Serializer for ToValue {
    type Ok = Value;
    type Error = ToValueError;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = Variant<List>;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Variant<Entries>;

    fn serialize_bool(self, v: bool) -> Done {
        Ok(v.into())
    }
    fn serialize_i8(self, v: i8) -> Done {
        Ok(v.into())
    }
    fn serialize_i16(self, v: i16) -> Done {
        Ok(v.into())
    }
    fn serialize_i32(self, v: i32) -> Done {
        Ok(v.into())
    }
    fn serialize_i64(self, v: i64) -> Done {
        Ok(v.into())
    }
    fn serialize_u8(self, v: u8) -> Done {
        Ok(v.into())
    }
    fn serialize_u16(self, v: u16) -> Done {
        Ok(v.into())
    }
    fn serialize_u32(self, v: u32) -> Done {
        Ok(v.into())
    }
    fn serialize_u64(self, v: u64) -> Done {
        Ok(v.into())
    }
    fn serialize_f32(self, v: f32) -> Done {
        self.serialize_f64(f64::from(v))
    }
    fn serialize_f64(self, v: f64) -> Done {
        Ok(Number::from_f64(v).map_or(Value::Null, Value::Number))
    }
    fn serialize_char(self, v: char) -> Done {
        Ok(v.to_string().into())
    }
    fn serialize_str(self, v: &str) -> Done {
        Ok(if self.marked && !self.sorted {
            format!("{NODE}{v}").into()
        } else {
            v.into()
        })
    }
    fn serialize_bytes(self, v: &[u8]) -> Done {
        Ok(v.into())
    }
    fn serialize_none(self) -> Done {
        Ok(Value::Null)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Done {
        Ok(Value::Null)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Done {
        Ok(Value::Object(Map::new()))
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        Ok(variant.into())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Done {
        value.serialize(self.inside(name))
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        Ok(wrap(variant, value.serialize(self)?))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<List, ToValueError> {
        Ok(List::new(self))
    }
    fn serialize_tuple(self, _: usize) -> Result<List, ToValueError> {
        Ok(List::new(self))
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List, ToValueError> {
        Ok(List::new(self))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Variant<List>, ToValueError> {
        Ok(Variant {
            name,
            inner: List::new(self),
        })
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Entries, ToValueError> {
        Ok(Entries::new(self, self.sorted))
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Entries, ToValueError> {
        Ok(Entries::new(self, false))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Variant<Entries>, ToValueError> {
        Ok(Variant {
            name,
            inner: Entries::new(self, false),
        })
    }
}

fn wrap(variant: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(variant.to_owned(), value)]))
}

struct List {
    how: ToValue,
    items: Vec<Value>,
}

impl List {
    fn new(how: ToValue) -> Self {
        Self { how, items: Vec::new() }
    }
}

struct Entries {
    how: ToValue,
    sorted: bool,
    map: Map<String, Value>,
    key: Option<String>,
}

impl Entries {
    fn new(how: ToValue, sorted: bool) -> Self {
        Self {
            how,
            sorted,
            map: Map::new(),
            key: None,
        }
    }
}

struct Variant<T> {
    name: &'static str,
    inner: T,
}

macro_rules! pushes {
    ($($part:ident::$method:ident),+) => {$(
        impl ser::$part for List {
            type Ok = Value;
            type Error = ToValueError;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ToValueError> {
                self.items.push(value.serialize(self.how)?);
                Ok(())
            }
            fn end(self) -> Done {
                Ok(Value::Array(self.items))
            }
        }
    )+};
}
pushes!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field
);

impl ser::SerializeTupleVariant for Variant<List> {
    type Ok = Value;
    type Error = ToValueError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ToValueError> {
        self.inner.items.push(value.serialize(self.inner.how)?);
        Ok(())
    }
    fn end(self) -> Done {
        Ok(wrap(self.name, Value::Array(self.inner.items)))
    }
}

impl ser::SerializeMap for Entries {
    type Ok = Value;
    type Error = ToValueError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ToValueError> {
        self.key = Some(match to_value(key)? {
            Value::String(text) => text,
            other => other.to_string(),
        });
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ToValueError> {
        let key = self
            .key
            .take()
            .ok_or_else(|| ToValueError("a map value came before its key".to_owned()))?;
        self.map.insert(key, value.serialize(self.how)?);
        Ok(())
    }
    fn end(self) -> Done {
        Ok(Value::Object(if self.sorted { sort_keys(self.map) } else { self.map }))
    }
}

impl ser::SerializeStruct for Entries {
    type Ok = Value;
    type Error = ToValueError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), ToValueError> {
        self.map.insert(key.to_owned(), value.serialize(self.how)?);
        Ok(())
    }
    fn end(self) -> Done {
        Ok(Value::Object(self.map))
    }
}

impl ser::SerializeStructVariant for Variant<Entries> {
    type Ok = Value;
    type Error = ToValueError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), ToValueError> {
        ser::SerializeStruct::serialize_field(&mut self.inner, key, value)
    }
    fn end(self) -> Done {
        Ok(wrap(self.name, Value::Object(self.inner.map)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn keys_sort_as_go_sorts_them() {
        let mut keys = vec!["b", "a10", "a2", "A", "a-b", "ab", "1", "10", "2", "_"];
        keys.sort_by(|a, b| go_key_order(a, b));
        assert_eq!(keys, ["_", "1", "2", "10", "A", "a-b", "a2", "a10", "ab", "b"]);
    }

    #[test]
    fn structs_keep_their_order_and_maps_are_sorted() {
        #[derive(serde::Serialize)]
        struct Spec {
            z: u8,
            a: BTreeMap<&'static str, u8>,
        }
        let value = to_value(&Spec {
            z: 1,
            a: BTreeMap::from([("k10", 1), ("k9", 2)]),
        })
        .unwrap();
        assert_eq!(value.to_string(), r#"{"z":1,"a":{"k9":2,"k10":1}}"#);
    }
}
