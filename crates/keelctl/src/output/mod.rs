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

/// An error and what caused it, each told once: some errors say their cause themselves.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Writes what went wrong to standard error.
pub fn complain(text: &str) {
    note(&paint::Paint::stderr().bad(text));
}

/// Writes one line to standard error; if that fails there is nobody to tell.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_that_an_error_tells_itself_is_told_once() {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        #[derive(Debug, thiserror::Error)]
        #[error("read /x: {0}")]
        struct Telling(#[source] io::Error);
        let telling = Telling(missing());
        let error = Err::<(), _>(telling).context("start").unwrap_err();
        assert_eq!(told(&error), format!("start: read /x: {}", missing()));
        let error = Err::<(), _>(missing()).context("read /x").unwrap_err();
        assert_eq!(told(&error), format!("read /x: {}", missing()));
    }
}
