//! `kubeconfig`: fetches the admin kubeconfig and merges it into the user's.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::Program;
use crate::cli::common::Node;
use crate::cli::node::Kubeconfig;
use crate::commands::files;
use crate::output::{note, print_bytes};
use crate::session::{Session, Target, block, failed};

/// Name of the file in the archive that nodes send.
const NAME: &str = "kubeconfig";

/// Runs `kubeconfig`.
pub fn run(command: &Node<Kubeconfig>, program: Program) -> Result<()> {
    let args = &command.args;
    block(async {
        let session = Session::open(&command.client, program)?;
        let fetched = fetch(session.single("kubeconfig")?).await?;
        if args.path.as_deref() == Some("-") {
            return Ok(print_bytes(&fetched)?);
        }
        store(&fetched, &destination(args.path.as_deref())?, args)
    })
}

/// The admin kubeconfig as a node makes it.
pub async fn fetch(target: &Target) -> Result<Vec<u8>> {
    let wrong = |status| failed(&status).context("error copying kubeconfig");
    let mut stream = target
        .client
        .machine()
        .kubeconfig(())
        .await
        .map_err(wrong)?
        .into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(wrong)?;
        if let Some(error) = piece.metadata.filter(|metadata| !metadata.error.is_empty()) {
            bail!("error copying kubeconfig: {}", error.error);
        }
        bytes.extend(piece.bytes);
    }
    unpack(bytes)
}

/// The file out of a compressed archive; plain text is taken as it is.
fn unpack(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..]));
    for entry in archive.entries().context("read the archive with the kubeconfig")? {
        let mut entry = entry.context("read the archive with the kubeconfig")?;
        if entry.path()?.file_name().is_some_and(|name| name == NAME) {
            let mut file = Vec::new();
            entry.read_to_end(&mut file)?;
            return Ok(file);
        }
    }
    bail!("the node sent an archive without a file named \"{NAME}\"")
}

fn destination(path: Option<&str>) -> Result<PathBuf> {
    if let Some(path) = path {
        let path = PathBuf::from(path);
        return Ok(if path.is_dir() { path.join(NAME) } else { path });
    }
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    if let Some(first) = std::env::split_paths(&listed).find(|path| !path.as_os_str().is_empty()) {
        return Ok(first);
    }
    let home = std::env::var_os("HOME").context("find the home folder: HOME is not set; name a file")?;
    Ok(Path::new(&home).join(".kube/config"))
}

/// Merges into the user's kubeconfig; what is there of the same names is replaced.
pub fn replace_in_default(fetched: &[u8]) -> Result<PathBuf> {
    let path = destination(None)?;
    store(fetched, &path, &Kubeconfig { path: None, force: true, force_context_name: None, merge: true })?;
    Ok(path)
}

/// Merges into the file, or writes it.
fn store(fetched: &[u8], path: &Path, args: &Kubeconfig) -> Result<()> {
    let mut new = parse(fetched).context("read the kubeconfig of the node")?;
    if let Some(name) = &args.force_context_name {
        rename_context(&mut new, name);
    }
    if args.merge && path.exists() {
        let old = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let mut merged = parse(&old).with_context(|| format!("read {}", path.display()))?;
        merge(&mut merged, new, args.force);
        return files::write(path, serde_saphyr::to_string(&merged)?.as_bytes(), true);
    }
    if path.exists() && !args.force {
        bail!(
            "kubeconfig file already exists, use --force to overwrite: \"{}\"",
            path.display()
        );
    }
    let bytes = if args.force_context_name.is_some() {
        serde_saphyr::to_string(&new)?.into_bytes()
    } else {
        fetched.to_vec()
    };
    files::write(path, &bytes, true)
}

fn parse(bytes: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(bytes)?;
    if text.trim().is_empty() {
        return Ok(json!({"apiVersion": "v1", "kind": "Config"}));
    }
    Ok(serde_saphyr::from_str(text)?)
}

fn entries<'a>(config: &'a mut Value, list: &str) -> Option<&'a mut Vec<Value>> {
    if !config[list].is_array() {
        config[list] = json!([]);
    }
    config[list].as_array_mut()
}

