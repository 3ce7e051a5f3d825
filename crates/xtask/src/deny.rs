//! Which crates may be used: cargo-deny, which reads `deny.toml`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::ui::Ui;
use crate::{host, paths};

/// The version that `deny.toml` is written for.
const VERSION: &str = "0.20.2";

/// Checks licences, bans and sources, and known vulnerabilities where their list can be reached.
pub fn run(ui: &Ui) -> Result<()> {
    let program = installed(ui)?;
    ui.step("licences, bans and sources of crates", || {
        host::quiet(check(&program).args(["licenses", "bans", "sources"]))?;
        Ok(((), Some(String::new())))
    })?;
    advisories(ui, &program)
}

/// cargo-deny, compiled if it is not there.
fn installed(ui: &Ui) -> Result<PathBuf> {
    let root = paths::cache()?.join("tools").join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    ui.step(&format!("cargo install cargo-deny {VERSION}"), || {
        // Not optimised: it runs for seconds, and would be compiled for minutes.
        let mut cargo = host::cargo();
        cargo.args(["install", "cargo-deny", "--version", VERSION, "--locked", "--debug"]);
        cargo.args(["--no-track", "--root"]).arg(&root);
        cargo.arg("--target-dir").arg(root.join("target"));
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
        // Flags and target of the checkout are for what runs on nodes.
        cargo.current_dir("/");
        host::quiet(&mut cargo)?;
        // What it was compiled from is large and not needed again.
        let _ = std::fs::remove_dir_all(root.join("target"));
        Ok(((), Some(String::new())))
    })?;
    Ok(program)
}

fn check(program: &PathBuf) -> Command {
    let mut command = Command::new(program);
    command.current_dir(paths::repository());
    command.args(["--locked", "--workspace", "check", "--hide-inclusion-graph"]);
    command
}

/// The list of vulnerabilities is a git repository, which not every machine can reach: then it is said, no more.
fn advisories(ui: &Ui, program: &PathBuf) -> Result<()> {
    let checked = ui.step("known vulnerabilities of crates", || {
        match host::quiet(check(program).arg("advisories")) {
            Ok(_) => Ok((true, Some(String::new()))),
            Err(error) if is_unreachable(&format!("{error:#}")) => Ok((false, Some("not checked".to_owned()))),
            Err(error) => bail!(error),
        }
    })?;
    if !checked {
        ui.say("    the list of known vulnerabilities (RustSec, on GitHub) cannot be reached from here");
    }
    Ok(())
}

fn is_unreachable(error: &str) -> bool {
    error.contains("failed to fetch advisory database")
}
