//! Values that many resources hold, with the YAML and protobuf forms the machine API gives them.

mod data;
mod prefix;
mod time;

pub use data::{Base64, Bytes, OrderedMap, Struct};
pub use prefix::{ParsePrefixError, Prefix};
pub use time::{Duration, Time};

/// For `#[serde(with = "resource::types::blank")]` on an `Option`: nothing is written as `""`.
pub mod blank {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the value's text, or an empty one.
    pub fn serialize<T: Display, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_str(""),
        }
    }

    /// Reads the value from its text, nothing from an empty one.
    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
        let text = Option::<String>::deserialize(from)?.unwrap_or_default();
        if text.is_empty() {
            Ok(None)
        } else {
            text.parse().map(Some).map_err(D::Error::custom)
        }
    }
}

/// Gives a type that is `Display` and `FromStr` a text form in serde.
macro_rules! text_serde {
    ($ty:ty) => {
        impl serde::Serialize for $ty {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $ty {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
use text_serde;
