//! What a local cluster has on the machine, looked for from outside: nothing of it may be left when it is destroyed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::site::Place;

/// Where a cluster's things are found.
#[derive(Debug)]
pub struct Traces {
    /// The part of the names of its links, control groups and packet filter rules that no other cluster has.
    mark: String,
    folder: PathBuf,
}

impl Traces {
    /// Those of a cluster that exists, complete or not.
    ///
    /// # Errors
    /// There is no such cluster.
    pub fn of(place: &Place, name: &str) -> Result<Self> {
        let network = place.bridge(name)?;
        let mark = network.trim_start_matches("kl").to_owned();
        ensure!(mark.len() == 8, "the network {network:?} is named in another way");
        Ok(Self {
            mark,
            folder: place.folder().join("clusters").join(name),
        })
    }

    /// The host's links of the cluster.
    ///
    /// # Errors
    /// Links cannot be listed.
    pub fn links(&self) -> Result<Vec<String>> {
        let links = std::fs::read_dir("/sys/class/net").context("list links")?;
        let names = links
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| name.contains(&self.mark)).collect())
    }

    /// Its control groups, in every hierarchy.
    pub fn groups(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = folders(root);
        let below = hierarchies.iter().flat_map(|hierarchy| folders(hierarchy));
        hierarchies
            .iter()
            .cloned()
            .chain(below)
            .filter(|path| path.to_string_lossy().contains(&self.mark))
            .collect()
    }

    /// The first value that a file of that name has in a control group of the cluster or below.
    pub fn limits(&self, file: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut waiting = self.groups();
        while let Some(group) = waiting.pop() {
            found.extend(std::fs::read_to_string(group.join(file)).map(|text| text.trim().to_owned()));
            waiting.extend(folders(&group));
        }
        found
    }

    /// Its processes, by what they are: their control group, environment or mounts.
    fn processes(&self) -> Vec<String> {
        let folder = self.folder.to_string_lossy().into_owned();
        let mut found = Vec::new();
        for process in folders(Path::new("/proc")) {
            let text = |file: &str| {
                let bytes = std::fs::read(process.join(file)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            };
            if text("cgroup").contains(&self.mark)
                || text("environ").contains(&folder)
                || text("mountinfo").contains(&folder)
            {
                found.push(format!("process {} {}", process.display(), text("comm").trim()));
            }
        }
        found
    }

    /// Everything that is there.
    ///
    /// # Errors
    /// The machine cannot be looked through.
    pub fn all(&self) -> Result<Vec<String>> {
        let mut all = self.processes();
        all.extend(self.links()?.into_iter().map(|link| format!("link {link}")));
        all.extend(
            self.groups()
                .iter()
                .map(|group| format!("control group {}", group.display())),
        );
        let mounts = std::fs::read_to_string("/proc/self/mounts")?;
        let folder = self.folder.to_string_lossy();
        all.extend(
            mounts
                .lines()
                .filter(|line| line.contains(&*folder))
                .map(|line| format!("mount {line}")),
        );
        if self.folder.exists() {
            all.push(format!("file {}", self.folder.display()));
        }
        // Rules are made by whichever of the two is installed.
        for (program, args) in [("nft", ["list", "tables"]), ("iptables-save", ["-t", "nat"])] {
            if let Ok(output) = Command::new(program).args(args).output() {
                let rules = String::from_utf8_lossy(&output.stdout).into_owned();
                all.extend(
                    rules
                        .lines()
                        .filter(|rule| rule.contains(&self.mark))
                        .map(str::to_owned),
                );
            }
        }
        Ok(all)
    }

    /// Fails with what is left.
    ///
    /// # Errors
    /// Something is left, or the machine cannot be looked through.
    pub fn none(&self) -> Result<()> {
        let left = self.all()?;
        ensure!(left.is_empty(), "of the cluster is left:\n{}", left.join("\n"));
        Ok(())
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
