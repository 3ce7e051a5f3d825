//! A running sandbox, seen from its parent.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use tokio::net::unix::pipe::{Receiver, Sender};

use super::Terminal;
use crate::process::{pidfd, reaper};
use crate::{Context, Error, Result};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl ExitStatus {
    /// True for code 0.
    pub fn success(self) -> bool {
        self == ExitStatus::Code(0)
    }
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "exit code {code}"),
            ExitStatus::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Our ends of the standard streams.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    pub(super) terminal: Option<OwnedFd>,
}

/// A started target. Dropping it before it was waited for kills it: nothing runs that nobody looks after.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    target: i32,
    pidfd: OwnedFd,
    _registered: reaper::Registered,
    status: Option<ExitStatus>,
    detached: bool,
    /// What could not be set and was not needed to go on: limits, OOM score.
    pub warnings: Vec<String>,
    /// The reading end of standard output, with `Output::Pipe`.
    pub stdout: Option<OwnedFd>,
    /// The reading end of standard error, with `Output::Pipe`.
    pub stderr: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
}

impl Child {
    pub(super) fn new(pid: i32, pidfd: OwnedFd, registered: reaper::Registered, ends: Ends) -> Child {
        let warnings = Vec::new();
        Child {
            pid,
            target: pid,
            pidfd,
            _registered: registered,
            status: None,
            detached: false,
            warnings,
            stdout: ends.stdout,
            stderr: ends.stderr,
            stdin: ends.stdin,
            terminal: ends.terminal,
        }
    }

    pub(super) fn set_target(&mut self, target: i32) {
        self.target = target;
    }

    /// The process that is our child. With a PID namespace it is the launcher, which passes signals on; otherwise the
    /// target itself.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The target's number in our PID namespace.
    pub fn target_pid(&self) -> i32 {
        self.target
    }

    /// The handle of [`pid`](Self::pid), which no other process can come to mean.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Standard output as a stream of the runtime; `None` without a pipe or when already taken.
    pub fn take_stdout(&mut self) -> Result<Option<Receiver>> {
        self.stdout.take().map(receiver).transpose()
    }

    /// As [`take_stdout`](Self::take_stdout), for standard error.
    pub fn take_stderr(&mut self) -> Result<Option<Receiver>> {
        self.stderr.take().map(receiver).transpose()
    }

    /// The writing end of standard input, with `Input::Pipe`, once. The target reads to its end when this is dropped.
    pub fn take_stdin(&mut self) -> Result<Option<Sender>> {
        let sender = |pipe| Sender::from_owned_fd(pipe).doing(|| "write the input of a sandbox");
        self.stdin.take().map(sender).transpose()
    }

    /// Our end of the target's terminal, where it has one, once. When it is dropped the terminal hangs up.
    pub fn take_terminal(&mut self) -> Result<Option<Terminal>> {
        self.terminal.take().map(Terminal::new).transpose()
    }

    /// Sends a signal; a target that has already ended is no error.
    pub fn signal(&self, signal: i32) -> Result<()> {
        if self.status.is_some() {
            return Ok(());
        }
        pidfd::send_signal(self.pidfd.as_fd(), signal).doing(|| format!("send signal {signal} to process {}", self.pid))
    }

    /// Sends SIGKILL. A launcher that dies takes its target with it.
    pub fn kill(&self) -> Result<()> {
        self.signal(libc::SIGKILL)
    }

    /// Waits until it has ended. Cancel-safe, and may be called again.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let handle = self.pidfd.try_clone().doing(|| format!("watch process {}", self.pid))?;
        let watched = crate::watch(handle).doing(|| format!("watch process {}", self.pid))?;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            let mut ready = watched
                .readable()
                .await
                .doing(|| format!("watch process {}", self.pid))?;
            ready.clear_ready();
        }
    }

    /// Its status if it has ended.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = pidfd::try_wait(self.pidfd.as_fd()).doing(|| format!("wait for process {}", self.pid))?;
        }
        Ok(self.status)
    }

    /// Waits without a runtime, at most `limit`.
    pub fn wait_blocking(&mut self, limit: Duration) -> Result<ExitStatus> {
        if pidfd::wait_ended(self.pidfd.as_fd(), limit).doing(|| format!("wait for process {}", self.pid))?
            && let Some(status) = self.try_wait()?
        {
            return Ok(status);
        }
        Err(Error::new(
            format!("wait for process {}", self.pid),
            format!("it did not end within {limit:?}"),
        ))
    }

    /// Lets it run on after this handle is dropped. Somebody else must look after it.
    pub fn detach(mut self) {
        self.detached = true;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.status.is_some() || self.detached {
            return;
        }
        let _ = self.kill();
        // Once `_registered` is dropped too the reaper takes it, where there is one.
        let _ = self.try_wait();
    }
}

fn receiver(pipe: OwnedFd) -> Result<Receiver> {
    Receiver::from_owned_fd(pipe).doing(|| "read the output of a sandbox")
}
