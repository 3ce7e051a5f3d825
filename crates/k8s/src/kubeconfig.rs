//! kubeconfig files: made, read, merged. The file stays a JSON value, so what we do not know survives.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::{CertAndKey, Secret};
use serde_json::{Value, json};

use crate::{Auth, Error, Options, yaml};

/// A kubeconfig file.
#[derive(Clone, PartialEq)]
pub struct Kubeconfig(Value);

impl std::fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubeconfig")
            .field("contexts", &self.names("contexts"))
            .finish_non_exhaustive()
    }
}

/// What a kubeconfig with one context says.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// Name of the user.
    pub user: &'a str,
    /// Name of the context; becomes the current one.
    pub context: &'a str,
    /// `https://host:port`
    pub server: &'a str,
    /// Authorities of the server, PEM.
    pub ca: &'a [u8],
    /// Namespace of the context, if it is not to be left to the client.
    pub namespace: Option<&'a str>,
    /// Who the user is.
    pub auth: &'a Auth,
}

/// A name that was taken, and the one it has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// Its name in the file that was merged.
    pub from: String,
    /// Its name now.
    pub to: String,
}

/// What to do when a name of the merged file is taken by something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    /// Keep both; the new one is called `NAME-1` and so on.
    Rename,
    /// The new one replaces the old.
    Overwrite,
}

impl Default for Kubeconfig {
    fn default() -> Self {
        Self(json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [], "contexts": [], "current-context": "", "preferences": {}, "users": [],
        }))
    }
}

