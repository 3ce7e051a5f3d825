//! How things are printed: tables, YAML, JSON, JSON paths, times and sizes.

pub mod age;
pub mod document;
pub mod jsonpath;
pub mod paint;
pub mod size;
pub mod table;

use std::io::{self, IsTerminal as _, Write};

/// Standard output as it is: whether it is a terminal decides about colours and progress.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes text to standard output and flushes it. An error (a closed pipe) is the caller's to return.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes bytes to standard output and flushes it.
pub fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Writes what went wrong to standard error.
pub fn complain(text: &str) {
    note(&paint::Paint::stderr().bad(text));
}

/// Writes one line to standard error; if that fails there is nobody to tell.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
