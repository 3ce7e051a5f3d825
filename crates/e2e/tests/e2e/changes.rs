//! Changes of configuration on a running cluster, in every mode, and credentials that are not good enough.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::run::Test;
use e2e::tests;
use e2e::wait::eventually;
use serde_json::Value;

use crate::cluster::{Cluster, control_plane, worker};

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        an_expired_certificate_is_refused,
        a_workers_certificate_opens_no_control_plane,
        a_change_on_trial_returns_by_itself,
        a_staged_change_waits_for_the_next_boot,
        arguments_of_the_api_server_change_without_a_reboot,
        an_inline_manifest_is_applied_without_a_reboot,
    ]
}

fn an_expired_certificate_is_refused(c: &Cluster) -> Result<()> {
    let path = c.folder().join("short").to_string_lossy().into_owned();
    c.ask(
        control_plane(),
        &["config", "new", &path, "--roles", "os:admin", "--crt-ttl", "2s"],
    )?;
    std::thread::sleep(Duration::from_secs(3));
    let node = control_plane();
    let refusal = c
        .keelctl
        .run(&["--talosconfig", &path, "-e", node, "-n", node, "version"])?
        .refusal()?;
    ensure!(refusal.contains("expired"), "{refusal}");
    Ok(())
}

/// What a worker has, somebody who took the worker has too: it must not be enough for the control plane.
fn a_workers_certificate_opens_no_control_plane(c: &Cluster) -> Result<()> {
    let certificates: Value =
        serde_json::from_str(&c.ask(worker(), &["get", "apicertificates", "api", "-o", "json"])?)?;
    let spec = &certificates["spec"];
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no certificate");
    let config = format!(
        "context: worker\ncontexts:\n  worker:\n    endpoints: [{node}]\n    nodes: [{node}]\n    ca: {}\n    crt: {}\n    key: {}\n",
        text(&spec["acceptedCAs"][0]["crt"])?,
        text(&spec["server"]["crt"])?,
        text(&spec["server"]["key"])?,
        node = control_plane(),
    );
    let file = c.folder().join("worker-identity");
    std::fs::write(&file, config)?;
    let path = file.to_string_lossy().into_owned();
    for resource in ["kubernetesrootsecrets", "machineconfig", "version"] {
        let refusal = c.keelctl.run(&["--talosconfig", &path, "get", resource])?.refusal()?;
        ensure!(
            refusal.to_lowercase().contains("certificate") || refusal.contains("not authorized"),
            "{refusal}"
        );
    }
    Ok(())
}

fn nodes_labelled(c: &Cluster, label: &str) -> Result<usize> {
    let nodes = c.kubectl.output(&["get", "nodes", "-l", label, "-o", "name"])?;
    Ok(nodes.lines().count())
}

fn label(name: &str) -> String {
    format!(r#"{{"machine": {{"nodeLabels": {{"keelson.dev/{name}": "yes"}}}}}}"#)
}

fn a_change_on_trial_returns_by_itself(c: &Cluster) -> Result<()> {
    c.ask(
        worker(),
        &[
            "patch",
            "machineconfig",
            "-p",
            &label("tried"),
            "--mode",
            "try",
            "--timeout",
            "10s",
        ],
    )?;
    eventually("the label", Duration::from_secs(9), || {
        ensure!(nodes_labelled(c, "keelson.dev/tried")? == 1, "no label yet");
        Ok(())
    })?;
    eventually("the label to be gone", Duration::from_secs(40), || {
        ensure!(nodes_labelled(c, "keelson.dev/tried")? == 0, "still there");
        ensure!(
            !c.ask(worker(), &["get", "machineconfig", "-o", "yaml"])?
                .contains("tried"),
            "still configured"
        );
        Ok(())
    })
}

fn a_staged_change_waits_for_the_next_boot(c: &Cluster) -> Result<()> {
    c.ask(
        worker(),
        &["patch", "machineconfig", "-p", &label("staged"), "--mode", "staged"],
    )?;
    std::thread::sleep(Duration::from_secs(3));
    ensure!(nodes_labelled(c, "keelson.dev/staged")? == 0, "applied before the boot");
    c.ask(worker(), &["reboot", "--wait=false"])?;
    eventually("the label after the boot", Duration::from_secs(120), || {
        ensure!(nodes_labelled(c, "keelson.dev/staged")? == 1, "no label yet");
        Ok(())
    })
}

fn arguments_of_the_api_server_change_without_a_reboot(c: &Cluster) -> Result<()> {
    let node = control_plane();
    let patch = r#"{"cluster": {"apiServer": {"extraArgs": {"event-ttl": "2h"}}}}"#;
    let refused = r#"{"cluster": {"apiServer": {"extraArgs": {"etcd-servers": "https://elsewhere:2379"}}}}"#;
    let refusal = c
        .keelctl
        .run(&["-n", node, "patch", "machineconfig", "-p", refused])?
        .refusal()?;
    ensure!(refusal.contains("etcd-servers"), "{refusal}");
    c.ask(node, &["patch", "machineconfig", "-p", patch, "--mode", "no-reboot"])?;
    eventually("an API server with the argument", Duration::from_secs(120), || {
        let pods = c.kube_json(&["-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-apiserver"])?;
        let command = pods["items"][0]["spec"]["containers"][0]["command"].to_string();
        ensure!(command.contains("--event-ttl=2h"), "{command}");
        let ready = &pods["items"][0]["status"]["containerStatuses"][0]["ready"];
        ensure!(*ready == true, "not ready");
        Ok(())
    })
}

fn an_inline_manifest_is_applied_without_a_reboot(c: &Cluster) -> Result<()> {
    let manifest = "apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: inline, namespace: default}\\ndata: {a: b}\\n";
    let patch = format!(r#"{{"cluster": {{"inlineManifests": [{{"name": "e2e", "contents": "{manifest}"}}]}}}}"#);
    c.ask(control_plane(), &["patch", "machineconfig", "-p", &patch])?;
    eventually("the config map", Duration::from_secs(60), || {
        c.kubectl.output(&["get", "configmap", "inline"]).map(drop)
    })
}
