//! Three control planes: what one of them does, or fails to do, the others make good.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::run::Test;
use e2e::running::send;
use e2e::site::{Place, network};
use e2e::tests;
use e2e::wait::eventually;
use e2e::writer::Writer;
use serde_json::Value;

use crate::partition;
use crate::upgrade;
use crate::virtual_address::a_shared_address_moves_when_its_holder_loses_power;

pub fn tests() -> Vec<Test<Trio>> {
    let mut tests = tests![
        all_control_planes_are_voters_in_etcd,
        every_control_plane_serves_kubernetes,
    ];
    // What follows is then tested with the newest version.
    tests.extend(upgrade::tests());
    tests.extend(partition::tests());
    tests.extend(tests![
        a_shared_address_moves_when_its_holder_loses_power,
        leadership_is_handed_over,
        members_are_defragmented_in_turn,
        the_others_serve_while_one_reboots,
        a_control_plane_leaves_etcd_and_joins_again,
        a_control_plane_that_is_reset_leaves_the_cluster_and_joins_anew,
        a_member_is_removed_by_another,
        a_control_plane_that_was_removed_is_reset_and_started_and_joins_again,
        a_control_plane_that_vanished_is_forgotten,
        the_last_one_restores_the_cluster_when_the_others_are_gone_for_good,
    ]);
    tests
}

/// A cluster of three control planes, of the minor version of Kubernetes before the newest at first.
pub struct Trio(Place);

impl Trio {
    pub fn create() -> Result<Self> {
        let place = Place::new("trio")?;
        let nodes = ["--controlplanes", "3", "--workers", "0", "--wait-timeout", "8m"];
        // It is upgraded by one of its tests.
        let version = upgrade::previous()?;
        place.create(&[&nodes[..], &["--kubernetes-version", &version]].concat())?;
        Ok(Self(place))
    }

    /// Where the cluster lives.
    pub fn place(&self) -> &Place {
        &self.0
    }

    /// Name of a control plane, from 0.
    pub fn name(number: u8) -> String {
        format!("trio-controlplane-{}", number + 1)
    }

    /// Address of a control plane, from 0.
    pub fn node(number: u8) -> String {
        network().host(2 + number).to_string()
    }

    /// Asks one control plane, through itself.
    pub fn ask(&self, node: u8, args: &[&str]) -> Result<String> {
        let address = Self::node(node);
        self.0
            .keelctl
            .output(&[&["-n", &address, "-e", &address], args].concat())
    }

    /// A client that writes to all control planes; no other one has its name.
    pub fn writer(&self, name: &str) -> Result<Writer> {
        let kubeconfig = self.ask(0, &["kubeconfig", "-"])?;
        Writer::start(name, kubeconfig.as_bytes(), &Self::servers())
    }

    /// The API servers.
    pub fn servers() -> Vec<String> {
        let server = |node| format!("https://{}:6443", Self::node(node));
        (0..3).map(server).collect()
    }

    /// Which runs of the API servers these are.
    pub fn api_servers(&self) -> Result<BTreeSet<String>> {
        let path = "jsonpath={.items[*].status.containerStatuses[0].containerID}";
        let pods = [
            "-n",
            "kube-system",
            "get",
            "pods",
            "-l",
            "k8s-app=kube-apiserver",
            "-o",
            path,
        ];
        eventually("the pods of three API servers", Duration::from_secs(120), || {
            let text = self.0.kubectl.output(&pods)?;
            let runs: BTreeSet<String> = text.split_whitespace().map(str::to_owned).collect();
            ensure!(runs.len() == 3, "{text}");
            Ok(runs)
        })
    }

    /// keelctl with the cluster's configuration.
    pub fn keelctl_at(&self, args: &[&str]) -> Result<String> {
        self.0.keelctl.output(args)
    }

    /// kubectl with the cluster's configuration.
    pub fn kubectl_at(&self, args: &[&str]) -> Result<String> {
        self.0.kubectl.output(args)
    }

    /// kubectl at the API server of one node.
    pub fn kubectl(&self, node: u8, args: &[&str]) -> Result<String> {
        let server = format!("https://{}:6443", Self::node(node));
        self.0
            .kubectl
            .output(&[&["--server", &server, "--request-timeout", "10s"], args].concat())
    }
}

