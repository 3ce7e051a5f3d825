//! What a group uses, in one vocabulary for both versions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Group;

/// Use of a group and the groups below it; zero where the host does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Bytes in use, caches included.
    pub memory: u64,
    /// Bytes of caches that can be given back.
    pub memory_inactive_file: u64,
    /// The limit in bytes; `None` without one.
    pub memory_max: Option<u64>,
    /// Processor time used.
    pub cpu: Duration,
    /// Processes and threads.
    pub pids: u64,
    /// How often a process was killed because memory ran out.
    pub oom_kills: u64,
}

/// The kernel shows "no limit" of version 1 as the highest multiple of the page size.
const UNLIMITED: u64 = 1 << 62;

pub(super) fn read(group: &Group) -> Stats {
    let v2 = group.layout.is_v2();
    let text = |controller: &str, file: &str| {
        let folder = group.folder(controller)?;
        std::fs::read_to_string(folder.join(file)).ok()
    };
    let number = |controller: &str, file: &str| text(controller, file)?.trim().parse::<u64>().ok();
    let field = |controller: &str, file: &str, name: &str| {
        let text = text(controller, file)?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
        value as Option<u64>
    };
    let pids = number("pids", "pids.current").unwrap_or(0);
    if v2 {
        return Stats {
            memory: number("memory", "memory.current").unwrap_or(0),
            memory_inactive_file: field("memory", "memory.stat", "inactive_file").unwrap_or(0),
            memory_max: number("memory", "memory.max"),
            cpu: Duration::from_micros(field("cpu", "cpu.stat", "usage_usec").unwrap_or(0)),
            pids,
            oom_kills: field("memory", "memory.events", "oom_kill").unwrap_or(0),
        };
    }
    Stats {
        memory: number("memory", "memory.usage_in_bytes").unwrap_or(0),
        memory_inactive_file: field("memory", "memory.stat", "total_inactive_file").unwrap_or(0),
        memory_max: number("memory", "memory.limit_in_bytes").filter(|limit| *limit < UNLIMITED),
        cpu: Duration::from_nanos(number("cpuacct", "cpuacct.usage").unwrap_or(0)),
        pids,
        oom_kills: field("memory", "memory.oom_control", "oom_kill").unwrap_or(0),
    }
}
