//! The supervisor of a node.

use std::path::Path;
use std::time::{Duration, Instant};

use sys::cgroup::{Group, Layout, Limits};
use sys::net::{Namespace, Netlink};
use sys::process::Identity;
use sys::sandbox::{Child, ExitStatus};
use tokio::task::JoinHandle;

use super::{Ending, Report};
use crate::error::{Error, Result};
use crate::log::Log;
use crate::names::Names;
use crate::options::{Provider, invalid};
use crate::state::{ClusterState, NodeState, Phase};
use crate::{network, node};

/// How long a node may take to shut down in order.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long the kernel may take to end the last processes.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// Pause before a node that crashed is started again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A node that ran this long has recovered from earlier crashes.
const STEADY: Duration = Duration::from_secs(120);

/// What the end of a node's PID 1 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    StayDown,
    StartAgain,
    Crashed,
}

/// The end of PID 1 as a request: by exit code, or by reboot(2), which in a PID namespace ends PID 1 by SIGHUP for a
/// restart and by SIGINT for power-off.
fn meaning(status: ExitStatus) -> Meaning {
    match status {
        ExitStatus::Code(0) | ExitStatus::Signal(libc::SIGINT) => Meaning::StayDown,
        ExitStatus::Signal(libc::SIGHUP) => Meaning::StartAgain,
        ExitStatus::Code(code) if code == i32::from(sys::EXIT_REBOOT) => Meaning::StartAgain,
        _ => Meaning::Crashed,
    }
}

pub(super) async fn run(names: &Names, cluster: &ClusterState, who: &str) -> Result<()> {
    let Some((index, node)) = cluster.nodes.iter().enumerate().find(|(_, node)| node.name == who) else {
        return Err(invalid(format!("node {who:?}"), "is not one of this cluster"));
    };
    let Provider::Native { image } = &cluster.provider else {
        return Err(invalid(format!("node {who:?}"), "is not made of namespaces"));
    };
    let log = Log::open(names.console_log(who));
    let mut supervisor = Supervisor {
        names,
        cluster,
        image,
        node,
        index,
        net: Netlink::open()?,
        group: Layout::detect()?.group(names.cgroup()).child(&node.name),
        report: Report::new(names, who, log.clone()),
        log,
    };
    let result = supervisor.keep_running().await;
    supervisor.clean().await;
    result
}

struct Supervisor<'a> {
    names: &'a Names,
    cluster: &'a ClusterState,
    image: &'a Path,
    node: &'a NodeState,
    index: usize,
    net: Netlink,
    group: Group,
    report: Report,
    log: Log,
}

/// A started node with what belongs to it.
struct Started {
    child: Child,
    // Lives as long as the node.
    _namespace: Namespace,
    copies: Vec<JoinHandle<()>>,
}

impl Supervisor<'_> {
    async fn keep_running(&mut self) -> Result<()> {
        let mut ending = Ending::listen()?;
        let mut pause = FIRST_PAUSE;
        // A supervisor that was killed leaves what it had.
        self.clean().await;
        loop {
            let since = Instant::now();
            let mut started = self.start().await?;
            let status = tokio::select! {
                status = started.child.wait() => status?,
                () = ending.asked() => {
                    self.stop(&mut started).await?;
                    self.finish(started).await;
                    self.report.set(Phase::Stopped, "stopped by its provider");
                    return Ok(());
                }
            };
            self.finish(started).await;
            if since.elapsed() > STEADY {
                pause = FIRST_PAUSE;
            }
            match meaning(status) {
                Meaning::StayDown => {
                    self.report.set(Phase::Stopped, format!("shut down ({status})"));
                    return Ok(());
                }
                Meaning::StartAgain => self.report.set(Phase::Starting, "rebooting"),
                Meaning::Crashed => {
                    let text = format!("init ended with {status}; starting again in {} s", pause.as_secs());
                    self.report.set(Phase::Starting, text);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = ending.asked() => {
                            self.report.set(Phase::Stopped, "stopped by its provider");
                            return Ok(());
                        }
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn start(&mut self) -> Result<Started> {
        let namespace = network::attach(&self.net, self.names, self.cluster, self.index, self.node).await?;
        self.group.create()?;
        let resources = self.node.resources;
        let limits = Limits {
            memory_max: Some(resources.memory),
            cpu_millis: Some(resources.cpu_millis),
            ..Limits::default()
        };
        let refused = self.group.set(&limits);
        self.report.state.warnings = refused.iter().map(ToString::to_string).collect();
        let spec = node::spec(
            self.names,
            self.image,
            &self.cluster.init,
            self.node,
            namespace.path(),
            self.group.folders(),
        )?;
        let mut child = sys::sandbox::spawn(&spec).await?;
        self.report.state.warnings.append(&mut child.warnings);
        self.report.state.launcher = Identity::of(child.pid());
        self.report.state.init = Identity::of(child.target_pid());
        self.report.state.starts += 1;
        let mut copies = Vec::new();
        for stream in [child.take_stdout()?, child.take_stderr()?].into_iter().flatten() {
            copies.push(tokio::spawn(self.log.clone().copy(stream)));
        }
        self.report.set(Phase::Running, "");
        Ok(Started {
            child,
            _namespace: namespace,
            copies,
        })
    }

    /// Asks the node to shut down, and kills it when it does not.
    async fn stop(&mut self, started: &mut Started) -> Result<()> {
        self.log.line("stopping");
        started.child.signal(libc::SIGTERM)?;
        if tokio::time::timeout(STOP_LIMIT, started.child.wait()).await.is_ok() {
            return Ok(());
        }
        self.log
            .line(&format!("did not shut down within {STOP_LIMIT:?}; killing it"));
        started.child.kill()?;
        let killed = tokio::time::timeout(KILL_LIMIT, started.child.wait()).await;
        killed.map_err(|_| Error::Timeout {
            what: format!("the end of {}", self.node.name),
            limit: KILL_LIMIT,
        })??;
        Ok(())
    }

    /// Takes away what a node that ended has left, before it is started again or for good.
    async fn finish(&mut self, started: Started) {
        for copy in started.copies {
            // The pipes close with the last process; one that will not end is dealt with below.
            let _ = tokio::time::timeout(Duration::from_secs(1), copy).await;
        }
        self.report.state.launcher = None;
        self.report.state.init = None;
        drop(started.child);
        self.clean().await;
    }

    async fn clean(&self) {
        let group = self.group.clone();
        let emptied =
            tokio::task::spawn_blocking(move || group.kill(KILL_LIMIT).and_then(|()| group.remove(KILL_LIMIT)));
        if let Ok(Err(error)) = emptied.await {
            self.log.line(&error.to_string());
        }
        if let Err(error) = network::detach(&self.net, self.names, self.index).await {
            self.log.line(&error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_init_says_what_to_do() {
        assert_eq!(meaning(ExitStatus::Code(0)), Meaning::StayDown);
        assert_eq!(meaning(ExitStatus::Code(133)), Meaning::StartAgain);
        assert_eq!(meaning(ExitStatus::Signal(libc::SIGHUP)), Meaning::StartAgain);
        assert_eq!(meaning(ExitStatus::Signal(libc::SIGKILL)), Meaning::Crashed);
        assert_eq!(meaning(ExitStatus::Code(1)), Meaning::Crashed);
    }
}
