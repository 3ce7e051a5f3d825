//! Local clusters from outside: what `cluster create` takes, what it leaves when it does not come to its end, and that
//! `cluster destroy` leaves nothing.

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::program::Program;
use e2e::run::Test;
use e2e::running::Running;
use e2e::site::{Place, another_network, network};
use e2e::tests;
use e2e::traces::Traces;
use e2e::wait::eventually;

use crate::cluster::{control_plane, endpoint};
use crate::maintenance::SMALL;

const LIMIT: Duration = Duration::from_secs(60);
/// The exit code of a command that an interrupt ended: 128 and the signal's number.
const INTERRUPTED: i32 = 130;
const SIGKILL: i32 = 9;

pub fn tests() -> Vec<Test<()>> {
    tests![
        an_interrupted_create_says_what_runs_and_is_removed,
        a_create_that_is_killed_leaves_nothing_that_is_not_removed,
        a_create_that_takes_too_long_says_how_to_go_on,
        wrong_flags_are_refused_before_anything_is_made,
        flags_of_create_are_seen_from_outside_and_two_clusters_live_side_by_side,
    ]
}

/// A `cluster create` that has just started its nodes.
fn half_way(place: &Place, name: &str) -> Result<Running> {
    let cidr = network().cidr();
    let args = ["cluster", "create", "--name", name, "--subnet", &cidr, "--workers", "1"];
    let mut create = Running::start(place.keelctl.command(&args))?;
    create.line_with("starting 2 nodes", LIMIT)?;
    Ok(create)
}

fn an_interrupted_create_says_what_runs_and_is_removed((): &()) -> Result<()> {
    let place = Place::new("interrupted")?;
    let mut create = half_way(&place, "interrupted")?;
    create.line_with("waiting for the nodes", LIMIT)?;
    create.signal("INT")?;
    let (status, text) = create.end(LIMIT)?;
    ensure!(status.code() == Some(INTERRUPTED), "{status}\n{text}");
    ensure!(
        text.contains("is not complete") && text.contains("of 2 nodes run"),
        "{text}"
    );
    let command = "keelctl cluster destroy --name interrupted";
    ensure!(text.lines().any(|line| line.ends_with(command)), "{text}");

    let shown = place.keelctl.output(&["cluster", "show", "--name", "interrupted"])?;
    ensure!(shown.contains("is not complete"), "{shown}");
    let traces = Traces::of(&place, "interrupted")?;
    let there = traces.all()?.join("\n");
    for kind in ["process", "link", "control group", "file"] {
        ensure!(
            there.contains(kind),
            "no {kind} of a cluster that runs is found:\n{there}"
        );
    }
    place.destroy()?;
    traces.none()
}

fn a_create_that_is_killed_leaves_nothing_that_is_not_removed((): &()) -> Result<()> {
    let place = Place::new("killed")?;
    let create = half_way(&place, "killed")?;
    create.signal("KILL")?;
    let (status, text) = create.end(LIMIT)?;
    ensure!(status.signal() == Some(SIGKILL), "{status}\n{text}");
    let again = place
        .keelctl
        .run(&["cluster", "create", "--name", "killed"])?
        .refusal()?;
    ensure!(again.contains("destroy it first"), "{again}");
    let traces = Traces::of(&place, "killed")?;
    place.destroy()?;
    traces.none()
}

fn a_create_that_takes_too_long_says_how_to_go_on((): &()) -> Result<()> {
    let place = Place::new("late")?;
    // Nothing is pulled from a registry that is not there, so this cluster never gets healthy.
    let nowhere = ["registry.k8s.io", "ghcr.io"].map(|host| format!("{host}=http://127.0.0.1:1"));
    let patch = "machine: {kubelet: {image: ghcr.io/nobody/kubelet:v0}}";
    let cidr = network().cidr();
    let mut args = vec![
        "cluster",
        "create",
        "--name",
        "late",
        "--subnet",
        &cidr,
        "--workers",
        "0",
    ];
    for mirror in &nowhere {
        args.extend(["--registry-mirror", mirror]);
    }
    args.extend(["--config-patch", patch, "--wait-timeout", "5s"]);
    let refusal = place.keelctl.run(&args)?.refusal()?;
    for words in [
        "--wait-timeout 5s",
        "\"late\" goes on running: 1 of 1 nodes run",
        "keelctl health && keelctl kubeconfig",
        "keelctl cluster destroy --name late",
    ] {
        ensure!(refusal.contains(words), "{words:?} is not in:\n{refusal}");
    }
    // It does go on running, and the commands find it.
    place.keelctl.output(&["version"])?;
    let traces = Traces::of(&place, "late")?;
    place.destroy()?;
    traces.none()
}

