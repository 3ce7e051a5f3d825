//! Several control planes: how soon they are there, what many watchers cost, how fast bytes come through another node.

use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::guard::{Guard, Thing};
use super::ours::{self, Cluster};
use super::processes::{OURS, Process, processes};
use super::report::{Against, Row, Unit, median, percentile};
use super::{Tools, load};
use crate::host;
use crate::ui::Ui;

/// The example that puts load on the machine API, and its crate.
const EXAMPLE: (&str, &str) = ("api", "node_load");
const WATCHES: &str = "500";
/// How long watches are left alone before memory is looked at.
const SETTLE: Duration = Duration::from_secs(3);
/// How often a stream is read, and how long it is.
const READS: usize = 3;
/// How often one may be tried: the kubelet turns over a log as large as the one that is read, perhaps just then.
const TRIES: usize = 5;
const FILE: u64 = 1 << 30;
const LOG: u64 = 256 << 20;
/// What a stream must reach, in 10⁶ bytes a second: apid of the node passes it on, and through another node a second one.
const LEAST: f64 = 500.0;
/// The node whose bytes are asked for; the first one passes them on.
const OTHER: u8 = 1;

/// Measures a cluster of three control planes and three workers.
pub fn measure(ui: &Ui, tools: &Tools) -> Result<Vec<Row>> {
    let program = load(ui, EXAMPLE)?;
    let cluster = ui.step("3 + 3 cluster", || {
        let cluster = ours::sized(tools, 3, 3)?;
        let note = format!("healthy after {:.2} s", cluster.times.last());
        Ok((cluster, Some(note)))
    })?;
    let healthy = vec![cluster.times.last()];
    let mut rows = vec![Row::of(
        "3 + 3 cluster healthy",
        Unit::Seconds,
        healthy,
        Against::Target(40.0),
    )];
    let bench = Bench {
        cluster: &cluster,
        program,
    };
    rows.extend(bench.watches(ui)?);
    rows.extend(bench.streams(ui)?);
    cluster.destroy()?;
    Ok(rows)
}

struct Bench<'a> {
    cluster: &'a Cluster,
    program: PathBuf,
}

/// What `node_load watch` prints in the end.
#[derive(Deserialize)]
struct Latency {
    microseconds: Vec<f64>,
}

/// What `node_load read` and `node_load logs` print.
#[derive(Deserialize)]
struct Read {
    bytes: u64,
    seconds: f64,
}