fn rename_context(config: &mut Value, name: &str) {
    let current = config["current-context"].clone();
    for context in entries(config, "contexts").into_iter().flatten() {
        if context["name"] == current {
            context["name"] = json!(name);
        }
    }
    config["current-context"] = json!(name);
}

/// Adds clusters, users and contexts. An entry whose name is taken by another content gets a number, unless forced to
/// replace it; the new context becomes current.
fn merge(old: &mut Value, mut new: Value, force: bool) {
    for (list, body) in [("clusters", "cluster"), ("users", "user"), ("contexts", "context")] {
        let added = std::mem::take(entries(&mut new, list).map_or(&mut Vec::new(), |list| list));
        for mut entry in added {
            let name = entry["name"].as_str().unwrap_or_default().to_owned();
            let Some(existing) = entries(old, list) else { continue };
            let free = if force {
                name.clone()
            } else {
                free_name(existing, &name, body, &entry[body])
            };
            if free != name {
                note(&format!("renamed {body} \"{name}\" -> \"{free}\""));
                refer(&mut new, list, &name, &free);
                entry["name"] = json!(free);
            }
            match existing.iter_mut().find(|other| other["name"] == entry["name"]) {
                Some(other) => *other = entry,
                None => existing.push(entry),
            }
        }
    }
    old["current-context"] = new["current-context"].clone();
}

fn free_name(existing: &[Value], name: &str, body: &str, content: &Value) -> String {
    let fits = |candidate: &str| {
        existing
            .iter()
            .find(|other| other["name"] == *candidate)
            .is_none_or(|other| other[body] == *content)
    };
    let numbered = (1..).map(|number: u32| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|candidate| fits(candidate))
        .unwrap_or_else(|| name.to_owned())
}

/// Follows a renamed entry in what refers to it.
fn refer(config: &mut Value, list: &str, from: &str, to: &str) {
    let field = match list {
        "clusters" => "cluster",
        "users" => "user",
        _ => {
            if config["current-context"] == from {
                config["current-context"] = json!(to);
            }
            return;
        }
    };
    for context in entries(config, "contexts").into_iter().flatten() {
        if context["context"][field] == from {
            context["context"][field] = json!(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(server: &str, user: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{"name": "demo", "cluster": {"server": server}}],
            "users": [{"name": "admin@demo", "user": {"token": user}}],
            "contexts": [{"name": "admin@demo", "context": {"cluster": "demo", "user": "admin@demo", "namespace": "default"}}],
            "current-context": "admin@demo",
        })
    }

    #[test]
    fn a_clash_gets_a_number_and_what_refers_to_it_follows() {
        let mut old = kubeconfig("https://a", "a");
        merge(&mut old, kubeconfig("https://b", "b"), false);
        assert_eq!(old["current-context"], "admin@demo-1");
        assert_eq!(old["contexts"][1]["context"]["cluster"], "demo-1");
        assert_eq!(old["contexts"][1]["context"]["user"], "admin@demo-1");
        assert_eq!(old["clusters"][0]["cluster"]["server"], "https://a");
        let before = old.clone();
        merge(&mut old, kubeconfig("https://a", "a"), false);
        assert_eq!(
            old["clusters"], before["clusters"],
            "what is there already is not doubled"
        );
        assert_eq!(old["current-context"], "admin@demo");
    }

    #[test]
    fn force_replaces_and_a_forced_name_is_used() {
        let mut old = kubeconfig("https://a", "a");
        let mut new = kubeconfig("https://b", "b");
        rename_context(&mut new, "mine");
        merge(&mut old, new, true);
        assert_eq!(old["clusters"][0]["cluster"]["server"], "https://b");
        assert_eq!(old["current-context"], "mine");
        assert_eq!(old["contexts"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn the_file_is_taken_out_of_the_archive() {
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        builder.append_data(&mut header, "kubeconfig", &b"yaml"[..]).unwrap();
        let archive = builder.into_inner().unwrap().finish().unwrap();
        assert_eq!(unpack(archive).unwrap(), b"yaml");
        assert_eq!(unpack(b"plain".to_vec()).unwrap(), b"plain");
    }
}
