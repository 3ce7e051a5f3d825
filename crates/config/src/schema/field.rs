//! How each Rust type of a field is described, read from a checked tree, and written back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::{CertAndKey, Secret};

use super::format::{format_duration, parse_duration};
use super::types::{Bytes, Described, FileMode, Free, OneOrMany, Ports, Prefix, SecretBytes};
use super::{FieldSchema, Shape, Struct};
use crate::yaml::node::{Map, Node, Value};

/// A type that a field can have.
pub trait Field: Sized + Default {
    /// What its values look like.
    const SHAPE: Shape;

    /// Reads a value of a checked tree; `None` if it does not have the shape.
    fn read(node: &Node) -> Option<Self>;

    /// Writes the value; `None` if there is nothing to write.
    fn write(&self) -> Option<Node>;
}

impl<T: Field> Field for Option<T> {
    const SHAPE: Shape = T::SHAPE;

    fn read(node: &Node) -> Option<Self> {
        T::read(node).map(Some)
    }

    fn write(&self) -> Option<Node> {
        self.as_ref().and_then(Field::write)
    }
}

impl<T: Field> Field for Vec<T> {
    const SHAPE: Shape = Shape::List(&T::SHAPE);

    fn read(node: &Node) -> Option<Self> {
        Some(node.as_list()?.iter().filter_map(T::read).collect())
    }

    fn write(&self) -> Option<Node> {
        (!self.is_empty()).then(|| Node::list(self.iter().filter_map(Field::write)))
    }
}

impl<T: Field> Field for BTreeMap<String, T> {
    const SHAPE: Shape = Shape::Map(&T::SHAPE);

    fn read(node: &Node) -> Option<Self> {
        let entries = node.as_map()?.iter();
        Some(
            entries
                .filter_map(|entry| Some((entry.key.clone(), T::read(&entry.node)?)))
                .collect(),
        )
    }

    fn write(&self) -> Option<Node> {
        let entries = self
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.write()?)));
        (!self.is_empty()).then(|| Node::map(entries))
    }
}

impl Field for String {
    const SHAPE: Shape = Shape::Text;

    fn read(node: &Node) -> Option<Self> {
        node.as_text().map(str::to_owned)
    }

    fn write(&self) -> Option<Node> {
        Some(Node::text(self.as_str()))
    }
}

impl Field for bool {
    const SHAPE: Shape = Shape::Bool;

    fn read(node: &Node) -> Option<Self> {
        node.as_bool()
    }

    fn write(&self) -> Option<Node> {
        Some(Node::new(Value::Bool(*self)))
    }
}

impl Field for i64 {
    const SHAPE: Shape = Shape::Integer;

    fn read(node: &Node) -> Option<Self> {
        node.as_integer()
    }

    fn write(&self) -> Option<Node> {
        Some(Node::new(Value::Integer((*self).into())))
    }
}

impl Field for Secret {
    const SHAPE: Shape = Shape::Secret;

    fn read(node: &Node) -> Option<Self> {
        node.as_text().map(Secret::from)
    }

    fn write(&self) -> Option<Node> {
        self.expose_str().ok().map(Node::text)
    }
}

impl Field for Duration {
    const SHAPE: Shape = Shape::Duration;

    fn read(node: &Node) -> Option<Self> {
        node.as_text().and_then(parse_duration)
    }

    fn write(&self) -> Option<Node> {
        Some(Node::text(format_duration(*self)))
    }
}

/// An address that is not set reads as an absent option; the unspecified address stands for "none" otherwise.
impl Field for Address {
    const SHAPE: Shape = Shape::Address;

    fn read(node: &Node) -> Option<Self> {
        node.as_text()?.parse().ok().map(Address)
    }

    fn write(&self) -> Option<Node> {
        Some(Node::text(self.0.to_string()))
    }
}

/// An IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub IpAddr);

impl Default for Address {
    fn default() -> Self {
        Self(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self {
            address: Address::default().0,
            length: 0,
        }
    }
}

impl Field for Prefix {
    const SHAPE: Shape = Shape::Prefix;

