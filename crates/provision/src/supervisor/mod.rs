//! Supervisors: this program executed again, in the background, one per node and one for the gateway.
//!
//! A supervisor begins only when it is told to, over its standard input, after its process was recorded in the state:
//! when the command that starts it is killed in between, the supervisor sees the end of the input and leaves.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sys::caps::CapabilitySet;
use sys::process::Identity;
use sys::{Context, Error as SysError};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Result};
use crate::log::Log;
use crate::names::Names;
use crate::state::{ClusterState, GATEWAY, Phase, RunState};

mod discovery;
mod gateway;
mod node;

/// The environment variables that make a process a supervisor.
const WHO: &str = "KEELSON_SUPERVISOR";
const FOLDER: &str = "KEELSON_CLUSTER";
/// What a supervisor reads before it begins.
const BEGIN: &[u8] = b"begin";

/// A supervisor that waits to be told to begin.
pub(crate) struct Waiting {
    child: std::process::Child,
    /// Its process.
    pub identity: Identity,
}

/// Starts a supervisor, which does nothing yet.
pub(crate) fn start(names: &Names, who: &str) -> Result<Waiting> {
    use std::os::unix::process::CommandExt;
    let what = || format!("start the supervisor of {who}");
    let log = names.supervisor_log(who);
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&log);
    let file = file.doing(|| format!("open {}", log.display()))?;
    let errors = file.try_clone().doing(what)?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(format!("keelson {who}"))
        .env_clear()
        .env(WHO, who)
        .env(FOLDER, names.folder());
    command.current_dir("/");
    command.stdin(Stdio::piped()).stdout(file).stderr(errors);
    let child = command.spawn().doing(what)?;
    let pid = child.id().cast_signed();
    let identity = Identity::of(pid).ok_or_else(|| SysError::new(what(), "it ended at once"))?;
    Ok(Waiting { child, identity })
}

impl Waiting {
    /// Tells it to begin.
    pub(crate) fn begin(mut self) -> Result<()> {
        use std::io::Write;
        if let Some(mut stdin) = self.child.stdin.take() {
            stdin.write_all(BEGIN).doing(|| "tell a supervisor to begin")?;
        }
        // As long as we live we are its parent, and have to take its status when it ends.
        let mut child = self.child;
        let thread = std::thread::Builder::new()
            .name("supervisor".into())
            .spawn(move || child.wait());
        thread.doing(|| "start a thread").map(drop)?;
        Ok(())
    }
}

/// Becomes a supervisor, and never returns, if this process was started as one.
pub(crate) fn run_if_requested() {
    let (Some(who), Some(folder)) = (std::env::var_os(WHO), std::env::var_os(FOLDER)) else {
        return;
    };
    let who = who.to_string_lossy().into_owned();
    // Its own session before anything else: the interrupt that ends the command is not for it.
    let alone = sys::process::new_session();
    let _ = sys::process::set_name(if who == GATEWAY {
        "keelson-gateway"
    } else {
        "keelson-node"
    });
    let mut word = Vec::new();
    let told = std::io::stdin().take(BEGIN.len() as u64).read_to_end(&mut word);
    if told.is_err() || word != BEGIN {
        std::process::exit(0);
    }
    let done = alone
        .map_err(Error::from)
        .and_then(|()| supervise(&who, &PathBuf::from(folder)));
    let code = match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    };
    std::process::exit(code);
}

fn supervise(who: &str, folder: &Path) -> Result<()> {
    let (Some(state_dir), Some(name)) = (folder.parent(), folder.file_name()) else {
        return Err(crate::options::invalid(
            format!("folder {}", folder.display()),
            "is not that of a cluster",
        ));
    };
    let names = Names::of(state_dir, &name.to_string_lossy());
    let cluster = ClusterState::load(&names)?.ok_or_else(|| Error::State {
        path: names.state_file(),
        reason: "it is not there".to_owned(),
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.doing(|| "start the runtime")?;
    let result = runtime.block_on(async {
        join_group(&names)?;
        if who == GATEWAY {
            gateway::run(&names, &cluster).await
        } else {
            node::run(&names, &cluster, who).await
        }
    });
    if let Err(error) = &result {
        let failed = RunState {
            phase: Phase::Failed,
            message: error.to_string(),
            ..RunState::default()
        };
        failed.save(&names.run_file(who))?;
    }
    // Blocking work that is still going on must not keep the process.
    runtime.shutdown_background();
    result
}

/// Leaves the control group of the command, which may be stopped and limited with it. A cluster of containers can be
/// somebody's who may not make groups: the gateway then stays where it is.
fn join_group(names: &Names) -> Result<()> {
    if !sys::caps::has(CapabilitySet::SYS_ADMIN) {
        return Ok(());
    }
    let group = sys::cgroup::Layout::detect()?.group(names.cgroup()).child("supervisor");
    group.create()?;
    Ok(group.join(std::process::id().cast_signed())?)
}

/// The signals by which a supervisor is asked to end.
struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    fn listen() -> Result<Ending> {
        let listen = |kind| signal(kind).doing(|| "listen for signals");
        Ok(Ending {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A report that is written whenever it changes.
struct Report {
    path: PathBuf,
    log: Log,
    state: RunState,
}

impl Report {
    fn new(names: &Names, who: &str, log: Log) -> Report {
        Report {
            path: names.run_file(who),
            log,
            state: RunState::default(),
        }
    }

    fn set(&mut self, phase: Phase, message: impl Into<String>) {
        self.state.phase = phase;
        self.state.message = message.into();
        if !self.state.message.is_empty() {
            self.log.line(&format!("{}: {}", phase.name(), self.state.message));
        }
        if let Err(error) = self.state.save(&self.path) {
            self.log.line(&error.to_string());
        }
    }
}
