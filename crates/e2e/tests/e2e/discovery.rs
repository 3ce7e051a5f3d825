//! Finding each other: through Kubernetes and the cluster's own discovery service, also one that forgot everything.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::program::dist;
use e2e::run::Test;
use e2e::running::send;
use e2e::site::network;
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{Cluster, control_plane, worker};

pub fn tests() -> Vec<Test<Cluster>> {
    if !dist().join(PROGRAM).exists() {
        println!("skipped: the tests of discovery, because dist has no {PROGRAM}");
        return Vec::new();
    }
    tests![
        both_registries_tell_of_the_other_node,
        members_outlive_a_discovery_service_that_forgot_them,
    ]
}

const PROGRAM: &str = "keelson-discovery";
const PATIENCE: Duration = Duration::from_secs(120);

fn both_nodes() -> [(&'static str, &'static str); 2] {
    [(control_plane(), worker()), (worker(), control_plane())]
}

/// One value of a node's resource.
fn value(c: &Cluster, node: &str, what: &[&str], path: &str) -> Result<String> {
    let path = format!("jsonpath={{{path}}}");
    Ok(c.ask(node, &[&["get"], what, &["-o", &path]].concat())?
        .trim()
        .to_owned())
}

fn connected(c: &Cluster) -> Result<()> {
    for (node, _) in both_nodes() {
        let status = ["discoveryservicestatuses", "service"];
        let found = value(c, node, &status, ".spec.connected")?;
        ensure!(
            found == "true",
            "{node}: {found:?}: {}",
            value(c, node, &status, ".spec.error")?
        );
    }
    Ok(())
}

fn both_are_members(c: &Cluster) -> Result<()> {
    for (node, other) in both_nodes() {
        let members = c.ask(node, &["get", "members"])?;
        ensure!(members.contains(node) && members.contains(other), "{members}");
    }
    Ok(())
}

fn both_registries_tell_of_the_other_node(c: &Cluster) -> Result<()> {
    for (node, other) in both_nodes() {
        let id = value(c, other, &["identities", "local"], ".spec.nodeId")?;
        eventually("both registries to tell", PATIENCE, || {
            let raw = c.ask(node, &["get", "affiliates", "--namespace", "cluster-raw"])?;
            for registry in ["k8s", "service"] {
                let row = raw.lines().find(|line| line.contains(&format!(" {registry}/{id} ")));
                let row = row.with_context(|| format!("{node} has no {registry}/{id}:\n{raw}"))?;
                ensure!(row.contains(other), "{row}");
            }
            Ok(())
        })?;
        let merged = c.ask(node, &["get", "affiliates"])?;
        ensure!(merged.lines().count() == 3 && merged.contains(&id), "{merged}");
    }
    eventually("both nodes to be connected", PATIENCE, || connected(c))?;
    let config = c.ask(worker(), &["get", "discoveryconfig", "cluster", "-o", "yaml"])?;
    let endpoint = format!("serviceEndpoint: {}:3000", network().host(1));
    ensure!(config.contains(&endpoint), "{config}");
    let shown = c.keelctl.output(&["cluster", "show", "--name", "e2e"])?;
    ensure!(shown.contains(&format!("http://{}:3000", network().host(1))), "{shown}");
    Ok(())
}

/// The folder of the service's state.
fn state(c: &Cluster) -> PathBuf {
    c.folder().join("clusters/e2e/discovery")
}

/// The process of this cluster's service.
fn service_pid(c: &Cluster) -> Result<u32> {
    let folder = state(c).to_string_lossy().into_owned();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        if words.first().is_some_and(|word| word.ends_with(PROGRAM)) && words.iter().any(|word| *word == folder) {
            return Ok(pid);
        }
    }
    anyhow::bail!("no process {PROGRAM} has its state in {folder}")
}

/// How many affiliates the service has, from its metrics.
fn affiliates_at_the_service() -> Result<u32> {
    let mut stream = TcpStream::connect((network().host(1), 3001)).context("connect to the service's page")?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let line = answer
        .lines()
        .find_map(|line| line.strip_prefix("keelson_discovery_affiliates "));
    let count = line.with_context(|| format!("no such metric:\n{answer}"))?;
    count.trim().parse().with_context(|| format!("read {count:?}"))
}

/// How often a member was lost since the node started.
fn lost(c: &Cluster, node: &str) -> Result<usize> {
    let history = c.ask(node, &["get", "members", "--history"])?;
    ensure!(history.contains("created"), "{history}");
    Ok(history.matches(" destroyed ").count())
}

fn members_outlive_a_discovery_service_that_forgot_them(c: &Cluster) -> Result<()> {
    let losses = [lost(c, control_plane())?, lost(c, worker())?];
    let before = service_pid(c)?;
    // The next process finds no state here: a folder is renamed under one that runs.
    std::fs::rename(state(c), state(c).with_extension("old"))?;
    send("KILL", before)?;
    eventually("the service to run again", PATIENCE, || {
        both_are_members(c)?;
        ensure!(service_pid(c)? != before, "still the old process");
        Ok(())
    })?;
    eventually("both nodes to have said again who they are", PATIENCE, || {
        both_are_members(c)?;
        let count = affiliates_at_the_service()?;
        ensure!(count == 2, "the service has {count} affiliates");
        connected(c)
    })?;
    for ((node, other), before) in both_nodes().into_iter().zip(losses) {
        ensure!(lost(c, node)? == before, "{node} lost {other} in between");
    }
    Ok(())
}
