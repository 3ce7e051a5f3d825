//! `test`: everything needed, then every test.

use anyhow::Result;

use crate::ui::Ui;
use crate::{dist, engine, host, lint, paths};

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
    let steady = twice(ui, "unit and integration tests", || {
        let mut cargo = host::cargo();
        // All that fails is shown, not only the first.
        cargo.args(["test", "--workspace", "--locked", "--quiet", "--no-fail-fast"]);
        if has_e2e() {
            cargo.args(["--exclude", E2E]);
        }
        host::run(cargo.env("CARGO_TARGET_DIR", &target).env("KEELSON_DIST", &out))
    })?;
    if has_e2e() {
        let docker = engine::programs(ui, &paths::cache()?)?;
        let cargo = |arguments: &[&str]| {
            let mut cargo = host::cargo();
            cargo.args(["test", "-p", E2E, "--locked"]).args(arguments);
            cargo.env("CARGO_TARGET_DIR", &target).env("KEELSON_DIST", &out);
            cargo.env(engine::VARIABLE, &docker);
            cargo
        };
        ui.loud("what the end-to-end tests are made of", || {
            host::run(&mut cargo(&["--quiet", "--lib"]))?;
            host::run(&mut cargo(&["--test", E2E, "--no-run"]))
        })?;
        // Within a half one at a time: they share clusters. Two halves, as a cluster waits more than it works.
        let half = |name: &str| cargo(&["--quiet", "--test", E2E, "--", &format!("--half={name}")]);
        ui.loud("end-to-end tests", || {
            let (mut shared, mut own) = (half("shared"), half("own"));
            host::run_together(vec![("shared", &mut shared), ("own", &mut own)])
        })?;
    } else {
        ui.say("  · there is no crate e2e yet: no end-to-end tests");
    }
    ui.total("all tests passed");
    if !steady {
        ui.say("unit and integration tests passed at the second try only: the failure above needs a look");
    }
    Ok(())
}

/// Tries once more what failed, as a machine under load may make a test fail that waits for something; true if once was
/// enough. The end-to-end tests do so by themselves, test by test.
fn twice(ui: &Ui, name: &str, work: impl Fn() -> Result<()>) -> Result<bool> {
    let Err(error) = ui.loud(name, &work) else {
        return Ok(true);
    };
    ui.say(&format!("    {error:#}"));
    ui.loud(&format!("{name}, once more"), &work)?;
    Ok(false)
}

const E2E: &str = "e2e";

fn has_e2e() -> bool {
    paths::repository().join("crates/e2e/Cargo.toml").is_file()
}
