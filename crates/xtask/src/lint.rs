//! `lint`: formatting, clippy, and which crates may be used.

use anyhow::Result;

use crate::ui::Ui;
use crate::{deny, host, paths};

/// Checks everything that needs no tests.
pub fn run(ui: &Ui) -> Result<()> {
    text(ui)?;
    code(ui)
}

/// What takes seconds (and a minute once, for cargo-deny): worth knowing before anything is built.
pub fn text(ui: &Ui) -> Result<()> {
    ui.step("formatting", || {
        host::quiet(host::cargo().args(["fmt", "--all", "--check"]))?;
        Ok(((), Some(String::new())))
    })?;
    deny::run(ui)
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
    })
}
