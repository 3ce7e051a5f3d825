//! Start a program in namespaces, with a root, limits and privileges of its own.
//!
//! A process with threads must not do much between fork and exec, so the work is done by the program itself executed
//! once more: [`spawn`] runs `/proc/self/exe`, whose `main` calls [`run_if_requested`] before anything else; that reads
//! the [`SandboxSpec`], sets everything up single-threaded and executes the target. What fails on the way comes back
//! from `spawn` as an error that names the step and the path.
//!
//! Order: session, PID namespace (with one: fork; the launcher stays behind outside as the parent, passes signals on and
//! ends as the target ends), controlling terminal, control groups, OOM score, limits, network namespace to join, the other namespaces, host
//! name, mounts and root, working folder, capabilities, user, `no_new_privs`, seccomp, exec.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::mount::Propagation;

mod child;
mod launch;
mod privileges;
mod relay;
mod resolve;
mod root;
mod seccomp;
mod spawn;
mod status;
mod terminal;

pub use child::{Child, ExitStatus};
pub use launch::run_if_requested;
pub use spawn::{spawn, spawn_blocking};
pub use terminal::{Terminal, WindowSize};

/// What to run, and in what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxSpec {
    /// The program (an absolute path inside the new root) and its arguments.
    pub argv: Vec<String>,
    /// What to call the program in its argv[0]; the first item of `argv` where absent.
    pub argv0: Option<String>,
    /// The whole environment: nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Working folder inside the new root; `/` where empty.
    pub cwd: PathBuf,
    /// Namespaces to make.
    pub namespaces: Namespaces,
    /// A network namespace to join (`/proc/PID/ns/net`, `/proc/PID/fd/N`, `/run/netns/x`).
    pub join_netns: Option<PathBuf>,
    /// The root of the file system.
    pub root: Root,
    /// How mounts travel in the new root, once everything is mounted; private where absent (a change of root only).
    pub root_propagation: Option<Propagation>,
    /// What to mount and make, in this order. Needs a mount namespace.
    pub mounts: Vec<Mount>,
    /// Paths to hide: folders behind an empty read-only tmpfs, files behind /dev/null. Absent ones are skipped.
    pub masked_paths: Vec<PathBuf>,
    /// Paths to make read-only. Absent ones are skipped.
    pub read_only_paths: Vec<PathBuf>,
    /// Host name; needs a UTS namespace.
    pub hostname: Option<String>,
    /// User and groups to run as; unchanged where absent.
    pub user: Option<User>,
    /// Capabilities to keep in the bounding, permitted and effective sets (`CAP_NET_ADMIN`, …); all where absent.
    pub capabilities: Option<Vec<String>>,
    /// Forbid gaining privileges through exec.
    pub no_new_privs: bool,
    /// System call filter.
    pub seccomp: Seccomp,
    /// Resource limits, set as far as the host lets them be set.
    pub rlimits: Vec<Rlimit>,
    /// Set as far as the host lets it be set (lowering needs CAP_SYS_RESOURCE).
    pub oom_score_adj: Option<i32>,
    /// Control group folders to join (version 1: one per hierarchy; version 2: one).
    pub cgroups: Vec<PathBuf>,
    /// Lead a session of its own.
    pub new_session: bool,
    /// Signal that the target gets when the process that called [`spawn`] ends.
    pub parent_death_signal: Option<i32>,
    /// A terminal of its own in place of the three standard streams, the controlling terminal of the session that the
    /// target then leads. The caller has its other end, see [`Child::take_terminal`].
    pub terminal: Option<WindowSize>,
    /// Where standard input comes from.
    pub stdin: Input,
    /// Where standard output goes.
    pub stdout: Output,
    /// Where standard error goes.
    pub stderr: Output,
    /// File mode creation mask; 0o022 where absent.
    pub umask: Option<u32>,
}

/// Namespaces to make for the target. A user namespace is never made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Namespaces {
    /// Mounts.
    pub mount: bool,
    /// Process numbers: the target becomes PID 1.
    pub pid: bool,
    /// Network.
    pub net: bool,
    /// Host name.
    pub uts: bool,
    /// System V IPC and POSIX message queues.
    pub ipc: bool,
    /// Control groups: the groups joined become the roots.
    pub cgroup: bool,
}

