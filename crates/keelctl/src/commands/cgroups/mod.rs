//! `cgroups`: control groups as a tree, with columns of what they use and may use.
//!
//! The node sends its `/sys/fs/cgroup` as an archive ([`tree`]); columns are templates over the files of each group
//! ([`template`]), those of the presets ([`schema`]) like one's own.

mod schema;
mod template;
mod tree;
mod values;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use api::client::Client;
use api::proto::machine::{ContainersRequest, CopyRequest};
use tonic::Status;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::load::Cgroups;
use crate::commands::containers::place;
use crate::commands::reading::{self, kind};
use crate::output::{print, table::Table};
use crate::session::{Session, block, failed};
pub use schema::PRESETS;
use schema::Schema;
use tree::Group;

/// Where control groups are.
const ROOT: &str = "/sys/fs/cgroup";
/// An archive of control groups is a few megabytes; more than this is none.
const ARCHIVE_MAX: usize = 256 << 20;

/// Names of pods and containers by the last part of their groups' paths.
type Names = BTreeMap<String, String>;

/// Runs `cgroups`.
pub fn run(command: &Node<Cgroups>, program: Program) -> Result<()> {
    let args = &command.args;
    let schema = match &args.schema_file {
        Some(path) => {
            let text = reading::text(path, kind::COLUMNS)?;
            Schema::parse(&text).with_context(|| format!("read the columns in {path}"))?
        }
        None => Schema::preset(&args.preset)?,
    };
    block(async {
        let session = Session::open(&command.client, program)?;
        let (answers, failures) = session
            .each(async |client| {
                let archive = archive(&client).await?;
                let names = if args.skip_cri_resolve {
                    Names::new()
                } else {
                    names(&client).await?
                };
                Ok((archive, names))
            })
            .await;
        let several = session.targets().len() > 1;
        for (node, (archive, names)) in answers {
            let groups = tree::read(&archive[..]).with_context(|| format!("{node}: read its control groups"))?;
            let heading = if several {
                format!("NODE: {node}\n")
            } else {
                String::new()
            };
            print(&format!("{heading}{}", render(&groups, &schema, &names)?))?;
        }
        failures.into_result()
    })
}

/// Every preset of a node, one after the other, from one look at it.
///
/// # Errors
/// The node does not answer, or sends something else.
pub async fn overview(client: &Client) -> Result<String> {
    let archive = archive(client).await.map_err(|status| failed(&status))?;
    let names = names(client).await.unwrap_or_default();
    let groups = tree::read(&archive[..]).context("read the control groups")?;
    let tables = PRESETS.map(|preset| {
        Ok(format!(
            "{preset}\n{}\n",
            render(&groups, &Schema::preset(preset)?, &names)?
        ))
    });
    tables.into_iter().collect()
}

async fn archive(client: &Client) -> Result<Vec<u8>, Status> {
    let request = CopyRequest {
        root_path: ROOT.to_owned(),
    };
    let mut stream = client.machine().copy(request).await?.into_inner();
    let mut archive = Vec::new();
    // What the node says it could not read are files that nobody can, such as those that only take orders.
    while let Some(data) = stream.message().await? {
        archive.extend(data.bytes);
        if archive.len() > ARCHIVE_MAX {
            return Err(Status::resource_exhausted(
                "the control groups of the node are too many to be shown",
            ));
        }
    }
    Ok(archive)
}

async fn names(client: &Client) -> Result<Names, Status> {
    let (namespace, driver) = place(true);
    let request = ContainersRequest {
        namespace,
        driver: driver.into(),
    };
    let messages = client.machine().containers(request).await?.into_inner().messages;
    let mut names = Names::new();
    for c in messages.into_iter().flat_map(|m| m.containers) {
        if c.id == c.pod_id {
            names.insert(format!("pod{}", c.uid), c.pod_id);
            names.insert(c.internal_id, "sandbox".to_owned());
        } else {
            names.insert(c.internal_id, c.name);
        }
    }
    Ok(names)
}

