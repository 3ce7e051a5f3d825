//! The derive macros of the `resource` crate; use them through that crate, which documents them.

mod document;
mod enumeration;
mod message;
mod resource;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct a resource: its type, namespace, aliases and columns, and its protobuf encoding.
///
/// ```text
/// #[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
/// #[serde(rename_all = "camelCase", default)]
/// #[resource(
///     type = "Members.cluster.talos.dev",
///     namespace = "cluster",
///     aliases("mate"),                       // besides those made from the type
///     column("Hostname" = "{.hostname}"),    // repeatable
///     sensitive,                             // only administrators may read it
///     skip_aliases                           // no automatic aliases
/// )]
/// struct Member {
///     #[field(1)] node_id: String,           // the protobuf number
///     #[field(2, with = module)] ca: Other,  // encoded by `module::encode_field(&Other, u32, &mut Vec<u8>)`
///     #[field(skip)] note: String,           // not in the protobuf form
/// }
/// ```
#[proc_macro_derive(Resource, attributes(resource, field))]
pub fn derive_resource(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    resource::expand(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// The protobuf encoding of a message nested in a resource: `#[field(N)]` on every field.
#[proc_macro_derive(Message, attributes(field))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    message::expand(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// A protobuf enumeration that is written as a name in YAML.
///
/// ```text
/// #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
/// enum Family {
///     #[default] #[value(0, "")] Unspecified,
///     #[value(2, "inet4")] Inet4,
///     #[value(10, "inet6", "ipv6")] Inet6,     // further names are read, not written
///     #[other("Family({})")] Other(i32),       // any other number
/// }
/// ```
///
/// Gives `number`, `from_number`, `name`, `Display`, `FromStr`, `Serialize`, `Deserialize` and `ProtoValue`.
#[proc_macro_derive(ProtoEnum, attributes(value, other))]
pub fn derive_enum(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    enumeration::expand(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