/// The root of the target's file system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Root {
    /// The root of the caller.
    #[default]
    Current,
    /// A folder of the host.
    Directory {
        /// The folder.
        path: PathBuf,
        /// Mounted read-only after everything in `mounts` is there.
        read_only: bool,
    },
    /// A folder of the host that stays as it is: what the target writes is kept in memory, and is gone with the target.
    Scratch {
        /// The folder.
        lower: PathBuf,
        /// An existing folder of the host to put the root together in; what is mounted there is seen by the sandbox only.
        mountpoint: PathBuf,
        /// Most bytes that are kept.
        size: u64,
    },
    /// A squashfs image, read-only.
    Squashfs {
        /// The image file.
        image: PathBuf,
        /// An existing folder of the host to mount it on; the mount is seen by the sandbox only.
        mountpoint: PathBuf,
    },
}

/// Something to mount or to make below the new root. Targets are resolved inside the root: links cannot lead out of it,
/// and are made where they are missing and the file system below is writable. Sources are paths of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
#[allow(missing_docs)] // the fields are those of mount(2) and mknod(2)
pub enum Mount {
    /// A folder or file of the host.
    Bind {
        source: PathBuf,
        target: PathBuf,
        #[serde(default)]
        read_only: bool,
        #[serde(default)]
        recursive: bool,
        #[serde(default)]
        propagation: Option<Propagation>,
    },
    Tmpfs {
        target: PathBuf,
        size: Option<String>,
        mode: u32,
    },
    /// A small tmpfs for `/dev`, in which device nodes work.
    DeviceTmpfs {
        target: PathBuf,
    },
    Overlay {
        target: PathBuf,
        lower: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
    },
    Proc {
        target: PathBuf,
    },
    Sysfs {
        target: PathBuf,
        read_only: bool,
    },
    Devpts {
        target: PathBuf,
    },
    Mqueue {
        target: PathBuf,
    },
    /// The control groups the sandbox joined: every hierarchy of version 1 the host has below `target`, or version 2 at
    /// `target`.
    Cgroups {
        target: PathBuf,
        read_only: bool,
    },
    Directory {
        path: PathBuf,
        mode: u32,
    },
    Symlink {
        path: PathBuf,
        to: PathBuf,
    },
    /// A character device.
    Device {
        path: PathBuf,
        major: u32,
        minor: u32,
        mode: u32,
    },
    File {
        path: PathBuf,
        content: String,
        mode: u32,
    },
    Propagate {
        target: PathBuf,
        propagation: Propagation,
        recursive: bool,
    },
}

impl Mount {
    /// A bind of a folder with everything below it.
    pub fn rbind(source: impl Into<PathBuf>, target: impl Into<PathBuf>, read_only: bool) -> Mount {
        Mount::Bind {
            source: source.into(),
            target: target.into(),
            read_only,
            recursive: true,
            propagation: Some(Propagation::Slave),
        }
    }

    /// A bind of one file or folder without what is mounted below it.
    pub fn bind(source: impl Into<PathBuf>, target: impl Into<PathBuf>, read_only: bool) -> Mount {
        Mount::Bind {
            source: source.into(),
            target: target.into(),
            read_only,
            recursive: false,
            propagation: None,
        }
    }

    /// An empty tmpfs.
    pub fn tmpfs(target: impl Into<PathBuf>, mode: u32) -> Mount {
        Mount::Tmpfs {
            target: target.into(),
            size: None,
            mode,
        }
    }
}

/// Numbers of the user to run as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

/// System call filters by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// No filter.
    #[default]
    None,
    /// What a network service needs; no mounts, modules, tracing, key rings, namespaces, clocks.
    Service,
}

/// A limit as in getrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// Which one.
    pub resource: Resource,
    /// The limit in force; `None` is unlimited.
    pub soft: Option<u64>,
    /// The highest the target may set; `None` is unlimited.
    pub hard: Option<u64>,
}

/// Resources that can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Open files.
    Nofile,
    /// Processes of the user.
    Nproc,
    /// Size of core files in bytes.
    Core,
    /// Locked memory in bytes.
    Memlock,
}

/// Where standard input comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A pipe that the caller writes to.
    Pipe,
    /// Nothing is there to read.
    #[default]
    Null,
}

/// Where an output stream goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// To a pipe that the caller reads.
    Pipe,
    /// Nowhere.
    #[default]
    Null,
    /// Where the caller's goes.
    Inherit,
    /// To the end of a file, made with mode 0600.
    Append(PathBuf),
}
