//! The client configuration file (`talosconfig`): named contexts with endpoints, nodes and credentials.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{CertAndKey, Error, Secret, base64_bytes, base64_secret};

/// Environment variable that names the file.
pub const ENVIRONMENT: &str = "TALOSCONFIG";
/// Where Kubernetes mounts the configuration of a pod that may use the machine API.
pub const SERVICE_ACCOUNT_PATH: &str = "/var/run/secrets/talos.dev/config";

/// The file: contexts, and which of them is used when none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientConfig {
    /// Name of the current context; may be empty.
    #[serde(deserialize_with = "null_is_default")]
    pub context: String,
    /// All contexts by name.
    #[serde(deserialize_with = "null_is_default")]
    pub contexts: BTreeMap<String, Context>,
}

/// How to reach one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// Addresses to connect to; they forward to `nodes`.
    #[serde(deserialize_with = "null_is_default")]
    pub endpoints: Vec<String>,
    /// Nodes that commands are about when none is named.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub nodes: Vec<String>,
    /// Authorities of the servers (PEM).
    #[serde(with = "base64_bytes", skip_serializing_if = "Vec::is_empty")]
    pub ca: Vec<u8>,
    /// Client certificate (PEM).
    #[serde(with = "base64_bytes", skip_serializing_if = "Vec::is_empty")]
    pub crt: Vec<u8>,
    /// Client key (PEM).
    #[serde(with = "base64_secret", skip_serializing_if = "Secret::is_empty")]
    pub key: Secret,
    /// Other ways to authenticate, for proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Name of the cluster behind a proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// Authentication other than a client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// User name and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// Signed requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub siderov1: Option<SideroV1>,
}

/// User name and password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Basic {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// Identity whose key signs requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SideroV1 {
    /// Usually an e-mail address.
    pub identity: String,
}

impl Context {
    /// Client certificate and key, if there are any.
    pub fn identity(&self) -> Option<CertAndKey> {
        (!self.crt.is_empty()).then(|| CertAndKey {
            crt: self.crt.clone(),
            key: self.key.clone(),
        })
    }
}

/// A context that got another name in [`ClientConfig::merge`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// Its name in the file that was merged.
    pub from: String,
    /// Its name now.
    pub to: String,
}

impl ClientConfig {
    /// Reads the YAML of a client configuration.
    pub fn decode(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        // The parser quotes the line it stumbled over, which may hold a key: only the first line is shown.
        serde_saphyr::from_str(text).map_err(|e| Error::ClientConfig {
            path: None,
            reason: e.to_string().lines().next().unwrap_or("not valid").to_owned(),
        })
    }