fn wrong_flags_are_refused_before_anything_is_made((): &()) -> Result<()> {
    let place = Place::new("wrong")?;
    let busy = TcpListener::bind("127.0.0.1:0")?;
    let port = format!("{}:80", busy.local_addr()?.port());
    for (args, words) in [
        (
            &["--kubernetes-version", "1.30.0"][..],
            ["1.30.0", "leave the flag out"],
        ),
        (&["--cpus", "many"], ["many", "number of processors"]),
        (&["--memory", "lots"], ["lots", "--memory"]),
        (&["--subnet", "10.5.0.0"], ["10.5.0.0", "10.5.0.0/24"]),
        (&["--exposed-ports", "x:80"], ["x:80", "HOST"]),
        (&["--config-patch", "machine: {typ: worker}"], ["typ", "machine"]),
        (&["--config-patch", "@/nothing"], ["/nothing", "check the name"]),
        (&["--registry-mirror", "docker.io"], ["docker.io", "="]),
        (&["--controlplanes", "0"], ["controlplanes", "needs"]),
        (&["--wait-timeout", "soon"], ["soon", "--wait-timeout"]),
        (&["--worker", "1"], ["--worker", "'--workers'"]),
        (&["dockr"], ["dockr", "docker"]),
    ] {
        let base = ["cluster", "create", "--name", "wrong"];
        let refusal = place.keelctl.run(&[&base, args].concat())?.refusal()?;
        for word in words {
            let found = refusal.to_lowercase().contains(&word.to_lowercase());
            ensure!(found, "{args:?}: {word:?} is not in:\n{refusal}");
        }
        let made = place.folder().join("clusters/wrong");
        ensure!(!made.exists(), "{args:?} made {}", made.display());
    }
    // A port that something else listens on is found out when the gateway starts.
    let cidr = network().cidr();
    let args = [
        "cluster",
        "create",
        "--name",
        "wrong",
        "--subnet",
        &cidr,
        "--host-ip",
        "127.0.0.1",
        "-p",
        &port,
    ];
    let refusal = place.keelctl.run(&args)?.refusal()?;
    ensure!(
        refusal.contains("in use") && refusal.contains("cluster destroy"),
        "{refusal}"
    );
    let traces = Traces::of(&place, "wrong")?;
    place.destroy()?;
    traces.none()
}

/// A port that nothing listens on.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn flags_of_create_are_seen_from_outside_and_two_clusters_live_side_by_side((): &()) -> Result<()> {
    let place = Place::new("flags")?;
    let patch = place.folder().join("controlplane.yaml");
    std::fs::write(&patch, "machine: {nodeLabels: {from-file: 'yes'}}\n")?;
    let (kubernetes, api) = (free_port()?, free_port()?);
    let registry = format!("http://{}:5000", network().host(1));
    let create = [
        &["--workers", "0", "--host-ip", "127.0.0.1"][..],
        &["--exposed-ports", &format!("{kubernetes}:6443,{api}:50000/tcp")],
        &["--cpus", "1.5", "--memory-controlplanes", "1700MiB", "--mtu", "1450"],
        &["--kubernetes-version", "v1.37.1"],
        &[
            "--config-patch",
            SMALL,
            "--config-patch",
            "machine: {sysctls: {vm.swappiness: '7'}}",
        ],
        &["--config-patch-controlplanes", &format!("@{}", patch.display())],
        &["--config-patch-workers", "machine: {nodeLabels: {of-workers: 'yes'}}"],
        &["--registry-mirror", &format!("example.org={registry}")],
    ];
    place.create(&create.concat())?;
    let keelctl = &place.keelctl;
    let result = limits(&place)
        .and_then(|()| configuration(&place, &registry))
        .and_then(|()| ports(&place, kubernetes, api))
        .and_then(|()| side_by_side(&place));
    if result.is_err() {
        place.print_logs();
    }
    result?;
    let traces = Traces::of(&place, "flags")?;
    place.destroy()?;
    traces.none()?;
    let contexts = keelctl.output(&["config", "contexts"])?;
    ensure!(
        !contexts.contains("flags"),
        "the context of a cluster that is gone:\n{contexts}"
    );
    Ok(())
}

