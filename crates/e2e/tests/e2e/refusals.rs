//! What a node refuses, and how it says so.

use anyhow::{Result, ensure};
use e2e::run::Test;
use e2e::site::{folder, keelctl_in};
use e2e::tests;

use crate::cluster::{Cluster, control_plane, endpoint, worker};

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        a_reader_cannot_reset,
        a_reader_cannot_read_secrets,
        a_certificate_of_another_cluster_is_refused,
        bootstrap_twice_is_refused,
        bootstrap_of_a_worker_is_refused,
        configuration_of_another_cluster_is_refused,
        bad_configuration_is_refused_and_nothing_changes,
        configurations_that_would_choke_a_node_are_refused,
        a_dry_run_changes_nothing,
        an_unknown_resource_is_named,
        a_service_that_may_not_be_stopped_is_not,
        what_the_command_does_not_do_is_said,
        a_cluster_that_exists_is_not_made_again,
    ]
}

fn a_reader_cannot_reset(c: &Cluster) -> Result<()> {
    let file = c.folder().join("reader");
    let path = file.to_string_lossy().into_owned();
    c.ask(control_plane(), &["config", "new", &path, "--roles", "os:reader"])?;
    let reader = |args: &[&str]| {
        c.keelctl.run(
            &[
                &["--talosconfig", &path, "-e", control_plane(), "-n", control_plane()],
                args,
            ]
            .concat(),
        )
    };
    reader(&["version"])?.output()?;
    let refusal = reader(&["reset", "--wait=false"])?.refusal()?;
    ensure!(
        refusal.contains("not authorized") || refusal.contains("PermissionDenied"),
        "{refusal}"
    );
    Ok(())
}

fn a_reader_cannot_read_secrets(c: &Cluster) -> Result<()> {
    let path = c.folder().join("reader").to_string_lossy().into_owned();
    let ran = c.keelctl.run(&[
        "--talosconfig",
        &path,
        "-e",
        control_plane(),
        "-n",
        control_plane(),
        "get",
        "machineconfig",
    ])?;
    let refusal = ran.refusal()?;
    ensure!(
        refusal.contains("not authorized") || refusal.contains("PermissionDenied"),
        "{refusal}"
    );
    Ok(())
}

fn a_certificate_of_another_cluster_is_refused(c: &Cluster) -> Result<()> {
    let home = folder()?;
    let other = keelctl_in(home.path());
    let out = home.path().to_string_lossy().into_owned();
    other.output(&["gen", "config", "other", &endpoint(), "-o", &out])?;
    let config = home.path().join("talosconfig").to_string_lossy().into_owned();
    let refusal = c
        .keelctl
        .run(&[
            "--talosconfig",
            &config,
            "-e",
            control_plane(),
            "-n",
            control_plane(),
            "version",
        ])?
        .refusal()?;
    ensure!(refusal.to_lowercase().contains("certificate"), "{refusal}");
    Ok(())
}

fn bootstrap_twice_is_refused(c: &Cluster) -> Result<()> {
    let refusal = c.keelctl.run(&["-n", control_plane(), "bootstrap"])?.refusal()?;
    ensure!(refusal.contains("already"), "{refusal}");
    Ok(())
}

fn bootstrap_of_a_worker_is_refused(c: &Cluster) -> Result<()> {
    let refusal = c.keelctl.run(&["-n", worker(), "bootstrap"])?.refusal()?;
    ensure!(refusal.contains("control plane"), "{refusal}");
    Ok(())
}

fn configuration_of_another_cluster_is_refused(c: &Cluster) -> Result<()> {
    let home = folder()?;
    let out = home.path().to_string_lossy().into_owned();
    keelctl_in(home.path()).output(&["gen", "config", "other", &endpoint(), "-o", &out])?;
    let file = home.path().join("controlplane.yaml").to_string_lossy().into_owned();
    let refusal = c
        .keelctl
        .run(&["-n", control_plane(), "apply-config", "-f", &file])?
        .refusal()?;
    ensure!(refusal.contains("cluster"), "{refusal}");
    c.ask(control_plane(), &["version"])?;
    Ok(())
}

fn current_config(c: &Cluster, node: &str) -> Result<String> {
    c.ask(node, &["get", "machineconfig", "v1alpha1", "-o", "jsonpath={.spec}"])
}

