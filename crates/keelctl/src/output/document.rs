//! A resource as a YAML or JSON document.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

/// What is known about a resource besides its spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Namespace.
    pub namespace: String,
    /// Full type name.
    pub type_name: String,
    /// Identifier within type and namespace.
    pub id: String,
    /// Number of changes, as text ("undefined" when it has none).
    pub version: String,
    /// Controller that owns it; may be empty.
    pub owner: String,
    /// `running` or `tearingDown`.
    pub phase: String,
    /// Creation, RFC 3339.
    pub created: String,
    /// Last change, RFC 3339.
    pub updated: String,
    /// Labels in order.
    pub labels: Vec<(String, String)>,
    /// Annotations in order.
    pub annotations: Vec<(String, String)>,
    /// Who still needs it.
    pub finalizers: Vec<String>,
}

/// A resource of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Name or address of the node, as the person named it.
    pub node: String,
    /// Metadata.
    pub metadata: Metadata,
    /// The spec as the node rendered it.
    pub spec_yaml: String,
}

impl Document {
    /// The spec as a value.
    pub fn spec(&self) -> Result<Value> {
        if self.spec_yaml.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_saphyr::from_str(&self.spec_yaml)
            .with_context(|| format!("read the spec of {}({})", self.metadata.type_name, self.metadata.id))
    }

    /// The whole document as a value, keys in alphabetical order.
    pub fn value(&self) -> Result<Value> {
        let m = &self.metadata;
        let mut metadata = Map::new();
        let version = m
            .version
            .parse::<u64>()
            .map_or_else(|_| json!(m.version), |number| json!(number));
        let pairs =
            |pairs: &[(String, String)]| Value::Object(pairs.iter().map(|(k, v)| (k.clone(), json!(v))).collect());
        if !m.annotations.is_empty() {
            metadata.insert("annotations".into(), pairs(&m.annotations));
        }
        metadata.insert("created".into(), json!(m.created));
        if !m.finalizers.is_empty() {
            metadata.insert("finalizers".into(), json!(m.finalizers));
        }
        metadata.insert("id".into(), json!(m.id));
        if !m.labels.is_empty() {
            metadata.insert("labels".into(), pairs(&m.labels));
        }
        metadata.insert("namespace".into(), json!(m.namespace));
        metadata.insert("owner".into(), json!(m.owner));
        metadata.insert("phase".into(), json!(m.phase));
        metadata.insert("type".into(), json!(m.type_name));
        metadata.insert("updated".into(), json!(m.updated));
        metadata.insert("version".into(), version);
        Ok(json!({"metadata": metadata, "node": self.node, "spec": sorted(self.spec()?)}))
    }

    /// As JSON with four spaces of indentation.
    pub fn to_json(&self) -> Result<String> {
        Ok(pretty_json(&self.value()?))
    }

    /// As a YAML document, without a separator.
    pub fn to_yaml(&self) -> String {
        let m = &self.metadata;
        let mut out = String::new();
        let mut line = |indent: usize, text: &str| {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(text);
            out.push('\n');
        };
        line(0, &format!("node: {}", scalar(&self.node)));
        line(0, "metadata:");
        line(4, &format!("namespace: {}", scalar(&m.namespace)));
        line(4, &format!("type: {}", scalar(&m.type_name)));
        line(4, &format!("id: {}", scalar(&m.id)));
        line(4, &format!("version: {}", m.version));
        line(4, &format!("owner: {}", scalar(&m.owner)));
        line(4, &format!("phase: {}", m.phase));
        line(4, &format!("created: {}", m.created));
        line(4, &format!("updated: {}", m.updated));
        for (name, pairs) in [("labels", &m.labels), ("annotations", &m.annotations)] {
            if !pairs.is_empty() {
                line(4, &format!("{name}:"));
                for (key, value) in pairs {
                    line(8, format!("{}: {}", scalar(key), scalar(value)).trim_end());
                }
            }
        }
        if !m.finalizers.is_empty() {
            line(4, "finalizers:");
            for finalizer in &m.finalizers {
                line(8, &format!("- {}", scalar(finalizer)));
            }
        }
        let spec = self.spec_yaml.trim_end_matches('\n');
        if is_block(spec) {
            line(0, "spec:");
            for text in spec.lines() {
                if text.is_empty() { line(0, "") } else { line(4, text) }
            }
        } else {
            line(0, &format!("spec: {spec}"));
        }
        out
    }
}

