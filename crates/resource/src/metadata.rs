//! What every resource carries besides its spec.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::yaml;

/// Whether a resource lives, or waits for its finalizers to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// It exists.
    #[default]
    Running,
    /// It is about to be destroyed; no new finalizers.
    TearingDown,
}

impl Phase {
    /// As in YAML and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Running => "running",
            Phase::TearingDown => "tearingDown",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Labels or annotations.
pub type Labels = BTreeMap<String, String>;

/// Where a resource is, who owns it, and what hangs on it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// The namespace, such as `network`.
    pub namespace: String,
    /// The full type, such as `Members.cluster.talos.dev`.
    #[serde(rename = "type")]
    pub ty: String,
    /// Unique within namespace and type.
    pub id: String,
    /// Counts the changes, from 1; 0 says that it is not in a store.
    pub version: u64,
    /// The controller that owns it; empty if it belongs to nobody (the person outside).
    pub owner: String,
    /// Running or being torn down.
    pub phase: Phase,
    /// When it was created.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// What it can be found by.
    pub labels: Labels,
    /// What others noted about it.
    pub annotations: Labels,
    /// Who needs to be done with it before it can be destroyed.
    pub finalizers: Vec<String>,
}

impl Metadata {
    /// A time as YAML shows it: RFC 3339 in whole seconds.
    #[must_use]
    pub fn time_text(time: Timestamp) -> String {
        let seconds = Timestamp::from_second(time.as_second()).unwrap_or(time);
        seconds.to_string()
    }

    /// The lines under `metadata:`, each indented by `indent`.
    #[must_use]
    pub fn to_yaml(&self, indent: usize) -> String {
        let mut out = String::new();
        let mut line = |key: &str, value: &str| {
            let space = if value.is_empty() { "" } else { " " };
            out.push_str(&format!("{:indent$}{key}:{space}{value}\n", ""));
        };
        line("namespace", &yaml::scalar(&self.namespace));
        line("type", &yaml::scalar(&self.ty));
        // go-yaml gets the id as a node without a style, so numbers stay unquoted.
        line("id", &yaml::node_scalar(&self.id));
        line("version", &self.version.to_string());
        line("owner", &yaml::node_scalar(&self.owner));
        line("phase", self.phase.as_str());
        line("created", &Self::time_text(self.created));
        line("updated", &Self::time_text(self.updated));
        for (name, labels) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !labels.is_empty() {
                out.push_str(&format!("{:indent$}{name}:\n", ""));
                for (key, value) in labels {
                    let inner = indent + 4;
                    let value = yaml::node_scalar(value);
                    let space = if value.is_empty() { "" } else { " " };
                    out.push_str(&format!("{:inner$}{}:{space}{value}\n", "", yaml::scalar(key)));
                }
            }
        }
        if !self.finalizers.is_empty() {
            let list = Value::from(self.finalizers.clone());
            out.push_str(&yaml::emit_nested("finalizers", &list, indent));
        }
        out
    }

    /// As JSON, with the keys of the YAML form.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = Map::new();
        for (key, value) in [
            ("namespace", &self.namespace),
            ("type", &self.ty),
            ("id", &self.id),
            ("owner", &self.owner),
        ] {
            map.insert(key.to_owned(), value.as_str().into());
        }
        map.insert("version".to_owned(), self.version.into());
        map.insert("phase".to_owned(), self.phase.as_str().into());
        map.insert("created".to_owned(), Self::time_text(self.created).into());
        map.insert("updated".to_owned(), Self::time_text(self.updated).into());
        for (name, labels) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !labels.is_empty() {
                let entries = labels.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str())));
                map.insert(name.to_owned(), Value::Object(entries.collect()));
            }
        }
        if !self.finalizers.is_empty() {
            map.insert("finalizers".to_owned(), self.finalizers.clone().into());
        }
        map
    }
}