    /// Writes the YAML of a client configuration.
    pub fn encode(&self) -> Result<Secret, Error> {
        let options = serde_saphyr::ser_options! {
            indent_step: 4,
            compact_list_indent: false,
            prefer_block_scalars: false,
        };
        let text = serde_saphyr::to_string_with_options(self, options).map_err(|e| Error::ClientConfig {
            path: None,
            reason: e.to_string(),
        })?;
        Ok(Secret::from(text))
    }

    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(|cause| Error::File {
            action: "read",
            path: path.to_owned(),
            cause,
        })?;
        let text = String::from_utf8(bytes).map_err(|_| Error::ClientConfig {
            path: Some(path.to_owned()),
            reason: "this is not text (UTF-8)".to_owned(),
        })?;
        Self::decode(&text).map_err(|error| match error {
            Error::ClientConfig { reason, .. } => Error::ClientConfig {
                path: Some(path.to_owned()),
                reason,
            },
            other => other,
        })
    }

    /// Reads a file; one that does not exist is an empty configuration.
    pub fn load_or_default(path: &Path) -> Result<Self, Error> {
        match Self::load(path) {
            Err(Error::File { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            other => other,
        }
    }

    /// The named context, or the current one.
    pub fn context(&self, name: Option<&str>) -> Result<&Context, Error> {
        let name = name.unwrap_or(&self.context);
        self.contexts.get(name).ok_or_else(|| self.no_context(name))
    }

    /// Like [`Self::context`], to change it.
    pub fn context_mut(&mut self, name: Option<&str>) -> Result<&mut Context, Error> {
        let name = name.unwrap_or(&self.context).to_owned();
        let missing = self.no_context(&name);
        self.contexts.get_mut(&name).ok_or(missing)
    }

    fn no_context(&self, name: &str) -> Error {
        Error::NoContext {
            name: name.to_owned(),
            known: self.contexts.keys().cloned().collect(),
        }
    }

    /// Adds the contexts of another configuration. A context whose name is taken by a different one becomes `NAME-1`,
    /// `NAME-2` and so on; the other's current context becomes current.
    pub fn merge(&mut self, other: ClientConfig) -> Vec<Rename> {
        let mut renames = Vec::new();
        for (name, context) in other.contexts {
            let free = self.free_name(&name, &context);
            if other.context == name {
                self.context.clone_from(&free);
            }
            if free != name {
                renames.push(Rename {
                    from: name,
                    to: free.clone(),
                });
            }
            self.contexts.insert(free, context);
        }
        renames
    }

    fn free_name(&self, name: &str, context: &Context) -> String {
        let fits = |candidate: &str| self.contexts.get(candidate).is_none_or(|existing| existing == context);
        if fits(name) {
            return name.to_owned();
        }
        let mut number = 1usize;
        loop {
            let candidate = format!("{name}-{number}");
            if fits(&candidate) {
                return candidate;
            }
            number += 1;
        }
    }
}

/// Where the configuration is when no flag names it: `TALOSCONFIG`, the service account mount if it exists, and then
/// the first of `names` (paths below the home folder) that exists, or the first if none does.
pub fn default_path(environment: impl Fn(&str) -> Option<OsString>, names: &[&str]) -> Option<PathBuf> {
    if let Some(path) = environment(ENVIRONMENT).filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let mounted = Path::new(SERVICE_ACCOUNT_PATH);
    if mounted.exists() {
        return Some(mounted.to_owned());
    }
    let home = PathBuf::from(environment("HOME").filter(|home| !home.is_empty())?);
    let all: Vec<PathBuf> = names.iter().map(|name| home.join(name)).collect();
    all.iter().find(|path| path.exists()).or(all.first()).cloned()
}

fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(names: &[(&str, &str)], current: &str) -> ClientConfig {
        ClientConfig {
            context: current.to_owned(),
            contexts: names
                .iter()
                .map(|(name, endpoint)| {
                    (
                        (*name).to_owned(),
                        Context {
                            endpoints: vec![(*endpoint).to_owned()],
                            ..Default::default()
                        },
                    )
                })
                .collect(),
        }
    }

    #[test]
    fn merging_renames_what_clashes_and_follows_the_new_context() {
        let mut ours = with(&[("demo", "10.0.0.1")], "demo");
        let renames = ours.merge(with(&[("demo", "10.0.0.2"), ("lab", "10.0.0.3")], "demo"));
        assert_eq!(
            renames,
            [Rename {
                from: "demo".into(),
                to: "demo-1".into()
            }]
        );
        assert_eq!(ours.context, "demo-1");
        assert_eq!(ours.contexts.keys().collect::<Vec<_>>(), ["demo", "demo-1", "lab"]);
        ours.merge(with(&[("demo", "10.0.0.9")], ""));
        assert!(ours.contexts.contains_key("demo-2"));
        assert_eq!(ours.context, "demo-1");
        assert!(
            ours.merge(with(&[("lab", "10.0.0.3")], "")).is_empty(),
            "an identical context is not doubled"
        );
    }

    #[test]
    fn what_is_encoded_reads_back() {
        let mut config = with(&[("a: b", "10.0.0.1")], "a: b");
        config.contexts.get_mut("a: b").unwrap().key = Secret::from("key");
        let text = String::from_utf8(config.encode().unwrap().expose().to_vec()).unwrap();
        assert_eq!(ClientConfig::decode(&text).unwrap(), config);
    }

    #[test]
    fn nulls_and_unknown_keys_are_tolerated_and_errors_hold_no_secret() {
        let config = ClientConfig::decode("context: x\ncontexts:\n  x:\n    endpoints: null\n    nodes:\n").unwrap();
        assert!(config.context(None).unwrap().endpoints.is_empty());
        assert_eq!(ClientConfig::decode("").unwrap(), ClientConfig::default());
        let error = ClientConfig::decode("context: x\ncontexts:\n  x:\n    key: '!hunter2'\n").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let error = config.context(Some("y")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "context \"y\" is not in the client configuration; it has: x"
        );
    }

    #[test]
    fn the_search_order_is_environment_then_home() {
        let home = tempfile::tempdir().unwrap();
        let home_text = home.path().as_os_str().to_owned();
        let plain = |name: &str| (name == "HOME").then(|| home_text.clone());
        let names = [".keelson/config", ".talos/config"];
        assert_eq!(
            default_path(plain, &names).unwrap(),
            home.path().join(".keelson/config")
        );
        fs::create_dir(home.path().join(".talos")).unwrap();
        fs::write(home.path().join(".talos/config"), "").unwrap();
        assert_eq!(default_path(plain, &names).unwrap(), home.path().join(".talos/config"));
        assert_eq!(
            default_path(|_| Some("/x".into()), &names).unwrap(),
            PathBuf::from("/x")
        );
    }
}
