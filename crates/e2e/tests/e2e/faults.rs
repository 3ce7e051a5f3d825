//! Trouble: what is killed comes back, and what Kubernetes says survives does.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::run::Test;
use e2e::running::{Running, send};
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{Cluster, control_plane, worker};

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        a_killed_kubelet_comes_back,
        a_killed_containerd_comes_back_and_pods_survive,
        a_killed_apid_comes_back,
        a_killed_trustd_comes_back,
        a_killed_etcd_comes_back,
        a_service_can_be_restarted_through_the_api,
        labels_of_the_configuration_are_applied_without_a_restart,
        a_node_reboots_and_is_ready_again,
        a_killed_init_is_started_again_and_nothing_is_lost,
        a_node_that_was_shut_down_is_started_again,
    ]
}

/// The process of a service as the host sees it: the node's own number is in the status of the host's process.
pub fn host_pid(c: &Cluster, node: &str, service: &str) -> Result<u32> {
    let inner = c.ask(node, &["get", "servicepids", service, "-o", "jsonpath={.spec.pid}"])?;
    let inner = inner.trim().parse();
    let inner = inner.with_context(|| format!("PID of {service} on {node}"))?;
    host_process(node, inner)
}

/// The process with a number in a node's namespace, as the host numbers it: 1 is its init.
pub fn host_process(node: &str, inner: u32) -> Result<u32> {
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else {
            continue;
        };
        let Some(line) = status.lines().find(|l| l.starts_with("NSpid:")) else {
            continue;
        };
        let numbers: Vec<u32> = line.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
        // Number in the node's namespace, for a service directly or for the first process of one with its own.
        if numbers.len() >= 2 && numbers[1] == inner && lives_in(pid, node) {
            return Ok(pid);
        }
    }
    anyhow::bail!("no process with number {inner} in {node}")
}

/// Whether a process' network namespace has an address: the kernel's route table lists it as local.
fn lives_in(pid: u32, address: &str) -> bool {
    let Ok(table) = std::fs::read_to_string(format!("/proc/{pid}/net/fib_trie")) else {
        return false;
    };
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    lines
        .windows(2)
        .any(|pair| pair[0].ends_with(&format!("-- {address}")) && pair[1].starts_with("/32 host LOCAL"))
}

fn kill_and_expect_back(c: &Cluster, node: &str, service: &str) -> Result<()> {
    let before = host_pid(c, node, service)?;
    send("KILL", before)?;
    eventually(&format!("{service} to be back"), Duration::from_secs(60), || {
        ensure!(host_pid(c, node, service)? != before, "still the old process");
        let text = c.ask(node, &["service", service])?;
        ensure!(
            text.contains("STATE    Running") && text.contains("HEALTH   OK"),
            "{text}"
        );
        Ok(())
    })
}

fn a_killed_kubelet_comes_back(c: &Cluster) -> Result<()> {
    kill_and_expect_back(c, worker(), "kubelet")
}

fn running_web_pods(c: &Cluster) -> Result<Vec<(String, u64)>> {
    let pods = c.kube_json(&["get", "pods", "-l", "app=web"])?;
    let of = |p: &serde_json::Value| {
        let name = p["metadata"]["name"].as_str()?.to_owned();
        Some((name, p["status"]["containerStatuses"][0]["restartCount"].as_u64()?))
    };
    let mut pods: Vec<_> = pods["items"].as_array().into_iter().flatten().filter_map(of).collect();
    pods.sort();
    Ok(pods)
}

fn a_killed_containerd_comes_back_and_pods_survive(c: &Cluster) -> Result<()> {
    let before = running_web_pods(c)?;
    kill_and_expect_back(c, worker(), "containerd")?;
    std::thread::sleep(Duration::from_secs(5));
    ensure!(
        running_web_pods(c)? == before,
        "pods were restarted: {before:?} became {:?}",
        running_web_pods(c)?
    );
    Ok(())
}

fn a_killed_apid_comes_back(c: &Cluster) -> Result<()> {
    kill_and_expect_back(c, worker(), "apid")
}