/// Whether a YAML text is a block that goes below its key, and not a scalar or `{}` that goes beside it.
fn is_block(yaml: &str) -> bool {
    let first = yaml
        .lines()
        .find(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#'))
        .unwrap_or_default();
    let starts_flow = first.starts_with(['{', '[', '|', '>']);
    let text = first.trim_end();
    !starts_flow && (text.starts_with("- ") || text == "-" || text.ends_with(':') || text.contains(": "))
}

/// A string as a plain YAML scalar if that reads back as the same string, else in single quotes.
fn scalar(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    quoted(text)
}

fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && serde_saphyr::from_str::<Value>(text).is_ok_and(|value| value == Value::String(text.to_owned()))
        && !text.contains(": ")
        && !text.contains(" #");
    if plain {
        text.to_owned()
    } else if text.contains(['\n', '\r', '\t']) {
        Value::String(text.to_owned()).to_string()
    } else if text.contains('\'') || text.is_empty() {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        format!("\"{}\"", text.replace('"', "\\\""))
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            pairs.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// JSON with four spaces of indentation, ending in a line break.
pub fn pretty_json(value: &Value) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    if serde::Serialize::serialize(value, &mut serializer).is_err() {
        return String::new(); // a Value always serialises
    }
    out.push(b'\n');
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(name: &str) -> String {
        let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Takes a captured document apart by its indentation, so that printing it can be compared with the capture.
    fn take_apart(text: &str) -> Document {
        let value: Value = serde_saphyr::from_str(text).unwrap();
        let field = |name: &str| match &value["metadata"][name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let pairs = |name: &str| -> Vec<(String, String)> {
            let map = value["metadata"][name].as_object().cloned().unwrap_or_default();
            map.into_iter()
                .map(|(k, v)| (k, v.as_str().unwrap_or_default().to_owned()))
                .collect()
        };
        let (_, spec) = text.split_once("\nspec:").unwrap();
        let spec_yaml = match spec.strip_prefix('\n') {
            Some(block) => block
                .lines()
                .map(|l| format!("{}\n", l.strip_prefix("    ").unwrap_or(l)))
                .collect(),
            None => spec.trim().to_owned() + "\n",
        };
        let finalizers = value["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        Document {
            node: value["node"].as_str().unwrap_or_default().to_owned(),
            metadata: Metadata {
                namespace: field("namespace"),
                type_name: field("type"),
                id: field("id"),
                version: field("version"),
                owner: field("owner"),
                phase: field("phase"),
                created: field("created"),
                updated: field("updated"),
                labels: pairs("labels"),
                annotations: pairs("annotations"),
                finalizers: finalizers.iter().map(|f| f.as_str().unwrap().to_owned()).collect(),
            },
            spec_yaml,
        }
    }

    #[test]
    fn yaml_of_a_live_system_is_printed_as_it_was() {
        let mut checked = 0;
        for entry in std::fs::read_dir(format!("{}/tests/vectors/resources", env!("CARGO_MANIFEST_DIR"))).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            for document in text.split("---\n").filter(|d| !d.trim().is_empty()) {
                assert_eq!(
                    take_apart(document).to_yaml().trim_end(),
                    document.trim_end(),
                    "{}",
                    path.display()
                );
                checked += 1;
            }
        }
        assert!(checked > 10);
    }

    #[test]
    fn json_of_a_live_system_is_printed_as_it_was() {
        let document = Document {
            node: "127.0.0.1".into(),
            metadata: Metadata {
                namespace: "runtime".into(),
                type_name: "Services.v1alpha1.talos.dev".into(),
                id: "apid".into(),
                version: "2".into(),
                owner: "v1alpha1.ServiceController".into(),
                phase: "running".into(),
                created: "2026-11-21T06:31:12Z".into(),
                updated: "2026-11-21T06:31:16Z".into(),
                ..Metadata::default()
            },
            spec_yaml: "running: true\nhealthy: true\nunknown: false\n".into(),
        };
        assert_eq!(
            document.to_json().unwrap() + "exit 0\n",
            vector("cli/get_services_apid_-o_json.txt")
        );
    }

    #[test]
    fn a_scalar_or_empty_spec_stands_beside_its_key() {
        assert!(!is_block("{}") && !is_block("") && !is_block("|-\n  text: x"));
        assert!(is_block("a: b") && is_block("- x") && is_block("a:\n    b: c"));
    }

    #[test]
    fn strings_that_yaml_would_misread_are_quoted() {
        assert_eq!(quoted("true"), "\"true\"");
        assert_eq!(quoted("plain/text"), "plain/text");
        assert_eq!(quoted(""), "\"\"");
        assert_eq!(scalar(""), "");
        assert_eq!(quoted("12"), "\"12\"");
    }
}
