//! What a cluster is like when nobody asks for anything else: secrets encrypted, requests audited, pods held to the
//! baseline, strangers kept out, services bounded.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::program::{Program, Ran};
use e2e::run::Test;
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{Cluster, control_plane, worker};
use crate::faults::host_pid;
use crate::kubernetes::IMAGE;

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        secrets_are_encrypted_at_rest_and_requests_for_them_audited,
        pods_are_held_to_the_baseline_but_for_the_systems_own,
        strangers_see_health_only,
        services_are_bounded_by_their_control_groups,
    ]
}

/// A value that is nowhere else.
const SECRET: &str = "e2e-kept-to-itself-7c1d";
const OPEN: &str = "e2e-for-all-to-see-7c1d";

fn secrets_are_encrypted_at_rest_and_requests_for_them_audited(c: &Cluster) -> Result<()> {
    let literal = |value: &str| format!("--from-literal=value={value}");
    let (secret, open) = (literal(SECRET), literal(OPEN));
    c.kubectl
        .output(&["create", "secret", "generic", "kept-to-itself", &secret])?;
    c.kubectl.output(&["create", "configmap", "for-all-to-see", &open])?;

    let path = c.folder().join("encrypted.snapshot");
    c.ask(control_plane(), &["etcd", "snapshot", &path.to_string_lossy()])?;
    let snapshot = std::fs::read(&path)?;
    let has = |text: &str| snapshot.windows(text.len()).any(|window| window == text.as_bytes());
    ensure!(has(OPEN), "the snapshot does not have what was written");
    ensure!(has("k8s:enc:secretbox:v1:"), "nothing is encrypted in the snapshot");
    ensure!(!has(SECRET), "the secret's value is in the snapshot");
    let read = c.kube_json(&["get", "secret", "kept-to-itself"])?;
    ensure!(read["data"]["value"].is_string(), "{read}");

    let folder = "/var/log/audit/kube";
    let listed = c.ask(control_plane(), &["list", folder])?;
    ensure!(listed.contains("kube-apiserver.log"), "{listed}");
    let log = c.ask(control_plane(), &["read", &format!("{folder}/kube-apiserver.log")])?;
    let created = |line: &serde_json::Value| {
        line["verb"] == "create"
            && line["objectRef"]["resource"] == "secrets"
            && line["objectRef"]["name"] == "kept-to-itself"
            && line["stage"] == "ResponseComplete"
    };
    let mut events = log.lines().filter_map(|line| serde_json::from_str(line).ok());
    let event: serde_json::Value = events.find(created).context("the creation is not in the audit log")?;
    ensure!(
        event["level"] == "Metadata" && event["user"]["username"] == "admin",
        "{event}"
    );
    ensure!(!log.contains(SECRET), "the secret's value is in the audit log");
    Ok(())
}

/// A pod that may do everything on its node, created as far as the API server would.
fn privileged_pod(c: &Cluster, namespace: &str) -> Result<Ran> {
    let pod = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: privileged}}, spec: {{containers: [{{name: c, image: '{IMAGE}', \
         securityContext: {{privileged: true}}}}]}}}}"
    );
    let args = ["-n", namespace, "create", "--dry-run=server", "-f", "-"];
    c.kubectl.run_with_input(&args, &pod)
}

fn pods_are_held_to_the_baseline_but_for_the_systems_own(c: &Cluster) -> Result<()> {
    let refusal = privileged_pod(c, "default")?.refusal()?;
    ensure!(
        refusal.contains("violates PodSecurity \"baseline:latest\"") && refusal.contains("privileged"),
        "{refusal}"
    );
    privileged_pod(c, "kube-system")?.output()?;
    // What the baseline lets through, and the restricted level would not, is warned of.
    let pod = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: plain}}, spec: {{containers: [{{name: c, image: '{IMAGE}'}}]}}}}"
    );
    let plain = c
        .kubectl
        .run_with_input(&["create", "--dry-run=server", "-f", "-"], &pod)?;
    ensure!(
        plain.ok() && plain.stderr.contains("would violate PodSecurity \"restricted:latest\""),
        "{plain:?}"
    );
    Ok(())
}

