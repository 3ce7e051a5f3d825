//! Five control planes: three that grow to five while a client writes, and go on when two are cut off or lost.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cut::Cut;
use e2e::run::Test;
use e2e::site::{Place, network};
use e2e::tests;
use e2e::wait::eventually;
use e2e::writer::Writer;

use crate::high_availability::power_off;
use crate::maintenance::{SMALL, mirrors};

const NAME: &str = "five";
/// Machines that start, catch up and elect, on a host that is busy with them.
const PATIENCE: Duration = Duration::from_secs(300);

pub fn tests() -> Vec<Test<()>> {
    tests![three_control_planes_grow_to_five_which_go_on_without_two]
}

fn node(number: u8) -> String {
    network().host(2 + number).to_string()
}

fn ask(place: &Place, number: u8, args: &[&str]) -> Result<String> {
    let address = node(number);
    place
        .keelctl
        .output(&[&["-n", &address, "-e", &address], args].concat())
}

fn writer(place: &Place, name: &str, count: u8) -> Result<Writer> {
    let kubeconfig = ask(place, 0, &["kubeconfig", "-"])?;
    let servers: Vec<String> = (0..count).map(|n| format!("https://{}:6443", node(n))).collect();
    Writer::start(name, kubeconfig.as_bytes(), &servers)
}

fn goes_on(writer: &Writer) -> Result<()> {
    let before = writer.acknowledged();
    eventually("writes to be acknowledged", PATIENCE, || {
        let more = writer.acknowledged() - before;
        ensure!(more >= 10, "{more} were");
        Ok(())
    })
}

/// Waits until each of the first control planes sees so many voters, and as many control planes among the members of
/// the cluster and behind its balancer.
fn await_all(place: &Place, count: u8) -> Result<()> {
    for number in 0..count {
        eventually(&format!("{count} voters at {}", node(number)), PATIENCE, || {
            let members = ask(place, number, &["etcd", "members"])?;
            let voters = members.lines().skip(1).filter(|l| l.trim_end().ends_with("false"));
            ensure!(voters.count() == usize::from(count), "{members}");
            ensure!(members.lines().count() == usize::from(count) + 1, "{members}");
            let members = ask(place, number, &["get", "members"])?;
            let servers = ask(place, number, &["get", "kubeprismendpoints", "-o", "json"])?;
            for other in 0..count {
                let known = |text: &str| text.contains(&format!("\"{}\"", node(other)));
                ensure!(known(&members) && known(&servers), "{members}\n{servers}");
            }
            ensure!(
                ask(place, number, &["etcd", "status"])?.lines().count() == 2,
                "no status"
            );
            Ok(())
        })?;
    }
    Ok(())
}

/// Waits until so many nodes are ready, and all others are not.
fn await_ready(place: &Place, asked: u8, ready: usize, others: usize) -> Result<()> {
    eventually(&format!("{ready} nodes to be ready, {others} not"), PATIENCE, || {
        let server = format!("https://{}:6443", node(asked));
        let nodes = ["--server", &server, "--request-timeout", "10s", "get", "nodes"];
        let nodes = place.kubectl.output(&nodes)?;
        let right = nodes.matches(" Ready ").count() == ready && nodes.matches(" NotReady ").count() == others;
        ensure!(right, "{nodes}");
        Ok(())
    })
}

fn apply(place: &Place, number: u8) -> Result<()> {
    let path = |name: &str| place.folder().join(name).to_string_lossy().into_owned();
    let patches = ["mirrors.yaml", "discovery.yaml", "small.yaml"].map(|name| format!("@{}", path(name)));
    let (file, address) = (path("controlplane.yaml"), node(number));
    let apply = [
        "apply-config",
        "--insecure",
        "-f",
        &file,
        "-n",
        &address,
        "-e",
        &address,
    ];
    let patches: Vec<&str> = patches.iter().flat_map(|patch| ["--config-patch", patch]).collect();
    eventually("a node to take its configuration", PATIENCE, || {
        place.keelctl.output(&[&apply[..], &patches].concat()).map(drop)
    })
}

