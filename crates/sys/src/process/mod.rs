//! Processes: the reaper of PID 1, handles that cannot come to mean another process, the process table.

use crate::{Context, Result};

pub mod pidfd;
pub mod reaper;
mod table;

pub use table::{Identity, Process, ProcessState, find, list, pss, start_time};

/// Makes orphaned descendants our children, so that we learn of their end (prctl(2), PR_SET_CHILD_SUBREAPER).
pub fn set_child_subreaper() -> Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).doing(|| "become the reaper of descendants")
}

/// Leaves the session of whoever started this process: no terminal, no signals from its keys. For a process that leads
/// its group nothing changes: its group is its own already, which keeps the signals of the terminal's keys away.
pub fn new_session() -> Result<()> {
    match rustix::process::setsid() {
        Ok(_) | Err(rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(error).doing(|| "start a session"),
    }
}

/// Sets the name that process lists show for this process; at most 15 bytes of it. For the first thread.
pub fn set_name(name: &str) -> Result<()> {
    let name = std::ffi::CString::new(name).doing(|| "set the name of this process")?;
    rustix::thread::set_name(&name).doing(|| "set the name of this process")
}

/// Lets the kernel kill a program that is about to be started when the thread that starts it ends (prctl(2),
/// PR_SET_PDEATHSIG). For programs started from a process's first thread, which lives as long as the process.
pub fn end_with_parent(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let parent = rustix::process::getpid();
    let ask = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The parent may have ended before the kernel was asked.
        match rustix::process::getppid() == Some(parent) {
            true => Ok(()),
            false => Err(std::io::Error::from_raw_os_error(libc::ESRCH)),
        }
    };
    // SAFETY: between fork and exec only two system calls are made; nothing is allocated.
    unsafe {
        command.pre_exec(ask);
    }
}

/// Sends a signal to a process by number. Prefer [`pidfd`] or [`Identity`] for processes that may have ended.
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: a plain system call.
    if unsafe { libc::kill(pid, signal) } == 0 {
        return Ok(());
    }
    Err(std::io::Error::last_os_error()).doing(|| format!("send signal {signal} to process {pid}"))
}

/// Sets how readily the kernel kills a process (ours, for `None`) when memory runs out. Lowering it needs
/// CAP_SYS_RESOURCE, which many hosts do not give to root: be ready for an error.
pub fn set_oom_score_adj(pid: Option<i32>, score: i32) -> Result<()> {
    let process = pid.map_or("self".to_owned(), |pid| pid.to_string());
    std::fs::write(format!("/proc/{process}/oom_score_adj"), score.to_string())
        .doing(|| format!("set the OOM score of process {process} to {score}"))
}

const OOM_SCORE: &str = "/proc/thread-self/oom_score_adj";

/// How readily the kernel ends this process when memory is short: `oom_score_adj`, -1000 (never) to 1000 (first).
pub fn oom_score() -> Option<i32> {
    std::fs::read_to_string(OOM_SCORE).ok()?.trim().parse().ok()
}

/// Tries whether an OOM score can be lowered here, and puts it back.
pub fn can_lower_oom_score() -> bool {
    let Some(now) = oom_score() else {
        return false;
    };
    // The present value is always accepted, one below it only with the capability.
    let lowered = now > -1000 && std::fs::write(OOM_SCORE, (now - 1).to_string()).is_ok();
    if lowered {
        let _ = std::fs::write(OOM_SCORE, now.to_string());
    }
    lowered || (now == -1000)
}

/// Tries to have `count` open files at most, and returns how many it is now.
pub fn raise_open_files(count: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let hard = now.maximum.unwrap_or(count).max(count);
    if setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(count),
            maximum: Some(hard),
        },
    )
    .is_err()
    {
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: now.maximum,
                maximum: now.maximum,
            },
        );
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
