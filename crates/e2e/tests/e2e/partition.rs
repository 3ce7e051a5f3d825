//! Control planes that all run and do not reach each other: what was acknowledged is kept, what cannot be kept is not
//! acknowledged.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::cut::Cut;
use e2e::run::Test;
use e2e::tests;
use e2e::wait::eventually;
use e2e::writer::Writer;

use crate::high_availability::{Trio, await_voters, ids, write};

/// How long elections and connections may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// How many acknowledged writes show that writing goes on.
const SOME: usize = 10;

pub fn tests() -> Vec<Test<Trio>> {
    tests![
        the_majority_goes_on_without_a_leader_that_is_cut_off_and_that_acknowledges_nothing,
        without_a_majority_nothing_is_acknowledged_and_all_goes_on_when_the_network_does,
    ]
}

fn cut_off(trio: &Trio, nodes: &[u8]) -> Result<Cut> {
    Cut::off(&trio.place().bridge("trio")?, nodes)
}

/// The number of etcd's leader.
fn leader(trio: &Trio) -> Result<u8> {
    eventually("a leader", PATIENCE, || {
        for node in 0..3 {
            let (member, leader) = ids(trio, node)?;
            if member == leader {
                return Ok(node);
            }
        }
        bail!("nobody leads")
    })
}

/// Waits until a writer was acknowledged some more.
fn goes_on(writer: &Writer) -> Result<()> {
    let before = writer.acknowledged();
    eventually("writes to be acknowledged", PATIENCE, || {
        let more = writer.acknowledged() - before;
        ensure!(more >= SOME, "{more} were");
        Ok(())
    })
}

/// The API server of a node that has no majority behind it answers, but neither acknowledges a write nor reads what
/// might be old.
fn acknowledges_nothing(trio: &Trio, node: u8) -> Result<()> {
    for (number, what) in ["create", "get"].into_iter().enumerate() {
        // It says so when it is there; else its silence would prove nothing.
        eventually("the API server itself to answer", PATIENCE, || {
            trio.kubectl(node, &["get", "--raw", "/version"])
        })?;
        let name = format!("of-a-minority-{node}-{number}");
        let name = if what == "get" { "kube-root-ca.crt" } else { &name };
        let answer = trio.kubectl(node, &[what, "configmap", name, "--request-timeout", "3s"]);
        ensure!(answer.is_err(), "{what} at {}: {answer:?}", Trio::node(node));
    }
    Ok(())
}

/// Everybody is a healthy member, and Kubernetes is served everywhere, also for writes that nobody made before.
fn is_whole(trio: &Trio, after: &str) -> Result<()> {
    for node in 0..3 {
        await_voters(trio, node, 3)?;
        write(trio, node, &format!("written-after-{after}-{node}"))?;
    }
    let leaders = || -> Result<()> {
        let mut leaders = Vec::new();
        for node in 0..3 {
            leaders.push(ids(trio, node)?.1);
        }
        leaders.dedup();
        ensure!(leaders.len() == 1, "they follow {leaders:?}");
        Ok(())
    };
    eventually("one leader", PATIENCE, leaders)?;
    eventually("three ready nodes", PATIENCE, || {
        let nodes = trio.kubectl(0, &["get", "nodes"])?;
        ensure!(nodes.matches(" Ready ").count() == 3, "{nodes}");
        Ok(())
    })?;
    let health = ["-n", &Trio::node(0), "health", "--wait-timeout", "3m"];
    trio.keelctl_at(&health).map(drop)
}

fn the_majority_goes_on_without_a_leader_that_is_cut_off_and_that_acknowledges_nothing(trio: &Trio) -> Result<()> {
    let alone = leader(trio)?;
    let other = (alone + 1) % 3;
    let writer = trio.writer("while-one-is-cut-off")?;
    goes_on(&writer)?;

    let cut = cut_off(trio, &[alone])?;
    goes_on(&writer)?;
    acknowledges_nothing(trio, alone)?;
    eventually("another leader", PATIENCE, || {
        let (member, leader) = ids(trio, other)?;
        ensure!(
            ids(trio, alone)?.0 != leader,
            "{member} still follows {leader}, which is cut off"
        );
        Ok(())
    })?;
    cut.mend()?;

    is_whole(trio, "one-was-cut-off")?;
    // Each server is asked for every write that was acknowledged.
    let written = writer.end()?;
    println!(
        "    {} writes were acknowledged and are everywhere; the longest gap was {:.1?}",
        written.names.len(),
        written.gap
    );
    Ok(())
}

fn without_a_majority_nothing_is_acknowledged_and_all_goes_on_when_the_network_does(trio: &Trio) -> Result<()> {
    let writer = trio.writer("while-all-are-cut-off")?;
    goes_on(&writer)?;

    let cut = cut_off(trio, &[0, 1, 2])?;
    let before = writer.acknowledged();
    // All at once, as none of them answers soon.
    let asked: Vec<Result<()>> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..3)
            .map(|node| scope.spawn(move || acknowledges_nothing(trio, node)))
            .collect();
        asking
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("asking a server panicked")))
            .collect()
    });
    asked.into_iter().collect::<Result<()>>()?;
    // One may have been on its way to the writer when the network was cut.
    let more = writer.acknowledged() - before;
    ensure!(more <= 1, "{more} writes were acknowledged by nobody's majority");
    cut.mend()?;

    goes_on(&writer)?;
    is_whole(trio, "all-were-cut-off")?;
    writer.end().map(drop).context("after the network was cut everywhere")
}
