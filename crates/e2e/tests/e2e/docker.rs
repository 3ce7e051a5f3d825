//! A cluster of containers, with a node that somebody started by hand.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::engine::Engine;
use e2e::program::Program;
use e2e::run::Test;
use e2e::site::{Place, network};
use e2e::tests;
use e2e::wait::eventually;
use serde_json::Value;
use tempfile::TempDir;

use crate::kubernetes::IMAGE;

const NAME: &str = "e2e-docker";
const CONTROL_PLANE: &str = "e2e-docker-controlplane-1";
const WORKER: &str = "e2e-docker-worker-1";
/// Where nodes have the folder.
const DATA: &str = "/var/mnt/data";
const BY_HAND: &str = "e2e-docker-by-hand";

pub fn tests() -> Vec<Test<Containers>> {
    tests![
        a_cluster_in_docker_is_shown_as_it_runs,
        a_cluster_in_docker_has_the_ports_and_mounts_that_were_asked_for,
        a_worker_registers_with_the_taints_of_its_configuration,
        a_worker_started_by_hand_in_docker_joins,
        a_worker_removed_from_docker_brutally_does_not_disturb_the_rest,
        a_pod_in_docker_finds_the_api_server_by_name,
        a_worker_in_docker_that_reboots_comes_back,
        a_worker_in_docker_that_was_shut_down_is_started_again,
    ]
}

/// An engine, and a cluster of one control plane and one worker in it.
pub struct Containers {
    place: Place,
    keelctl: Program,
    engine: Engine,
    /// A port of this machine that leads to the API server.
    port: u16,
    // Last: the engine's files go when it has ended.
    _folder: Arc<TempDir>,
}

impl Containers {
    pub fn create() -> Result<Self> {
        let mut place = Place::new(NAME)?;
        let engine = Engine::start(place.folder())?;
        place.keelctl = engine.used_by(place.keelctl.clone())?;
        let port = free_port()?;
        let cluster = Self {
            port,
            _folder: place.keep_folder(),
            keelctl: place.keelctl.clone(),
            place,
            engine,
        };
        let data = cluster.data();
        std::fs::create_dir(&data)?;
        std::fs::write(data.join("greeting"), "hello")?;
        let mount = format!("type=bind,source={},destination={DATA},readonly", data.display());
        let port = format!("{port}:6443");
        let more = [
            "--exposed-ports",
            &port,
            "--host-ip",
            "127.0.0.1",
            "--mount",
            &mount,
            "--cpus-workers",
            "1.5",
            "--config-patch-workers",
            "machine: {nodeTaints: {e2e.keelson.dev/t: 'v:PreferNoSchedule'}}",
        ];
        if let Err(error) = cluster.place.create_with("docker", &more) {
            cluster.print_logs();
            return Err(error);
        }
        Ok(cluster)
    }

    /// The ends of the nodes' logs.
    pub fn print_logs(&self) {
        for node in ["e2e-docker-controlplane-1", WORKER, BY_HAND] {
            if let Ok(ran) = self.engine.docker.run(&["logs", "--tail", "60", node]) {
                println!("--- {node}\n{}{}", ran.stdout, ran.stderr);
            }
        }
    }

    /// A folder of this machine that every node has mounted.
    fn data(&self) -> PathBuf {
        self.place.folder().join("data")
    }

    /// Removes the cluster and checks that nothing is left.
    pub fn destroy(self) -> Result<()> {
        let logs = self.place.folder().join("logs.tar.gz").display().to_string();
        self.keelctl.output(&[
            "cluster",
            "destroy",
            "--name",
            NAME,
            "--save-cluster-logs-archive-path",
            &logs,
        ])?;
        let list = Program::at("tar".into()).output(&["-tzvf", &logs])?;
        ensure!(list.contains(&format!("{WORKER}.log")), "{list}");
        self.engine.expect_empty()?;
        let left: Vec<_> = std::fs::read_dir(self.place.folder().join("clusters"))?.collect();
        ensure!(left.is_empty(), "{left:?}");
        let contexts = self.keelctl.output(&["config", "contexts"])?;
        ensure!(!contexts.contains(NAME), "{contexts}");
        Ok(())
    }

    /// What Docker says of a container.
    fn inspect(&self, container: &str) -> Result<Value> {
        let text = self.engine.docker.output(&["inspect", container])?;
        let mut list: Vec<Value> = serde_json::from_str(&text)?;
        list.pop().context("docker inspect printed an empty list")
    }

