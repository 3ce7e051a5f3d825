//! `up` and `down`: the default cluster.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::ui::Ui;
use crate::{dist, host, paths};

/// Builds what is missing and starts the default cluster.
pub fn up(ui: &Ui, args: &[String]) -> Result<()> {
    let out = dist::run(ui, &dist::Options::default())?;
    match found(&out, args) {
        Found::Complete => {
            ui.say("the cluster is there already:");
            // Starts the nodes that do not run, as after a restart of the machine, and shows all.
            return host::run(keelctl(&out).args(["cluster", "start"]).args(named(args)));
        }
        // Nothing of value can be in a cluster that never was complete.
        Found::Incomplete => ui.loud("removing what an earlier attempt left", || {
            host::run(keelctl(&out).args(["cluster", "destroy", "--force"]).args(named(args)))
        })?,
        Found::Nothing => {}
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

/// What there is of the cluster.
#[derive(Debug, PartialEq)]
enum Found {
    Nothing,
    /// Its creation did not come to its end.
    Incomplete,
    Complete,
}

fn found(out: &Path, args: &[String]) -> Found {
    let shown = keelctl(out).args(["cluster", "show"]).args(named(args)).output();
    match shown {
        Ok(shown) if shown.status.success() => read(&String::from_utf8_lossy(&shown.stdout)),
        _ => Found::Nothing,
    }
}

/// Reads what `cluster show` printed.
fn read(shown: &str) -> Found {
    if shown.contains("The cluster is not complete") || !shown.contains("controlplane") {
        Found::Incomplete
    } else {
        Found::Complete
    }
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
    fn a_cluster_that_was_never_complete_is_told_from_one_that_was() {
        let nodes = "NAME\ndemo-controlplane-1   controlplane   10.5.0.2   2.00   2.1 GB   -   failed\n";
        assert_eq!(read(nodes), Found::Complete);
        let broken = format!("{nodes}\nThe cluster is not complete: its creation failed or still goes on.\n");
        assert_eq!(read(&broken), Found::Incomplete);
        assert_eq!(read(""), Found::Incomplete);
    }

    #[test]
    fn only_what_names_the_cluster_is_used_to_look_for_it() {
        let args: Vec<String> = "--workers 2 --name a --state=/x"
            .split(' ')
            .map(str::to_owned)
            .collect();
        assert_eq!(named(&args), ["--name", "a", "--state=/x"]);
    }
}
