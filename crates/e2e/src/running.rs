//! A program that runs beside a test: its lines as they come, signals to it, its end.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Sends a process a signal, by the signal's short name. The shell does it: a program for it is not on every machine.
///
/// # Errors
/// There is no such process.
pub fn send(signal: &str, pid: u32) -> Result<()> {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -s {signal} {pid}")])
        .status()
        .context("run sh")?;
    ensure!(sent.success(), "SIG{signal} to {pid}: {sent}");
    Ok(())
}

/// The same command, for which signals mean what they usually do: a shell without job control has its background jobs
/// ignore SIGINT, and everything they start inherits that.
fn with_default_signals(command: &Command) -> Command {
    let mut wrapped = Command::new("env");
    wrapped.arg("--default-signal=INT,TERM");
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

/// A running program; ended when this is dropped.
pub struct Running {
    child: Child,
    name: String,
    lines: Receiver<String>,
    /// Everything it printed so far, both streams, as far as it was looked at.
    printed: Vec<String>,
}

impl Running {
    /// Starts a command.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: Command) -> Result<Self> {
        let name = format!("{command:?}");
        let mut child = with_default_signals(&command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let (sender, lines) = channel();
        if let Some(output) = child.stdout.take() {
            read(output, sender.clone());
        }
        if let Some(errors) = child.stderr.take() {
            read(errors, sender);
        }
        Ok(Self {
            child,
            name,
            lines,
            printed: Vec::new(),
        })
    }

    /// Waits for a new line with `text` in it, and gives it.
    ///
    /// # Errors
    /// None came within `limit`, or the program ended.
    pub fn line_with(&mut self, text: &str, limit: Duration) -> Result<String> {
        let until = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.printed.push(line.clone());
                    if line.contains(text) {
                        return Ok(line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "{} did not print {text:?} within {limit:?}:\n{}",
                        self.name,
                        self.text()
                    )
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{} ended and did not print {text:?}:\n{}", self.name, self.text())
                }
            }
        }
    }

    /// Sends it a signal, by the signal's short name.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: &str) -> Result<()> {
        send(signal, self.child.id()).with_context(|| format!("{} is gone before SIG{signal}", self.name))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// The system cannot tell.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for its end, and gives how it ended and all it printed.
    ///
    /// # Errors
    /// It does not end within `limit`.
    pub fn end(mut self, limit: Duration) -> Result<(ExitStatus, String)> {
        let until = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < until, "{} did not end within {limit:?}", self.name);
            std::thread::sleep(Duration::from_millis(20));
        };
        // What it left running may hold its streams open: only what is there is read.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(200)) {
            self.printed.push(line);
        }
        Ok((status, self.text()))
    }

    /// What it printed, as far as it was looked at.
    pub fn text(&self) -> String {
        self.printed.join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(stream: impl Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
}
