//! Control groups, version 1 and 2 behind one face.
//!
//! What the host has is found at run time ([`Layout::detect`]). A [`Group`] is one name in every hierarchy; with
//! version 1 that is a folder per hierarchy, with version 2 one folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::mount::MountInfo;
use crate::{Error, Result};

mod group;
mod limits;
mod stats;

pub use group::Group;
pub use limits::{Limits, shares_of_weight};
pub use stats::Stats;

/// Which kind of control groups the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// A hierarchy per controller.
    V1,
    /// Controllers in version 1 hierarchies, and a version 2 hierarchy without any beside them.
    Hybrid,
    /// One hierarchy.
    V2,
}

/// Where the hierarchies are mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Which kind.
    pub version: Version,
    /// The mount point of version 2.
    pub unified: Option<PathBuf>,
    /// Mount points of version 1 by controller (`memory`, `cpu`, `name=systemd`).
    pub controllers: BTreeMap<String, PathBuf>,
}

impl Layout {
    /// Looks at what is mounted.
    pub fn detect() -> Result<Layout> {
        Layout::of(&crate::mount::list()?)
    }

    fn of(mounts: &[MountInfo]) -> Result<Layout> {
        let unified = mounts
            .iter()
            .find(|mount| mount.kind == "cgroup2")
            .map(|mount| mount.target.clone());
        let mut controllers = BTreeMap::new();
        for mount in mounts.iter().filter(|mount| mount.kind == "cgroup") {
            let names = mount.super_options.iter().filter(|option| is_controller(option));
            for name in names {
                controllers.entry(name.clone()).or_insert_with(|| mount.target.clone());
            }
        }
        let version = match (&unified, controllers.keys().any(|name| !name.starts_with("name="))) {
            (Some(_), true) => Version::Hybrid,
            (None, true) => Version::V1,
            (Some(_), false) => Version::V2,
            (None, false) => {
                return Err(Error::new(
                    "find control groups",
                    "no hierarchy is mounted below /sys/fs/cgroup",
                ));
            }
        };
        Ok(Layout {
            version,
            unified,
            controllers,
        })
    }

    /// True where limits are set through version 2.
    pub fn is_v2(&self) -> bool {
        self.version == Version::V2
    }

    /// A group by its path from the root of the hierarchies, `/system/apid`. Nothing is made yet.
    pub fn group(&self, path: impl AsRef<Path>) -> Group {
        Group::new(self.clone(), path.as_ref())
    }

    /// The mount points in which a group has a folder, each once.
    pub(crate) fn roots(&self) -> Vec<&Path> {
        if let (Version::V2, Some(unified)) = (self.version, &self.unified) {
            return vec![unified];
        }
        let mut roots: Vec<&Path> = self.controllers.values().map(PathBuf::as_path).collect();
        roots.sort();
        roots.dedup();
        roots
    }
}

/// Options of a version 1 mount that are not controllers (cgroups(7)).
fn is_controller(option: &str) -> bool {
    !matches!(
        option,
        "rw" | "ro" | "xattr" | "noprefix" | "clone_children" | "cpuset_v2_mode" | "none" | "favordynmods"
    ) && !option.starts_with("release_agent=")
}

/// The version 1 hierarchies in the text of `/proc/self/cgroup`: `memory`, `cpu,cpuacct`, `name=systemd`. Empty where
/// only version 2 is in use.
pub fn hierarchies_of(proc_self_cgroup: &str) -> Vec<String> {
    let names = proc_self_cgroup.lines().filter_map(|line| line.split(':').nth(1));
    let names: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    // A host on version 2 may still have the empty named hierarchy of an old init.
    if names.iter().all(|name| name.starts_with("name=")) {
        Vec::new()
    } else {
        names
    }
}

/// The group of a process as this process sees it; of version 1 that in the hierarchy of memory, which container runtimes
/// use as they use the others. `None` once the process is gone.
pub fn of(pid: i32) -> Option<PathBuf> {
    group_of(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

fn group_of(proc_pid_cgroup: &str) -> Option<PathBuf> {
    let lines = proc_pid_cgroup.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_once(':')
    });
    let lines: Vec<(&str, &str)> = lines.collect();
    let with = |wanted: fn(&str) -> bool| lines.iter().find(|(names, _)| wanted(names));
    let (_, path) = with(|names| names.split(',').any(|name| name == "memory")).or_else(|| with(str::is_empty))?;
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::parse;

    const V1: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
";
    const UNIFIED: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn hierarchies_of_version_1_are_found() {
        let layout = Layout::of(&parse(V1)).unwrap();
        assert_eq!(layout.version, Version::V1);
        assert_eq!(layout.controllers["cpuacct"], layout.controllers["cpu"]);
        assert_eq!(layout.roots().len(), 3);
        assert!(layout.controllers.contains_key("name=systemd"));
    }

    #[test]
    fn version_2_beside_version_1_is_hybrid_and_alone_is_version_2() {
        assert_eq!(
            Layout::of(&parse(&format!("{V1}{UNIFIED}"))).unwrap().version,
            Version::Hybrid
        );
        let layout = Layout::of(&parse(UNIFIED)).unwrap();
        assert_eq!(layout.version, Version::V2);
        assert_eq!(layout.roots(), [Path::new("/sys/fs/cgroup/unified")]);
        assert!(Layout::of(&[]).is_err());
    }

    #[test]
    fn the_group_of_a_process_is_that_of_its_memory() {
        let group = |text| group_of(text).unwrap();
        assert_eq!(group("9:cpu,cpuacct:/x\n4:memory:/a/b:c\n0::/y\n"), Path::new("/a/b:c"));
        assert_eq!(group("1:name=systemd:/z\n0::/y\n"), Path::new("/y"));
        assert!(of(i32::try_from(std::process::id()).unwrap()).is_some() && group_of("").is_none());
    }

    #[test]
    fn hierarchies_are_read_from_proc() {
        assert_eq!(
            hierarchies_of("9:name=systemd:/\n4:memory:/a\n0::/\n"),
            ["name=systemd", "memory"]
        );
        assert!(hierarchies_of("1:name=systemd:/\n0::/user.slice\n").is_empty());
    }
}
