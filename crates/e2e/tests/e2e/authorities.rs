//! Authorities are replaced while everything runs; what would lock an operator out is refused.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::program::Program;
use e2e::run::Test;
use e2e::site::{folder, keelctl_in};
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{Cluster, control_plane, endpoint, worker};
use crate::kubernetes::IMAGE;

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        a_change_that_locks_out_is_refused_unless_forced,
        a_rotation_is_only_described_unless_told_otherwise,
        authorities_are_replaced_while_everything_runs,
    ]
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

fn pod(c: &Cluster, name: &str) -> Result<()> {
    let manifest = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: rotation}}}}, spec: {{\
         terminationGracePeriodSeconds: 1, containers: [{{name: web, image: '{IMAGE}', args: [serve], \
         readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}}}]}}}}"
    );
    c.kubectl.run_with_input(&["apply", "-f", "-"], &manifest)?.output()?;
    eventually("the pod to be ready", Duration::from_secs(180), || {
        let pod = format!("pod/{name}");
        c.kubectl
            .output(&["wait", "--for=condition=Ready", &pod, "--timeout=20s"])
            .map(drop)
    })
}

/// Which run of the pod's container this is.
fn run_of(c: &Cluster, pod: &str) -> Result<String> {
    let pod = c.kube_json(&["get", "pod", pod])?;
    Ok(pod["status"]["containerStatuses"][0]["containerID"].to_string())
}

/// What a pod was given to talk to Kubernetes with: its token, and the authorities that it trusts.
fn whoami_of_pod(c: &Cluster, pod: &str) -> Result<String> {
    let read = |file: &str| {
        let path = format!("/var/run/secrets/kubernetes.io/serviceaccount/{file}");
        c.kubectl.output(&["exec", pod, "--", "/test", "cat", &path])
    };
    let (ca, token) = (c.folder().join("pod-ca.crt"), read("token")?);
    std::fs::write(&ca, read("ca.crt")?)?;
    let nobody = c.folder().join("nobody");
    std::fs::write(&nobody, "{apiVersion: v1, kind: Config}")?;
    let kubectl = Program::built("kubectl").with_env("KUBECONFIG", &nobody);
    let (server, ca) = (endpoint(), ca.to_string_lossy().into_owned());
    let args = ["--server", &server, "--certificate-authority", &ca, "--token", &token];
    kubectl.output(&[&args[..], &["auth", "whoami"]].concat())
}

fn authorities_are_replaced_while_everything_runs(c: &Cluster) -> Result<()> {
    let (talosconfig, kubeconfig) = (c.folder().join("talosconfig"), c.folder().join("kubeconfig"));
    let (old_talosconfig, old_kubeconfig) = (c.folder().join("old-talosconfig"), c.folder().join("old-kubeconfig"));
    std::fs::copy(&talosconfig, &old_talosconfig)?;
    std::fs::copy(&kubeconfig, &old_kubeconfig)?;
    let before = "rotation-before";
    pod(c, before)?;
    let run = run_of(c, before)?;

    let out = talosconfig.to_string_lossy().into_owned();
    let plain = ["--dry-run=false", "--with-docs=false", "--with-examples=false"];
    let ran = c
        .keelctl
        .run(&[&["-n", control_plane(), "rotate-ca", "-o", &out], &plain[..]].concat())?;
    ensure!(ran.ok(), "{}{}", ran.stdout, ran.stderr);
    ensure!(
        !rotation_file(&talosconfig).exists(),
        "the new authorities were left behind"
    );

    // The machine API.
    let old = old_talosconfig.to_string_lossy().into_owned();
    for node in [control_plane(), worker()] {
        let refusal = c
            .keelctl
            .run(&["--talosconfig", &old, "-e", node, "-n", node, "version"])?
            .refusal()?;
        ensure!(refusal.to_lowercase().contains("certificate"), "{refusal}");
        c.ask(node, &["version"])?;
    }
    // Kubernetes.
    let path = kubeconfig.to_string_lossy().into_owned();
    c.ask(control_plane(), &["kubeconfig", &path, "--force", "--merge=false"])?;
    let outdated = Program::built("kubectl").with_env("KUBECONFIG", &old_kubeconfig);
    let refusal = outdated.run(&["get", "nodes"])?.refusal()?;
    ensure!(refusal.contains("certificate"), "{refusal}");
    let ca = format!("--insecure-skip-tls-verify={}", true);
    let refusal = outdated.run(&[&ca, "get", "nodes"])?.refusal()?;
    ensure!(
        refusal.contains("Unauthorized") || refusal.contains("logged in") || refusal.contains("insecure"),
        "the old certificate still opens the API: {refusal}"
    );
    let ran = c
        .keelctl
        .run(&["-n", control_plane(), "health", "--wait-timeout", "5m"])?;
    ensure!(ran.ok(), "{}{}", ran.stdout, ran.stderr);
    // Pods run on, new ones come, and everything that connects them learns of it.
    ensure!(run_of(c, before)? == run, "the pod was restarted");
    let after = "rotation-after";
    pod(c, after)?;
    eventually(
        "the account of the new pod to be accepted",
        Duration::from_secs(60),
        || {
            let who = whoami_of_pod(c, after)?;
            ensure!(who.contains("system:serviceaccount:default:default"), "{who}");
            Ok(())
        },
    )?;
    let service = "{apiVersion: v1, kind: Service, metadata: {name: rotation}, spec: {selector: {app: rotation}, \
                   ports: [{port: 80, targetPort: 8080}]}}";
    c.kubectl.run_with_input(&["apply", "-f", "-"], service)?.output()?;
    eventually("a new service to be reached by name", Duration::from_secs(120), || {
        let url = "http://rotation.default.svc.cluster.local/";
        c.kubectl.output(&["exec", after, "--", "/test", "dial", url]).map(drop)
    })?;
    c.kubectl
        .output(&[
            "delete",
            "--wait=false",
            "pod/rotation-before",
            "pod/rotation-after",
            "service/rotation",
        ])
        .map(drop)
}
