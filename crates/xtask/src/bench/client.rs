//! The command line by itself: how long it takes, and how large everything is.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::Tools;
use super::guard::{Guard, Thing};
use super::ours;
use super::report::{Against, Row, Unit};
use crate::host;

const RUNS: usize = 20;

/// Measures it.
pub fn measure(tools: &Tools) -> Result<Vec<Row>> {
    let folder = tools.work.join("client");
    let mut guard = Guard::start()?;
    guard.watch(&Thing::Folder(folder.clone()))?;
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let output = folder.join("config").display().to_string();
    let commands = [
        ("keelctl version --client", 10.0, vec!["version", "--client"]),
        (
            "keelctl gen config",
            60.0,
            vec![
                "gen",
                "config",
                "demo",
                "https://192.0.2.1:6443",
                "--force",
                "--output",
                &output,
            ],
        ),
    ];
    let mut rows = Vec::new();
    for (name, limit, args) in commands {
        let mut samples = Vec::new();
        // The first one is not counted: it brings the files into memory.
        for number in 0..=RUNS {
            let time = wall(&tools.keelctl, &args, &folder)?;
            if number > 0 {
                samples.push(time);
            }
        }
        rows.push(Row::of(name, Unit::Milliseconds, samples, Against::Target(limit)));
    }
    guard.finish()?;
    let size = |name: &str, bytes: u64, against| {
        let megabytes = f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX)) / 1000.0;
        Row::of(name, Unit::Megabytes, vec![megabytes], against)
    };
    let length = |path: &Path| {
        let metadata = std::fs::metadata(path).with_context(|| format!("look at {}", path.display()));
        metadata.map(|metadata| metadata.len())
    };
    let root = tools.dist.join("rootfs.sqsh");
    rows.push(size(
        "keelctl, stripped",
        length(&tools.keelctl)?,
        Against::Target(30.0),
    ));
    rows.push(size("machined, stripped", machined(&root)?, Against::Nothing));
    rows.push(size("root file system, compressed", length(&root)?, Against::Nothing));
    Ok(rows)
}

/// How long one run takes, in milliseconds.
fn wall(program: &Path, args: &[&str], folder: &Path) -> Result<f64> {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    ours::environment(&mut command, folder);
    let began = Instant::now();
    let status = command.status().with_context(|| format!("run {}", program.display()))?;
    let took = began.elapsed().as_secs_f64() * 1000.0;
    if !status.success() {
        bail!("{} {}: {status}", program.display(), args.join(" "));
    }
    Ok(took)
}

/// Length of the program of nodes, as it is in their root file system.
fn machined(root: &Path) -> Result<u64> {
    let listing = host::quiet(Command::new("unsquashfs").arg("-lls").arg(root).arg("usr/sbin/init"))?;
    let listing = String::from_utf8_lossy(&listing);
    length_in(&listing).with_context(|| format!("{} has no /usr/sbin/init", root.display()))
}

fn length_in(listing: &str) -> Option<u64> {
    let line = listing.lines().find(|line| line.ends_with("/usr/sbin/init"))?;
    line.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_read_from_the_listing() {
        let listing = "drwxr-xr-x root/root 3 2026-01-01 00:00 squashfs-root/usr/sbin\n\
                       -rwxr-xr-x root/root          61255360 2026-01-01 00:00 squashfs-root/usr/sbin/init\n";
        assert_eq!(length_in(listing), Some(61_255_360));
    }
}
