//! What the operating system itself takes on a node that runs.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::ours::Cluster;
use super::processes::{OURS, Process, processes};
use super::report::{Against, Row, Unit};
use crate::host;

/// How long a cluster is left alone before its processor time is looked at, and how long that is done.
const SETTLE: Duration = Duration::from_secs(15);
const WINDOW: Duration = Duration::from_secs(30);

/// The example that measures calls, and its crate.
pub const EXAMPLE: (&str, &str) = ("api", "unary_latency");

/// Measures a healthy cluster.
pub fn measure(ui: &crate::ui::Ui, cluster: &Cluster, latency: &Path) -> Result<Vec<Row>> {
    let nodes = [("control plane", cluster.control_plane), ("worker", cluster.worker)];
    let mut found = Vec::new();
    for (role, address) in nodes {
        let processes = processes(address, &OURS)?;
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
