//! Other versions of Kubernetes on three control planes, a minor and a patch version later, while a client writes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::program::dist;
use e2e::run::Test;
use e2e::running::{Running, send};
use e2e::tests;
use e2e::wait::eventually;
use e2e::writer::Writer;
use serde_json::Value;

use crate::high_availability::Trio;

pub fn tests() -> Vec<Test<Trio>> {
    tests![
        an_upgrade_that_cannot_be_is_refused_and_a_dry_run_changes_nothing,
        a_minor_upgrade_goes_on_after_it_stopped_while_a_client_writes,
        a_patch_upgrade_goes_through_while_a_client_writes,
    ]
}

/// The version that new clusters have.
const NEWEST: &str = "v1.37.1";
const API_SERVER: &str = "registry.k8s.io/kube-apiserver:";
/// How long a node may be unwell until the upgrade stops.
const SHORT: &str = "20s";
/// An upgrade of three nodes, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(540);

/// The versions of Kubernetes that the distribution has images of, without `v`, the oldest first.
fn versions() -> Result<Vec<String>> {
    let index = dist().join("images/index.json");
    let index = std::fs::read(&index).with_context(|| format!("read {}", index.display()))?;
    let index: Value = serde_json::from_slice(&index)?;
    let images = index["manifests"].as_array().into_iter().flatten();
    let tags = images.filter_map(|image| {
        let name = image["annotations"]["org.opencontainers.image.ref.name"].as_str()?;
        name.strip_prefix(API_SERVER)?.strip_prefix('v')
    });
    let mut versions: Vec<String> = tags.map(str::to_owned).collect();
    versions.sort_by_cached_key(|version| numbers(version));
    Ok(versions)
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

/// The minor version before the newest.
pub fn previous() -> Result<String> {
    versions()?.into_iter().next().context("there is no version")
}

/// The patch release before the newest.
fn patch_before() -> Result<String> {
    let versions = versions()?;
    let [.., patch, _] = &versions[..] else {
        anyhow::bail!("there is one version only: {versions:?}")
    };
    let (minor, newest) = (&numbers(patch)[..2], numbers(&NEWEST[1..]));
    ensure!(newest.starts_with(minor), "{patch} is no patch release before {NEWEST}");
    Ok(patch.clone())
}

fn upgrade(trio: &Trio, more: &[&str]) -> Result<e2e::program::Ran> {
    let address = Trio::node(0);
    let base = ["-n", &address, "-e", &address, "upgrade-k8s"];
    trio.place().keelctl.run(&[&base, more].concat())
}

/// Configurations of all nodes, and what the cluster has of kube-proxy.
fn state(trio: &Trio) -> Result<Vec<String>> {
    let proxy = ["get", "ds", "-n", "kube-system", "kube-proxy", "-o", "jsonpath={.spec}"];
    let mut state = vec![trio.kubectl(0, &proxy)?];
    for node in 0..3 {
        state.push(trio.ask(node, &["get", "mc", "v1alpha1", "-o", "yaml"])?);
    }
    Ok(state)
}

fn an_upgrade_that_cannot_be_is_refused_and_a_dry_run_changes_nothing(trio: &Trio) -> Result<()> {
    let (before, previous) = (state(trio)?, previous()?);
    for (to, words) in [
        ("1.35.0", ["goes back", "snapshot"]),
        ("1.38.0", ["leaves out", "1.37.x first"]),
        ("latest", ["not a version", "--to"]),
        ("1.36.99", ["kube-apiserver:v1.36.99", "is there such a version"]),
    ] {
        let refusal = upgrade(trio, &["--to", to])?.refusal()?;
        for word in words {
            ensure!(refusal.contains(word), "{to}: {word:?} is not in:\n{refusal}");
        }
    }
    let plan = upgrade(trio, &["--dry-run"])?.output()?;
    for part in [
        format!("{}: kube-apiserver v{previous} -> {NEWEST}", Trio::name(0)),
        format!("{}: kubelet v{previous} -> {NEWEST}", Trio::name(2)),
        format!("+++ {} machineconfig", Trio::name(1)),
        "--- DaemonSet kube-system/kube-proxy".to_owned(),
        format!("kube-proxy:{NEWEST}"),
    ] {
        ensure!(plan.contains(&part), "{part:?} is not in:\n{plan}");
    }
    ensure!(!plan.contains("PRIVATE KEY"), "a secret is shown:\n{plan}");
    ensure!(state(trio)? == before, "something changed");
    Ok(())
}

/// The process of a node's machine API, as the host sees it.
fn apid(trio: &Trio, name: &str) -> Result<u32> {
    let run = trio.place().folder().join(format!("clusters/trio/{name}.run.json"));
    let run: Value = serde_json::from_slice(&std::fs::read(run)?)?;
    let init = run["init"]["pid"].as_u64().context("no process is recorded")?;
    for process in std::fs::read_dir("/proc")?.flatten() {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // pid (name) state parent
        let Some((before, after)) = stat.rsplit_once(") ") else {
            continue;
        };
        let parent = after.split_whitespace().nth(1).and_then(|pid| pid.parse().ok());
        if before.ends_with("(apid") && parent == Some(init) {
            return Ok(process.file_name().to_string_lossy().parse()?);
        }
    }
    anyhow::bail!("{name} has no apid")
}

fn a_minor_upgrade_goes_on_after_it_stopped_while_a_client_writes(trio: &Trio) -> Result<()> {
    let to = patch_before()?;
    let writer = trio.writer("minor-upgrade")?;
    stops_at_a_node_that_is_not_well(trio, &to)?;
    stops_when_interrupted(trio, &to)?;
    ends_with(trio, &["--to", &to], &format!("Kubernetes is v{to} now"))?;
    all_is_there(writer)?;
    has_version(trio, &format!("v{to}"))?;
    let back = upgrade(trio, &["--to", &previous()?])?.refusal()?;
    ensure!(back.contains("goes back"), "{back}");
    Ok(())
}

fn a_patch_upgrade_goes_through_while_a_client_writes(trio: &Trio) -> Result<()> {
    let writer = trio.writer("patch-upgrade")?;
    ends_with(trio, &[], &format!("Kubernetes is {NEWEST} now"))?;
    all_is_there(writer)?;
    has_version(trio, NEWEST)?;
    ends_with(trio, &[], "nothing was to be done")
}

/// An upgrade that goes through, and says so.
fn ends_with(trio: &Trio, more: &[&str], words: &str) -> Result<()> {
    let ran = upgrade(trio, more)?;
    ensure!(ran.ok() && ran.stderr.contains(words), "{ran:?}");
    Ok(())
}

/// Everything that a writer was told is written is there; tells the longest time without an answer.
pub fn all_is_there(writer: Writer) -> Result<()> {
    let written = writer.end()?;
    println!(
        "{} writes were acknowledged and are there; the longest gap was {} ms, after {:.1} s: {:#?}",
        written.names.len(),
        written.gap.as_millis(),
        written.gap_at.as_secs_f64(),
        written.gap_errors
    );
    Ok(())
}

fn start(trio: &Trio, more: &[&str]) -> Result<Running> {
    let address = Trio::node(0);
    let base = ["-n", &address, "-e", &address, "upgrade-k8s"];
    Running::start(trio.place().keelctl.command(&[&base, more].concat()))
}

fn stops_at_a_node_that_is_not_well(trio: &Trio, to: &str) -> Result<()> {
    let stopped = apid(trio, &Trio::name(2))?;
    let mut running = start(trio, &["--to", to, "--node-timeout", SHORT])?;
    running.line_with(&format!("{}: kube-apiserver", Trio::name(0)), PATIENCE)?;
    send("STOP", stopped)?;
    let ended = running.end(PATIENCE);
    send("CONT", stopped)?;
    let (status, text) = ended?;
    ensure!(status.code() == Some(1), "{status}:\n{text}");
    let (before, report) = text.split_once("done:").context(text.clone())?;
    ensure!(
        before.contains(&Trio::node(2)) && before.contains("no answer"),
        "{text}"
    );
    let (done, left) = report.split_once("not done").context(text.clone())?;
    let first = format!("{}: kube-apiserver", Trio::name(0));
    ensure!(done.contains(&first) && !left.contains(&first), "{text}");
    ensure!(
        left.contains("kube-scheduler") && left.contains("upgrade-k8s"),
        "{text}"
    );
    // Both versions serve.
    let version = trio.kubectl(0, &["get", "--raw", "/version"])?;
    ensure!(version.contains(&format!("\"v{to}\"")), "{version}");
    let version = trio.kubectl(2, &["get", "--raw", "/version"])?;
    ensure!(version.contains(&previous()?), "{version}");
    Ok(())
}

fn stops_when_interrupted(trio: &Trio, to: &str) -> Result<()> {
    let mut running = start(trio, &["--to", to])?;
    running.line_with("all nodes: kube-proxy", PATIENCE)?;
    running.signal("INT")?;
    let (status, text) = running.end(Duration::from_secs(60))?;
    ensure!(status.code() == Some(130), "{status}:\n{text}");
    ensure!(
        text.contains("the upgrade stopped") && text.contains("kubelet"),
        "{text}"
    );
    Ok(())
}

fn has_version(trio: &Trio, version: &str) -> Result<()> {
    let nodes = trio.kubectl(1, &["get", "nodes"])?;
    ensure!(nodes.matches(version).count() == 3, "{nodes}");
    for node in 0..3 {
        let answered = trio.kubectl(node, &["get", "--raw", "/version"])?;
        ensure!(answered.contains(&format!("\"{version}\"")), "{answered}");
    }
    let images = "jsonpath={range .items[*]}{.spec.containers[0].image}{\"\\n\"}{end}";
    eventually("pods of that version only", Duration::from_secs(60), || {
        let images = trio.kubectl(1, &["get", "pods", "-n", "kube-system", "-o", images])?;
        for component in ["apiserver", "controller-manager", "scheduler", "proxy"] {
            let wanted = format!("registry.k8s.io/kube-{component}:{version}");
            ensure!(images.matches(&wanted).count() == 3, "{images}");
        }
        Ok(())
    })
}
