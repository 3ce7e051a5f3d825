//! Authorities are replaced while everything runs; what would lock an operator out is refused.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::program::{Program, Ran};
use e2e::run::Test;
use e2e::site::{Place, folder, keelctl_in};
use e2e::tests;
use e2e::wait::eventually;
use e2e::writer::Writer;

use crate::cluster::{Cluster, control_plane, endpoint, worker};
use crate::high_availability::{Trio, is_healthy};
use crate::kubernetes::IMAGE;
use crate::upgrade;

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        a_change_that_locks_out_is_refused_unless_forced,
        a_rotation_is_only_described_unless_told_otherwise,
        authorities_are_replaced_while_everything_runs,
    ]
}

/// Of three control planes. Nodes of local clusters that are reset come back with the configuration that they were made
/// with, so with the old authorities: tests that reset nodes cannot follow.
pub fn of_three() -> Vec<Test<Trio>> {
    tests![authorities_are_replaced_while_a_client_writes_and_no_api_server_restarts]
}

fn a_change_that_locks_out_is_refused_unless_forced(c: &Cluster) -> Result<()> {
    let home = folder()?;
    let out = home.path().to_string_lossy().into_owned();
    keelctl_in(home.path()).output(&["gen", "config", "other", &endpoint(), "-o", &out])?;
    let file = home.path().join("worker.yaml").to_string_lossy().into_owned();
    let apply = ["-n", worker(), "apply-config", "-f", &file];
    let refusal = c.keelctl.run(&apply)?.refusal()?;
    for part in ["machine.ca", "cluster.id", "cluster.secret", "--force"] {
        ensure!(refusal.contains(part), "{part} is missing: {refusal}");
    }
    let patch = r#"{"machine": {"type": "controlplane"}}"#;
    let refusal = c
        .keelctl
        .run(&["-n", worker(), "patch", "mc", "-p", patch])?
        .refusal()?;
    ensure!(!refusal.is_empty(), "the type of a machine was changed");
    // Insisting makes warnings of it.
    let ran = c.keelctl.run(&[&apply[..], &["--force", "--dry-run"]].concat())?;
    ensure!(ran.ok() && ran.stderr.contains("warning: machine.ca"), "{ran:?}");
    c.ask(worker(), &["version"]).map(drop)
}

fn a_rotation_is_only_described_unless_told_otherwise(c: &Cluster) -> Result<()> {
    let before = std::fs::read(c.folder().join("talosconfig"))?;
    let out = c.folder().join("not-written");
    let text = c.ask(control_plane(), &["rotate-ca", "-o", &out.to_string_lossy()])?;
    ensure!(
        text.contains("accepts the new authority") && text.contains(worker()),
        "{text}"
    );
    ensure!(!out.exists() && !rotation_file(&out).exists(), "a dry run wrote a file");
    ensure!(
        std::fs::read(c.folder().join("talosconfig"))? == before,
        "the client configuration changed"
    );
    Ok(())
}

fn rotation_file(out: &Path) -> PathBuf {
    PathBuf::from(format!("{}.rotation", out.display()))
}

fn pod(place: &Place, name: &str) -> Result<()> {
    let manifest = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: rotation}}}}, spec: {{\
         terminationGracePeriodSeconds: 1, tolerations: [{{operator: Exists}}], \
         containers: [{{name: web, image: '{IMAGE}', args: [serve], \
         readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}}}]}}}}"
    );
    apply(place, &manifest)?;
    eventually("the pod to be ready", Duration::from_secs(180), || {
        let pod = format!("pod/{name}");
        place
            .kubectl
            .output(&["wait", "--for=condition=Ready", &pod, "--timeout=20s"])
            .map(drop)
    })
}

/// What was applied already is applied again.
fn apply(place: &Place, manifest: &str) -> Result<()> {
    eventually("the API to take it", Duration::from_secs(60), || {
        let ran = place.kubectl.run_with_input(&["apply", "-f", "-"], manifest)?;
        ran.output().map(drop)
    })
}

