//! The resources that describe the others: `ResourceDefinitions` and `Namespaces`.

use serde::{Deserialize, Serialize};

use crate::definition::Definition;
use crate::{Message, ProtoEnum, Resource};

/// The namespace of definitions and namespaces, and the owner of those resources.
pub const META: &str = "meta";

/// A namespace.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(default)]
#[resource(type = "Namespaces.meta.cosi.dev", namespace = "meta", aliases("ns"))]
pub struct Namespace {
    /// What its resources are.
    #[field(1)]
    pub description: String,
}

/// Whether only administrators may read a type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum Sensitivity {
    /// Everybody who may read resources.
    #[default]
    #[value(0, "")]
    NonSensitive,
    /// Administrators.
    #[value(1, "sensitive")]
    Sensitive,
}

impl Sensitivity {
    fn is_default(&self) -> bool {
        *self == Self::NonSensitive
    }
}

/// A column of `get`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct PrintColumn {
    /// The title.
    #[field(1)]
    pub name: String,
    /// The JSONPath into the spec.
    #[field(2)]
    pub json_path: String,
}

/// A resource type.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "ResourceDefinitions.meta.cosi.dev",
    namespace = "meta",
    aliases("api-resources"),
    column("Aliases" = "{.aliases[:]}")
)]
pub struct ResourceDefinition {
    /// The full type.
    #[serde(rename = "type")]
    #[field(1)]
    pub ty: String,
    /// The singular.
    #[field(2)]
    pub display_type: String,
    /// Where its resources are unless said otherwise.
    #[field(3)]
    pub default_namespace: String,
    /// The aliases people use most.
    #[field(4)]
    pub aliases: Vec<String>,
    /// Every alias.
    #[field(5)]
    pub all_aliases: Vec<String>,
    /// No names but the given ones.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[field(skip)]
    pub skip_automatic_aliases: bool,
    /// What `get` shows.
    #[field(6)]
    pub print_columns: Vec<PrintColumn>,
    /// Who may read it.
    #[serde(skip_serializing_if = "Sensitivity::is_default")]
    #[field(7)]
    pub sensitivity: Sensitivity,
}

impl From<&Definition> for ResourceDefinition {
    fn from(definition: &Definition) -> Self {
        let columns = definition.columns.iter();
        Self {
            ty: definition.ty.clone(),
            display_type: definition.display_type.clone(),
            default_namespace: definition.default_namespace.clone(),
            aliases: definition.aliases.clone(),
            all_aliases: definition.all_aliases.clone(),
            skip_automatic_aliases: definition.skip_automatic_aliases,
            print_columns: columns
                .map(|column| PrintColumn {
                    name: column.name.clone(),
                    json_path: column.json_path.clone(),
                })
                .collect(),
            sensitivity: if definition.sensitive {
                Sensitivity::Sensitive
            } else {
                Sensitivity::NonSensitive
            },
        }
    }
}
