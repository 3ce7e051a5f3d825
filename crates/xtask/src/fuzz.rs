//! `fuzz`: everything that reads formats from outside, under libFuzzer.
//!
//! Needs no other compiler: LLVM's coverage passes are in the stable one. libFuzzer itself comes with a crate, as C++.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::ui::Ui;
use crate::{host, paths};

/// How long each target runs unless the command line says.
const SECONDS: u64 = 60;
/// One input may take this long, in seconds, before it counts as found.
const PATIENCE: &str = "20";
/// More memory than this, in MiB, counts as found.
const MEMORY: &str = "2048";
/// Counts which edges of the code were reached, and shows the fuzzer what is compared with what.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What the command line says.
#[derive(Debug, PartialEq)]
struct Options {
    /// These targets, or all.
    targets: Vec<String>,
    seconds: u64,
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options {
        targets: Vec::new(),
        seconds: SECONDS,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seconds" => {
                let value = args.next().context("--seconds needs a value")?;
                options.seconds = value
                    .parse()
                    .with_context(|| format!("--seconds {value:?} is not a number"))?;
            }
            name if !name.starts_with('-') => options.targets.push(name.to_owned()),
            other => bail!("fuzz: unknown argument {other:?}"),
        }
    }
    Ok(options)
}

/// Builds the fuzzer and runs targets, one after the other. What it finds worth keeping stays in the cache, for the
/// next run.
pub fn run(ui: &Ui, args: &[String]) -> Result<()> {
    let options = parse(args)?;
    let all = targets()?;
    if let Some(unknown) = options.targets.iter().find(|name| !all.contains(name)) {
        bail!("there is no target {unknown:?}; there are: {}", all.join(", "));
    }
    host::install(ui, &["g++".to_owned(), "gcc".to_owned(), "libc6-dev".to_owned()])?;
    let home = paths::cache()?.join("fuzz");
    let program = build(ui, &home)?;
    let chosen = if options.targets.is_empty() {
        all
    } else {
        options.targets
    };
    let mut found = Vec::new();
    for target in chosen {
        if let Some(inputs) = fuzz(ui, &program, &home, &target, options.seconds)? {
            found.push(format!("{target}: {}", inputs.display()));
        }
    }
    if !found.is_empty() {
        bail!(
            "inputs that break something were found:\n  {}\nmend it, and put the input into {}/TARGET/, where a test \
             runs it from then on",
            found.join("\n  "),
            seeds().display()
        );
    }
    ui.total("fuzzed");
    Ok(())
}

fn seeds() -> PathBuf {
    paths::repository().join("crates/fuzz/seeds")
}

/// Every target has a folder of seeds; a test sees to it.
fn targets() -> Result<Vec<String>> {
    let entries = fs::read_dir(seeds()).with_context(|| format!("read {}", seeds().display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

fn build(ui: &Ui, home: &Path) -> Result<PathBuf> {
    let target = home.join("target");
    ui.step("the fuzzer", || {
        let mut cargo = host::cargo();
        cargo.args(["build", "--release", "--locked", "--target", TARGET, "--manifest-path"]);
        cargo.arg(paths::repository().join("fuzz/Cargo.toml"));
        // These take the place of the flags in .cargo/config.toml: libFuzzer is linked with the C++ library of the
        // system, not statically.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\x1f"));
        host::quiet(cargo.env("CARGO_TARGET_DIR", &target))?;
        Ok(((), Some(String::new())))
    })?;
    Ok(target.join(TARGET).join("release/fuzzer"))
}

/// Fuzzes one target; gives the folder of inputs that break it, if there are any.
fn fuzz(ui: &Ui, program: &Path, home: &Path, target: &str, seconds: u64) -> Result<Option<PathBuf>> {
    let folder = |name: &str| -> Result<PathBuf> {
        let path = home.join(name).join(target);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(path)
    };
    let (corpus, found, work) = (folder("corpus")?, folder("found")?, folder("work")?);
    let log = home.join(format!("{target}.log"));
    let output = fs::File::create(&log).with_context(|| format!("create {}", log.display()))?;
    let mut command = Command::new("nice");
    command.arg(program).arg(&corpus).arg(seeds().join(target));
    command.arg(format!("-max_total_time={seconds}"));
    command
        .arg(format!("-timeout={PATIENCE}"))
        .arg(format!("-rss_limit_mb={MEMORY}"));
    command.arg(format!("-artifact_prefix={}/", found.display()));
    command.arg("-print_final_stats=1");
    command.env("KEELSON_FUZZ_TARGET", target).env("TMPDIR", &work);
    command.stdout(output.try_clone()?).stderr(output);
    let mut ended = None;
    ui.step(&format!("fuzzing {target}"), || {
        let status = command.status().with_context(|| format!("run {}", program.display()))?;
        ended = Some(status);
        Ok(((), Some(summary(&log))))
    })?;
    let _ = fs::remove_dir_all(&work);
    if ended.is_some_and(|status| status.success()) {
        return Ok(None);
    }
    ui.say(&format!("    {target} failed: {}", log.display()));
    Ok(Some(found))
}

/// How much was tried and how much code was reached, from the fuzzer's last words.
fn summary(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let stat = |name: &str| {
        let line = text.lines().rev().find_map(|line| line.strip_prefix(name));
        line.unwrap_or("?").trim().to_owned()
    };
    let reached = text.lines().rev().find_map(|line| line.split_once(" cov: "));
    let reached = reached
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .unwrap_or("?");
    format!("{} inputs, {reached} edges", stat("stat::number_of_executed_units:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_fuzz_are_read() {
        let args = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let options = parse(&args("config dns --seconds 5")).unwrap();
        assert_eq!(
            (options.targets.as_slice(), options.seconds),
            (&args("config dns")[..], 5)
        );
        assert!(parse(&args("--seconds")).is_err() && parse(&args("--seconds x")).is_err());
        assert!(parse(&args("--fast")).is_err());
    }

    #[test]
    fn the_targets_are_those_with_seeds() {
        assert!(targets().unwrap().contains(&"config".to_owned()));
    }
}
