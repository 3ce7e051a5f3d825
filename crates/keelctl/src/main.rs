//! The command line. Everything is in the library, so that tests and the reference generator can use it.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Local clusters re-execute this program to become the supervisor of a node; that must happen before anything
    // else, while the process has one thread.
    provision::run_if_requested();
    keelctl::run(std::env::args_os().collect())
}
