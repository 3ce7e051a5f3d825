//! Running the few outside tools: a fixed argument list, nothing inherited from the environment but `PATH` and what
//! the tool is known to need, its complaints in our error.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a tool's result cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It is not installed.
    #[error("run {0}: not found (install the Debian package {1})")]
    Missing(String, &'static str),
    /// It could not be started.
    #[error("run {0}: {1}")]
    Start(String, io::Error),
    /// It failed.
    #[error("{command}: {status}\n{stderr}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote to its error output.
        stderr: String,
    },
}

/// One run of a tool.
pub struct Tool {
    name: String,
    package: &'static str,
    command: Command,
}

impl Tool {
    /// `name` from the Debian package `package`, with an environment of `PATH`, `HOME`, `LC_ALL=C` and proxies only.
    pub fn new(name: &str, package: &'static str) -> Tool {
        let mut command = Command::new(name);
        command.env_clear().env("LC_ALL", "C");
        for (key, value) in std::env::vars_os() {
            let text = key.to_string_lossy().to_lowercase();
            if matches!(text.as_str(), "path" | "home" | "tmpdir") || text.ends_with("_proxy") {
                command.env(key, value);
            }
        }
        Tool {
            name: name.to_owned(),
            package,
            command,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Tool {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Tool {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Tool {
        self.command.env(key, value);
        self
    }

    /// Sets the folder it runs in.
    pub fn dir(mut self, dir: &Path) -> Tool {
        self.command.current_dir(dir);
        self
    }

    /// Runs it and gives its output.
    pub fn output(self) -> Result<Vec<u8>, RunError> {
        self.feed(|_| Ok(()))
    }

    /// Runs it, writes its input, and gives its output.
    pub fn feed(mut self, input: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Vec<u8>, RunError> {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => RunError::Missing(self.name.clone(), self.package),
            _ => RunError::Start(self.name.clone(), error),
        })?;
        let stdin = child.stdin.take();
        // Output is read while input is written, or both would wait for each other.
        let (fed, output) = std::thread::scope(|scope| {
            let reading = scope.spawn(move || child.wait_with_output());
            let fed = stdin.map_or(Ok(()), |mut stdin| input(&mut stdin).and_then(|()| stdin.flush()));
            (fed, reading.join())
        });
        let output =
            output.map_err(|_| RunError::Start(self.name.clone(), io::Error::other("reader thread failed")))?;
        let output = output.map_err(|error| RunError::Start(self.name.clone(), error))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<&str> = text.lines().collect();
            // The cause is at the end, or, where a usage text follows, at the start.
            let stderr = if lines.len() <= 30 {
                lines.join("\n")
            } else {
                format!("{}\n…\n{}", lines[..5].join("\n"), lines[lines.len() - 25..].join("\n"))
            };
            return Err(RunError::Failed {
                command: line,
                status: output.status.to_string(),
                stderr,
            });
        }
        fed.map_err(|error| RunError::Start(format!("{line} (writing its input)"), error))?;
        Ok(output.stdout)
    }
}

/// The first `name` in `PATH` or the folders for administrators.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(extra)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}