/// How many members vote; fails if another one learns.
fn voters(trio: &Trio, asked: u8) -> Result<usize> {
    let members = trio.ask(asked, &["etcd", "members"])?;
    let lines: Vec<&str> = members.lines().skip(1).collect();
    ensure!(lines.iter().all(|l| l.trim_end().ends_with("false")), "{members}");
    Ok(lines.len())
}

/// Writes at one control plane, which may have to wait for an election first. An answer that was lost is no failure:
/// the write is there.
pub fn write(trio: &Trio, node: u8, name: &str) -> Result<()> {
    eventually(
        &format!("a write at {}", Trio::node(node)),
        Duration::from_secs(60),
        || match trio.kubectl(node, &["create", "configmap", name]) {
            Err(error) if !format!("{error:#}").contains("already exists") => Err(error),
            _ => Ok(()),
        },
    )
}

/// Waits until so many members vote, as one node sees it; an election on the way takes a moment.
pub fn await_voters(trio: &Trio, asked: u8, wanted: usize) -> Result<()> {
    eventually(&format!("{wanted} voters"), Duration::from_secs(120), || {
        let found = voters(trio, asked)?;
        ensure!(found == wanted, "{found} vote");
        Ok(())
    })
}

fn all_control_planes_are_voters_in_etcd(trio: &Trio) -> Result<()> {
    for node in 0..3 {
        ensure!(voters(trio, node)? == 3, "{}", trio.ask(node, &["etcd", "members"])?);
        let status = trio.ask(node, &["etcd", "status"])?;
        ensure!(status.lines().count() == 2, "{status}");
    }
    Ok(())
}

fn every_control_plane_serves_kubernetes(trio: &Trio) -> Result<()> {
    for node in 0..3 {
        let nodes = trio.kubectl(node, &["get", "nodes"])?;
        ensure!(nodes.matches(" Ready ").count() == 3, "{nodes}");
    }
    let members = trio.ask(1, &["get", "members"])?;
    ensure!(members.matches("controlplane").count() >= 3, "{members}");
    Ok(())
}

/// What a member says of itself: its id, and its leader's.
pub fn ids(trio: &Trio, node: u8) -> Result<(String, String)> {
    let status = trio.ask(node, &["etcd", "status"])?;
    let columns: Vec<&str> = status.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    // NODE, MEMBER, DB SIZE (two words), IN USE (three), LEADER
    match (columns.get(1), columns.get(7)) {
        (Some(member), Some(leader)) => Ok(((*member).to_owned(), (*leader).to_owned())),
        _ => anyhow::bail!("{status}"),
    }
}

fn leadership_is_handed_over(trio: &Trio) -> Result<()> {
    let mut told = Vec::new();
    for node in 0..3 {
        let (member, leader) = ids(trio, node)?;
        let address = Trio::node(node);
        let ran = trio
            .0
            .keelctl
            .run(&["-n", &address, "-e", &address, "etcd", "forfeit-leadership"])?;
        ensure!(ran.ok(), "{ran:?}");
        ensure!(
            ran.stderr.contains("is not the leader") == (member != leader),
            "{ran:?}"
        );
        ensure!(ids(trio, node)?.1 != member, "{address} leads still");
        told.push(ran.stderr);
    }
    ensure!(told.iter().any(|t| t.contains("the leader is now")), "{told:?}");
    Ok(())
}

fn members_are_defragmented_in_turn(trio: &Trio) -> Result<()> {
    let all: Vec<String> = (0..3).map(Trio::node).collect();
    let ran = trio.0.keelctl.run(&["-n", &all.join(","), "etcd", "defrag"])?;
    ensure!(ran.ok() && ran.stderr.matches(": defragmented").count() == 3, "{ran:?}");
    let alarms = trio
        .0
        .keelctl
        .output(&["-n", &all.join(","), "etcd", "alarm", "list"])?;
    ensure!(alarms.lines().count() == 1, "{alarms}");
    Ok(())
}

fn the_others_serve_while_one_reboots(trio: &Trio) -> Result<()> {
    let started = || -> Result<String> { trio.ask(0, &["get", "version", "-o", "jsonpath={.metadata.created}"]) };
    is_healthy(trio)?;
    let before = started()?;
    trio.ask(0, &["reboot", "--wait=false"])?;
    // What is written while a member is away is there when it is back.
    write(trio, 1, "written-meanwhile")?;
    eventually("the control plane to be back", Duration::from_secs(120), || {
        ensure!(started()? != before, "not rebooted yet");
        ensure!(voters(trio, 0)? == 3, "not all members");
        trio.kubectl(0, &["get", "configmap", "written-meanwhile"])
    })?;
    is_healthy(trio)
}

