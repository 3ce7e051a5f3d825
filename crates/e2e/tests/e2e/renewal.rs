//! Certificates are renewed before they expire, and nothing is restarted for it.
//!
//! Most live for a day or a year. That of the administrator's kubeconfig is as short as the configuration wants it, and
//! those of the machine API are made anew when their names change; days are let pass in the unit tests of the node.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::program::Program;
use e2e::run::Test;
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{Cluster, control_plane};
use crate::effects::with_patch;
use crate::faults::host_pid;

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        a_short_kubeconfig_is_renewed_and_the_control_plane_runs_on,
        a_certificate_with_a_new_name_is_served_without_a_restart,
    ]
}

/// What the control plane's containers are, by id.
fn control_plane_containers(c: &Cluster) -> Result<Vec<String>> {
    let pods = c.kube_json(&["-n", "kube-system", "get", "pods", "-l", "tier=control-plane"])?;
    let statuses = pods["items"].as_array().into_iter().flatten();
    let ids = statuses.filter_map(|pod| pod["status"]["containerStatuses"][0]["containerID"].as_str());
    let mut ids: Vec<String> = ids.map(ToOwned::to_owned).collect();
    ids.sort();
    ensure!(ids.len() == 3, "{ids:?}");
    Ok(ids)
}

fn a_short_kubeconfig_is_renewed_and_the_control_plane_runs_on(c: &Cluster) -> Result<()> {
    let before = control_plane_containers(c)?;
    let patch = "cluster:\n  adminKubeconfig:\n    certLifetime: 20s\n";
    with_patch(c, control_plane(), patch, || {
        let file = c.folder().join("short-kubeconfig");
        let path = file.to_string_lossy().into_owned();
        let kubectl = Program::built("kubectl").with_env("KUBECONFIG", &file);
        let fetch = || -> Result<String> {
            c.ask(control_plane(), &["kubeconfig", &path, "--force"])?;
            Ok(std::fs::read_to_string(&file)?)
        };
        let old = eventually("a short certificate", Duration::from_secs(20), || {
            let text = fetch()?;
            ensure!(
                text != std::fs::read_to_string(c.folder().join("kubeconfig"))?,
                "it is the long one"
            );
            kubectl.output(&["get", "nodes"])?;
            Ok(text)
        })?;
        eventually("another one that works", Duration::from_secs(60), || {
            ensure!(fetch()? != old, "it is the old one");
            kubectl.output(&["get", "nodes"]).map(drop)
        })
    })?;
    ensure!(
        control_plane_containers(c)? == before,
        "the control plane was restarted"
    );
    Ok(())
}

/// Connects to a node's machine API under a name, as the authority of the client configuration vouches for it; gives
/// what was wrong. The API wants to see a certificate, so something always is.
fn refusal_under(c: &Cluster, node: &str, name: &str) -> Result<String> {
    let config = std::fs::read_to_string(c.folder().join("talosconfig"))?;
    let ca = config.lines().find_map(|line| line.trim().strip_prefix("ca: "));
    let ca = ca.context("the client configuration has no authority")?;
    let file = c.folder().join("under-a-name");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: node, contexts: [{{name: node, context: {{cluster: node}}}}], \
         clusters: [{{name: node, cluster: {{server: 'https://{node}:50000', certificate-authority-data: {ca}, \
         tls-server-name: {name}}}}}]}}"
    );
    std::fs::write(&file, text)?;
    let kubectl = Program::built("kubectl").with_env("KUBECONFIG", &file);
    let who = ["--username", "nobody", "--password", "nothing"];
    kubectl.run(&[&who[..], &["get", "--raw", "/"]].concat())?.refusal()
}

fn a_certificate_with_a_new_name_is_served_without_a_restart(c: &Cluster) -> Result<()> {
    let node = control_plane();
    let pids = || -> Result<_> { Ok((host_pid(c, node, "apid")?, host_pid(c, node, "trustd")?)) };
    let (name, before) = ("renewed.e2e", pids()?);
    let unknown = "certificate is valid for";
    let refusal = refusal_under(c, node, name)?;
    ensure!(refusal.contains(unknown), "{refusal}");
    with_patch(c, node, "machine:\n  certSANs: [renewed.e2e]\n", || {
        eventually("the new name", Duration::from_secs(30), || {
            let refusal = refusal_under(c, node, name)?;
            ensure!(
                !refusal.contains(unknown) && refusal.contains("certificate required"),
                "{refusal}"
            );
            Ok(())
        })?;
        c.ask(node, &["version"]).map(drop)
    })?;
    eventually("the name to be gone", Duration::from_secs(30), || {
        let refusal = refusal_under(c, node, name)?;
        ensure!(refusal.contains(unknown), "{refusal}");
        Ok(())
    })?;
    ensure!(pids()? == before, "apid or trustd was restarted");
    Ok(())
}
