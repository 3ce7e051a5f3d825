//! YAML as go-yaml writes it, four spaces deep: what clients of the machine API expect byte for byte.
//!
//! ```
//! let value = resource::yaml::to_value(&serde_json::json!({"name": "a", "list": [1, "1"]})).unwrap();
//! assert_eq!(resource::yaml::emit(&value), "list:\n    - 1\n    - \"1\"\nname: a\n");
//! ```

mod emit;
mod plain;
mod value;

pub use emit::{emit, emit_nested, node_scalar, scalar};
pub(crate) use value::to_marked;
pub use value::{ORDERED, ToValueError, go_key_order, to_value};

/// A value as YAML: the fields of structs in their order, the keys of maps as Go sorts them.
pub fn to_string<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, ToValueError> {
    to_marked(value).map(|value| emit(&value))
}

/// Reads one YAML document; `on` and `no` are texts, not booleans, as in YAML 1.2.
pub fn from_str<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}