fn strangers_see_health_only(c: &Cluster) -> Result<()> {
    let nobody = c.folder().join("nobody");
    std::fs::write(&nobody, "apiVersion: v1\nkind: Config\n")?;
    let get = |server: &str, path: &str| {
        let server = format!("https://{server}");
        let stranger = Program::built("kubectl").with_env("KUBECONFIG", &nobody);
        // A name and a password mean nothing to Kubernetes; without any, kubectl asks for them.
        let who = [
            "--username",
            "nobody",
            "--password",
            "nothing",
            "--insecure-skip-tls-verify",
        ];
        stranger.run(&[&who[..], &["--server", &server, "get", "--raw", path]].concat())
    };
    let api_server = format!("{}:6443", control_plane());
    for path in ["/livez", "/readyz"] {
        ensure!(get(&api_server, path)?.output()? == "ok", "{path} is closed");
    }
    for path in ["/api/v1/namespaces", "/version", "/metrics"] {
        let refusal = get(&api_server, path)?.refusal()?;
        ensure!(
            refusal.contains("Unauthorized") || refusal.contains("provide credentials"),
            "{path}: {refusal}"
        );
    }
    for node in [control_plane(), worker()] {
        let refusal = get(&format!("{node}:10250"), "/pods")?.refusal()?;
        ensure!(
            refusal.contains("Unauthorized") || refusal.contains("provide credentials"),
            "{node}: {refusal}"
        );
    }
    Ok(())
}

/// A number that the host has for a process' control group: of version 1 the first file, of version 2 the second.
fn limit(pid: u32, controller: &str, v1: &str, v2: &str) -> Result<u64> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let of_v1 = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let named = parts.next()?.split(',').any(|name| name == controller);
        let path = parts.next()?;
        named.then(|| Path::new("/sys/fs/cgroup").join(controller).join(&path[1..]).join(v1))
    });
    let of_v2 = || {
        let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
        Some(Path::new("/sys/fs/cgroup").join(path).join(v2))
    };
    let file: PathBuf = of_v1
        .or_else(of_v2)
        .with_context(|| format!("no control group for {controller}:\n{groups}"))?;
    let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let number = text.trim().parse();
    number.with_context(|| format!("{} says {text:?}", file.display()))
}

/// The node's memory, by the default of `cluster create`.
const NODE: u64 = 2 << 30;

fn services_are_bounded_by_their_control_groups(c: &Cluster) -> Result<()> {
    // Memory in bytes, and the share of the processors: version 1 counts 1024 for what version 2 counts 100 for.
    let fixed = [("apid", 128 << 20, 50), ("trustd", 128 << 20, 25)];
    let shares = [
        ("etcd", NODE / 100 * 75, 200),
        ("containerd", NODE / 100 * 75, 100),
        ("kubelet", NODE / 100 * 50, 100),
    ];
    for (service, memory, weight) in fixed.into_iter().chain(shares) {
        let pid = host_pid(c, control_plane(), service)?;
        let set = limit(pid, "memory", "memory.limit_in_bytes", "memory.max")?;
        ensure!(set <= memory && set + 4096 > memory, "{service} may use {set} bytes");
        let cpu = limit(pid, "cpu", "cpu.shares", "cpu.weight")?;
        ensure!(
            cpu == weight || cpu == weight * 1024 / 100,
            "{service} has the weight {cpu}"
        );
    }
    eventually("the limits to be shown", Duration::from_secs(10), || {
        let text = c.ask(control_plane(), &["cgroups"])?;
        for (service, limit) in [("apid", "134 MB"), ("trustd", "134 MB"), ("etcd", "1.6 GB")] {
            let line = text.lines().find(|line| line.contains(&format!("──{service} ")));
            ensure!(
                line.is_some_and(|line| line.trim_end().ends_with(limit)),
                "{service}:\n{text}"
            );
        }
        Ok(())
    })
}
