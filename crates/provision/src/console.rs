//! Where to find what a node printed.

use std::fmt;
use std::path::PathBuf;

use sys::Context;

use crate::docker::engine;
use crate::error::Result;

/// What a node printed, wherever that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Console {
    /// A file of the cluster's folder.
    File(PathBuf),
    /// Docker keeps it, for the container of this name.
    Container(String),
}

impl Console {
    /// All of it that is kept; nothing where the node was never started.
    pub fn read(&self) -> Result<Vec<u8>> {
        match self {
            Console::File(path) if !path.exists() => Ok(Vec::new()),
            Console::File(path) => Ok(std::fs::read(path).doing(|| format!("read {}", path.display()))?),
            Console::Container(name) => engine::logs(name, None),
        }
    }
}

impl fmt::Display for Console {
    /// Where a person finds it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Console::File(path) => write!(f, "{}", path.display()),
            Console::Container(name) => write!(f, "docker logs {name}"),
        }
    }
}