    /// Whether Kubernetes calls a node ready.
    fn is_ready(&self, node: &str) -> Result<bool> {
        let path = "-o=jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
        Ok(self.place.kubectl.output(&["get", "node", node, path])? == "True")
    }

    fn await_ready(&self, node: &str) -> Result<()> {
        eventually(&format!("node {node} to be ready"), Duration::from_secs(180), || {
            ensure!(self.is_ready(node)?, "it is not");
            Ok(())
        })
    }
}

fn a_cluster_in_docker_is_shown_as_it_runs(c: &Containers) -> Result<()> {
    let shown = c
        .keelctl
        .output(&["cluster", "show", "--name", NAME, "--provisioner", "docker"])?;
    for part in ["docker", &network().cidr(), "e2e-docker-controlplane-1", WORKER, "1.50"] {
        ensure!(shown.contains(part), "no {part}:\n{shown}");
    }
    ensure!(shown.matches("running").count() == 2, "{shown}");
    let other = c
        .keelctl
        .run(&["cluster", "show", "--name", NAME, "--provisioner", "native"])?;
    ensure!(other.refusal()?.contains("is of provisioner docker"));

    let worker = c.inspect(WORKER)?;
    let labels = &worker["Config"]["Labels"];
    ensure!(
        labels["talos.cluster.name"] == NAME && labels["talos.owned"] == "true",
        "{labels}"
    );
    ensure!(labels["talos.type"] == "worker", "{labels}");
    ensure!(
        worker["HostConfig"]["Memory"] == 2_u64 << 30,
        "{}",
        worker["HostConfig"]
    );
    Ok(())
}

fn a_pod_in_docker_finds_the_api_server_by_name(c: &Containers) -> Result<()> {
    let kubectl = &c.place.kubectl;
    kubectl.output(&[
        "run",
        "finder",
        "--image",
        IMAGE,
        "--restart=Never",
        "--",
        "sleep",
        "3600",
    ])?;
    kubectl.output(&["wait", "--for=condition=Ready", "pod/finder", "--timeout=120s"])?;
    eventually(
        "an answer of the cluster's name service",
        Duration::from_secs(60),
        || {
            kubectl.output(&[
                "exec",
                "finder",
                "--",
                "/test",
                "resolve",
                "kubernetes.default.svc.cluster.local",
            ])
        },
    )?;
    Ok(())
}

fn a_worker_in_docker_that_reboots_comes_back(c: &Containers) -> Result<()> {
    let worker = network().host(3).to_string();
    let boot = || c.inspect(WORKER).map(|worker| worker["State"]["StartedAt"].clone());
    let before = boot()?;
    c.keelctl.output(&["-n", &worker, "reboot", "--wait=false"])?;
    eventually("the container to be started again", Duration::from_secs(120), || {
        let now = c.inspect(WORKER)?;
        ensure!(
            now["State"]["StartedAt"] != before && now["State"]["Running"] == true,
            "{}",
            now["State"]
        );
        Ok(())
    })?;
    eventually("the worker to answer", Duration::from_secs(120), || {
        c.keelctl.output(&["-n", &worker, "version"])
    })?;
    c.await_ready(WORKER)
}

fn a_worker_in_docker_that_was_shut_down_is_started_again(c: &Containers) -> Result<()> {
    let worker = network().host(3).to_string();
    c.keelctl.output(&["-n", &worker, "shutdown", "--wait=false"])?;
    eventually("the container to end", Duration::from_secs(120), || {
        let state = c.inspect(WORKER)?["State"].clone();
        ensure!(state["Status"] == "exited" && state["ExitCode"] == 0, "{state}");
        Ok(())
    })?;
    let started = c.keelctl.run(&["cluster", "start", "--name", NAME])?;
    ensure!(started.ok(), "{started:?}");
    for part in [format!("{CONTROL_PLANE} runs already"), format!("starting {WORKER}")] {
        ensure!(started.stderr.contains(&part), "no {part:?}:\n{}", started.stderr);
    }
    c.keelctl.output(&["-n", &worker, "version"])?;
    c.await_ready(WORKER)?;
    let refused = c.keelctl.run(&["cluster", "start", "--name", NAME, "nobody"])?;
    ensure!(!refused.ok() && refused.stderr.contains(WORKER), "{refused:?}");
    Ok(())
}