/// Which run of the pod's container this is.
fn run_of(place: &Place, pod: &str) -> Result<String> {
    let path = "jsonpath={.status.containerStatuses[0].containerID}";
    eventually("the run of the pod", Duration::from_secs(60), || {
        place.kubectl.output(&["get", "pod", pod, "-o", path])
    })
}

/// What a pod was given to talk to Kubernetes with: its token, and the authorities that it trusts.
fn whoami_of_pod(place: &Place, server: &str, pod: &str) -> Result<String> {
    let read = |file: &str| {
        let path = format!("/var/run/secrets/kubernetes.io/serviceaccount/{file}");
        place.kubectl.output(&["exec", pod, "--", "/test", "cat", &path])
    };
    let (ca, token) = (place.folder().join("pod-ca.crt"), read("token")?);
    std::fs::write(&ca, read("ca.crt")?)?;
    let nobody = place.folder().join("nobody");
    std::fs::write(&nobody, "{apiVersion: v1, kind: Config}")?;
    let kubectl = Program::built("kubectl").with_env("KUBECONFIG", &nobody);
    let ca = ca.to_string_lossy().into_owned();
    let args = ["--server", server, "--certificate-authority", &ca, "--token", &token];
    kubectl.output(&[&args[..], &["auth", "whoami"]].concat())
}

fn authorities_are_replaced_while_everything_runs(c: &Cluster) -> Result<()> {
    replaces_authorities(c, &[control_plane()], &[worker()])
}

/// Replaces both authorities of a cluster, by its first control plane: what is of the old ones is refused by every node
/// then, what is of the new ones works, and pods ran on. The place's client configurations are then of the new ones.
pub fn replaces_authorities(place: &Place, control_planes: &[&str], workers: &[&str]) -> Result<()> {
    let first = control_planes[0];
    let (talosconfig, kubeconfig) = (place.folder().join("talosconfig"), place.folder().join("kubeconfig"));
    let (old_talosconfig, old_kubeconfig) = (
        place.folder().join("old-talosconfig"),
        place.folder().join("old-kubeconfig"),
    );
    std::fs::copy(&talosconfig, &old_talosconfig)?;
    std::fs::copy(&kubeconfig, &old_kubeconfig)?;
    let before = "rotation-before";
    pod(place, before)?;
    let run = run_of(place, before)?;

    let out = talosconfig.to_string_lossy().into_owned();
    let plain = ["--dry-run=false", "--with-docs=false", "--with-examples=false"];
    let began = Instant::now();
    let ran = place
        .keelctl
        .run(&[&["-n", first, "rotate-ca", "-o", &out], &plain[..]].concat())?;
    ensure!(ran.ok(), "{}{}", ran.stdout, ran.stderr);
    println!("    both authorities were replaced in {:.1?}", began.elapsed());
    ensure!(
        !rotation_file(&talosconfig).exists(),
        "the new authorities were left behind"
    );

    // The machine API.
    let old = old_talosconfig.to_string_lossy().into_owned();
    for node in control_planes.iter().chain(workers) {
        is_refused("certificate", || {
            place
                .keelctl
                .run(&["--talosconfig", &old, "-e", node, "-n", node, "version"])
        })?;
        eventually("the new client to be answered", Duration::from_secs(60), || {
            place.keelctl.output(&["-n", node, "version"])
        })?;
    }
    // Kubernetes, at every API server.
    let path = kubeconfig.to_string_lossy().into_owned();
    eventually("a kubeconfig", Duration::from_secs(60), || {
        let fetch = ["-n", first, "kubeconfig", &path, "--force", "--merge=false"];
        place.keelctl.output(&fetch)
    })?;
    let outdated = Program::built("kubectl").with_env("KUBECONFIG", &old_kubeconfig);
    let trusting = place.folder().join("old-kubeconfig-trusting");
    let text = std::fs::read_to_string(&old_kubeconfig)?;
    let trust = |line: &str| match line.split_once("certificate-authority-data:") {
        Some((before, _)) => format!("{before}insecure-skip-tls-verify: true\n"),
        None => format!("{line}\n"),
    };
    std::fs::write(&trusting, text.lines().map(trust).collect::<String>())?;
    let trusting = Program::built("kubectl").with_env("KUBECONFIG", &trusting);
    for node in control_planes {
        let server = format!("https://{node}:6443");
        let ask = ["--server", &server, "--request-timeout", "10s", "get", "nodes"];
        is_refused("certificate", || outdated.run(&ask))?;
        is_refused("logged in", || trusting.run(&ask))?;
        eventually("the new kubeconfig to work", Duration::from_secs(60), || {
            place.kubectl.output(&ask)
        })?;
    }
    let ran = place.keelctl.run(&["-n", first, "health", "--wait-timeout", "5m"])?;
    ensure!(ran.ok(), "{}{}", ran.stdout, ran.stderr);
    // Pods run on, new ones come, and everything that connects them learns of it.
    ensure!(run_of(place, before)? == run, "the pod was restarted");
    let after = "rotation-after";
    pod(place, after)?;
    for node in control_planes {
        let server = format!("https://{node}:6443");
        eventually("the new pod's account to be accepted", Duration::from_secs(60), || {
            let who = whoami_of_pod(place, &server, after)?;
            ensure!(who.contains("system:serviceaccount:default:default"), "{who}");
            Ok(())
        })?;
    }
    let service = "{apiVersion: v1, kind: Service, metadata: {name: rotation}, spec: {selector: {app: rotation}, \
                   ports: [{port: 80, targetPort: 8080}]}}";
    apply(place, service)?;
    eventually("a new service to be reached by name", Duration::from_secs(120), || {
        let url = "http://rotation.default.svc.cluster.local/";
        place
            .kubectl
            .output(&["exec", after, "--", "/test", "dial", url])
            .map(drop)
    })?;
    let made = ["pod/rotation-before", "pod/rotation-after", "service/rotation"];
    eventually("all of it to be deleted", Duration::from_secs(60), || {
        let delete = [&["delete", "--ignore-not-found", "--wait=false"], &made[..]].concat();
        place.kubectl.output(&delete).map(drop)
    })
}

