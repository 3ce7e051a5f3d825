//! Manifests of the user: read, checked, named.

use serde_json::Value;

use super::{Manifest, in_order};

/// A manifest that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not YAML.
    #[error("manifest {name:?}: {reason}")]
    Yaml {
        /// Its name or URL.
        name: String,
        /// What the parser said.
        reason: String,
    },
    /// A document of it is not a Kubernetes object.
    #[error("manifest {name:?}, document {document}: {reason}")]
    Object {
        /// Its name or URL.
        name: String,
        /// Counted from 1, empty ones left out.
        document: usize,
        /// What is missing.
        reason: &'static str,
    },
    /// Not a subnet.
    #[error("pod subnet {0:?} is not a subnet (write \"10.244.0.0/16\")")]
    PodCidr(String),
    /// Not text.
    #[error("the kubelets' bootstrap token is not text")]
    Token,
}

/// The id of a manifest that was fetched: those of the network plugin come before those of other things.
pub fn extra_id(url: &str, network: bool) -> String {
    format!("{}-{url}", if network { "05" } else { "99" })
}

/// The id of an inline manifest.
pub fn inline_id(name: &str) -> String {
    format!("99-{name}")
}

/// Reads a manifest's YAML. Lists are taken apart, namespaces and definitions come first.
///
/// # Errors
/// It is not YAML, or a document is not a Kubernetes object.
pub fn parse(id: &str, name: &str, text: &[u8]) -> Result<Manifest, ManifestError> {
    let documents = k8s::yaml::documents(text).map_err(|e| ManifestError::Yaml {
        name: name.to_owned(),
        reason: match e {
            k8s::Error::Setup(reason) => reason,
            other => other.to_string(),
        },
    })?;
    let mut objects = Vec::new();
    for (at, document) in documents.into_iter().enumerate() {
        let failed = |reason| ManifestError::Object {
            name: name.to_owned(),
            document: at + 1,
            reason,
        };
        take(document, &mut objects).map_err(failed)?;
    }
    in_order(&mut objects);
    Ok(Manifest::new(id, objects))
}

fn take(document: Value, objects: &mut Vec<Value>) -> Result<(), &'static str> {
    let text = |value: &Value| value.as_str().is_some_and(|t| !t.is_empty());
    let Value::Object(mut map) = document else {
        return Err("it is not a map");
    };
    if !map.get("apiVersion").is_some_and(text) {
        return Err("it has no apiVersion");
    }
    if !map.get("kind").is_some_and(text) {
        return Err("it has no kind");
    }
    let is_list = map["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    if is_list && let Some(Value::Array(items)) = map.remove("items") {
        return items.into_iter().try_for_each(|item| take(item, objects));
    }
    if !map.get("metadata").and_then(|m| m.get("name")).is_some_and(text) {
        return Err("it has no metadata.name that is text (y, n, yes and no are not: quote them)");
    }
    objects.push(Value::Object(map));
    Ok(())
}