fn a_killed_trustd_comes_back(c: &Cluster) -> Result<()> {
    kill_and_expect_back(c, control_plane(), "trustd")
}

fn a_killed_etcd_comes_back(c: &Cluster) -> Result<()> {
    kill_and_expect_back(c, control_plane(), "etcd")?;
    eventually("the API server to answer", Duration::from_secs(60), || {
        c.kubectl.output(&["get", "nodes"]).map(drop)
    })
}

fn a_service_can_be_restarted_through_the_api(c: &Cluster) -> Result<()> {
    let before = host_pid(c, worker(), "kubelet")?;
    c.ask(worker(), &["service", "kubelet", "restart"])?;
    eventually("a new kubelet", Duration::from_secs(60), || {
        ensure!(host_pid(c, worker(), "kubelet")? != before, "still the old process");
        Ok(())
    })
}

fn labels_of_the_configuration_are_applied_without_a_restart(c: &Cluster) -> Result<()> {
    let config = c.ask(
        worker(),
        &["get", "machineconfig", "v1alpha1", "-o", "jsonpath={.spec}"],
    )?;
    let file = c.folder().join("labelled.yaml");
    std::fs::write(&file, config)?;
    let kubelet = host_pid(c, worker(), "kubelet")?;
    let patch = r#"{"machine": {"nodeLabels": {"keelson.dev/e2e": "yes"}}}"#;
    let path = file.to_string_lossy().into_owned();
    c.ask(
        worker(),
        &[
            "apply-config",
            "-f",
            &path,
            "--config-patch",
            patch,
            "--mode",
            "no-reboot",
        ],
    )?;
    eventually("the label", Duration::from_secs(30), || {
        let nodes = c
            .kubectl
            .output(&["get", "nodes", "-l", "keelson.dev/e2e=yes", "-o", "name"])?;
        ensure!(nodes.lines().count() == 1, "{nodes:?}");
        Ok(())
    })?;
    ensure!(
        host_pid(c, worker(), "kubelet")? == kubelet,
        "the kubelet was restarted"
    );
    Ok(())
}

fn a_node_reboots_and_is_ready_again(c: &Cluster) -> Result<()> {
    // The first resource of a boot is made when the init process starts.
    let boot_id = || -> Result<String> {
        let version: serde_json::Value = serde_json::from_str(&c.ask(worker(), &["get", "version", "-o", "json"])?)?;
        Ok(version["metadata"]["created"]
            .as_str()
            .context("no time of creation")?
            .to_owned())
    };
    let before = boot_id()?;
    let mut watch = Running::start(c.keelctl.command(&["-n", worker(), "get", "services", "--watch"]))?;
    watch.line_with("kubelet", Duration::from_secs(60))?;
    let here = [
        "get",
        "pods",
        "-l",
        "app=web",
        "--field-selector",
        "spec.nodeName=e2e-worker-1",
    ];
    let here = c.kube_json(&here)?;
    let names = here["items"].as_array().into_iter().flatten();
    let evicted: Vec<&str> = names.filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    c.ask(worker(), &["reboot", "--drain", "--wait=false"])?;
    eventually("the node to be back", Duration::from_secs(120), || {
        ensure!(boot_id()? != before, "not rebooted yet");
        let ready = c.kubectl.output(&["get", "nodes"])?;
        ensure!(ready.matches(" Ready ").count() == 2, "{ready}");
        Ok(())
    })?;
    // A watch says that the node was away, and shows what it does now.
    watch.line_with("trying again", Duration::from_secs(60))?;
    watch.line_with("the watch goes on", Duration::from_secs(60))?;
    // That is said on standard error: what is shown may have come before.
    let text = watch.text();
    if !text
        .rsplit("trying again")
        .next()
        .is_some_and(|now| now.contains("kubelet"))
    {
        watch.line_with("kubelet", Duration::from_secs(60))?;
    }
    ensure!(watch.runs()?, "{}", watch.text());
    // The node cordoned itself no longer than it was away, and its pods are others.
    await_all(c)?;
    let now = running_web_pods(c)?;
    ensure!(
        now.iter().all(|(pod, _)| !evicted.contains(&pod.as_str())),
        "pods were not evicted: {evicted:?}, {now:?}"
    );
    Ok(())
}