impl Bench<'_> {
    fn watches(&self, ui: &Ui) -> Result<Vec<Row>> {
        let alone = ui.step("calls without watches", || {
            let (_, times) = self.watch("0")?;
            Ok((times, Some(String::new())))
        })?;
        let (memory, times) = ui.step(&format!("{WATCHES} watches"), || {
            let (memory, times) = self.watch(WATCHES)?;
            let note = format!(
                "{memory:.1} MiB more, calls {:.2} ms in the middle",
                median(&times) / 1e3
            );
            Ok(((memory, times), Some(note)))
        })?;
        let slowest = |times: &[f64]| vec![percentile(times, 0.99) / 1e3];
        Ok(vec![
            Row::of(
                format!("memory that {WATCHES} watches take (PSS)"),
                Unit::Mebibytes,
                vec![memory],
                Against::Target(60.0),
            ),
            Row::of(
                "… a Version call meanwhile, 99th percentile",
                Unit::Milliseconds,
                slowest(&times),
                Against::Target(10.0),
            ),
            Row::of(
                "… and without watches",
                Unit::Milliseconds,
                slowest(&alone),
                Against::Nothing,
            ),
        ])
    }

    /// How much more memory our processes of the first node have while that many clients watch, in MiB, and how long
    /// calls of another client take meanwhile, in microseconds.
    fn watch(&self, count: &str) -> Result<(f64, Vec<f64>)> {
        let address = self.cluster.control_plane;
        let before = memory(address)?;
        let mut guard = Guard::start()?;
        let mut child = self
            .command(&["watch"], &[&address.to_string(), count])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("run {}", self.program.display()))?;
        guard.watch(&Thing::Process(child.id()))?;
        let (mut stdin, stdout) = child.stdin.take().zip(child.stdout.take()).context("it has pipes")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut line = || -> Result<String> { Ok(lines.next().context("node_load ended")??) };
        let said = line()?;
        if said != "watching" {
            bail!("node_load watch: {said}");
        }
        std::thread::sleep(SETTLE);
        let more = memory(address)? - before;
        stdin.write_all(b"\n").context("tell node_load to go on")?;
        let latency: Latency = serde_json::from_str(&line()?).context("read the times of calls")?;
        guard.finish()?;
        child.wait().context("wait for node_load")?;
        Ok((more, latency.microseconds))
    }

    fn streams(&self, ui: &Ui) -> Result<Vec<Row>> {
        let var = self.cluster.var(&Cluster::name("controlplane", OTHER));
        fill(&var.join("bench.log"), FILE)?;
        let file = ["read", "/var/bench.log"];
        let direct = self.read(ui, "a file, from its node", OTHER, file, || Ok(()))?;
        let proxied = self.read(ui, "a file, through another node", 0, file, || Ok(()))?;
        let (container, path) = chatty(&var)?;
        // Anew for each read, because of the kubelet.
        let write = || fill(&path, LOG);
        let logs = ["logs", container.as_str()];
        let log_direct = self.read(ui, "a log, from its node", OTHER, logs, write)?;
        let log = self.read(ui, "a log, through another node", 0, logs, write)?;
        let row = |name: &str, samples, against| Row::of(name, Unit::MegabytesPerSecond, samples, against);
        Ok(vec![
            row("a file of a node, through another node", proxied, Against::Least(LEAST)),
            row("… and from the node itself", direct, Against::Least(LEAST)),
            row("a container's log, through another node", log, Against::Least(LEAST)),
            row("… and from the node itself", log_direct, Against::Least(LEAST)),
        ])
    }

    /// Reads a stream of the other node through an endpoint some times, after one that is not counted; how fast it was.
    fn read(
        &self,
        ui: &Ui,
        name: &str,
        endpoint: u8,
        [what, of]: [&str; 2],
        before: impl Fn() -> Result<()>,
    ) -> Result<Vec<f64>> {
        let endpoint = self.cluster.node(endpoint).to_string();
        let node = self.cluster.node(OTHER).to_string();
        ui.step(name, || {
            let mut samples = Vec::new();
            for number in 0..=READS {
                let mut tries = 1..=TRIES;
                let read = loop {
                    before()?;
                    let printed = host::quiet(&mut self.command(&[what], &[&endpoint, &node, of]))?;
                    let read: Read = serde_json::from_slice(&printed).context("read what node_load says")?;
                    if read.bytes >= LOG {
                        break read;
                    }
                    if tries.next().is_none() {
                        bail!("node_load {what}: only {} bytes came", read.bytes);
                    }
                };
                let megabytes = f64::from(u32::try_from(read.bytes / 1000)?) / 1000.0;
                if number > 0 {
                    samples.push(megabytes / read.seconds);
                }
            }
            let note = format!("{:.0} MB/s", median(&samples));
            Ok((samples, Some(note)))
        })
    }

    fn command(&self, what: &[&str], args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(what).arg(self.cluster.talosconfig()).args(args);
        command
    }
}

/// What our processes of a node take, in MiB.
fn memory(address: Ipv4Addr) -> Result<f64> {
    processes(address, &OURS)?.iter().map(Process::pss).sum()
}

/// Makes a file at least so long, of lines as container runtimes write them.
fn fill(path: &Path, size: u64) -> Result<()> {
    let line = format!(
        "2026-01-01T00:00:00.000000000Z stdout F {}\n",
        "as much as a service says at a time ".repeat(3)
    );
    let block = line.repeat((1 << 20) / line.len());
    let mut file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))?;
    let mut length = file.metadata()?.len();
    while length < size {
        file.write_all(block.as_bytes())
            .with_context(|| format!("write {}", path.display()))?;
        length += block.len() as u64;
    }
    Ok(())
}

/// A container of a node and the file of its log.
fn chatty(var: &Path) -> Result<(String, PathBuf)> {
    let pods = var.join("log/pods");
    for entry in std::fs::read_dir(&pods).with_context(|| format!("list {}", pods.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut parts = name.splitn(3, '_');
        if let (Some("kube-system"), Some(pod)) = (parts.next(), parts.next())
            && pod.starts_with("kube-proxy-")
        {
            let id = format!("kube-system/{pod}:kube-proxy");
            return Ok((id, entry.path().join("kube-proxy/0.log")));
        }
    }
    bail!("no log of kube-proxy is in {}", pods.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_found_by_its_log_and_its_log_is_made_long() {
        let var = tempfile::tempdir().unwrap();
        assert!(chatty(var.path()).is_err());
        let folder = var
            .path()
            .join("log/pods/kube-system_kube-proxy-abcde_1-2-3/kube-proxy");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(var.path().join("log/pods/default_web_4-5-6")).unwrap();
        let (id, path) = chatty(var.path()).unwrap();
        assert_eq!(id, "kube-system/kube-proxy-abcde:kube-proxy");
        fill(&path, 3 << 20).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() >= 3 << 20 && text.ends_with('\n'));
    }
}
