//! A cluster that is done harm for a long time: nothing acknowledged is lost, and it is well again soon.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::guard::{Guard, Thing};
use super::harm::{Harm, Random};
use super::options::Options;
use super::ours::{self, Cluster};
use super::processes::{Process, processes};
use super::report::{Against, Report, Row, Unit};
use super::{Tools, harm, load};
use crate::host;
use crate::paths;
use crate::ui::Ui;

/// The example that writes, and its crate.
const EXAMPLE: (&str, &str) = ("e2e", "writes");
const CONTROL_PLANES: u8 = 3;
const WORKERS: u8 = 1;
/// Time from one harm to the next.
const EVERY: Duration = Duration::from_secs(10);
/// After so many of them a configuration is changed.
const CHANGE: u32 = 3;
/// How long the cluster is left alone before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(30);
/// Within so many seconds of the last harm everybody has to be well; how long it is waited for.
const WELL: f64 = 60.0;
const PATIENCE: &str = "5m";
/// How much more memory there may be in the end than there was before.
const GROWTH: f64 = 1.25;
/// The processes whose memory is looked at. trustd and others are too small to matter.
const LASTING: [&str; 3] = ["init", "machined", "apid"];
const LABEL: &str = "keelson.dev/soak";

/// Does harm, and measures what came of it.
pub fn measure(ui: &Ui, tools: &Tools, options: &Options, report: &mut Report) -> Result<()> {
    let seed = options.seed.unwrap_or_else(harm::any_seed);
    ui.say(&format!("    --seed {seed} chooses the same again"));
    report.notes.push(format!(
        "soak: {} minutes on {CONTROL_PLANES} control planes and {WORKERS} worker, seed {seed}",
        options.minutes
    ));
    let program = load(ui, EXAMPLE)?;
    let cluster = ui.step("the cluster", || {
        Ok((ours::sized(tools, CONTROL_PLANES, WORKERS)?, Some(String::new())))
    })?;
    let mut soak = Soak {
        ui,
        tools,
        cluster: &cluster,
        random: Random::new(seed),
        labels: BTreeMap::new(),
        harms: 0,
    };
    let outcome = soak.run(&program, Duration::from_secs(60 * u64::from(options.minutes)));
    if !matches!(&outcome, Ok(rows) if rows.iter().all(Row::is_good)) {
        let folder = paths::dist().join(format!("soak-{seed}"));
        keep_logs(&cluster, &folder)?;
        report.notes.push(format!("soak: logs are in {}", folder.display()));
        ui.say(&format!("    logs are in {}", folder.display()));
    }
    report.rows.extend(outcome?);
    cluster.destroy()
}

/// What `writes` prints in the end.
#[derive(Deserialize)]
struct Written {
    acknowledged: u32,
    lost: Vec<String>,
    gap: f64,
    gap_at: f64,
}

struct Soak<'a> {
    ui: &'a Ui,
    tools: &'a Tools,
    cluster: &'a Cluster,
    random: Random,
    /// By node: the values that its label may have. More than one where it was not said whether a change was taken.
    labels: BTreeMap<u8, Vec<String>>,
    harms: u32,
}