/// Waits until all three are well: with one that is still starting, the loss of another is one too many.
pub fn is_healthy(trio: &Trio) -> Result<()> {
    eventually("all to be well", Duration::from_secs(300), || {
        trio.ask(1, &["health", "--wait-timeout", "15s"]).map(drop)
    })
}

fn a_control_plane_leaves_etcd_and_joins_again(trio: &Trio) -> Result<()> {
    trio.ask(2, &["etcd", "leave"])?;
    await_voters(trio, 0, 2)?;
    let etcd = trio.ask(2, &["service", "etcd"])?;
    ensure!(etcd.contains("Waiting") && etcd.contains("has left etcd"), "{etcd}");
    write(trio, 1, "written-while-one-left")?;
    trio.ask(2, &["reboot", "--wait=false"])?;
    eventually("the third member to be back", Duration::from_secs(120), || {
        ensure!(voters(trio, 0)? == 3, "not all members");
        trio.kubectl(2, &["get", "configmap", "written-while-one-left"])
    })?;
    Ok(())
}

fn a_member_is_removed_by_another(trio: &Trio) -> Result<()> {
    let before = voters(trio, 0)?;
    let (gone, _) = ids(trio, 2)?;
    let refusal = {
        let address = Trio::node(2);
        let itself = ["-n", &address, "-e", &address, "etcd", "remove-member", &gone];
        trio.0.keelctl.run(&itself)?.refusal()?
    };
    ensure!(refusal.contains("etcd leave"), "{refusal}");
    trio.ask(0, &["etcd", "remove-member", &gone])?;
    await_voters(trio, 0, before - 1)?;
    let unknown = {
        let address = Trio::node(0);
        let again = ["-n", &address, "-e", &address, "etcd", "remove-member", &gone];
        trio.0.keelctl.run(&again)?.refusal()?
    };
    ensure!(unknown.contains("NotFound"), "{unknown}");
    write(trio, 0, "written-without-it")
}

/// The identity by which others know a node.
fn identity(trio: &Trio, node: u8) -> Result<String> {
    let path = "jsonpath={.spec.nodeId}";
    Ok(trio
        .ask(node, &["get", "identities", "local", "-o", path])?
        .trim()
        .to_owned())
}

fn a_control_plane_that_is_reset_leaves_the_cluster_and_joins_anew(trio: &Trio) -> Result<()> {
    let (old, (member, _)) = (identity(trio, 2)?, ids(trio, 2)?);
    trio.ask(2, &["reset", "--reboot", "--wait=false"])?;
    write(trio, 1, "written-while-one-resets")?;
    let patience = Duration::from_secs(180);
    eventually("its new identity to have replaced the old one", patience, || {
        let new = identity(trio, 2)?;
        let affiliates = trio.ask(0, &["get", "affiliates"])?;
        let replaced = affiliates.contains(&new) && !affiliates.contains(&old);
        ensure!(replaced, "{old}:\n{affiliates}");
        let members = trio.ask(0, &["etcd", "members"])?;
        ensure!(!members.contains(&member), "{member} is a member still:\n{members}");
        Ok(())
    })?;
    await_voters(trio, 0, 3)
}

/// Ends a node of a cluster as a machine that lost its power.
pub fn power_off(place: &Place, cluster: &str, name: &str) -> Result<()> {
    let folder = place.folder().join("clusters").join(cluster);
    let read = |file: &str| -> Result<Value> { Ok(serde_json::from_slice(&std::fs::read(folder.join(file))?)?) };
    let supervisor = read("state.json")?["supervisors"][name]["pid"].clone();
    let init = read(&format!("{name}.run.json"))?["init"]["pid"].clone();
    for pid in [supervisor, init] {
        // The second one may have ended with the first.
        let pid = pid.as_u64().and_then(|pid| u32::try_from(pid).ok());
        let _ = send(
            "KILL",
            pid.with_context(|| format!("no process of {name} is recorded"))?,
        );
    }
    Ok(())
}

