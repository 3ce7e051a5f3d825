//! Running the built programs.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::running::send;

/// No command of a test may take longer than this; a hanging one is ended and reported.
const DEADLINE: Duration = Duration::from_secs(600);

/// The folder of built products: `KEELSON_DIST`, or `dist` beside the workspace.
pub fn dist() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist");
    std::env::var_os("KEELSON_DIST").map_or_else(default, PathBuf::from)
}

/// What a program printed, and how it ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The command, for messages.
    pub command: String,
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Whether it ended with 0.
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// Its output, if it succeeded.
    ///
    /// # Errors
    /// It did not.
    pub fn output(self) -> Result<String> {
        if self.ok() {
            return Ok(self.stdout);
        }
        bail!(
            "`{}` ended with {:?}\nstdout: {}\nstderr: {}",
            self.command,
            self.code,
            self.stdout,
            self.stderr
        )
    }

    /// Its standard error, if it failed.
    ///
    /// # Errors
    /// It succeeded.
    pub fn refusal(self) -> Result<String> {
        if self.ok() {
            bail!(
                "`{}` succeeded and should not have\nstdout: {}",
                self.command,
                self.stdout
            );
        }
        Ok(self.stderr)
    }
}

/// A program with the environment its test wants.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    args: Vec<String>,
    env: Vec<(String, Option<PathBuf>)>,
}

impl Program {
    /// One of the built programs.
    pub fn built(name: &str) -> Self {
        Self::at(dist().join(name))
    }

    /// The program at a path.
    pub fn at(path: PathBuf) -> Self {
        Self {
            path,
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// With arguments before every call's own.
    #[must_use]
    pub fn with_args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(ToString::to_string));
        self
    }

    /// With a path in its environment.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &Path) -> Self {
        self.env.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    /// Without a variable of the tests' own environment.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.env.push((name.to_owned(), None));
        self
    }

    /// The command, ready to be changed and started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.args).args(args).stdin(Stdio::null());
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// It cannot be started, or does not end.
    pub fn run(&self, args: &[&str]) -> Result<Ran> {
        run(self.command(args), None)
    }

    /// Runs it with standard input.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Result<Ran> {
        run(self.command(args), Some(input))
    }

    /// Runs it and gives its standard output.
    ///
    /// # Errors
    /// It failed.
    pub fn output(&self, args: &[&str]) -> Result<String> {
        self.run(args)?.output()
    }
}

fn run(mut command: Command, input: Option<&str>) -> Result<Ran> {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .map(Into::into)
        .collect();
    let name = words.join(" ");
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start `{name}`"))?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program that refuses early does not read its input.
        let _ = stdin.write_all(input.as_bytes());
    }
    let pid = child.id();
    let (done, finished) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let output: std::io::Result<Output> = child.wait_with_output();
        let _ = done.send(());
        output
    });
    let started = Instant::now();
    if finished.recv_timeout(DEADLINE).is_err() {
        let _ = send("KILL", pid);
        bail!("`{name}` did not end within {:?}", started.elapsed());
    }
    let output = match waiter.join() {
        Ok(output) => output.with_context(|| format!("run `{name}`"))?,
        Err(_) => bail!("`{name}`: reading its output failed"),
    };
    Ok(Ran {
        command: name,
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
