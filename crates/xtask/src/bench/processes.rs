//! The processes of nodes, as this machine sees them.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};

/// Our processes on a node. trustd is on control planes only.
pub const OURS: [&str; 4] = ["init", "machined", "apid", "trustd"];
/// The kernel tells processor time in this many parts of a second on every architecture.
const USER_HZ: f64 = 100.0;

/// A process of a node as this machine sees it.
pub struct Process {
    /// The program's name without its folder.
    pub name: String,
    /// Its number on this machine.
    pub pid: u32,
}

impl Process {
    fn read(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        std::fs::read_to_string(&path).with_context(|| format!("read {path} of {}", self.name))
    }

    /// Its share of the memory it uses, in MiB.
    pub fn pss(&self) -> Result<f64> {
        let text = self.read("smaps_rollup")?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib: f64 = kib.with_context(|| format!("no Pss of {}", self.name))?.parse()?;
        Ok(kib / 1024.0)
    }

    /// Processor time so far, in seconds.
    pub fn seconds(&self) -> Result<f64> {
        spent(&self.read("stat")?).with_context(|| format!("read the processor time of {}", self.name))
    }
}

/// User and system time of a line of `/proc/PID/stat`, in seconds. The program's name may have anything in it.
fn spent(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let user: f64 = fields.get(11)?.parse().ok()?;
    let system: f64 = fields.get(12)?.parse().ok()?;
    Some((user + system) / USER_HZ)
}

/// Programs of these names in the network of the node with an address.
pub fn processes(address: Ipv4Addr, names: &[&str]) -> Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("list processes")?.flatten() {
        let folder = entry.path();
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let Ok(line) = std::fs::read(folder.join("cmdline")) else {
            continue;
        };
        let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let program = String::from_utf8_lossy(program).into_owned();
        let name = program.rsplit('/').next().unwrap_or_default();
        if names.contains(&name) && lives_in(&folder, address) {
            let name = name.to_owned();
            found.push(Process { name, pid });
        }
    }
    found.sort_by(|a, b| (&a.name, a.pid).cmp(&(&b.name, b.pid)));
    Ok(found)
}

/// Whether the address is one of the process' network: the kernel's table of routes lists it as local.
fn lives_in(process: &Path, address: Ipv4Addr) -> bool {
    let Ok(table) = std::fs::read_to_string(process.join("net/fib_trie")) else {
        return false;
    };
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    lines
        .windows(2)
        .any(|pair| pair[0].ends_with(&format!("-- {address}")) && pair[1].starts_with("/32 host LOCAL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 100 1000 10";
        assert_eq!(spent(stat), Some(2.0));
    }

    #[test]
    fn our_own_memory_and_time_can_be_read() {
        let this = Process {
            name: "this".into(),
            pid: std::process::id(),
        };
        assert!(this.pss().unwrap() > 0.1);
        assert!(this.seconds().unwrap() >= 0.0);
        assert!(lives_in(Path::new("/proc/self"), Ipv4Addr::LOCALHOST));
        assert!(!lives_in(Path::new("/proc/self"), Ipv4Addr::new(192, 0, 2, 77)));
    }
}
