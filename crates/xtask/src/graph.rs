//! Which crates are linked into our programs, for the bill of materials. Whether they may be is cargo-deny's to say.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use image::licence;
use image::sbom::{Kind, Package};

use crate::host;

/// What is linked into the workspace's crates `roots`, themselves included.
///
/// Asked of `cargo tree`: `cargo metadata` also lists crates that no chosen feature needs.
pub fn linked_into(roots: &[&str]) -> Result<Vec<Package>> {
    let mut cargo = host::cargo();
    cargo.args(["tree", "--locked", "--target", "x86_64-unknown-linux-gnu"]);
    cargo.args(["--prefix", "none", "--format", "{p}\t{l}", "-e", "normal,no-proc-macro"]);
    for root in roots {
        cargo.args(["-p", root]);
    }
    let text = String::from_utf8(host::quiet(&mut cargo)?).context("read what cargo tree says")?;
    let crates = text.lines().filter_map(parse_line);
    let each: BTreeMap<_, _> = crates
        .map(|krate| ((krate.name.clone(), krate.version.clone()), krate))
        .collect();
    Ok(each.into_values().collect())
}

/// Reads `name v1.2.3 (where)`, a tab, the licence; ` (*)` marks a repetition.
fn parse_line(line: &str) -> Option<Package> {
    let (package, licence) = line.trim_end_matches(" (*)").split_once('\t')?;
    let mut words = package.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.trim_start_matches('v'));
    Some(Package {
        kind: Kind::Cargo,
        name: name.to_owned(),
        version: version.to_owned(),
        licence: match licence {
            "" => licence::UNKNOWN.to_owned(),
            licence => licence.replace('/', " OR "),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_in_leaves_out_tools_of_the_build() {
        let crates = linked_into(&["guest"]).unwrap();
        let names: Vec<&str> = crates.iter().map(|krate| krate.name.as_str()).collect();
        assert!(names.contains(&"serde_json") && names.contains(&"guest"), "{names:?}");
        assert!(!names.contains(&"tempfile") && !names.contains(&"syn"), "{names:?}");
    }
}
