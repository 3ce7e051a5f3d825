//! Which crates there are, and whether `deny.toml` allows them. The same file serves cargo-deny; this check needs
//! nothing that is not here anyway.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::host;
use crate::paths;

/// A crate of the dependency graph.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SPDX expression, or `NOASSERTION`.
    pub licence: String,
}

/// The dependency graph as cargo resolved it for our platform.
pub struct Graph {
    crates: BTreeMap<String, Crate>,
    /// Id → ids of what is linked into it.
    edges: BTreeMap<String, Vec<String>>,
    members: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    resolve: MetadataResolve,
    workspace_members: BTreeSet<String>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
}

#[derive(Deserialize)]
struct MetadataResolve {
    nodes: Vec<MetadataNode>,
}

#[derive(Deserialize)]
struct MetadataNode {
    id: String,
    deps: Vec<MetadataDependency>,
}

#[derive(Deserialize)]
struct MetadataDependency {
    pkg: String,
    dep_kinds: Vec<MetadataKind>,
}

#[derive(Deserialize)]
struct MetadataKind {
    /// None for what is linked in, `build` and `dev` for the rest.
    kind: Option<String>,
}

impl Graph {
    /// Asks cargo.
    pub fn load() -> Result<Graph> {
        let mut cargo = host::cargo();
        cargo.args(["metadata", "--format-version", "1", "--locked"]);
        cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
        let metadata: Metadata = serde_json::from_slice(&host::quiet(&mut cargo)?).context("read cargo metadata")?;
        let krate = |package: MetadataPackage| {
            let licence = package
                .license
                .map_or_else(|| "NOASSERTION".to_owned(), |text| text.replace('/', " OR "));
            (
                package.id,
                Crate {
                    name: package.name,
                    version: package.version,
                    licence,
                },
            )
        };
        let linked = |node: MetadataNode| {
            let deps = node
                .deps
                .into_iter()
                .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            (node.id, deps.map(|dep| dep.pkg).collect())
        };
        Ok(Graph {
            crates: metadata.packages.into_iter().map(krate).collect(),
            edges: metadata.resolve.nodes.into_iter().map(linked).collect(),
            members: metadata.workspace_members,
        })
    }

    /// Every crate linked into the workspace's crates `roots`, themselves included.
    pub fn linked_into(&self, roots: &[&str]) -> BTreeSet<&Crate> {
        let is_root = |id: &&String| self.members.contains(*id) && roots.contains(&self.crates[*id].name.as_str());
        let mut waiting: Vec<&String> = self.crates.keys().filter(is_root).collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if seen.insert(id) {
                waiting.extend(self.edges.get(id).into_iter().flatten());
            }
        }
        seen.into_iter().filter_map(|id| self.crates.get(id)).collect()
    }

    /// What `deny.toml` has against the graph, one line per crate.
    pub fn violations(&self, policy: &Policy) -> Vec<String> {
        let mut lines = Vec::new();
        for (id, krate) in &self.crates {
            let name = format!("{} {}", krate.name, krate.version);
            if policy.bans.deny.iter().any(|ban| ban.name == krate.name) {
                let users = self.edges.iter().filter(|(_, deps)| deps.contains(id));
                let users: Vec<&str> = users
                    .filter_map(|(id, _)| Some(self.crates.get(id)?.name.as_str()))
                    .collect();
                lines.push(format!("{name} is banned (used by {})", users.join(", ")));
            }
            let excepted = policy
                .licenses
                .exceptions
                .iter()
                .find(|exception| exception.name == krate.name);
            let mut allowed: BTreeSet<&str> = policy.licenses.allow.iter().map(String::as_str).collect();
            allowed.extend(
                excepted
                    .into_iter()
                    .flat_map(|exception| exception.allow.iter().map(String::as_str)),
            );
            if !is_allowed(&krate.licence, &allowed) {
                lines.push(format!(
                    "{name} has licence {:?}, which deny.toml does not allow",
                    krate.licence
                ));
            }
        }
        lines
    }
}

/// What we read of `deny.toml`.
#[derive(Debug, Deserialize)]
pub struct Policy {
    licenses: Licences,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
struct Exception {
    name: String,
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    name: String,
}

impl Policy {
    /// Reads `deny.toml`.
    pub fn load() -> Result<Policy> {
        let path = paths::repository().join("deny.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("read {}", path.display()))
    }
}

/// Whether an SPDX expression can be satisfied with allowed licences. AND binds tighter than OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let satisfied = any_of(&words, &mut at, allowed);
    satisfied && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut satisfied = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        satisfied |= all_of(words, at, allowed);
    }
    satisfied
}

fn all_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut satisfied = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        satisfied &= one(words, at, allowed);
    }
    satisfied
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let satisfied = any_of(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return satisfied && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        *at += 2;
        return allowed.contains(format!("{word} WITH {exception}").as_str());
    }
    allowed.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions_are_evaluated() {
        let allowed = BTreeSet::from(["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]);
        for good in [
            "MIT",
            "GPL-3.0 OR MIT",
            "(MIT OR GPL-2.0) AND Apache-2.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(is_allowed(good, &allowed), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT",
            "",
            "MIT MIT",
            "GPL-3.0 OR MIT AND BSD",
            "NOASSERTION",
        ] {
            assert!(!is_allowed(bad, &allowed), "{bad}");
        }
    }
}
