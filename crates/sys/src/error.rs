//! One error for the whole crate: what was being done, and what the kernel said.

use std::{fmt, io};

/// A system call that failed, with what it was meant to do. It says both itself, so it names no `source()`: who prints
/// an error and its causes would say the kernel's answer twice.
#[derive(Debug)]
pub struct Error {
    /// What was being done, to what: `mount tmpfs on /run`.
    pub action: String,
    /// What the kernel answered.
    pub source: io::Error,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.action, self.source)
    }
}

impl std::error::Error for Error {}

/// The result of every call in this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of our own making, without an errno.
    pub fn new(action: impl Into<String>, reason: impl Into<String>) -> Self {
        Error {
            action: action.into(),
            source: io::Error::other(reason.into()),
        }
    }

    /// The kind of the underlying error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The errno, where the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// True where the process lacks the privilege (EPERM or EACCES).
    pub fn not_permitted(&self) -> bool {
        self.kind() == io::ErrorKind::PermissionDenied
    }
}

/// Adds what was being done to an error.
pub trait Context<T> {
    /// Names the action; the closure runs only on failure.
    fn doing<S: Into<String>>(self, action: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn doing<S: Into<String>>(self, action: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Error {
            action: action().into(),
            source: error.into(),
        })
    }
}
