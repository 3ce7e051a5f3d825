//! What this machine must have: Debian packages, and the right to install them.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use image::make::is_installed;
use image::run::Tool;

use crate::ui::Ui;

/// Installs the packages that are missing, one at a time: a long list once failed as a whole with "held broken
/// packages" where each package alone went in.
pub fn install(ui: &Ui, packages: &[String]) -> Result<()> {
    let missing: Vec<&String> = packages.iter().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ");
    if !rustix::process::geteuid().is_root() {
        bail!(
            "these Debian packages are missing: {names}\nrun as root, or: sudo apt-get install --no-install-recommends {names}"
        );
    }
    ui.step("apt-get update", || {
        apt(&["update", "-q"])?;
        Ok(((), Some(String::new())))
    })?;
    for package in missing {
        ui.step(&format!("apt-get install {package}"), || {
            apt(&["install", "-q", "-y", "--no-install-recommends", package])?;
            Ok(((), Some(String::new())))
        })?;
    }
    Ok(())
}

fn apt(args: &[&str]) -> Result<()> {
    // Somebody else may be installing: wait for the lock and not fail.
    let tool = Tool::new("apt-get", "apt").env("DEBIAN_FRONTEND", "noninteractive");
    tool.args(["-o", "DPkg::Lock::Timeout=300"]).args(args).output()?;
    Ok(())
}

/// Runs a command whose output the person should see.
pub fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("run {line}"))?;
    if status.success() {
        Ok(())
    } else {
        bail!("{line}: {status}")
    }
}

/// Runs a command whose output the person should see, and keeps what it writes to standard error in `told`.
pub fn run_listening(command: &mut Command, told: &mut String) -> Result<()> {
    let line = line(command);
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {line}"))?;
    if let Some(pipe) = child.stderr.take() {
        for text in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&text);
            let _ = writeln!(std::io::stderr(), "{text}");
            told.push_str(&text);
            told.push('\n');
        }
    }
    let status = child.wait().with_context(|| format!("wait for {line}"))?;
    if status.success() {
        Ok(())
    } else {
        bail!("{line}: {status}")
    }
}

/// Runs commands side by side. Each line that one prints is shown when it comes, after the command's name and a colon.
pub fn run_together(commands: Vec<(&'static str, &mut Command)>) -> Result<()> {
    let mut running = Vec::new();
    for (name, command) in commands {
        let line = line(command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("run {line}"))?;
        let out = child.stdout.take().map(|pipe| show(name, pipe));
        let err = child.stderr.take().map(|pipe| show(name, pipe));
        running.push((line, child, out, err));
    }
    let mut failed = Vec::new();
    for (line, mut child, out, err) in running {
        let status = child.wait().with_context(|| format!("wait for {line}"))?;
        for copying in [out, err].into_iter().flatten() {
            let _ = copying.join();
        }
        if !status.success() {
            failed.push(format!("{line}: {status}"));
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        bail!(failed.join("\n"))
    }
}

/// Copies what a command prints, line by line.
fn show(name: &'static str, pipe: impl Read + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let _ = writeln!(std::io::stdout(), "{name}: {}", String::from_utf8_lossy(&line));
        }
    })
}

/// Runs a command and shows its output only when it failed.
pub fn quiet(command: &mut Command) -> Result<Vec<u8>> {
    let line = line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {line}"))?;
    if !output.status.success() {
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let lines: Vec<&str> = text.lines().collect();
        bail!(
            "{line}: {}\n{}",
            output.status,
            lines[lines.len().saturating_sub(60)..].join("\n")
        );
    }
    Ok(output.stdout)
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// `cargo`, the one that runs us.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::paths::repository());
    // What cargo told us about ourselves is not about what we build.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME"] {
        command.env_remove(name);
    }
    // Where everything is built once, what makes the next build faster only costs space.
    if std::env::var_os("CI").is_some() {
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}
