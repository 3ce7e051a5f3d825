//! Which crates there are, and whether `deny.toml` allows them. The same file serves cargo-deny; this check needs
//! nothing that is not here anyway.

use std::collections::BTreeSet;

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

/// The crates cargo builds for our platform.
///
/// Asked of `cargo tree`: `cargo metadata` also lists crates that no chosen feature needs.
pub struct Graph {
    crates: BTreeSet<Crate>,
}

impl Graph {
    /// Everything the workspace is built and tested with.
    pub fn workspace() -> Result<Graph> {
        Graph::load(&["--workspace", "-e", "normal,build,dev"])
    }

    /// What is linked into the workspace's crates `roots`, themselves included.
    pub fn linked_into(roots: &[&str]) -> Result<Graph> {
        let mut args = vec!["-e", "normal,no-proc-macro"];
        for root in roots {
            args.extend(["-p", root]);
        }
        Graph::load(&args)
    }

    fn load(args: &[&str]) -> Result<Graph> {
        let mut cargo = host::cargo();
        cargo.args(["tree", "--locked", "--target", "x86_64-unknown-linux-gnu"]);
        cargo.args(["--prefix", "none", "--format", "{p}\t{l}"]).args(args);
        let text = String::from_utf8(host::quiet(&mut cargo)?).context("read what cargo tree says")?;
        Ok(Graph {
            crates: text.lines().filter_map(parse_line).collect(),
        })
    }

    /// The crates.
    pub fn crates(&self) -> impl Iterator<Item = &Crate> {
        self.crates.iter()
    }

    /// What `deny.toml` has against them, one line each.
    pub fn violations(&self, policy: &Policy) -> Vec<String> {
        let mut lines = Vec::new();
        for Crate { name, version, licence } in &self.crates {
            if policy.bans.deny.iter().any(|ban| ban.name == *name) {
                lines.push(format!(
                    "{name} {version} is banned (cargo tree -i {name} shows who uses it)"
                ));
            }
            let excepted = policy
                .licenses
                .exceptions
                .iter()
                .filter(|exception| exception.name == *name);
            let mut allowed: BTreeSet<&str> = policy.licenses.allow.iter().map(String::as_str).collect();
            allowed.extend(excepted.flat_map(|exception| exception.allow.iter().map(String::as_str)));
            if !is_allowed(licence, &allowed) {
                lines.push(format!(
                    "{name} {version} has licence {licence:?}, which deny.toml does not allow"
                ));
            }
        }
        lines
    }
}

/// Reads `name v1.2.3 (where)`, a tab, the licence; ` (*)` marks a repetition.
fn parse_line(line: &str) -> Option<Crate> {
    let (package, licence) = line.trim_end_matches(" (*)").split_once('\t')?;
    let mut words = package.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.trim_start_matches('v'));
    let licence = if licence.is_empty() {
        "NOASSERTION".to_owned()
    } else {
        licence.replace('/', " OR ")
    };
    Some(Crate {
        name: name.to_owned(),
        version: version.to_owned(),
        licence,
    })
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
    fn the_workspace_uses_only_what_deny_toml_allows() {
        let violations = Graph::workspace().unwrap().violations(&Policy::load().unwrap());
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }

    #[test]
    fn what_is_linked_in_leaves_out_tools_of_the_build() {
        let graph = Graph::linked_into(&["guest"]).unwrap();
        let names: Vec<&str> = graph.crates().map(|krate| krate.name.as_str()).collect();
        assert!(names.contains(&"serde_json") && names.contains(&"guest"), "{names:?}");
        assert!(!names.contains(&"tempfile") && !names.contains(&"syn"), "{names:?}");
    }

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
