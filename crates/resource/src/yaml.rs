//! YAML as go-yaml writes it, four spaces deep: what clients of the machine API expect byte for byte.
//!
//! ```
//! let value = resource::yaml::to_value(&serde_json::json!({"name": "a", "list": [1, "1"]})).unwrap();
//! assert_eq!(resource::yaml::emit(&value), "list:\n    - 1\n    - \"1\"\nname: a\n");
//! ```

mod emit;
mod plain;
mod value;

pub use emit::{emit, emit_nested, scalar};
pub use value::{ORDERED, ToValueError, go_key_order, to_value};

/// A value as YAML: the fields of structs in their order, the keys of maps as Go sorts them.
pub fn to_string<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, ToValueError> {
    to_value(value).map(|value| emit(&value))
}

/// Reads one YAML document.
pub fn from_str<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}
