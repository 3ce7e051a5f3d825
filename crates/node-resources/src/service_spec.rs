//! What a service is: the desired state that controllers derive and the supervisor makes true.

use serde::{Deserialize, Serialize};

/// A service that should run, as a value. Two equal values mean nothing to do; any difference means a restart.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// What is still missing before it can start, as a person would name it ("etcd spec"); empty when nothing is.
    pub waiting_for: Vec<String>,
    /// Services that must be up (running, and healthy where they have a health check) first.
    pub depends_on: Vec<String>,
    /// The image that holds the program; empty for a program of the node's own root.
    pub image: String,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// `NAME=value` of its environment.
    pub env: Vec<String>,
    /// Its user and group id.
    pub user: u32,
    /// Whether it runs with no capabilities, a read-only root, a system call filter and no way to gain privileges.
    pub confined: bool,
    /// What it sees of the node's file system beside its own root.
    pub mounts: Vec<Mount>,
    /// Its cgroup, from the node's root ("/system/apid"), and bounds.
    pub cgroup: Cgroup,
    /// How readily the kernel ends it when memory is short (-1000 never, 1000 first).
    pub oom_score: i32,
    /// How to tell that it works.
    pub health: Health,
    /// Changes when a file it reads only at its start changed, so that it is restarted.
    pub files_version: String,
    /// Whether start, stop and restart through the API are allowed.
    pub operable: bool,
}

impl ServiceSpec {
    /// Whether a service that runs by `other` is as this one wants it. What it waits for matters to its start only: a
    /// network that is away for a moment ends nothing.
    pub fn runs_as(&self, other: &Self) -> bool {
        let started = |spec: &Self| Self {
            waiting_for: Vec::new(),
            ..spec.clone()
        };
        started(self) == started(other)
    }
}

/// A bind mount into a service's view.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mount {
    /// Path on the node.
    pub source: String,
    /// Path the service sees.
    pub target: String,
    /// Not writable.
    pub read_only: bool,
    /// With everything mounted below it.
    pub recursive: bool,
    /// Mounts made below it travel: both ways if shared.
    pub shared: bool,
}

impl Mount {
    /// A read-only bind of a path to itself.
    pub fn ro(path: &str) -> Self {
        Self {
            source: path.into(),
            target: path.into(),
            read_only: true,
            ..Self::default()
        }
    }

    /// A writable bind of a path to itself.
    pub fn rw(path: &str) -> Self {
        Self {
            source: path.into(),
            target: path.into(),
            ..Self::default()
        }
    }

    /// A writable bind of a whole tree to itself, with mounts travelling both ways.
    pub fn shared(path: &str) -> Self {
        Self {
            recursive: true,
            shared: true,
            ..Self::rw(path)
        }
    }
}

/// A cgroup and its bounds; 0 means none.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cgroup {
    /// Path from the node's root cgroup.
    pub path: String,
    /// Bytes the kernel protects from reclaim.
    pub memory_min: u64,
    /// Bytes it may use at most.
    pub memory_max: u64,
    /// The same in hundredths of the node's memory, for what grows with the node.
    pub memory_max_percent: u64,
    /// CPU weight in thousandths of a core.
    pub millicores: u64,
}

/// A health check.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// None: running is all that is known.
    #[default]
    None,
    /// A TCP connection to a port of 127.0.0.1 is accepted.
    Tcp {
        /// The port.
        port: u16,
    },
    /// `GET` of a URL on 127.0.0.1 answers 200.
    Http {
        /// The port.
        port: u16,
        /// The path.
        path: String,
    },
    /// A connection to a Unix socket is accepted.
    Socket {
        /// The socket's path.
        path: String,
    },
}