/// A patch by which nodes find each other on the cluster's own gateway.
fn discovery(service: &str) -> String {
    format!(
        "cluster:\n  discovery:\n    enabled: true\n    registries:\n      kubernetes: {{disabled: false}}\n      \
         service: {{endpoint: \"http://{service}\"}}\n"
    )
}

/// Three machines as a person makes them a cluster.
fn begin(place: &Place) -> Result<()> {
    place.create(&["--controlplanes", "5", "--workers", "0", "--skip-injecting-config"])?;
    let (folder, endpoint) = (place.folder(), format!("https://{}:6443", node(0)));
    let out = folder.to_string_lossy();
    let gateway = network().host(1);
    std::fs::write(folder.join("mirrors.yaml"), mirrors(&format!("{gateway}:5000")))?;
    std::fs::write(folder.join("discovery.yaml"), discovery(&format!("{gateway}:3000")))?;
    std::fs::write(folder.join("small.yaml"), SMALL)?;
    place
        .keelctl
        .output(&["gen", "config", NAME, &endpoint, "-o", &out, "--force"])?;
    for number in 0..3 {
        apply(place, number)?;
    }
    eventually("a node to take the bootstrap", PATIENCE, || {
        ask(place, 0, &["bootstrap"])
    })?;
    let kubeconfig = folder.join("kubeconfig");
    eventually("a kubeconfig", PATIENCE, || {
        ask(place, 0, &["kubeconfig", &kubeconfig.to_string_lossy(), "--force"])
    })?;
    await_all(place, 3)?;
    await_ready(place, 0, 3, 0)
}

fn three_control_planes_grow_to_five_which_go_on_without_two((): &()) -> Result<()> {
    let place = Place::new(NAME)?;
    begin(&place)?;

    let growing = writer(&place, "while-it-grows", 3)?;
    goes_on(&growing)?;
    apply(&place, 3)?;
    apply(&place, 4)?;
    await_all(&place, 5)?;
    await_ready(&place, 4, 5, 0)?;
    let written = growing.end()?;
    println!(
        "    {} writes while it grew; the longest gap was {:.1?}",
        written.names.len(),
        written.gap
    );
    // Whoever knows all of them goes through any of them to any other.
    let all: Vec<String> = (0..5).map(node).collect();
    place.keelctl.output(
        &[
            &["config", "endpoint"],
            &all.iter().map(String::as_str).collect::<Vec<_>>()[..],
        ]
        .concat(),
    )?;
    let versions = place
        .keelctl
        .output(&["-n", &all.join(","), "-e", &node(4), "version"])?;
    ensure!(all.iter().all(|node| versions.contains(node)), "{versions}");

    cut_off(&place).context("two of five cut off")?;
    lost(&place).context("two of five lost")?;
    place.destroy()
}

/// The last two do not reach the first three, which go on.
fn cut_off(place: &Place) -> Result<()> {
    let writer = writer(place, "while-two-are-cut-off", 5)?;
    goes_on(&writer)?;
    let cut = Cut::off(&place.bridge(NAME)?, &[3, 4])?;
    goes_on(&writer)?;
    await_ready(place, 0, 3, 2)?;
    cut.mend()?;
    await_all(place, 5)?;
    await_ready(place, 4, 5, 0)?;
    writer.end().map(drop)
}

/// The first two lose their power: their clients go to the others. They come back with what they have.
fn lost(place: &Place) -> Result<()> {
    let writer = writer(place, "while-two-are-lost", 5)?;
    goes_on(&writer)?;
    let names = [1, 2].map(|number| format!("{NAME}-controlplane-{number}"));
    for name in &names {
        power_off(place, NAME, name)?;
    }
    goes_on(&writer)?;
    await_ready(place, 2, 3, 2)?;
    place
        .keelctl
        .output(&["cluster", "start", &names[0], &names[1], "--name", NAME])?;
    await_all(place, 5)?;
    await_ready(place, 0, 5, 0)?;
    writer.end().map(drop)
}