/// Something is refused, with this reason.
fn is_refused(reason: &str, attempt: impl Fn() -> Result<Ran>) -> Result<()> {
    eventually("what is outdated to be refused", Duration::from_secs(60), || {
        let refusal = attempt()?.refusal()?;
        ensure!(refusal.to_lowercase().contains(reason), "{refusal}");
        Ok(())
    })
}

/// A client with the token of a service account, which outlasts a rotation: certificates of people do not.
fn account_writer(trio: &Trio, name: &str) -> Result<Writer> {
    let account = format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: default}}}}");
    let binding = format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: {name}}}, roleRef: \
         {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}}, subjects: [{{kind: ServiceAccount, \
         name: {name}, namespace: default}}]}}"
    );
    let token = eventually("the token of an account", Duration::from_secs(60), || {
        for manifest in [&account, &binding] {
            trio.place()
                .kubectl
                .run_with_input(&["apply", "-f", "-"], manifest)?
                .output()?;
        }
        trio.kubectl_at(&["create", "token", name, "--duration", "2h"])
    })?;
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
         clusters: [{{name: c, cluster: {{server: 'https://none', insecure-skip-tls-verify: true}}}}], \
         users: [{{name: u, user: {{token: {}}}}}]}}",
        token.trim()
    );
    Writer::start(name, kubeconfig.as_bytes(), &Trio::servers())
}

fn authorities_are_replaced_while_a_client_writes_and_no_api_server_restarts(trio: &Trio) -> Result<()> {
    is_healthy(trio)?;
    let servers = trio.api_servers()?;
    let writer = account_writer(trio, "while-authorities-change")?;
    let nodes: Vec<String> = (0..3).map(Trio::node).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    replaces_authorities(trio.place(), &nodes, &[])?;
    upgrade::all_is_there(writer)?;
    let now = trio.api_servers()?;
    ensure!(
        now == servers,
        "API servers restarted: {servers:?} ran before, {now:?} now"
    );
    is_healthy(trio)
}
