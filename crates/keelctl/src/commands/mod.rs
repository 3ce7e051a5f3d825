//! What the commands do, one file each.

pub mod client_config;
pub mod files;
pub mod gen_keys;

use anyhow::{Context as _, Result};

use crate::Program;
use crate::cli::{Cli, Command};
use crate::output;

/// A command of the interface that is not built yet.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not implemented yet")]
pub struct NotImplemented(pub String);

/// Runs a parsed command.
pub fn run(cli: Cli, program: Program) -> Result<()> {
    match cli.command {
        Command::Completion(args) => completion(args.shell, program),
        Command::Config(command) => client_config::run(command, program),
        Command::Docs(args) => match args.output {
            Some(path) => std::fs::write(&path, crate::reference::render()).with_context(|| format!("write {path}")),
            None => Ok(output::print(&crate::reference::render())?),
        },
        Command::Gen(args) => gen_keys::run(args),
        other => Err(NotImplemented(format!("{other:?}")).into()),
    }
}

fn completion(shell: clap_complete::Shell, program: Program) -> Result<()> {
    let name = match program {
        Program::Keelctl => "keelctl",
        Program::Talosctl => "talosctl",
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::cli::command(), name, &mut script);
    Ok(output::print_bytes(&script)?)
}
