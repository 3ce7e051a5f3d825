//! The process table, from `/proc` (proc(5)).

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pidfd;
use crate::{Context, Result};

/// What a process is doing, as the letter in `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessState {
    /// R
    Running,
    /// S
    #[default]
    Sleeping,
    /// D: cannot be interrupted.
    Waiting,
    /// Z: has ended and was not collected.
    Zombie,
    /// T or t
    Stopped,
    /// I, X and what comes later.
    Other,
}

impl ProcessState {
    /// The letter that programs like ps show.
    pub fn letter(self) -> char {
        match self {
            ProcessState::Running => 'R',
            ProcessState::Sleeping => 'S',
            ProcessState::Waiting => 'D',
            ProcessState::Zombie => 'Z',
            ProcessState::Stopped => 'T',
            ProcessState::Other => 'I',
        }
    }
}

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Number.
    pub pid: i32,
    /// Number of the parent.
    pub parent: i32,
    /// What it is doing.
    pub state: ProcessState,
    /// Short name.
    pub command: String,
    /// Path of the program; empty for kernel threads.
    pub executable: String,
    /// Arguments.
    pub arguments: Vec<String>,
    /// Threads.
    pub threads: u32,
    /// CPU time used, in clock ticks of 1/100 s.
    pub cpu_ticks: u64,
    /// Address space in bytes.
    pub virtual_memory: u64,
    /// Memory in use in bytes.
    pub resident_memory: u64,
    /// Start, in clock ticks after boot. Together with the number it names a process for ever.
    pub start: u64,
}

/// Names one process for ever, also in a file read much later in the same boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Number.
    pub pid: i32,
    /// Start in clock ticks after boot.
    pub start: u64,
}

impl Identity {
    /// The process that has this number now.
    pub fn of(pid: i32) -> Option<Identity> {
        Some(Identity {
            pid,
            start: start_time(pid)?,
        })
    }

    /// The handle of exactly this process, if it still runs.
    pub fn open(self) -> Option<OwnedFd> {
        let handle = pidfd::open(self.pid).ok()?;
        // The handle was had first: if the start time is the right one now, the handle is that process's.
        let stat = stat(self.pid)?;
        (stat.start == self.start && stat.state != ProcessState::Zombie).then_some(handle)
    }

    /// True while it runs (a zombie does not).
    pub fn is_running(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.start == self.start && stat.state != ProcessState::Zombie)
    }

    /// Sends a signal if it still runs, and says whether it did.
    pub fn signal(self, signal: i32) -> Result<bool> {
        let Some(handle) = self.open() else { return Ok(false) };
        pidfd::send_signal(handle.as_fd(), signal)
            .doing(|| format!("send signal {signal} to process {}", self.pid))
            .map(|()| true)
    }

    /// Waits until it has ended; false when `limit` passed first.
    pub fn wait_ended(self, limit: Duration) -> Result<bool> {
        let Some(handle) = self.open() else { return Ok(true) };
        pidfd::wait_ended(handle.as_fd(), limit).doing(|| format!("wait for the end of process {}", self.pid))
    }
}

/// Every process that can be seen.
pub fn list() -> Result<Vec<Process>> {
    let entries = std::fs::read_dir("/proc").doing(|| "read /proc")?;
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    Ok(pids.filter_map(find).collect())
}

/// One process with its arguments; `None` once it is gone.
pub fn find(pid: i32) -> Option<Process> {
    let mut process = stat(pid)?;
    if let Ok(path) = std::fs::read_link(format!("/proc/{pid}/exe")) {
        process.executable = path.display().to_string();
    }
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments = String::from_utf8_lossy(&arguments);
    let arguments = arguments.trim_end_matches('\0');
    if !arguments.is_empty() {
        process.arguments = arguments.split('\0').map(str::to_owned).collect();
    }
    Some(process)
}

/// When the process started, in clock ticks after boot.
pub fn start_time(pid: i32) -> Option<u64> {
    stat(pid).map(|stat| stat.start)
}

/// Memory of a process in bytes, shared pages counted in proportion (`Pss` of smaps_rollup).
pub fn pss(pid: i32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).doing(|| format!("read {path}"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .unwrap_or_default();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0);
    Ok(kibibytes * 1024)
}

pub(super) fn stat(pid: i32) -> Option<Process> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Process> {
    // The name stands in parentheses and may contain any character, these too.
    let (pid, rest) = text.split_once(" (")?;
    let (command, rest) = rest.rsplit_once(") ")?;
    // Fields from the third on, see proc_pid_stat(5).
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok());
    let state = match *fields.first()? {
        "R" => ProcessState::Running,
        "S" => ProcessState::Sleeping,
        "D" => ProcessState::Waiting,
        "Z" => ProcessState::Zombie,
        "T" | "t" => ProcessState::Stopped,
        _ => ProcessState::Other,
    };
    Some(Process {
        pid: pid.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        state,
        command: command.to_owned(),
        threads: u32::try_from(number(20)?).unwrap_or(u32::MAX),
        cpu_ticks: number(14)? + number(15)?,
        virtual_memory: number(23)?,
        resident_memory: number(24)? * rustix::param::page_size() as u64,
        start: number(22)?,
        ..Process::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_read() {
        let text = "42 (a) S (b) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 12345 4096 2 18446744073709551615 1 1";
        let process = parse_stat(text).unwrap();
        assert_eq!(
            (process.pid, process.parent, process.command.as_str()),
            (42, 1, "a) S (b")
        );
        assert_eq!((process.start, process.threads, process.cpu_ticks), (12345, 9, 11));
    }

    #[test]
    fn this_process_is_in_the_table_and_has_memory() {
        let own = std::process::id().cast_signed();
        assert!(
            list()
                .unwrap()
                .iter()
                .any(|process| process.pid == own && !process.arguments.is_empty())
        );
        assert!(pss(own).unwrap() > 100 * 1024);
    }

    #[test]
    fn an_identity_with_another_start_is_another_process() {
        let own = Identity::of(std::process::id().cast_signed()).unwrap();
        assert!(own.is_running() && own.open().is_some());
        let other = Identity {
            start: own.start + 1,
            ..own
        };
        assert!(!other.is_running() && other.open().is_none());
        assert!(!other.signal(libc::SIGKILL).unwrap());
    }
}
