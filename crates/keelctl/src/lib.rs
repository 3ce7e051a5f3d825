//! `keelctl`: talks to nodes, makes machine configurations, runs local clusters.
//!
//! [`cli`] is the command line as types, [`commands`] what the commands do, [`output`] how they print, [`session`] the
//! connection to nodes. Commands that work on files start no runtime and open no connection.

pub mod cli;
pub mod commands;
pub mod defaults;
mod interruption;
pub mod output;
mod quorum;
pub mod reference;
pub mod session;

use std::ffi::OsString;
use std::process::ExitCode;

/// Exit code of a program that a closed pipe ended, as shells show it (128 + SIGPIPE).
const CLOSED_PIPE: u8 = 141;

/// Runs a command line, program name first.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let program = Program::of(arguments.first());
    match cli::parse(arguments) {
        Ok(cli) => finish(commands::run(cli, program)),
        Err(error) => {
            // Help goes to standard output and is no failure; mistakes end with 1, as scripts expect of talosctl.
            let code = if error.use_stderr() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
            match error.print() {
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::from(CLOSED_PIPE),
                _ => code,
            }
        }
    }
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if is_closed_pipe(&error) {
        return ExitCode::from(CLOSED_PIPE);
    }
    if let Some(ended) = error.downcast_ref::<session::Ended>() {
        return ExitCode::from(ended.code);
    }
    let interrupted = error.downcast_ref::<session::Interrupted>();
    if !error.is::<session::Silent>() && interrupted.is_none_or(|interrupted| !interrupted.told) {
        output::complain(&output::told(&error));
    }
    interrupted.map_or(ExitCode::FAILURE, |interrupted| ExitCode::from(interrupted.code))
}

/// Whether a command failed because nobody reads its output any more.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    };
    error.chain().any(closed)
}

/// Under which name the program was called: it decides where files are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Our own name.
    Keelctl,
    /// As a replacement of talosctl: files of `~/.talos` only.
    Talosctl,
}

impl Program {
    /// From the program name of a command line.
    pub fn of(name: Option<&OsString>) -> Self {
        let name = name.map(std::path::Path::new).and_then(|path| path.file_name());
        match name.and_then(|name| name.to_str()) {
            Some(name) if name.starts_with("talosctl") => Self::Talosctl,
            _ => Self::Keelctl,
        }
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keelctl => "keelctl",
            Self::Talosctl => "talosctl",
        }
    }

    /// Where the client configuration may be, below the home folder.
    pub fn config_files(self) -> &'static [&'static str] {
        match self {
            Self::Keelctl => &[".keelson/config", ".talos/config"],
            Self::Talosctl => &[".talos/config"],
        }
    }

    /// Where the state of local clusters is, below the home folder.
    pub fn clusters_folder(self) -> &'static str {
        match self {
            Self::Keelctl => ".keelson/clusters",
            Self::Talosctl => ".talos/clusters",
        }
    }
}