/// A port of this machine's own address that nobody listens on.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn a_cluster_in_docker_has_the_ports_and_mounts_that_were_asked_for(c: &Containers) -> Result<()> {
    let server = format!("https://127.0.0.1:{}", c.port);
    let nodes = c.place.kubectl.output(&["--server", &server, "get", "nodes"])?;
    ensure!(nodes.contains(WORKER), "{nodes}");
    for node in [2, 3] {
        let node = network().host(node).to_string();
        let text = c.keelctl.output(&["-n", &node, "read", &format!("{DATA}/greeting")])?;
        ensure!(text == "hello", "{text}");
    }
    Ok(())
}

fn a_worker_registers_with_the_taints_of_its_configuration(c: &Containers) -> Result<()> {
    let path = "-o=jsonpath={.spec.taints}";
    let taints = c.place.kubectl.output(&["get", "node", WORKER, path])?;
    for part in ["e2e.keelson.dev/t", "PreferNoSchedule"] {
        ensure!(taints.contains(part), "no {part}: {taints}");
    }
    Ok(())
}

/// As people do it: `docker run` with what a running worker was given.
fn a_worker_started_by_hand_in_docker_joins(c: &Containers) -> Result<()> {
    let worker = c.inspect(WORKER)?;
    let environment = worker["Config"]["Env"]
        .as_array()
        .context("a worker without environment")?;
    let user_data = environment
        .iter()
        .filter_map(Value::as_str)
        .find(|variable| variable.starts_with("USERDATA="))
        .context("a worker without USERDATA")?;
    let image = worker["Config"]["Image"].as_str().context("a worker without image")?;
    let cluster = format!("talos.cluster.name={NAME}");
    let mut arguments = vec![
        "run",
        "--name",
        BY_HAND,
        "--privileged",
        "--security-opt",
        "seccomp=unconfined",
    ];
    arguments.extend(["--read-only", "--cpus=2", "--memory=2048m"]);
    let mounts = [
        "type=tmpfs,destination=/run",
        "type=tmpfs,destination=/system",
        "type=tmpfs,destination=/tmp",
        "type=volume,destination=/var",
        "type=volume,destination=/system/state",
        "type=volume,destination=/etc/cni",
        "type=volume,destination=/etc/kubernetes",
        "type=volume,destination=/usr/libexec/kubernetes",
        "type=volume,destination=/opt",
    ];
    arguments.extend(mounts.iter().flat_map(|mount| ["--mount", mount]));
    arguments.extend([
        "--network",
        NAME,
        "--env",
        "PLATFORM=container",
        "--env",
        "TALOSSKU=2CPU-2048RAM",
    ]);
    arguments.extend(["--env", user_data, "--label", &cluster, "--label", "talos.owned=true"]);
    arguments.extend(["--label", "talos.type=worker", "--detach", image]);
    c.engine.docker.output(&arguments)?;
    // Nobody gave it a host name: Docker calls it by the beginning of its id.
    c.await_ready(&host_name(c)?)?;
    let shown = c.keelctl.output(&["cluster", "show", "--name", NAME])?;
    ensure!(
        shown.contains(BY_HAND) && shown.matches("running").count() == 3,
        "{shown}"
    );
    Ok(())
}

fn host_name(c: &Containers) -> Result<String> {
    let name = c.inspect(BY_HAND)?["Config"]["Hostname"].as_str().map(str::to_owned);
    name.context("a container without host name")
}

fn a_worker_removed_from_docker_brutally_does_not_disturb_the_rest(c: &Containers) -> Result<()> {
    let node = host_name(c)?;
    c.engine.docker.output(&["rm", "--force", BY_HAND])?;
    // Docker leaves its volumes behind; nothing says any more whose they were.
    c.engine.docker.output(&["volume", "prune", "--force"])?;
    for node in ["e2e-docker-controlplane-1", WORKER] {
        ensure!(c.is_ready(node)?, "{node} is not ready");
    }
    c.place.kubectl.output(&["delete", "node", &node])?;
    let etcd = c
        .keelctl
        .output(&["-n", &network().host(2).to_string(), "service", "etcd"])?;
    ensure!(etcd.contains("OK"), "{etcd}");
    let shown = c.keelctl.output(&["cluster", "show", "--name", NAME])?;
    ensure!(
        !shown.contains(BY_HAND) && shown.matches("running").count() == 2,
        "{shown}"
    );
    Ok(())
}
