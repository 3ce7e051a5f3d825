//! A cluster set up by hand: nodes that wait for their configuration, and the commands a person types.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::run::Test;
use e2e::site::{Place, network};
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{control_plane, endpoint};

pub fn tests() -> Vec<Test<()>> {
    tests![a_node_without_configuration_becomes_a_cluster_by_hand]
}

fn a_node_without_configuration_becomes_a_cluster_by_hand((): &()) -> Result<()> {
    let place = Place::new("by-hand")?;
    let keelctl = &place.keelctl;
    place.create(&["--workers", "0", "--skip-injecting-config"])?;

    let version = eventually("maintenance mode", Duration::from_secs(30), || {
        keelctl.output(&["version", "--insecure", "-n", control_plane(), "-e", control_plane()])
    })?;
    ensure!(version.contains("v1.13.0"), "{version}");
    let refusal = keelctl.run(&[
        "get",
        "machineconfig",
        "-i",
        "-n",
        control_plane(),
        "-e",
        control_plane(),
    ])?;
    ensure!(!refusal.ok() || !refusal.stdout.contains("v1alpha1"), "{refusal:?}");

    let out = place.folder().to_string_lossy().into_owned();
    keelctl.output(&["gen", "config", "demo", &endpoint(), "-o", &out, "--force"])?;
    let file = place.folder().join("controlplane.yaml").to_string_lossy().into_owned();
    let a = place.folder().join("a.patch.yaml");
    std::fs::write(&a, mirrors(&format!("{}:5000", network().host(1))))?;
    let b = place.folder().join("b.patch.yaml");
    std::fs::write(&b, SMALL)?;
    keelctl.output(&[
        "apply-config",
        "--insecure",
        "-f",
        &file,
        "-n",
        control_plane(),
        "-e",
        control_plane(),
        "--config-patch",
        &format!("@{}", a.display()),
        "--config-patch",
        &format!("@{}", b.display()),
    ])?;
    keelctl.output(&["config", "endpoint", control_plane()])?;
    eventually("the node to take the bootstrap", Duration::from_secs(60), || {
        keelctl.output(&["-n", control_plane(), "bootstrap"])
    })?;
    let kubeconfig = place.folder().join("kubeconfig");
    let kubectl = &place.kubectl;
    eventually("a ready node", Duration::from_secs(120), || {
        keelctl.output(&[
            "-n",
            control_plane(),
            "kubeconfig",
            &kubeconfig.to_string_lossy(),
            "--force",
        ])?;
        let nodes = kubectl.output(&["get", "nodes"])?;
        ensure!(nodes.contains(" Ready "), "{nodes}");
        Ok(())
    })?;
    keelctl.output(&["-n", control_plane(), "health", "--wait-timeout", "2m"])?;
    let reset = keelctl.run(&[
        "-n",
        control_plane(),
        "reset",
        "--graceful=false",
        "--reboot",
        "--timeout",
        "3m",
    ])?;
    ensure!(reset.ok() && reset.stderr.contains("back (maintenance"), "{reset:?}");
    place.destroy()?;
    Ok(())
}

/// One node that runs everything, on a disk that is shared with everything else on this machine.
pub const SMALL: &str = "
cluster:
  allowSchedulingOnControlPlanes: true
machine:
  kubelet:
    extraConfig:
      evictionHard: {nodefs.available: 1Gi, imagefs.available: 1Gi}
";

/// A patch that pulls from one registry only.
pub fn mirrors(registry: &str) -> String {
    let mirror = |host: &str| format!("      {host}:\n        endpoints: [\"http://{registry}\"]\n");
    let hosts: String = ["registry.k8s.io", "ghcr.io", "docker.io"].map(mirror).concat();
    format!("machine:\n  registries:\n    mirrors:\n{hosts}")
}