fn bad_configuration_is_refused_and_nothing_changes(c: &Cluster) -> Result<()> {
    let before = current_config(c, worker())?;
    let file = c.folder().join("bad.yaml");
    std::fs::write(&file, "version: v1alpha1\nmachine:\n  typ: worker\n")?;
    let refusal = c
        .keelctl
        .run(&["-n", worker(), "apply-config", "-f", &file.to_string_lossy()])?
        .refusal()?;
    ensure!(refusal.contains("typ"), "{refusal}");
    ensure!(current_config(c, worker())? == before, "the configuration changed");
    Ok(())
}

/// Sent as they are, and read by the command line first because there is a patch.
fn configurations_that_would_choke_a_node_are_refused(c: &Cluster) -> Result<()> {
    let started = || c.ask(worker(), &["get", "version", "-o", "jsonpath={.metadata.created}"]);
    let (run, before) = (started()?, current_config(c, worker())?);
    let levels = 100_000;
    let deep = format!(
        "version: v1alpha1\nmachine: {}1{}\n",
        "{a: ".repeat(levels),
        "}".repeat(levels)
    );
    let laughs: String = (1..20)
        .map(|n| format!("l{n}: &l{n} [{0}, {0}]\n", format!("*l{}", n - 1)))
        .collect();
    let bad = [
        (
            "large",
            format!(
                "{before}\n{}",
                "# nothing, and that many times.\n".repeat((50 << 20) / 32)
            ),
            "bytes",
        ),
        ("deep", deep, "deep"),
        (
            "cycle",
            "version: v1alpha1\nmachine: &m\n  type: worker\n  again: *m\n".to_owned(),
            "this alias stands inside the value it refers to",
        ),
        (
            "laughs",
            format!("version: v1alpha1\nl0: &l0 [ha]\n{laughs}"),
            "counting each use of an alias",
        ),
    ];
    let patch = r#"{"machine": {"nodeLabels": {"choked": "yes"}}}"#;
    for (name, text, why) in bad {
        let file = c.folder().join(format!("{name}.yaml"));
        std::fs::write(&file, text)?;
        let path = file.to_string_lossy().into_owned();
        let apply = ["-n", worker(), "apply-config", "-f", &path];
        for more in [&[][..], &["--config-patch", patch]] {
            let refusal = c.keelctl.run(&[&apply, more].concat())?.refusal()?;
            let short: String = refusal.chars().take(2000).collect();
            ensure!(refusal.len() == short.len() && refusal.contains(why), "{name}: {short}");
        }
        std::fs::remove_file(&file)?;
        c.ask(worker(), &["version"])?;
    }
    ensure!(started()? == run, "the node was restarted");
    ensure!(current_config(c, worker())? == before, "the configuration changed");
    Ok(())
}

fn a_dry_run_changes_nothing(c: &Cluster) -> Result<()> {
    let before = current_config(c, worker())?;
    let file = c.folder().join("worker.yaml");
    std::fs::write(&file, &before)?;
    let patch = r#"{"machine": {"nodeLabels": {"e2e": "dry"}}}"#;
    let path = file.to_string_lossy().into_owned();
    let ran = c.keelctl.run(&[
        "-n",
        worker(),
        "apply-config",
        "-f",
        &path,
        "--config-patch",
        patch,
        "--dry-run",
    ])?;
    let text = format!("{}{}", ran.stdout, ran.stderr);
    ensure!(ran.ok() && text.contains("e2e"), "{text}");
    ensure!(current_config(c, worker())? == before, "the configuration changed");
    Ok(())
}

fn an_unknown_resource_is_named(c: &Cluster) -> Result<()> {
    let refusal = c.keelctl.run(&["-n", control_plane(), "get", "membrs"])?.refusal()?;
    ensure!(refusal.contains("membrs") && refusal.contains("members"), "{refusal}");
    Ok(())
}

fn a_service_that_may_not_be_stopped_is_not(c: &Cluster) -> Result<()> {
    let refusal = c.keelctl.run(&["-n", worker(), "service", "apid", "stop"])?.refusal()?;
    ensure!(refusal.contains("doesn't support stop"), "{refusal}");
    Ok(())
}

fn what_the_command_does_not_do_is_said(c: &Cluster) -> Result<()> {
    let refusal = c.keelctl.run(&["cluster", "create", "qemu"])?.refusal()?;
    ensure!(refusal.contains("runs no virtual machines"), "{refusal}");
    Ok(())
}

fn a_cluster_that_exists_is_not_made_again(c: &Cluster) -> Result<()> {
    let refusal = c.keelctl.run(&["cluster", "create", "--name", "e2e"])?.refusal()?;
    ensure!(refusal.contains("exists"), "{refusal}");
    c.ask(control_plane(), &["version"])?;
    Ok(())
}