impl Kubeconfig {
    /// A file with one cluster, one user and one context.
    ///
    /// # Errors
    /// The token is not text.
    pub fn new(entry: &Entry<'_>) -> Result<Self, Error> {
        let user = match entry.auth {
            Auth::Anonymous => json!({}),
            Auth::Token(token) => {
                json!({"token": token.expose_str().map_err(|e| Error::Setup(format!("token: {e}")))?})
            }
            Auth::Certificate(pair) => json!({
                "client-certificate-data": STANDARD.encode(&pair.crt),
                "client-key-data": STANDARD.encode(pair.key.expose()),
            }),
        };
        let mut context = json!({"cluster": entry.cluster, "user": entry.user});
        if let Some(namespace) = entry.namespace {
            context["namespace"] = namespace.into();
        }
        Ok(Self(json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": entry.cluster,
                "cluster": {"server": entry.server, "certificate-authority-data": STANDARD.encode(entry.ca)},
            }],
            "contexts": [{"name": entry.context, "context": context}],
            "current-context": entry.context,
            "preferences": {},
            "users": [{"name": entry.user, "user": user}],
        })))
    }

    /// Reads YAML or JSON; an empty file is an empty configuration.
    ///
    /// # Errors
    /// Not YAML, or not a kubeconfig.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let mut documents = yaml::documents(text)?;
        let Some(value) = documents.pop() else {
            return Ok(Self::default());
        };
        if !documents.is_empty() {
            return Err(Error::Setup(
                "a kubeconfig holds one YAML document, this file has several".into(),
            ));
        }
        if !value.is_object() {
            return Err(Error::Setup("the file is not a kubeconfig: it holds no map".into()));
        }
        for list in ["clusters", "contexts", "users"] {
            if !(value[list].is_null() || value[list].is_array()) {
                return Err(Error::Setup(format!(
                    "the file is not a kubeconfig: {list} is not a list"
                )));
            }
        }
        Ok(Self(value))
    }

    /// The file as YAML.
    ///
    /// # Errors
    /// It holds a value that YAML has no form for.
    pub fn encode(&self) -> Result<Secret, Error> {
        yaml::encode(&self.0)
    }

    /// The file as a value.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// Names of the contexts.
    pub fn contexts(&self) -> Vec<String> {
        self.names("contexts")
    }

    /// The context that is used when none is named.
    pub fn current_context(&self) -> Option<&str> {
        self.0["current-context"].as_str().filter(|c| !c.is_empty())
    }

    /// Changes the current context.
    pub fn set_current_context(&mut self, name: &str) {
        self.0["current-context"] = name.into();
    }

    /// Points every cluster at another server.
    pub fn set_server(&mut self, server: &str) {
        for cluster in self.0["clusters"].as_array_mut().into_iter().flatten() {
            cluster["cluster"]["server"] = server.into();
        }
    }

    /// The authorities that the first cluster trusts, PEM, if they can be read.
    pub fn ca(&self) -> Option<Vec<u8>> {
        bytes(&self.0["clusters"][0]["cluster"], "certificate-authority").ok()?
    }

    /// Has every cluster trust these authorities (PEM), and no file instead.
    pub fn set_ca(&mut self, ca: &[u8]) {
        for cluster in self.0["clusters"].as_array_mut().into_iter().flatten() {
            if let Some(cluster) = cluster["cluster"].as_object_mut() {
                cluster.remove("certificate-authority");
                cluster.insert("certificate-authority-data".to_owned(), STANDARD.encode(ca).into());
            }
        }
    }

    /// Gives the current context another name.
    pub fn rename_context(&mut self, to: &str) {
        let current = self.0["current-context"].clone();
        for context in self.0["contexts"].as_array_mut().into_iter().flatten() {
            if context["name"] == current {
                context["name"] = to.into();
            }
        }
        self.set_current_context(to);
    }

    /// How to connect by a context (the current one if `None`).
    ///
    /// # Errors
    /// No such context; a file it names cannot be read; it asks for a plugin or an auth provider.
    pub fn options(&self, context: Option<&str>) -> Result<Options, Error> {
        let name = context
            .or(self.current_context())
            .or(self.0["contexts"][0]["name"].as_str())
            .ok_or_else(|| Error::Setup("the kubeconfig has no context".into()))?;
        let context = self.entry("contexts", "context", name)?;
        let text = |v: &Value, key: &str| v[key].as_str().unwrap_or_default().to_owned();
        let cluster = self.entry("clusters", "cluster", &text(context, "cluster"))?;
        let user_name = text(context, "user");
        let nobody = json!({});
        let user = if user_name.is_empty() {
            &nobody
        } else {
            self.entry("users", "user", &user_name)?
        };
        let ca = bytes(cluster, "certificate-authority")?.unwrap_or_default();
        let mut options = Options::new(text(cluster, "server"), &ca, auth(user, &user_name)?);
        options.insecure = cluster["insecure-skip-tls-verify"].as_bool().unwrap_or(false);
        options.server_name = cluster["tls-server-name"].as_str().map(str::to_owned);
        if let Some(namespace) = context["namespace"].as_str().filter(|n| !n.is_empty()) {
            options.namespace = namespace.to_owned();
        }
        Ok(options)
    }

    /// Adds another file's clusters, users and contexts and makes its current context the current one.
    /// What is the same in both stays single; what clashes is renamed, with the references to it, or replaces.
    pub fn merge(&mut self, other: &Kubeconfig, clash: Clash) -> Vec<Rename> {
        let mut renamed = Vec::new();
        let clusters = self.merge_list(other.items("clusters"), "clusters", clash);
        let users = self.merge_list(other.items("users"), "users", clash);
        let follow = |value: &mut Value, renames: &[Rename]| {
            if let Some(rename) = renames.iter().find(|r| *value == r.from.as_str()) {
                *value = rename.to.clone().into();
            }
        };
        let mut contexts = other.items("contexts");
        for context in &mut contexts {
            follow(&mut context["context"]["cluster"], &clusters);
            follow(&mut context["context"]["user"], &users);
        }
        let contexts = self.merge_list(contexts, "contexts", clash);
        if let Some(current) = other.current_context() {
            let mut current = Value::from(current);
            follow(&mut current, &contexts);
            self.0["current-context"] = current;
        }
        renamed.extend(clusters);
        renamed.extend(users);
        renamed.extend(contexts);
        renamed
    }

    fn merge_list(&mut self, items: Vec<Value>, list: &str, clash: Clash) -> Vec<Rename> {
        let mut renames = Vec::new();
        if !self.0[list].is_array() {
            self.0[list] = json!([]);
        }
        for mut item in items {
            let from = item["name"].as_str().unwrap_or_default().to_owned();
            let Some(mine) = self.0[list].as_array_mut() else {
                return renames;
            };
            let taken = |mine: &[Value], name: &str| mine.iter().position(|m| m["name"] == name);
            match taken(mine, &from) {
                Some(at) if mine[at] == item => {}
                Some(at) if clash == Clash::Overwrite => mine[at] = item,
                Some(_) => {
                    let free = (1u32..)
                        .map(|n| format!("{from}-{n}"))
                        .find(|to| taken(mine, to).is_none());
                    let to = free.unwrap_or_else(|| from.clone());
                    item["name"] = to.clone().into();
                    mine.push(item);
                    renames.push(Rename { from, to });
                }
                None => mine.push(item),
            }
        }
        renames
    }

    fn items(&self, list: &str) -> Vec<Value> {
        self.0[list].as_array().cloned().unwrap_or_default()
    }

    fn names(&self, list: &str) -> Vec<String> {
        self.items(list)
            .iter()
            .filter_map(|i| i["name"].as_str().map(str::to_owned))
            .collect()
    }

    fn entry(&self, list: &str, key: &str, name: &str) -> Result<&Value, Error> {
        self.0[list]
            .as_array()
            .into_iter()
            .flatten()
            .find(|item| item["name"] == name)
            .map(|item| &item[key])
            .ok_or_else(|| {
                let known = self.names(list).join(", ");
                Error::Setup(format!("the kubeconfig has no {key} {name:?} (it has: {known})"))
            })
    }
}

