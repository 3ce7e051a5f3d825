//! The dashboard, on a terminal of its own.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::program::dist;
use e2e::run::Test;
use e2e::tests;

use crate::cluster::{Cluster, control_plane, worker};

const LIMIT: Duration = Duration::from_secs(120);

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        the_dashboard_shows_nodes_and_gives_the_terminal_back,
        the_dashboard_needs_a_terminal,
    ]
}

/// A terminal that commands run on, with what was written to it so far.
pub struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs a line of shell on a terminal of 100 columns and 30 rows. `script` makes one.
    pub fn start(line: &str, configuration: &std::path::Path) -> Result<Self> {
        let mut child = Command::new("script")
            .args(["-q", "-e", "-c", &format!("stty cols 100 rows 30; {line}"), "/dev/null"])
            .env("TALOSCONFIG", configuration)
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("run `script`")?;
        let keys = child.stdin.take().context("no input")?;
        let mut output = child.stdout.take().context("no output")?;
        let shown = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut piece) {
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(&piece[..length]);
            }
        });
        Ok(Self { child, keys, shown })
    }

    /// What was written after the first `from` bytes, and how many bytes there are now.
    pub fn text(&self, from: usize) -> (String, usize) {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let new = shown.get(from..).unwrap_or_default();
        (String::from_utf8_lossy(new).into_owned(), shown.len())
    }

    /// Waits until all of these were written after the first `from` bytes; gives how many there are then.
    pub fn shows(&self, from: usize, wanted: &[&str]) -> Result<usize> {
        let until = Instant::now() + LIMIT;
        loop {
            let (new, length) = self.text(from);
            match wanted.iter().find(|word| !new.contains(**word)) {
                None => return Ok(length),
                Some(missing) if Instant::now() > until => bail!("{missing:?} did not appear:\n{new}"),
                Some(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    pub fn press(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes())?;
        Ok(self.keys.flush()?)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn the_dashboard_shows_nodes_and_gives_the_terminal_back(c: &Cluster) -> Result<()> {
    let keelctl = dist().join("keelctl");
    let nodes = format!("{},{}", control_plane(), worker());
    let line = format!(
        "{} -n {nodes} dashboard -d 500ms; echo ended with $?; stty -a; echo all done",
        keelctl.display()
    );
    let mut terminal = Terminal::start(&line, &c.folder().join("talosconfig"))?;
    // Both nodes are named, and the first one's services are there: trustd runs on control planes only.
    let seen = terminal.shows(
        0,
        &[
            "\x1b[?1049h",
            control_plane(),
            worker(),
            "trustd",
            "kubelet",
            "controlplane",
        ],
    )?;
    // To the right: another node's name, and another type of machine.
    terminal.press("\x1b[C")?;
    let seen = terminal.shows(seen, &["e2e-worker-1"])?;
    terminal.press("2")?;
    let seen = terminal.shows(seen, &["Memory", "Received", "COMMAND", "kubelet"])?;
    terminal.press("q")?;
    terminal.shows(seen, &["\x1b[?1049l", "ended with 0", "all done"])?;
    let (text, _) = terminal.text(seen);
    let settings: Vec<&str> = text
        .rsplit("ended with 0")
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    for setting in ["icanon", "echo", "isig"] {
        ensure!(
            settings.contains(&setting),
            "the terminal is without {setting}: {settings:?}"
        );
    }
    Ok(())
}

fn the_dashboard_needs_a_terminal(c: &Cluster) -> Result<()> {
    let refusal = c.keelctl.run(&["-n", worker(), "dashboard"])?.refusal()?;
    ensure!(
        refusal.contains("needs a terminal") && !refusal.contains('\x1b'),
        "{refusal}"
    );
    Ok(())
}
