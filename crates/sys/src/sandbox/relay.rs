//! With a PID namespace the launcher stays: the parent of PID 1, passing signals down and the exit status up.

use std::os::fd::AsRawFd;

use super::status::{Report, Reporter};
use crate::{Context, Result};

/// Signals that are meant for the target.
const PASSED_ON: [i32; 8] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    // The orderly stop and restart of an init (SIGRTMIN+n) are left to its API.
    libc::SIGPWR,
];

/// Forks. Returns in the child, which is PID 1 of its namespace; the parent relays and ends with it.
pub(super) fn split(reporter: &mut Reporter) -> Result<()> {
    let signals = block();
    // SAFETY: the process has one thread, so the child may do whatever the parent could.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()).doing(|| "fork the first process of the PID namespace"),
        0 => rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
            .doing(|| "ask to die with the launcher"),
        target => {
            reporter.send(&Report::Pid(target));
            close_everything();
            relay(target, &signals)
        }
    }
}

fn block() -> libc::sigset_t {
    // SAFETY: sigset_t is plain data that sigemptyset initialises; the calls only write the set we own.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        for signal in PASSED_ON {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        set
    }
}

/// Lets go of the pipes, so that whoever reads them sees the end when the target ends.
fn close_everything() {
    if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        for stream in 0..3 {
            // SAFETY: replaces our own standard streams, which nobody else owns, by /dev/null.
            unsafe { libc::dup2(null.as_raw_fd(), stream) };
        }
    }
    // SAFETY: closes descriptors of this process only. Their owners (the reporter) are not used again: `relay` never
    // returns.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
}

fn relay(target: i32, signals: &libc::sigset_t) -> ! {
    loop {
        let mut status = 0;
        // SAFETY: writes the status we own; WNOHANG returns at once.
        let ended = unsafe { libc::waitpid(target, &raw mut status, libc::WNOHANG) };
        if ended == target {
            end_like(status);
        }
        // SAFETY: reads the set we own and writes nothing (null info).
        let signal = unsafe { libc::sigwaitinfo(signals, std::ptr::null_mut()) };
        if signal > 0 && signal != libc::SIGCHLD {
            // SAFETY: a plain system call; the target is our child that we have not waited for, so its number is its.
            unsafe { libc::kill(target, signal) };
        }
    }
}

fn end_like(status: i32) -> ! {
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        // SAFETY: plain system calls on this process, which ends here: no core file, default action, not blocked.
        unsafe {
            libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
            libc::signal(signal, libc::SIG_DFL);
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            libc::kill(libc::getpid(), signal);
            libc::_exit(128 + signal)
        }
    }
    // SAFETY: ends the process.
    unsafe { libc::_exit(libc::WEXITSTATUS(status)) }
}
