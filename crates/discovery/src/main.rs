//! `keelson-discovery`: everything is in the library.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use discovery::settings::Settings;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // What is held for long and what a request needs come from the same place, and go back there.
    sys::memory::use_one_arena();
    let settings = Settings::parse();
    let filter = match settings.log.parse::<EnvFilter>() {
        Ok(filter) => filter,
        Err(error) => return fail(&anyhow::Error::new(error).context(format!("--log {}", settings.log))),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("start")),
    };
    match runtime.block_on(discovery::run::run(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("keelson-discovery: {error:#}");
    ExitCode::FAILURE
}
