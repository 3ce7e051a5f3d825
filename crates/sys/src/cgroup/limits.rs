//! Limits in one vocabulary, written in that of the host's version.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Group;
use super::group::folders_in;
use crate::{Context, Error, Result};

/// The period in which a CPU quota is counted (the kernel's default), in microseconds.
const CPU_PERIOD: u64 = 100_000;

/// What a group may use. Absent: as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes above which the group's processes are killed.
    pub memory_max: Option<u64>,
    /// Bytes that are never taken away (version 2 only).
    pub memory_min: Option<u64>,
    /// Bytes that are taken away last (version 1: the soft limit).
    pub memory_low: Option<u64>,
    /// Share of the processors beside other groups, 1 to 10 000; 100 is ordinary.
    pub cpu_weight: Option<u64>,
    /// Processor time in thousandths of a processor.
    pub cpu_millis: Option<u64>,
    /// Number of processes and threads.
    pub pids_max: Option<u64>,
}

/// Version 1 counts shares from 2 to 262 144 with 1 024 as ordinary; the mapping is that of the kernel's cgroup v2 code
/// (CGROUP_WEIGHT_DFL 100 ↔ 1 024 shares).
pub fn shares_of_weight(weight: u64) -> u64 {
    (weight * 1024 / 100).clamp(2, 262_144)
}

pub(super) fn set(group: &Group, limits: &Limits) -> Vec<Error> {
    let mut errors = Vec::new();
    let v2 = group.layout.is_v2();
    let mut write = |controller: &str, file: &str, value: String| {
        if let Err(error) = write(group, controller, file, &value) {
            errors.push(error);
        }
    };
    if let Some(bytes) = limits.memory_max {
        write(
            "memory",
            if v2 { "memory.max" } else { "memory.limit_in_bytes" },
            bytes.to_string(),
        );
    }
    if let (Some(bytes), true) = (limits.memory_min, v2) {
        write("memory", "memory.min", bytes.to_string());
    }
    if let Some(bytes) = limits.memory_low {
        write(
            "memory",
            if v2 { "memory.low" } else { "memory.soft_limit_in_bytes" },
            bytes.to_string(),
        );
    }
    if let Some(weight) = limits.cpu_weight {
        let shares = shares_of_weight(weight);
        if v2 {
            write("cpu", "cpu.weight", weight.clamp(1, 10_000).to_string());
        } else {
            write("cpu", "cpu.shares", shares.to_string());
        }
    }
    if let Some(millis) = limits.cpu_millis {
        let quota = millis * CPU_PERIOD / 1000;
        if v2 {
            write("cpu", "cpu.max", format!("{quota} {CPU_PERIOD}"));
        } else {
            write("cpu", "cpu.cfs_period_us", CPU_PERIOD.to_string());
            write("cpu", "cpu.cfs_quota_us", quota.to_string());
        }
    }
    if let Some(count) = limits.pids_max {
        write("pids", "pids.max", count.to_string());
    }
    if limits.memory_min.is_some() && v2 {
        errors.extend(guarantee_above(group));
    }
    if limits.memory_min.is_some() && !v2 {
        let reason = "control groups of version 1 have no such guarantee";
        errors.push(Error::new(
            format!("reserve memory for {}", group.path().display()),
            reason,
        ));
    }
    errors
}

/// Version 2: what a group is guaranteed holds as far as the groups above it are guaranteed it too, so each of them gets
/// the sum of those below. The root has everything anyway.
fn guarantee_above(group: &Group) -> Vec<Error> {
    let (path, layout) = (group.path(), &group.layout);
    let above = path.ancestors().skip(1).filter(|above| above.parent().is_some());
    let raise = |above: &Path| {
        let above = Group::new(layout.clone(), above);
        let below = above
            .folder("memory")
            .into_iter()
            .flat_map(|folder| folders_in(&folder));
        let bytes = below.map(|folder| guaranteed(&folder)).fold(0, u64::saturating_add);
        write(&above, "memory", "memory.min", &bytes.to_string())
    };
    above.filter_map(|above| raise(above).err()).collect()
}

/// What a group of version 2 is guaranteed, in bytes.
fn guaranteed(folder: &Path) -> u64 {
    let text = std::fs::read_to_string(folder.join("memory.min")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn write(group: &Group, controller: &str, file: &str, value: &str) -> Result<()> {
    let name = || format!("set {file} of the control group {} to {value}", group.path().display());
    let folder = group
        .folder(controller)
        .ok_or_else(|| Error::new(name(), format!("the host has no {controller} controller")))?;
    std::fs::write(Path::new(&folder).join(file), value).doing(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cgroup::{Layout, Version};

    #[test]
    fn in_version_2_groups_above_are_guaranteed_what_those_below_are_together() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout {
            version: Version::V2,
            unified: Some(root.path().to_owned()),
            controllers: BTreeMap::new(),
        };
        for (path, bytes) in [
            ("/system/a", 10),
            ("/system/b", 20),
            ("/system/deep/c", 5),
            ("/system/b", 2),
        ] {
            let group = layout.group(path);
            group.create().unwrap();
            let limits = Limits {
                memory_min: Some(bytes),
                ..Limits::default()
            };
            let errors = group.set(&limits);
            assert!(errors.is_empty(), "{errors:?}");
        }
        let guaranteed = |path: &str| guaranteed(&root.path().join(path));
        assert_eq!((guaranteed("system/b"), guaranteed("system/deep")), (2, 5));
        assert_eq!(guaranteed("system"), 17);
        assert!(!root.path().join("memory.min").exists());
    }

    #[test]
    fn an_ordinary_weight_is_an_ordinary_share() {
        assert_eq!(shares_of_weight(100), 1024);
        assert_eq!(shares_of_weight(0), 2);
        assert_eq!(shares_of_weight(u64::from(u32::MAX)), 262_144);
    }
}
