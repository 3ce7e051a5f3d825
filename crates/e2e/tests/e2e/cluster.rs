//! The cluster the tests share, and what the command line says of it.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::program::{Program, dist};
use e2e::run::Test;
use e2e::site::{Place, network};
use e2e::tests;
use e2e::traces::Traces;
use e2e::wait::eventually;
use serde_json::Value;

/// The control plane's address.
pub fn control_plane() -> &'static str {
    static ADDRESS: LazyLock<String> = LazyLock::new(|| network().host(2).to_string());
    &ADDRESS
}

/// The worker's.
pub fn worker() -> &'static str {
    static ADDRESS: LazyLock<String> = LazyLock::new(|| network().host(3).to_string());
    &ADDRESS
}

/// The cluster's endpoint.
pub fn endpoint() -> String {
    format!("https://{}:6443", control_plane())
}

const NAME: &str = "e2e";

/// Why no cluster can be made here.
pub fn missing() -> Option<String> {
    ["keelctl", "kubectl", "rootfs.sqsh", "images"]
        .iter()
        .map(|name| dist().join(name))
        .find(|path| !path.exists())
        .map(|path| format!("{} is missing (run `cargo xtask dist`)", path.display()))
}

/// The cluster that tests share: one control plane, one worker.
pub struct Cluster(Place);

/// Its folder and its programs.
impl std::ops::Deref for Cluster {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.0
    }
}

impl Cluster {
    /// Makes it.
    pub fn create() -> Result<Self> {
        let place = Place::new(NAME)?;
        place.create(&[])?;
        Ok(Self(place))
    }

    /// Removes it and checks that nothing is left.
    pub fn destroy(self) -> Result<()> {
        let traces = Traces::of(&self.0, NAME)?;
        let links = traces.links()?;
        ensure!(links.len() >= 3, "a bridge and two nodes have links, not {links:?}");
        self.0.destroy()?;
        traces.none()
    }

    /// Output of the command line, asked of nodes.
    pub fn ask(&self, nodes: &str, args: &[&str]) -> Result<String> {
        self.keelctl.output(&[&["-n", nodes], args].concat())
    }

    /// Output of kubectl, as JSON.
    pub fn kube_json(&self, args: &[&str]) -> Result<Value> {
        let text = self.kubectl.output(&[args, &["-o", "json"]].concat())?;
        Ok(serde_json::from_str(&text)?)
    }
}

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        both_nodes_answer_version,
        both_nodes_are_members,
        the_node_is_healthy,
        a_reader_is_told_how_the_cluster_is_by_a_control_plane,
        resources_are_shown_by_every_name,
        resources_come_as_json_and_jsonpath,
        services_run_and_are_healthy,
        logs_and_kernel_messages_can_be_read,
        etcd_has_one_healthy_member,
        kubeconfig_works_with_kubectl,
        the_controller_graph_can_be_drawn,
        history_shows_what_changed,
        a_plan_shows_what_a_configuration_would_change,
        two_hundred_clients_watch_at_once,
        the_time_is_answered,
    ]
}

fn both_nodes_answer_version(c: &Cluster) -> Result<()> {
    let text = c.ask(&format!("{},{}", control_plane(), worker()), &["version"])?;
    for node in [control_plane(), worker()] {
        ensure!(text.contains(node), "{node} is missing:\n{text}");
    }
    ensure!(text.matches("v1.13.0").count() >= 3, "{text}");
    Ok(())
}

fn both_nodes_are_members(c: &Cluster) -> Result<()> {
    eventually("two members", Duration::from_secs(60), || {
        let members = c.ask(control_plane(), &["get", "members"])?;
        ensure!(
            members.contains(control_plane()) && members.contains(worker()),
            "{members}"
        );
        ensure!(
            members.contains("controlplane") && members.contains("worker"),
            "{members}"
        );
        let affiliates = c.ask(control_plane(), &["get", "affiliates"])?;
        ensure!(affiliates.lines().count() >= 3, "{affiliates}");
        Ok(())
    })
}

fn the_node_is_healthy(c: &Cluster) -> Result<()> {
    let ran = c
        .keelctl
        .run(&["-n", control_plane(), "health", "--wait-timeout", "2m"])?;
    let text = format!("{}{}", ran.stdout, ran.stderr);
    ensure!(ran.ok(), "{text}");
    ensure!(text.contains("OK"), "{text}");
    Ok(())
}

