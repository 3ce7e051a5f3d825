//! What can go wrong with a local cluster, and what to do about it.

use std::path::PathBuf;
use std::time::Duration;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused something.
    #[error(transparent)]
    System(#[from] sys::Error),
    /// An option cannot be used.
    #[error("{what}: {reason}")]
    Invalid {
        /// The option and its value.
        what: String,
        /// Why, and what would be right.
        reason: String,
    },
    /// The name is taken.
    #[error("cluster {name:?} already exists in {folder} (destroy it first, or give another name)", folder = folder.display())]
    Exists {
        /// The cluster.
        name: String,
        /// Its folder.
        folder: PathBuf,
    },
    /// There is no such cluster.
    #[error("there is no cluster {name:?} in {state_dir}{known}", state_dir = state_dir.display())]
    NotFound {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        state_dir: PathBuf,
        /// The clusters there are, as a sentence that continues the message.
        known: String,
    },
    /// Another command works on the cluster now.
    #[error("another command is working on {what} (wait until it is done)")]
    Busy {
        /// The cluster or folder.
        what: String,
    },
    /// The network is in use.
    #[error("network {subnet} overlaps {address} on the link {link}{owner} (choose another with --subnet)")]
    SubnetInUse {
        /// The network asked for.
        subnet: String,
        /// The address that is there.
        address: String,
        /// The link that has it.
        link: String,
        /// The cluster the link belongs to, as a part of the sentence.
        owner: String,
    },
    /// A supervisor or node did not start.
    #[error("{who} did not start: {reason}{log}")]
    NotStarted {
        /// The node, or the gateway.
        who: String,
        /// What it said.
        reason: String,
        /// The end of its log, as lines that continue the message.
        log: String,
    },
    /// Something took too long.
    #[error("{what} did not happen within {limit:?}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// The state file of a cluster cannot be read.
    #[error("read the state of the cluster in {path}: {reason}", path = path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Machine configuration could not be made.
    #[error("generate the machine configuration: {0}")]
    Configuration(String),
    /// Some of a cluster is still there.
    #[error("cluster {name:?} is not completely removed:\n  {problems}", problems = problems.join("\n  "))]
    Left {
        /// The cluster.
        name: String,
        /// What could not be removed, and why.
        problems: Vec<String>,
    },
}

/// The result of this crate's calls.
pub type Result<T> = std::result::Result<T, Error>;