fn limits(place: &Place) -> Result<()> {
    let shown = place.keelctl.output(&["cluster", "show", "--name", "flags"])?;
    ensure!(shown.contains("1.50") && shown.contains("1450"), "{shown}");
    let traces = Traces::of(place, "flags")?;
    let has = |files: [&str; 2], values: [&str; 2]| {
        let found: Vec<String> = files.iter().flat_map(|file| traces.limits(file)).collect();
        ensure!(
            found.iter().any(|value| values.contains(&value.as_str())),
            "{files:?} are {found:?}, not {values:?}"
        );
        Ok(())
    };
    // The names of version 2 of control groups, and of version 1.
    let bytes = (1700u64 << 20).to_string();
    has(["memory.max", "memory.limit_in_bytes"], [&bytes, &bytes])?;
    has(["cpu.max", "cpu.cfs_quota_us"], ["150000 100000", "150000"])?;
    let mtu = place
        .keelctl
        .output(&["get", "links", "eth0", "-o", "jsonpath={.spec.mtu}"])?;
    ensure!(mtu.trim() == "1450", "{mtu}");
    Ok(())
}

fn configuration(place: &Place, registry: &str) -> Result<()> {
    let config = place.keelctl.output(&["get", "machineconfig", "-o", "yaml"])?;
    for text in [
        "vm.swappiness",
        "from-file",
        "kube-apiserver:v1.37.1",
        "example.org",
        registry,
    ] {
        ensure!(config.contains(text), "{text} is not in:\n{config}");
    }
    ensure!(!config.contains("of-workers"), "a patch of workers is in:\n{config}");
    let labels = place
        .kubectl
        .output(&["get", "nodes", "-l", "from-file=yes", "-o", "name"])?;
    ensure!(labels.lines().count() == 1, "{labels}");
    Ok(())
}

fn ports(place: &Place, kubernetes: u16, api: u16) -> Result<()> {
    let server = format!("--server=https://127.0.0.1:{kubernetes}");
    let ready = place.kubectl.output(&[&server, "get", "--raw", "/readyz"])?;
    ensure!(ready == "ok", "{ready}");
    let endpoint = format!("127.0.0.1:{api}");
    let version = place
        .keelctl
        .output(&["-e", &endpoint, "-n", control_plane(), "version"])?;
    ensure!(version.contains(control_plane()), "{version}");
    Ok(())
}

/// A second cluster in its own network, of the same home.
fn side_by_side(place: &Place) -> Result<()> {
    let keelctl: &Program = &place.keelctl;
    let taken = keelctl
        .run(&["cluster", "create", "--name", "second", "--subnet", &network().cidr()])?
        .refusal()?;
    ensure!(
        taken.contains("of the cluster \"flags\"") && taken.contains("--subnet"),
        "{taken}"
    );
    let other = another_network()?;
    let second = [
        "cluster",
        "create",
        "--name",
        "second",
        "--subnet",
        &other.cidr(),
        "--workers",
        "0",
    ];
    keelctl.output(&[&second[..], &["--skip-injecting-config"]].concat())?;
    let address = other.host(2).to_string();
    let result = eventually("an answer of the second cluster", LIMIT, || {
        keelctl.output(&["version", "--insecure", "-n", &address])
    });
    let traces = Traces::of(place, "second")?;
    keelctl.output(&["cluster", "destroy", "--name", "second"])?;
    result?;
    traces.none()?;
    // The first does not notice.
    keelctl.output(&["version"])?;
    let host = endpoint();
    let host = host.trim_start_matches("https://");
    TcpStream::connect(host).with_context(|| format!("connect to {host}"))?;
    Ok(())
}