/// A reader gets no kubeconfig, so the checks of Kubernetes can only be the node's.
fn a_reader_is_told_how_the_cluster_is_by_a_control_plane(c: &Cluster) -> Result<()> {
    let reader = c.folder().join("reader-of-health").display().to_string();
    let _ = std::fs::remove_file(&reader);
    c.ask(control_plane(), &["config", "new", &reader, "--roles", "os:reader"])?;
    let health = ["health", "--wait-timeout", "3m", "--talosconfig", &reader];
    let ran = c.keelctl.run(&[&["-n", control_plane()], &health[..]].concat())?;
    ensure!(
        ran.ok() && ran.stderr.contains("coredns to report ready: OK"),
        "{ran:?}"
    );
    ensure!(
        !ran.stderr.contains("discovered nodes"),
        "the client made the checks: {ran:?}"
    );
    let impossible = [
        "health",
        "--wait-timeout",
        "2s",
        "--control-plane-nodes",
        control_plane(),
    ];
    let impossible = [
        &["-n", control_plane()],
        &impossible[..],
        &["--worker-nodes", "192.0.2.1"],
    ]
    .concat();
    let told = c.keelctl.run(&impossible)?.refusal()?;
    ensure!(
        told.contains("healthcheck error") && told.contains("192.0.2.1"),
        "{told}"
    );
    Ok(())
}

fn resources_are_shown_by_every_name(c: &Cluster) -> Result<()> {
    for name in [
        "members",
        "affiliates",
        "machinestatus",
        "machinetypes",
        "services",
        "addresses",
        "routes",
        "links",
        "hostname",
        "nodename",
        "machineconfig",
        "kubeletspec",
        "staticpods",
        "staticpodstatus",
        "manifests",
        "etcdmembers",
        "etcdspecs",
        "certsans",
        "nodeips",
        "timestatus",
        "resolvers",
        "kernelparamstatus",
        "mounts",
        "version",
        "rd",
    ] {
        let text = c
            .ask(control_plane(), &["get", name])
            .with_context(|| format!("get {name}"))?;
        ensure!(text.starts_with("NODE"), "get {name} printed no header:\n{text}");
        ensure!(text.lines().count() >= 2, "get {name} printed nothing:\n{text}");
    }
    // None is installed; asking is still right.
    c.ask(control_plane(), &["get", "extensions"])?;
    Ok(())
}

fn resources_come_as_json_and_jsonpath(c: &Cluster) -> Result<()> {
    let json: Value = serde_json::from_str(&c.ask(control_plane(), &["get", "machinetype", "-o", "json"])?)?;
    ensure!(json["spec"] == "controlplane", "{json}");
    let name = c.ask(worker(), &["get", "machinetype", "-o", "jsonpath={.spec}"])?;
    ensure!(name.trim() == "worker", "{name}");
    let yaml = c.ask(control_plane(), &["get", "machineconfig", "-o", "yaml"])?;
    ensure!(yaml.contains("type: controlplane"), "{yaml}");
    Ok(())
}

fn services_run_and_are_healthy(c: &Cluster) -> Result<()> {
    let text = c.ask(control_plane(), &["service"])?;
    for id in ["apid", "containerd", "etcd", "kubelet", "machined", "trustd"] {
        let line = text
            .lines()
            .find(|l| l.split_whitespace().nth(1) == Some(id))
            .with_context(|| format!("{id}:\n{text}"))?;
        ensure!(line.contains("Running") && line.contains("OK"), "{line}");
    }
    let one = c.ask(control_plane(), &["service", "kubelet"])?;
    ensure!(one.contains("EVENTS") && one.contains("[Running]"), "{one}");
    Ok(())
}

fn logs_and_kernel_messages_can_be_read(c: &Cluster) -> Result<()> {
    let text = c.ask(control_plane(), &["logs", "kubelet", "--tail", "5"])?;
    ensure!(text.lines().count() >= 5, "{text}");
    ensure!(!c.ask(control_plane(), &["dmesg"])?.is_empty(), "no kernel messages");
    let containers = c.ask(control_plane(), &["containers", "-k"])?;
    let mut words = containers.split_whitespace();
    let server = words.find(|word| word.contains(":kube-apiserver"));
    let server = server.with_context(|| format!("no kube-apiserver:\n{containers}"))?;
    let last = c.ask(control_plane(), &["logs", "-k", server, "--tail", "2"])?;
    ensure!(last.lines().count() == 2, "{last}");
    Ok(())
}