    fn read(node: &Node) -> Option<Self> {
        node.as_text()?.parse().ok()
    }

    fn write(&self) -> Option<Node> {
        Some(Node::text(self.to_string()))
    }
}

impl Field for Ports {
    const SHAPE: Shape = Shape::Ports;

    fn read(node: &Node) -> Option<Self> {
        match &node.value {
            Value::Integer(port) => u16::try_from(*port).ok().map(|port| Self {
                first: port,
                last: port,
            }),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn write(&self) -> Option<Node> {
        let single = self.first == self.last;
        Some(if single {
            Node::new(Value::Integer(self.first.into()))
        } else {
            Node::text(self.to_string())
        })
    }
}

impl Field for FileMode {
    const SHAPE: Shape = Shape::Mode;

    fn read(node: &Node) -> Option<Self> {
        match &node.value {
            Value::Octal(mode) => Some(FileMode(*mode)),
            _ => None,
        }
    }

    fn write(&self) -> Option<Node> {
        Some(Node::new(Value::Octal(self.0)))
    }
}

impl Field for OneOrMany {
    const SHAPE: Shape = Shape::OneOrMany;

    fn read(node: &Node) -> Option<Self> {
        match &node.value {
            Value::Text(text) => Some(OneOrMany::One(text.clone())),
            Value::List(items) => Some(OneOrMany::Many(items.iter().filter_map(String::read).collect())),
            _ => None,
        }
    }

    fn write(&self) -> Option<Node> {
        Some(match self {
            OneOrMany::One(text) => Node::text(text.as_str()),
            OneOrMany::Many(values) => Node::list(values.iter().map(|value| Node::text(value.as_str()))),
        })
    }
}

impl Field for Free {
    const SHAPE: Shape = Shape::Free;

    fn read(node: &Node) -> Option<Self> {
        Some(node.into())
    }

    fn write(&self) -> Option<Node> {
        (!self.is_null()).then(|| self.into())
    }
}

/// Reads base64, with line breaks and spaces tolerated.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let compact: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(compact).ok()
}

impl Field for Bytes {
    const SHAPE: Shape = Shape::Bytes { secret: false };

    fn read(node: &Node) -> Option<Self> {
        node.as_text().and_then(decode_base64).map(Bytes)
    }

    fn write(&self) -> Option<Node> {
        Some(Node::text(STANDARD.encode(&self.0)))
    }
}

impl Field for SecretBytes {
    const SHAPE: Shape = Shape::Bytes { secret: true };

    fn read(node: &Node) -> Option<Self> {
        node.as_text()
            .and_then(decode_base64)
            .map(|bytes| SecretBytes(Secret::new(bytes)))
    }

    fn write(&self) -> Option<Node> {
        Some(Node::text(STANDARD.encode(self.0.expose())))
    }
}

impl Described for CertAndKey {
    const STRUCT: &'static Struct = &Struct {
        name: "CertificateAndKey",
        doc: " A certificate and its private key.\n",
        kind: None,
        fields: &[
            FieldSchema::new("crt", " Certificate: base64 of PEM.\n", Shape::Bytes { secret: false }),
            FieldSchema::new(
                "key",
                " Private key: base64 of PEM; empty on workers.\n",
                Shape::Bytes { secret: true },
            ),
        ],
    };
}

impl Field for CertAndKey {
    const SHAPE: Shape = Shape::Struct(CertAndKey::STRUCT);

    fn read(node: &Node) -> Option<Self> {
        let map: &Map = node.as_map()?;
        Some(Self {
            crt: map.get("crt").and_then(Bytes::read).unwrap_or_default().0,
            key: map.get("key").and_then(SecretBytes::read).unwrap_or_default().0,
        })
    }

    fn write(&self) -> Option<Node> {
        let encode = |bytes: &[u8]| Node::text(STANDARD.encode(bytes));
        Some(Node::map([
            ("crt", encode(&self.crt)),
            ("key", encode(self.key.expose())),
        ]))
    }
}