fn a_control_plane_that_vanished_is_forgotten(trio: &Trio) -> Result<()> {
    let (name, id) = ("trio-controlplane-3", identity(trio, 2)?);
    let asked = Trio::node(0);
    let forget = || trio.0.keelctl.run(&["-n", &asked, "-e", &asked, "forget-node", name]);
    let refusal = forget()?.refusal()?;
    ensure!(refusal.contains("still answers"), "{refusal}");
    await_voters(trio, 0, 3)?;

    power_off(trio.place(), "trio", name)?;
    // Nothing is begun while a node is away.
    let upgrade = ["-n", &asked, "-e", &asked, "upgrade-k8s", "--dry-run"];
    let refusal = trio.0.keelctl.run(&upgrade)?.refusal()?;
    ensure!(refusal.contains(&Trio::node(2)), "{refusal}");
    let told = eventually("the node to be forgotten", Duration::from_secs(120), || {
        let ran = forget()?;
        ensure!(ran.ok(), "{ran:?}");
        Ok(ran.stderr)
    })?;
    for part in ["etcd member", "Kubernetes node", "affiliate"] {
        ensure!(told.contains(&format!("removed the {part}")), "{told}");
    }
    await_voters(trio, 0, 2)?;
    eventually("nothing of the node to be left", Duration::from_secs(60), || {
        let nodes = trio.kubectl(0, &["get", "nodes"])?;
        ensure!(!nodes.contains(name), "{nodes}");
        for node in 0..2 {
            let members = trio.ask(node, &["get", "members"])?;
            let affiliates = trio.ask(node, &["get", "affiliates"])?;
            ensure!(
                !members.contains(name) && !affiliates.contains(&id),
                "{members}{affiliates}"
            );
        }
        let again = forget()?;
        ensure!(again.ok() && again.stderr.contains("nothing to forget"), "{again:?}");
        Ok(())
    })
}

fn a_control_plane_that_was_removed_is_reset_and_started_and_joins_again(trio: &Trio) -> Result<()> {
    // It has nothing to leave any more.
    trio.ask(2, &["reset", "--graceful=false", "--wait=false"])?;
    let start = ["cluster", "start", &Trio::name(2), "--name", "trio"];
    // It may still be at work on its own end.
    eventually("the end of the node", Duration::from_secs(60), || {
        let shown = trio.0.keelctl.output(&["cluster", "show", "--name", "trio"])?;
        ensure!(shown.contains("stopped"), "{shown}");
        Ok(())
    })?;
    trio.0.keelctl.output(&start)?;
    await_voters(trio, 0, 3)
}

/// Comes last: one control plane is left.
fn the_last_one_restores_the_cluster_when_the_others_are_gone_for_good(trio: &Trio) -> Result<()> {
    let snapshot = trio.0.folder().join("last.snapshot");
    let snapshot = snapshot.to_string_lossy();
    write(trio, 0, "saved")?;
    trio.ask(0, &["etcd", "snapshot", &snapshot])?;
    // The third one vanished before.
    power_off(trio.place(), "trio", &Trio::name(1))?;
    eventually("the API server to miss its quorum", Duration::from_secs(60), || {
        let refused = trio.kubectl(0, &["get", "--raw", "/readyz"]).err();
        refused.map(drop).context("it is ready")
    })?;
    // It has nobody to leave, and nobody to join.
    let address = Trio::node(0);
    let reset = [
        "-n",
        &address,
        "-e",
        &address,
        "reset",
        "--graceful=false",
        "--reboot",
        "--timeout",
        "3m",
    ];
    let reset = trio.0.keelctl.run(&reset)?;
    ensure!(
        reset.ok() && reset.stderr.contains("etcd waits for bootstrap"),
        "{reset:?}"
    );
    trio.ask(0, &["bootstrap", "--recover-from", &snapshot])?;
    eventually("Kubernetes with its data", Duration::from_secs(180), || {
        trio.kubectl(0, &["get", "configmap", "saved"])?;
        let nodes = trio.kubectl(0, &["get", "node", &Trio::name(0)])?;
        ensure!(nodes.contains(" Ready "), "{nodes}");
        ensure!(voters(trio, 0)? == 1, "{}", trio.ask(0, &["etcd", "members"])?);
        Ok(())
    })?;
    write(trio, 0, "written-by-the-last")
}
