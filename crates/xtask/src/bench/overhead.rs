//! What the operating system itself takes on a node that runs.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::ours::Cluster;
use super::report::{Against, Row, Unit};
use crate::host;

/// How long a cluster is left alone before its processor time is looked at, and how long that is done.
const SETTLE: Duration = Duration::from_secs(15);
const WINDOW: Duration = Duration::from_secs(30);
/// The kernel tells processor time in this many parts of a second on every architecture.
const USER_HZ: f64 = 100.0;
/// Our processes on a node. trustd is on control planes only.
const OURS: [&str; 4] = ["init", "machined", "apid", "trustd"];

/// The example that measures calls, and its crate.
pub const EXAMPLE: (&str, &str) = ("api", "unary_latency");

/// Measures a healthy cluster.
pub fn measure(ui: &crate::ui::Ui, cluster: &Cluster, latency: &Path) -> Result<Vec<Row>> {
    let nodes = [("control plane", cluster.control_plane), ("worker", cluster.worker)];
    let mut found = Vec::new();
    for (role, address) in nodes {
        let processes = processes(address)?;
        let names: Vec<&str> = processes.iter().map(|process| process.name.as_str()).collect();
        if names.len() < 2 {
            bail!("only {names:?} of the {role} were found among the processes of this machine");
        }
        ui.say(&format!("    {role}: {}", names.join(", ")));
        found.push((role, processes));
    }
    let mut rows = Vec::new();
    for (role, processes) in &found {
        let pss: Vec<f64> = processes.iter().map(Process::pss).collect::<Result<_>>()?;
        let total = pss.iter().sum::<f64>();
        let name = format!("memory of the system, {role} (PSS)");
        rows.push(Row::of(name, Unit::Mebibytes, vec![total], Against::Target(30.0)));
    }
    std::thread::sleep(SETTLE);
    let began = Instant::now();
    let spent = |processes: &[Process]| processes.iter().map(Process::seconds).sum::<Result<f64>>();
    let before: Vec<f64> = found.iter().map(|(_, all)| spent(all)).collect::<Result<_>>()?;
    std::thread::sleep(WINDOW);
    for ((role, processes), before) in found.iter().zip(before) {
        let share = (spent(processes)? - before) / began.elapsed().as_secs_f64() * 100.0;
        let name = format!("idle processor time of the system, {role}");
        rows.push(Row::of(name, Unit::Percent, vec![share], Against::Target(0.5)));
    }
    rows.push(call(cluster, latency)?);
    Ok(rows)
}

/// One of our processes as this machine sees it.
struct Process {
    name: String,
    folder: PathBuf,
}

impl Process {
    fn read(&self, file: &str) -> Result<String> {
        let path = self.folder.join(file);
        std::fs::read_to_string(&path).with_context(|| format!("read {} of {}", path.display(), self.name))
    }

    /// Its share of the memory it uses, in MiB.
    fn pss(&self) -> Result<f64> {
        let text = self.read("smaps_rollup")?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib: f64 = kib.with_context(|| format!("no Pss of {}", self.name))?.parse()?;
        Ok(kib / 1024.0)
    }

    /// Processor time so far, in seconds.
    fn seconds(&self) -> Result<f64> {
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

/// Our processes in the network of the node with an address.
fn processes(address: Ipv4Addr) -> Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("list processes")?.flatten() {
        let folder = entry.path();
        let Ok(line) = std::fs::read(folder.join("cmdline")) else {
            continue;
        };
        let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let program = String::from_utf8_lossy(program).into_owned();
        let name = program.rsplit('/').next().unwrap_or_default();
        if OURS.contains(&name) && lives_in(&folder, address) {
            let name = name.to_owned();
            found.push(Process { name, folder });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
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

/// What the example prints.
#[derive(Deserialize)]
struct Latency {
    microseconds: Vec<f64>,
}

fn call(cluster: &Cluster, latency: &Path) -> Result<Row> {
    let mut command = Command::new(latency);
    command
        .arg(cluster.talosconfig())
        .arg(cluster.control_plane.to_string());
    let printed = host::quiet(&mut command)?;
    let times: Latency = serde_json::from_slice(&printed).context("read the times of calls")?;
    let samples = times.microseconds.iter().map(|time| time / 1000.0).collect();
    let name = "a Version call, mutual TLS, one connection";
    Ok(Row::of(name, Unit::Milliseconds, samples, Against::Target(3.0)))
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
            folder: "/proc/self".into(),
        };
        assert!(this.pss().unwrap() > 0.1);
        assert!(this.seconds().unwrap() >= 0.0);
        assert!(lives_in(Path::new("/proc/self"), Ipv4Addr::LOCALHOST));
        assert!(!lives_in(Path::new("/proc/self"), Ipv4Addr::new(192, 0, 2, 77)));
    }
}