/// Waits until the whole cluster works: both nodes are ready for pods, and the deployment has all of its own.
fn await_all(c: &Cluster) -> Result<()> {
    eventually("ready nodes", Duration::from_secs(180), || {
        let nodes = c.kubectl.output(&["get", "nodes"])?;
        ensure!(
            nodes.matches(" Ready ").count() == 2 && !nodes.contains("SchedulingDisabled"),
            "{nodes}"
        );
        Ok(())
    })?;
    if !running_web_pods(c)?.is_empty() {
        c.kubectl
            .output(&["rollout", "status", "deployment/web", "--timeout=120s"])?;
    }
    Ok(())
}

fn a_killed_init_is_started_again_and_nothing_is_lost(c: &Cluster) -> Result<()> {
    let init = host_process(control_plane(), 1)?;
    let acknowledged: Vec<String> = (0..10).map(|number| format!("acknowledged-{number}")).collect();
    for name in &acknowledged {
        c.kubectl.output(&["create", "configmap", name])?;
    }
    send("KILL", init)?;
    eventually("another init", Duration::from_secs(60), || {
        ensure!(host_process(control_plane(), 1)? != init, "still the old one");
        c.ask(control_plane(), &["version"])
    })?;
    eventually("all that was acknowledged", Duration::from_secs(180), || {
        let args: Vec<&str> = acknowledged.iter().map(String::as_str).collect();
        c.kubectl.output(&[&["get", "configmaps"], &args[..]].concat())
    })?;
    await_all(c)
}

fn a_node_that_was_shut_down_is_started_again(c: &Cluster) -> Result<()> {
    let name = "e2e-worker-1";
    c.ask(worker(), &["shutdown"])?;
    let show = || c.keelctl.output(&["cluster", "show", "--name", "e2e"]);
    eventually("the end of the node", Duration::from_secs(60), || {
        let shown = show()?;
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        ensure!(line.trim_end().ends_with("stopped"), "{shown}");
        ensure!(host_process(worker(), 1).is_err(), "its init runs");
        Ok(())
    })?;
    // Kubernetes was told, and let go of the node before anything ended.
    let log = std::fs::read_to_string(c.folder().join("clusters/e2e").join(format!("{name}.log")))?;
    let last_run = log.rsplit("phase=\"drain\"").next().unwrap_or_default();
    let order = [
        "phase=\"stopPods\"",
        "phase=\"stopServices\"",
        "shut down (exit code 0)",
    ];
    let places: Vec<Option<usize>> = order.iter().map(|text| last_run.find(text)).collect();
    ensure!(places.iter().all(Option::is_some) && places.is_sorted(), "{last_run}");
    ensure!(!last_run.contains("did not end cleanly"), "{last_run}");
    let cordoned = c.kubectl.output(&["get", "node", name])?;
    ensure!(cordoned.contains("SchedulingDisabled"), "{cordoned}");
    let left = c.kubectl.output(&[
        "get",
        "pods",
        "--all-namespaces",
        "--field-selector",
        &format!("spec.nodeName={name},status.phase=Running"),
        "-o",
        "name",
    ])?;
    let stays = |pod: &str| pod.contains("kube-proxy") || pod.contains("flannel");
    ensure!(left.lines().all(stays), "pods were not evicted:\n{left}");

    let shown = c.keelctl.output(&["cluster", "start", name, "--name", "e2e"])?;
    ensure!(shown.matches("running").count() == 2, "{shown}");
    await_all(c)?;
    // Nothing to do is no failure.
    c.keelctl.output(&["cluster", "start", "--name", "e2e"])?;
    let unknown = c
        .keelctl
        .run(&["cluster", "start", "nobody", "--name", "e2e"])?
        .refusal()?;
    ensure!(unknown.contains(name), "{unknown}");
    Ok(())
}