fn etcd_has_one_healthy_member(c: &Cluster) -> Result<()> {
    let members = c.ask(control_plane(), &["etcd", "members"])?;
    ensure!(
        members.lines().count() == 2 && members.contains(&format!("https://{}:2380", control_plane())),
        "{members}"
    );
    let status = c.ask(control_plane(), &["etcd", "status"])?;
    ensure!(status.contains("MB") || status.contains("kB"), "{status}");
    Ok(())
}

fn kubeconfig_works_with_kubectl(c: &Cluster) -> Result<()> {
    let file = c.folder().join("fresh-kubeconfig");
    let path = file.to_string_lossy().into_owned();
    c.ask(control_plane(), &["kubeconfig", &path])?;
    let kubectl = Program::built("kubectl").with_env("KUBECONFIG", &file);
    let nodes = kubectl.output(&["get", "nodes", "-o", "wide"])?;
    ensure!(nodes.matches(" Ready ").count() == 2, "{nodes}");
    ensure!(nodes.contains("v1.37.1") && nodes.contains("Keelson"), "{nodes}");
    Ok(())
}

fn the_controller_graph_can_be_drawn(c: &Cluster) -> Result<()> {
    let text = c.ask(control_plane(), &["inspect", "dependencies"])?;
    ensure!(text.contains("digraph") && text.contains("KubeletSpec"), "{text}");
    Ok(())
}

fn history_shows_what_changed(c: &Cluster) -> Result<()> {
    let text = c.ask(control_plane(), &["get", "machinestatus", "--history"])?;
    ensure!(text.contains("MachineStatus") && text.lines().count() >= 2, "{text}");
    Ok(())
}

fn a_plan_shows_what_a_configuration_would_change(c: &Cluster) -> Result<()> {
    let config = c.ask(
        worker(),
        &["get", "machineconfig", "v1alpha1", "-o", "jsonpath={.spec}"],
    )?;
    let file = c.folder().join("planned.yaml");
    std::fs::write(&file, config)?;
    let path = file.to_string_lossy().into_owned();
    let patch = r#"{"machine": {"nodeLabels": {"planned": "yes"}, "kubelet": {"extraArgs": {"v": "4"}}}}"#;
    let plan = c.ask(worker(), &["plan", "-f", &path, "--config-patch", patch])?;
    // The label, the kubelet's new arguments, and the service that is restarted for them.
    for part in ["NodeLabelSpec", "KubeletSpec", "ServiceSpec"] {
        ensure!(plan.contains(part), "{part} is missing:\n{plan}");
    }
    let labels = c.ask(worker(), &["get", "nodelabelspecs"])?;
    ensure!(!labels.contains("planned"), "a plan changed the node:\n{labels}");
    Ok(())
}

fn two_hundred_clients_watch_at_once(c: &Cluster) -> Result<()> {
    use std::process::Stdio;
    let args = ["-n", control_plane(), "get", "members", "--watch"];
    let start = || {
        // One after the other: what is tested is watching together, not two hundred handshakes in one instant.
        std::thread::sleep(Duration::from_millis(25));
        c.keelctl
            .command(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    };
    let mut children = (0..200).map(|_| start()).collect::<std::io::Result<Vec<_>>>()?;
    let outcome = eventually("an answer beside two hundred watches", Duration::from_secs(60), || {
        c.ask(control_plane(), &["version"]).map(drop)
    });
    // Every one of them was served: it printed the members.
    let mut served = 0;
    for child in &mut children {
        use std::io::Read;
        let mut first = [0u8; 4];
        if let Some(output) = child.stdout.as_mut()
            && output.read_exact(&mut first).is_ok()
        {
            served += usize::from(&first == b"NODE");
        }
        child.kill()?;
        child.wait()?;
    }
    outcome?;
    ensure!(served == 200, "{served} of 200 watches were served");
    Ok(())
}

fn the_time_is_answered(c: &Cluster) -> Result<()> {
    let time = c.ask(control_plane(), &["time"])?;
    ensure!(time.starts_with("NODE") && time.lines().count() == 2, "{time}");
    Ok(())
}
