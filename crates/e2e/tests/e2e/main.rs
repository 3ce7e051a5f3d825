//! The end-to-end tests: one real cluster, made and driven by the built programs as a user would.
//!
//! `cargo test --workspace --test e2e -- FILTER` runs the tests whose name contains FILTER, or one of its parts between
//! commas; `--half=shared` and `--half=own` run a half of them. Tests that take more than a small machine has
//! ([`vm`]), and the rotation of authorities on three control planes ([`authorities::of_three`]), run only when a
//! filter names them.

mod authorities;
mod changes;
mod cluster;
mod command_line;
mod conformance;
mod crowds;
mod dashboard;
mod debug;
mod defaults;
mod discovery;
mod docker;
mod effects;
mod etcd;
mod faults;
mod files;
mod firewall;
mod five;
mod high_availability;
mod images;
mod kubernetes;
mod live;
mod local;
mod maintenance;
mod offline;
mod outside;
mod partition;
mod refusals;
mod renewal;
mod roles;
mod scarcity;
mod support;
mod upgrade;
mod upstream;
mod virtual_address;
mod vm;

use std::process::ExitCode;

use e2e::run::{Summary, all, any};

/// What is run: everything, or one of two halves that take about as long and can run side by side.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Both,
    /// The tests without a cluster, those that share one, and those of nodes in Docker.
    Shared,
    /// The tests that make clusters of their own kind.
    Own,
}

impl Half {
    /// The number of the first network for its clusters.
    fn first_network(self) -> u8 {
        if self == Self::Own { 128 } else { 0 }
    }
}

fn main() -> ExitCode {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let half = match std::env::args().find_map(|a| a.strip_prefix("--half=").map(str::to_owned)) {
        None => Half::Both,
        Some(name) if name == "shared" => Half::Shared,
        Some(name) if name == "own" => Half::Own,
        Some(name) => {
            println!("there is no half {name:?}: there are shared and own");
            return ExitCode::FAILURE;
        }
    };
    e2e::site::look_for_networks_from(half.first_network());
    let mut summary = Summary::default();
    match run(half, filter.as_deref(), &mut summary) {
        Ok(()) => {}
        Err(error) => {
            println!("{error:?}");
            summary.failed += 1;
        }
    }
    summary.print();
    if summary.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run(half: Half, filter: Option<&str>, summary: &mut Summary) -> anyhow::Result<()> {
    if half != Half::Own {
        all(&(), &offline::tests(), filter, summary);
    }
    if let Some(reason) = cluster::missing() {
        anyhow::bail!("the tests that start a cluster cannot run: {reason}");
    }
    if half != Half::Own {
        // Not by both at once.
        e2e::site::clean_up_after_killed_runs()?;
        shared(filter, summary)?;
        nodes_in_docker(filter, summary)?;
    }
    if half != Half::Shared {
        own(filter, summary)?;
    }
    Ok(())
}

fn shared(filter: Option<&str>, summary: &mut Summary) -> anyhow::Result<()> {
    let tests: Vec<_> = [
        cluster::tests(),
        discovery::tests(),
        kubernetes::tests(),
        etcd::tests(),
        refusals::tests(),
        command_line::tests(),
        files::tests(),
        defaults::tests(),
        outside::tests(),
        support::tests(),
        dashboard::tests(),
        debug::tests(),
        conformance::tests(),
        faults::tests(),
        changes::tests(),
        effects::tests(),
        live::tests(),
        upstream::tests(),
        images::tests(),
        firewall::tests(),
        renewal::tests(),
        roles::tests(),
        crowds::tests(),
        // The last, because it changes what every client has.
        authorities::tests(),
    ]
    .into_iter()
    .flatten()
    .collect();
    if any(&tests, filter, summary) {
        let cluster = cluster::Cluster::create()?;
        all(&cluster, &tests, filter, summary);
        if summary.troubles() > 0 {
            cluster.print_logs();
        }
        cluster.destroy()?;
    }
    Ok(())
}

/// Nodes in Docker, which share a cluster of their own.
fn nodes_in_docker(filter: Option<&str>, summary: &mut Summary) -> anyhow::Result<()> {
    let containers = docker::tests();
    if any(&containers, filter, summary) {
        let troubles = summary.troubles();
        let cluster = docker::Containers::create()?;
        all(&cluster, &containers, filter, summary);
        if summary.troubles() > troubles {
            cluster.print_logs();
        }
        cluster.destroy()?;
    }
    Ok(())
}

fn own(filter: Option<&str>, summary: &mut Summary) -> anyhow::Result<()> {
    all(&(), &local::tests(), filter, summary);
    all(&(), &maintenance::tests(), filter, summary);
    all(&(), &scarcity::tests(), filter, summary);
    all(&(), &etcd::own_cluster_tests(), filter, summary);
    let mut trio = high_availability::tests();
    let rotation = authorities::of_three();
    match filter {
        Some(_) => trio.extend(rotation),
        None => summary.skipped += rotation.len(),
    }
    if any(&trio, filter, summary) {
        all(&high_availability::Trio::create()?, &trio, filter, summary);
    }
    // At the end, when the other half is about done: they need the whole machine.
    all(&(), &five::tests(), filter, summary);
    let virtual_machine = vm::tests();
    if filter.is_none() {
        summary.skipped += virtual_machine.len();
    } else if any(&virtual_machine, filter, summary) {
        all(&vm::Vm::create()?, &virtual_machine, filter, summary);
    }
    Ok(())
}
