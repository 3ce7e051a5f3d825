//! `up` and `down`: the default cluster.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::ui::Ui;
use crate::{dist, host, paths};

/// Builds what is missing and starts the default cluster.
pub fn up(ui: &Ui, args: &[String]) -> Result<()> {
    let out = dist::run(ui, &dist::Options::default())?;
    if exists(&out, args) {
        ui.say("the cluster is there already:");
        return host::run(keelctl(&out).args(["cluster", "show"]).args(named(args)));
    }
    ui.loud("cluster", || {
        host::run(keelctl(&out).args(["cluster", "create"]).args(args))
    })?;
    ui.total("cluster up");
    let home = std::env::var("HOME").unwrap_or_default();
    let file = |variable: &str, default: &str| std::env::var(variable).unwrap_or_else(|_| format!("{home}/{default}"));
    ui.say(&format!(
        "\nkubeconfig    {}\nclient config {}\nprograms      {}\n\ntry:  {dist}/kubectl get nodes -o wide\n      {dist}/keelctl -n 10.5.0.2 get members\nend:  cargo xtask down",
        file("KUBECONFIG", ".kube/config"),
        file("TALOSCONFIG", ".keelson/config"),
        out.display(),
        dist = out.display(),
    ));
    Ok(())
}

/// Removes the default cluster.
pub fn down(ui: &Ui, args: &[String]) -> Result<()> {
    let out = paths::dist();
    if !out.join("keelctl").is_file() {
        bail!(
            "{} is not there: nothing was built, so no cluster of it can run",
            out.join("keelctl").display()
        );
    }
    ui.loud("cluster destroy", || {
        host::run(keelctl(&out).args(["cluster", "destroy"]).args(args))
    })
}

fn keelctl(out: &Path) -> Command {
    let mut command = Command::new(out.join("keelctl"));
    command.env("KEELSON_DIST", out);
    command
}

/// Whether the cluster is there: showing it works and lists nodes.
fn exists(out: &Path, args: &[String]) -> bool {
    let shown = keelctl(out)
        .args(["cluster", "show"])
        .args(named(args))
        .output()
        .context("show");
    shown
        .is_ok_and(|output| output.status.success() && String::from_utf8_lossy(&output.stdout).contains("controlplane"))
}

/// The part of the arguments that says which cluster.
fn named(args: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--name" || arg == "--state" {
            kept.push(arg.clone());
            kept.extend(rest.next().cloned());
        } else if arg.starts_with("--name=") || arg.starts_with("--state=") {
            kept.push(arg.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_the_cluster_is_used_to_look_for_it() {
        let args: Vec<String> = "--workers 2 --name a --state=/x"
            .split(' ')
            .map(str::to_owned)
            .collect();
        assert_eq!(named(&args), ["--name", "a", "--state=/x"]);
    }
}
