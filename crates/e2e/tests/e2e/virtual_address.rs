//! An address that control planes share: one of them has it, and another when that one is gone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::site::network;
use e2e::wait::eventually;

use crate::high_availability::{Trio, power_off};

/// How long an election, and what comes before it, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn shared() -> String {
    network().host(50).to_string()
}

/// Which control plane has the shared address; fails if more than one has.
fn holder(trio: &Trio, asked: &[u8]) -> Result<Option<u8>> {
    let mut holders = Vec::new();
    for node in asked {
        if trio
            .ask(*node, &["get", "addresses"])?
            .contains(&format!("{}/32", shared()))
        {
            holders.push(*node);
        }
    }
    ensure!(holders.len() < 2, "{holders:?} have {}", shared());
    Ok(holders.first().copied())
}

fn await_holder(trio: &Trio, asked: &[u8]) -> Result<u8> {
    eventually("somebody to have the shared address", PATIENCE, || {
        holder(trio, asked)?.context("nobody has it")
    })
}

/// Kubernetes and the machine API answer at the shared address, with certificates that name it.
fn is_served(trio: &Trio) -> Result<()> {
    let address = shared();
    let server = format!("https://{address}:6443");
    eventually("both APIs at the shared address", PATIENCE, || {
        let nodes = ["--server", &server, "--request-timeout", "5s", "get", "nodes"];
        trio.kubectl_at(&nodes)?;
        trio.keelctl_at(&["-n", &address, "-e", &address, "version"])
    })?;
    Ok(())
}

fn configure(trio: &Trio, patch: &str) -> Result<()> {
    let all = (0..3).map(Trio::node).collect::<Vec<_>>().join(",");
    trio.keelctl_at(&[
        "-n",
        &all,
        "patch",
        "machineconfig",
        "--mode",
        "no-reboot",
        "--patch",
        patch,
    ])?;
    Ok(())
}

pub fn a_shared_address_moves_when_its_holder_loses_power(trio: &Trio) -> Result<()> {
    let address = shared();
    let document = format!("apiVersion: v1alpha1\nkind: Layer2VIPConfig\nname: {address}\n");
    let servers = trio.api_servers()?;
    configure(trio, &document)?;
    let first = await_holder(trio, &[0, 1, 2])?;
    is_served(trio)?;
    // They read their certificates, which name it now, by themselves.
    let now = trio.api_servers()?;
    ensure!(
        now == servers,
        "API servers restarted: {servers:?} ran before, {now:?} now"
    );
    for node in 0..3 {
        let operators = trio.ask(node, &["get", "operatorspecs"])?;
        ensure!(operators.contains(&address), "{operators}");
    }
    // It is nobody's own.
    let members = trio.ask(first, &["get", "members"])?;
    ensure!(!members.contains(&address), "{members}");

    power_off(trio.place(), "trio", &Trio::name(first))?;
    let lost = Instant::now();
    let others: Vec<u8> = (0..3).filter(|node| *node != first).collect();
    let second = await_holder(trio, &others)?;
    println!(
        "    {address} moved from {} to {} within {:.1?}",
        Trio::node(first),
        Trio::node(second),
        lost.elapsed()
    );
    is_served(trio)?;
    trio.keelctl_at(&["cluster", "start", &Trio::name(first), "--name", "trio"])?;
    eventually("the third member to answer again", PATIENCE, || {
        trio.ask(first, &["etcd", "status"])?;
        trio.kubectl(first, &["get", "--raw", "/readyz"])
    })?;
    // Who comes back is a candidate like the others, and takes nothing from who was elected.
    ensure!(holder(trio, &[first])?.is_none(), "{} has it again", Trio::node(first));

    configure(trio, &format!("{document}$patch: delete\n"))?;
    eventually("nobody to have the shared address", PATIENCE, || {
        let holder = holder(trio, &[0, 1, 2])?;
        ensure!(holder.is_none(), "{holder:?} has it");
        Ok(())
    })
}
