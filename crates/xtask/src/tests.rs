//! `test`: everything needed, then every test.

use std::process::Command;

use anyhow::Result;

use crate::ui::Ui;
use crate::{again, dist, engine, host, lint, paths};

/// Runs all tests, unit to end-to-end.
pub fn run(ui: &Ui, args: &[String]) -> Result<()> {
    let mut options = dist::Options::parse(args)?;
    options.verify = true;
    ui.heading("checking");
    lint::text(ui)?;
    let out = dist::run(ui, &options)?;
    let target = paths::target(&paths::cache()?);
    lint::code(ui)?;
    ui.heading("testing");
    let cargo = |more: &[&str]| {
        let mut cargo = host::cargo();
        // Without the end-to-end tests, which their crate has cargo leave out; but not without their crate: whatever is
        // compiled is compiled once only if the same crates of the workspace are chosen every time.
        cargo.args(["test", "--workspace", "--locked", "--quiet"]);
        cargo.env("CARGO_TARGET_DIR", &target).env("KEELSON_DIST", &out);
        cargo.args(more);
        cargo
    };
    ui.loud("what the unit and integration tests are made of", || {
        host::run(&mut cargo(&["--no-run"]))
    })?;
    let steady = twice(ui, "unit and integration tests", cargo)?;
    let docker = engine::programs(ui, &paths::cache()?)?;
    let cargo = |arguments: &[&str]| {
        let mut cargo = cargo(&["--test", E2E]);
        cargo.env(engine::VARIABLE, &docker).args(arguments);
        cargo
    };
    ui.loud("what the end-to-end tests are made of", || {
        host::run(&mut cargo(&["--no-run"]))
    })?;
    // Within a half one at a time: they share clusters. Two halves, as a cluster waits more than it works.
    let half = |name: &str| cargo(&["--", &format!("--half={name}")]);
    ui.loud("end-to-end tests", || {
        let (mut shared, mut own) = (half("shared"), half("own"));
        host::run_together(vec![("shared", &mut shared), ("own", &mut own)])
    })?;
    ui.total("all tests passed");
    if !steady {
        ui.say("unit and integration tests passed at the second try only: the failure above needs a look");
    }
    Ok(())
}

/// Runs tests that are built already. Tries once more the targets that failed, as a machine under load may make a test
/// fail that waits for something; true if once was enough. The end-to-end tests do so by themselves, test by test.
fn twice(ui: &Ui, name: &str, cargo: impl Fn(&[&str]) -> Command) -> Result<bool> {
    // All that fails is shown, not only the first.
    let mut told = String::new();
    let first = ui.loud(name, || host::run_listening(&mut cargo(&["--no-fail-fast"]), &mut told));
    let Err(error) = first else { return Ok(true) };
    ui.say(&format!("    {error:#}"));
    for selection in again::selections(&told) {
        let selection: Vec<&str> = selection.iter().map(String::as_str).collect();
        ui.loud(&format!("{name}, once more: {}", selection.join(" ")), || {
            host::run(&mut cargo(&[&["--no-fail-fast"], &selection[..]].concat()))
        })?;
    }
    Ok(false)
}

const E2E: &str = "e2e";