impl Soak<'_> {
    fn run(&mut self, program: &Path, length: Duration) -> Result<Vec<Row>> {
        std::thread::sleep(SETTLE);
        let before = self.memory()?;
        let mut guard = Guard::start()?;
        let writer = self.writer(program)?;
        guard.watch(&Thing::Process(writer.id()))?;

        let began = Instant::now();
        let last = loop {
            let next = Instant::now() + EVERY;
            self.harm(began)?;
            if next.duration_since(began) >= length {
                break Instant::now();
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        };
        self.well()?;
        let well = last.elapsed().as_secs_f64();
        self.ui.say(&format!("    everybody is well after {well:.1} s"));
        let changed = self.labels_are_there();
        let written = finish(writer)?;
        guard.finish()?;
        changed?;
        for lost in &written.lost {
            self.ui.say(&format!("    LOST: {lost}"));
        }
        let gap = format!("{:.1} s after {:.0} s", written.gap, written.gap_at);
        self.ui.say(&format!("    longest time without a write: {gap}"));
        std::thread::sleep(SETTLE);
        let after = self.memory()?;
        Ok(self.rows(&written, well, before, after))
    }

    fn rows(&self, written: &Written, well: f64, before: f64, after: f64) -> Vec<Row> {
        let lost = u32::try_from(written.lost.len()).unwrap_or(u32::MAX);
        let count = |name: &str, count: u32, against| Row::of(name, Unit::Count, vec![f64::from(count)], against);
        let memory = Against::Floor {
            value: before,
            times: GROWTH,
        };
        vec![
            count(
                "soak: processes and nodes killed, one each 10 s",
                self.harms,
                Against::Nothing,
            ),
            count("soak: acknowledged writes", written.acknowledged, Against::Nothing),
            count("soak: … of which are lost", lost, Against::Target(0.0)),
            Row::of(
                "soak: longest time without one",
                Unit::Seconds,
                vec![written.gap],
                Against::Nothing,
            ),
            Row::of(
                "soak: all healthy after the last kill",
                Unit::Seconds,
                vec![well],
                Against::Target(WELL),
            ),
            Row::of(
                "soak: memory of machined and apid, all nodes (PSS)",
                Unit::Mebibytes,
                vec![after],
                memory,
            ),
        ]
    }

    fn writer(&self, program: &Path) -> Result<Child> {
        let server = |number| format!("https://{}:6443", self.cluster.node(number));
        let mut command = self.cluster.command(program);
        command.arg(self.cluster.kubeconfig()).arg("soak");
        command.args((0..CONTROL_PLANES).map(server));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("run {}", program.display()))
    }

    fn nodes() -> std::ops::Range<u8> {
        0..CONTROL_PLANES + WORKERS
    }

    fn name(node: u8) -> String {
        match node.checked_sub(CONTROL_PLANES) {
            None => Cluster::name("controlplane", node),
            Some(worker) => Cluster::name("worker", worker),
        }
    }

    /// What lasts on all nodes, in MiB.
    fn memory(&self) -> Result<f64> {
        let mut total = 0.0;
        for node in Self::nodes() {
            let all = processes(self.cluster.node(node), &LASTING)?;
            if all.len() < 2 {
                bail!("{} lacks machined or apid", Self::name(node));
            }
            total += all.iter().map(Process::pss).sum::<Result<f64>>()?;
        }
        Ok(total)
    }

    fn harm(&mut self, began: Instant) -> Result<()> {
        let node = self.random.below(Self::nodes().end);
        let harm = Harm::choose(&mut self.random, node < CONTROL_PLANES);
        let at = began.elapsed().as_secs();
        let name = Self::name(node);
        let done = match harm {
            Harm::Kill(program) => harm::kill(self.cluster.node(node), program)?,
            Harm::PowerOff => {
                harm::power_off(&self.cluster.state(), &name)?;
                // As long as somebody needs to notice and press the button.
                std::thread::sleep(EVERY / 2);
                self.keelctl(&["cluster", "start", &name, "--name", ours::NAME])?;
                true
            }
        };
        let was_there = if done { "" } else { " (it did not run)" };
        self.ui.say(&format!("    {at:>5} s  {name}: {harm}{was_there}"));
        self.harms += u32::from(done);
        if self.harms.is_multiple_of(CHANGE) {
            self.change();
        }
        Ok(())
    }

    /// Changes the configuration of some node; who is being harmed may refuse.
    fn change(&mut self) {
        let node = self.random.below(Self::nodes().end);
        let address = self.cluster.node(node).to_string();
        let value = format!("after-{}", self.harms);
        let patch = format!("{{\"machine\":{{\"nodeLabels\":{{\"{LABEL}\":\"{value}\"}}}}}}");
        let args = ["-n", &address, "-e", &address, "patch", "mc", "--mode", "no-reboot"];
        let taken = self.keelctl(&[&args[..], &["--patch", &patch]].concat()).is_ok();
        let values = self.labels.entry(node).or_default();
        if taken {
            values.clear();
        } else if values.is_empty() {
            // Before the first change there was none.
            values.push(String::new());
        }
        values.push(value);
    }

    fn keelctl(&self, args: &[&str]) -> Result<Vec<u8>> {
        let mut command = self.cluster.command(&self.tools.keelctl);
        host::quiet(command.args(args))
    }

    /// Waits until the cluster is well, and everything runs that may have been killed.
    fn well(&self) -> Result<()> {
        let node = self.cluster.control_plane.to_string();
        self.keelctl(&["-n", &node, "health", "--wait-timeout", PATIENCE])?;
        let until = Instant::now() + Duration::from_secs(300);
        for node in Self::nodes() {
            for program in Harm::programs(node < CONTROL_PLANES) {
                while processes(self.cluster.node(node), &[program])?.is_empty() {
                    if Instant::now() > until {
                        bail!("{} has no {program}", Self::name(node));
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        }
        // What was missing may have made it unwell.
        self.keelctl(&["-n", &node, "health", "--wait-timeout", PATIENCE])?;
        Ok(())
    }

    /// Waits until Kubernetes has the labels that configurations say.
    fn labels_are_there(&self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        for (node, values) in &self.labels {
            let name = Self::name(*node);
            loop {
                let mut command = self.cluster.command(&self.tools.kubectl);
                let printed = host::quiet(command.args(["get", "node", &name, "-o", "json"]))?;
                let object: Value = serde_json::from_slice(&printed).context("read a node")?;
                let label = object["metadata"]["labels"][LABEL].as_str().unwrap_or_default();
                if values.iter().any(|value| value == label) {
                    break;
                }
                if Instant::now() > until {
                    bail!("{name} has the label {LABEL}={label:?} and not {values:?}");
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        }
        Ok(())
    }
}

fn finish(mut writer: Child) -> Result<Written> {
    let mut stdin = writer.stdin.take().context("the writer has an input")?;
    // One that ended says why below.
    let _ = stdin.write_all(b"\n");
    let output = writer.wait_with_output().context("wait for the writer")?;
    if !output.status.success() {
        bail!("the writer: {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("read what the writer says")
}

/// Keeps what the nodes said: the cluster goes.
fn keep_logs(cluster: &Cluster, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let state = cluster.state();
    for entry in std::fs::read_dir(&state).with_context(|| format!("list {}", state.display()))? {
        let path: PathBuf = entry?.path();
        if let Some(name) = path
            .file_name()
            .filter(|_| path.extension().is_some_and(|e| e == "log"))
        {
            std::fs::copy(&path, folder.join(name)).with_context(|| format!("copy {}", path.display()))?;
        }
    }
    Ok(())
}
