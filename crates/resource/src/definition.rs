//! What is known of a type besides its specs: names, columns, sensitivity.

use std::sync::Arc;

use serde_json::Value;

use crate::spec::{ErasedSpec, Spec};

/// A column of `get`, with the JSONPath into the spec.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    /// The title.
    pub name: String,
    /// Such as `{.hostname}`.
    pub json_path: String,
}

/// A field of a spec.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// As in YAML.
    pub name: &'static str,
    /// The Rust type.
    pub kind: &'static str,
    /// What it is for; empty where nothing is said.
    pub description: &'static str,
}

/// Reads a spec of the type from its YAML form as JSON.
pub(crate) type Decode = fn(Value) -> Result<Arc<dyn ErasedSpec>, String>;

/// A resource type.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The full type, such as `Members.cluster.talos.dev`.
    pub ty: String,
    /// The singular, such as `Member`.
    pub display_type: String,
    /// Where its resources are unless said otherwise.
    pub default_namespace: String,
    /// The given aliases, then the singular and the initials.
    pub aliases: Vec<String>,
    /// Every name but the full type: the plural, its dotted forms, and the aliases.
    pub all_aliases: Vec<String>,
    /// No names but the given aliases.
    pub skip_automatic_aliases: bool,
    /// What it is, in a sentence or two.
    pub description: &'static str,
    /// The fields of its specs, in the order of YAML.
    pub fields: &'static [Field],
    /// What `get` shows.
    pub columns: Vec<Column>,
    /// Only administrators may read it.
    pub sensitive: bool,
    /// The API may create, change and destroy resources of it.
    pub writable: bool,
    pub(crate) decode: Option<Decode>,
}

impl Definition {
    /// The definition of a typed spec.
    #[must_use]
    pub fn of<S: Spec>() -> Self {
        let mut found = Self::new(S::TYPE, S::NAMESPACE, S::ALIASES, S::SKIP_AUTOMATIC_ALIASES);
        found.columns = S::COLUMNS
            .iter()
            .map(|(name, path)| Column {
                name: (*name).into(),
                json_path: (*path).into(),
            })
            .collect();
        found.sensitive = S::SENSITIVE;
        found.description = S::DESCRIPTION;
        found.fields = S::FIELDS;
        found.decode = Some(|value| {
            serde_json::from_value::<S>(value)
                .map(|spec| Arc::new(spec) as Arc<dyn ErasedSpec>)
                .map_err(|error| error.to_string())
        });
        found
    }

    /// A definition from its names alone.
    #[must_use]
    pub fn new(ty: &str, namespace: &str, aliases: &[&str], skip_automatic_aliases: bool) -> Self {
        let plural = ty.split('.').next().unwrap_or(ty);
        let display_type = singular(plural);
        let mut all_aliases = Vec::new();
        let mut given: Vec<String> = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        if !skip_automatic_aliases {
            given.push(display_type.to_lowercase());
            given.extend(initials(&display_type));
            let lower = ty.to_lowercase();
            let dots = lower.match_indices('.').map(|(at, _)| lower[..at].to_owned());
            all_aliases.extend(dots);
        }
        all_aliases.extend(given.iter().cloned());
        Self {
            ty: ty.to_owned(),
            display_type,
            default_namespace: namespace.to_owned(),
            aliases: given,
            all_aliases,
            skip_automatic_aliases,
            description: "",
            fields: &[],
            columns: Vec::new(),
            sensitive: false,
            writable: false,
            decode: None,
        }
    }

    /// The id of its `ResourceDefinitions` resource.
    #[must_use]
    pub fn id(&self) -> String {
        self.ty.to_lowercase()
    }

    /// Whether a person can mean this type by the name, in any case.
    #[must_use]
    pub fn answers_to(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.id() == name || self.all_aliases.contains(&name)
    }
}

/// `Members` → `Member`, `Identities` → `Identity`, `Statuses` → `Status`, `Addresses` → `Address`.
fn singular(plural: &str) -> String {
    if let Some(stem) = plural.strip_suffix("ies") {
        return format!("{stem}y");
    }
    if let Some(stem) = plural.strip_suffix("es")
        && ["s", "x", "z", "ch", "sh"].iter().any(|end| stem.ends_with(end))
    {
        return stem.to_owned();
    }
    plural.strip_suffix('s').unwrap_or(plural).to_owned()
}

/// `KubePrismConfig` → `kpc`, `kpcs`; one capital makes no initials, and an `s` at the end is its own plural.
fn initials(display_type: &str) -> Vec<String> {
    let letters: String = display_type.chars().filter(char::is_ascii_uppercase).collect();
    if letters.len() < 2 {
        return Vec::new();
    }
    let letters = letters.to_lowercase();
    let plural = (!letters.ends_with('s')).then(|| format!("{letters}s"));
    [letters].into_iter().chain(plural).collect()
}
