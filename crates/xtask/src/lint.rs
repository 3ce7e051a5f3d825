//! `lint`: formatting, clippy, and which crates may be used.

use anyhow::{Result, bail};

use crate::ui::Ui;
use crate::{host, paths, policy};

/// Checks everything that needs no tests.
pub fn run(ui: &Ui) -> Result<()> {
    text(ui)?;
    code(ui)
}

/// What takes a second: worth knowing before anything is built.
pub fn text(ui: &Ui) -> Result<()> {
    ui.step("formatting", || {
        host::quiet(host::cargo().args(["fmt", "--all", "--check"]))?;
        Ok(((), Some(String::new())))
    })?;
    ui.step("licences and banned crates", || {
        let violations = policy::Graph::workspace()?.violations(&policy::Policy::load()?);
        if !violations.is_empty() {
            bail!("{}", violations.join("\n"));
        }
        Ok(((), Some(String::new())))
    })
}

/// What has to be compiled for it.
pub fn code(ui: &Ui) -> Result<()> {
    let target = paths::target(&paths::cache()?);
    ui.step("clippy", || {
        let mut cargo = host::cargo();
        cargo.args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]);
        host::quiet(cargo.env("CARGO_TARGET_DIR", &target))?;
        Ok(((), Some(String::new())))
    })?;
    deny(ui)
}

/// cargo-deny looks at sources, duplicates and known vulnerabilities too, where it is installed.
fn deny(ui: &Ui) -> Result<()> {
    let installed = host::cargo()
        .args(["deny", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !installed {
        ui.say("  · cargo-deny is not installed: known vulnerabilities are not looked up (cargo install cargo-deny)");
        return Ok(());
    }
    ui.step("cargo deny", || {
        host::quiet(host::cargo().args(["deny", "check", "licenses", "bans", "sources"]))?;
        Ok(((), Some(String::new())))
    })?;
    let advisories = host::quiet(host::cargo().args(["deny", "check", "advisories"]));
    match advisories {
        Ok(_) => Ok(()),
        // The list of vulnerabilities is a git repository, which not every machine can reach.
        Err(error) if format!("{error:#}").contains("failed to fetch advisory database") => {
            ui.say("  · the list of known vulnerabilities cannot be reached: not checked");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