fn render(groups: &Group, schema: &Schema, names: &Names) -> Result<String> {
    let header = std::iter::once("NAME").chain(schema.columns.iter().map(|c| c.name.as_str()));
    let mut table = Table::new(header);
    let mut rows = Vec::new();
    rows.push((".".to_owned(), groups, None));
    branches(groups, "", names, &mut rows);
    for (name, group, parent) in rows {
        let mut row = vec![name];
        for column in &schema.columns {
            let value = column.template.render(group, parent);
            row.push(value.with_context(|| format!("fill in the column {:?}", column.name))?);
        }
        table.row(row);
    }
    Ok(table.render())
}

fn branches<'a>(group: &'a Group, indent: &str, names: &Names, rows: &mut Vec<(String, &'a Group, Option<&'a Group>)>) {
    let last = group.children.len().saturating_sub(1);
    for (index, (part, child)) in group.children.iter().enumerate() {
        let (branch, below) = if index == last {
            ("└──", "    ")
        } else {
            ("├──", "│   ")
        };
        let name = resolve(part, names);
        rows.push((format!("{indent}{branch}{name}"), child, Some(group)));
        branches(child, &format!("{indent}{below}"), names, rows);
    }
}

/// Runtimes that leave control groups to systemd put words around the id, and `_` in the place of `-`.
fn resolve<'a>(part: &'a str, names: &'a Names) -> &'a str {
    let plain = part
        .strip_suffix(".scope")
        .or_else(|| part.strip_suffix(".slice"))
        .unwrap_or(part);
    let id = plain.rsplit('-').next().unwrap_or(plain).replace('_', "-");
    names.get(part).or_else(|| names.get(&id)).map_or(part, String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(files: &[(&str, &str)], children: Vec<(&str, Group)>) -> Group {
        Group {
            files: files.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect(),
            children: children.into_iter().map(|(n, g)| (n.to_owned(), g)).collect(),
        }
    }

    #[test]
    fn groups_are_shown_as_a_tree_with_names() {
        let container = group(&[("memory.current", "5000000\n"), ("memory.max", "max\n")], vec![]);
        let pod = group(&[("memory.current", "6000000\n")], vec![("c0ffee", container)]);
        let pods = group(&[], vec![("podx-1", pod)]);
        let root = group(&[], vec![("init", Group::default()), ("kubepods", pods)]);
        let names = Names::from([
            ("podx-1".to_owned(), "default/web".to_owned()),
            ("c0ffee".to_owned(), "app".to_owned()),
        ]);
        let schema = Schema::preset("memory").unwrap();
        let text = render(&root, &schema, &names).unwrap();
        let expected = "\
NAME                 MemCurrent   MemPeak   MemLow   MemMin   MemHigh   MemMax
.                    unset        unset     unset    unset    unset     unset
├──init              unset        unset     unset    unset    unset     unset
└──kubepods          unset        unset     unset    unset    unset     unset
    └──default/web   6.0 MB       unset     unset    unset    unset     unset
        └──app       5.0 MB       unset     unset    unset    unset     max
";
        assert_eq!(text, expected);
    }

    #[test]
    fn every_preset_can_be_filled_in() {
        let root = group(&[], vec![("a", Group::default())]);
        for preset in PRESETS {
            let text = render(&root, &Schema::preset(preset).unwrap(), &Names::new()).unwrap();
            assert_eq!(text.lines().count(), 3, "{preset}: {text}");
        }
    }

    #[test]
    fn names_that_systemd_gave_are_understood() {
        let names = Names::from([
            ("podab-cd".to_owned(), "default/web".to_owned()),
            ("c0ffee".to_owned(), "app".to_owned()),
        ]);
        assert_eq!(resolve("kubepods-burstable-podab_cd.slice", &names), "default/web");
        assert_eq!(resolve("cri-containerd-c0ffee.scope", &names), "app");
        assert_eq!(resolve("init", &names), "init");
    }
}
