//! The reaper: PID 1 inherits every orphan of the machine and must collect it, but must not collect the children that
//! other code waits for.
//!
//! Children are registered between fork and the first chance to collect them ([`lock`], then [`Lock::register`]); the
//! reaper leaves registered ones alone and collects the rest. Start every child through [`crate::sandbox`] or
//! [`spawn`], and run [`run`] once in PID 1.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, waitid, waitpid};
use tokio::sync::Notify;

use crate::{Context, Result};

// How many handles wait for each child: a number can be registered again before an old handle is dropped.
static CHILDREN: OnceLock<Mutex<HashMap<i32, u32>>> = OnceLock::new();
static AGAIN: Notify = Notify::const_new();

/// Keeps the reaper from collecting anything; hold it from before the fork until the child is registered.
#[derive(Debug)]
pub struct Lock {
    children: MutexGuard<'static, HashMap<i32, u32>>,
}

/// A registered child: the reaper leaves it alone until this is dropped.
#[derive(Debug)]
pub struct Registered {
    pid: i32,
}

/// Stops the reaper for a moment.
pub fn lock() -> Lock {
    let children = CHILDREN.get_or_init(Mutex::default);
    Lock {
        children: children.lock().unwrap_or_else(PoisonError::into_inner),
    }
}

impl Lock {
    /// Registers a child that was forked under this lock.
    pub fn register(mut self, pid: i32) -> Registered {
        *self.children.entry(pid).or_insert(0) += 1;
        Registered { pid }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut lock = lock();
        if let Some(count) = lock.children.get_mut(&self.pid) {
            *count -= 1;
            if *count == 0 {
                lock.children.remove(&self.pid);
            }
        }
        drop(lock);
        AGAIN.notify_one();
    }
}

/// A child of the runtime's own kind that the reaper leaves alone.
#[derive(Debug)]
pub struct Spawned {
    /// The child.
    pub child: tokio::process::Child,
    _registered: Option<Registered>,
}

/// Starts a child that will be waited for through the runtime.
pub fn spawn(command: &mut tokio::process::Command) -> Result<Spawned> {
    let lock = lock();
    let child = command
        .spawn()
        .doing(|| format!("start {}", command.as_std().get_program().to_string_lossy()))?;
    let registered = child.id().map(|pid| lock.register(pid.cast_signed()));
    Ok(Spawned {
        child,
        _registered: registered,
    })
}

/// Collects orphans for as long as it is polled. For PID 1, or after [`super::set_child_subreaper`].
pub async fn run() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut ended = signal(SignalKind::child()).doing(|| "listen for the end of children")?;
    loop {
        collect();
        tokio::select! {
            _ = ended.recv() => {}
            () = AGAIN.notified() => {}
        }
    }
}

/// Collects every orphan that has ended now, and says how many.
pub fn collect() -> usize {
    let lock = lock();
    let mut count = 0;
    loop {
        // Look without taking: the status may be somebody's.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let Ok(Some(_)) = waitid(WaitId::All, options) else {
            return count;
        };
        let orphans: Vec<i32> = dead_children()
            .into_iter()
            .filter(|pid| !lock.children.contains_key(pid))
            .collect();
        if orphans.is_empty() {
            return count;
        }
        for pid in orphans {
            let taken = Pid::from_raw(pid).map(|pid| waitpid(Some(pid), WaitOptions::NOHANG));
            if matches!(taken, Some(Ok(Some(_)))) {
                count += 1;
            }
        }
    }
}

/// Our children that have ended. waitid(2) would show the same one again and again, ours to take or not.
fn dead_children() -> Vec<i32> {
    let own = std::process::id().cast_signed();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let stat = super::table::stat(*pid);
        stat.is_some_and(|stat| stat.parent == own && stat.state == super::ProcessState::Zombie)
    })
    .collect()
}