fn auth(user: &Value, name: &str) -> Result<Auth, Error> {
    for plugin in ["exec", "auth-provider"] {
        if !user[plugin].is_null() {
            let reason = format!("user {name:?} gets its credentials from {plugin:?}, which this client cannot run");
            return Err(Error::Setup(reason));
        }
    }
    if let Some(token) = user["token"].as_str() {
        return Ok(Auth::Token(Secret::from(token.to_owned())));
    }
    if let Some(path) = user["tokenFile"].as_str() {
        return Ok(Auth::Token(Secret::new(file(path)?)));
    }
    match (bytes(user, "client-certificate")?, bytes(user, "client-key")?) {
        (Some(crt), Some(key)) => Ok(Auth::Certificate(CertAndKey {
            crt,
            key: Secret::new(key),
        })),
        (None, None) => Ok(Auth::Anonymous),
        _ => Err(Error::Setup(format!(
            "user {name:?} has a certificate without a key, or a key without a certificate"
        ))),
    }
}

/// `KEY-data` in base64, or the file that `KEY` names.
fn bytes(map: &Value, key: &str) -> Result<Option<Vec<u8>>, Error> {
    let text = |key: &str| map.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
    let data_key = format!("{key}-data");
    if let Some(data) = text(&data_key) {
        let data: String = data.split_whitespace().collect();
        return STANDARD
            .decode(data)
            .map(Some)
            .map_err(|e| Error::Setup(format!("{data_key} is not base64: {e}")));
    }
    text(key).map(file).transpose()
}

fn file(path: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(Path::new(path)).map_err(|e| Error::Setup(format!("read {path}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, server: &str) -> Kubeconfig {
        let auth = Auth::Token(Secret::from("t".to_owned()));
        let admin = format!("admin@{name}");
        let entry = Entry {
            cluster: name,
            user: &admin,
            context: &admin,
            server,
            ca: b"ca",
            namespace: None,
            auth: &auth,
        };
        Kubeconfig::new(&entry).unwrap()
    }

    #[test]
    fn what_is_made_connects_to_what_was_said() {
        let text = one("c", "https://10.0.0.1:6443").encode().unwrap();
        let options = Kubeconfig::parse(text.expose()).unwrap().options(None).unwrap();
        assert_eq!(options.server, "https://10.0.0.1:6443");
        assert_eq!(options.ca, b"ca");
        assert!(matches!(options.auth, Auth::Token(t) if t.expose() == b"t"));
    }

    #[test]
    fn a_clashing_name_is_renamed_with_its_references_and_unknown_content_stays() {
        let mut mine = Kubeconfig::parse(
            b"apiVersion: v1\nkind: Config\nextensions: [{name: x, extension: {a: 1}}]\ncurrent-context: other\nusers:\n",
        )
        .unwrap();
        assert_eq!(mine.merge(&one("c", "https://a"), Clash::Rename), []);
        assert_eq!(
            mine.merge(&one("c", "https://a"), Clash::Rename),
            [],
            "the same again changes nothing"
        );
        let renames = mine.merge(&one("c", "https://b"), Clash::Rename);
        assert_eq!(
            renames,
            [
                Rename {
                    from: "c".into(),
                    to: "c-1".into()
                },
                Rename {
                    from: "admin@c".into(),
                    to: "admin@c-1".into()
                }
            ]
        );
        assert_eq!(mine.value()["extensions"][0]["extension"]["a"], 1);
        assert_eq!(mine.contexts(), ["admin@c", "admin@c-1"]);
        assert_eq!(mine.current_context(), Some("admin@c-1"));
        assert_eq!(mine.options(None).unwrap().server, "https://b");
    }

    #[test]
    fn overwriting_keeps_names() {
        let mut mine = one("c", "https://a");
        assert_eq!(mine.merge(&one("c", "https://b"), Clash::Overwrite), []);
        assert_eq!(mine.contexts(), ["admin@c"]);
        assert_eq!(mine.options(None).unwrap().server, "https://b");
    }

    #[test]
    fn a_credential_plugin_is_refused_by_name() {
        let text = b"contexts: [{name: a, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: https://1.2.3.4}}]\nusers: [{name: u, user: {exec: {command: aws}}}]\n";
        let error = Kubeconfig::parse(text).unwrap().options(None).unwrap_err().to_string();
        assert!(error.contains("\"exec\""), "{error}");
    }
}
