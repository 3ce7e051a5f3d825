//! The launcher: what the re-executed program does instead of its own work.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use rustix::thread::UnshareFlags;

use super::status::{Report, Reporter};
use super::{Namespaces, SandboxSpec, privileges, relay, root, seccomp, spawn};
use crate::{Context, Error, Result};

/// Exit code of a launcher that could not start its target, as shells use it.
const CANNOT_START: i32 = 127;

/// Becomes the launcher of a sandbox, and never returns, if this process was started as one.
///
/// Must be the first call of `main`, before any thread exists.
pub fn run_if_requested() {
    let Some(request) = std::env::var_os(spawn::REQUEST) else {
        return;
    };
    let fields: Vec<i32> = request
        .to_string_lossy()
        .split(':')
        .filter_map(|field| field.parse().ok())
        .collect();
    let [spec, status, parent] = fields[..] else { return };
    // SAFETY: the parent opened these two descriptors for us and nothing else in this process knows them; they are
    // checked to be open before they are owned.
    let descriptors = unsafe { adopt(spec).zip(adopt(status)) };
    let Some((spec, status)) = descriptors else { return };
    // What process lists show; it is "exe" otherwise.
    let _ = rustix::thread::set_name(c"sandbox");
    let mut reporter = Reporter::new(status);
    let Err(error) = launch(spec, parent, &mut reporter);
    let kind = error.errno().unwrap_or(0);
    let step = if kind == 0 { error.to_string() } else { error.action };
    reporter.send(&Report::Failed { step, kind });
    std::process::exit(CANNOT_START);
}

/// # Safety
/// Nothing else in the process may own `fd`.
unsafe fn adopt(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_SETFD with a number touches no memory; it fails for a descriptor that is not open.
    if fd <= 2 || unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return None;
    }
    // SAFETY: open, as just seen, and ours by the caller's promise.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

enum Never {}

fn launch(spec: OwnedFd, parent: i32, reporter: &mut Reporter) -> std::result::Result<Never, Error> {
    let mut json = Vec::new();
    File::from(spec)
        .read_to_end(&mut json)
        .doing(|| "read the sandbox specification")?;
    let spec: SandboxSpec = serde_json::from_slice(&json)
        .map_err(|error| Error::new("read the sandbox specification", error.to_string()))?;

    if let Some(signal) = spec.parent_death_signal {
        die_with_parent(signal, parent)?;
    }
    if spec.new_session || (spec.terminal.is_some() && !spec.namespaces.pid) {
        rustix::process::setsid().doing(|| "start a session")?;
    }
    if spec.namespaces.pid {
        unshare(Namespaces {
            pid: true,
            ..Namespaces::default()
        })?;
        // Everything else is the target's alone. The launcher stays outside: in a control group of version 2 a process
        // that the target cannot see would keep it from making groups of its own.
        relay::split(reporter)?;
        if spec.terminal.is_some() {
            // The target's own, so that what it asks of sessions and groups has an answer inside its namespace.
            rustix::process::setsid().doing(|| "start a session")?;
        }
    } else {
        reporter.send(&Report::Pid(std::process::id().cast_signed()));
    }
    if spec.terminal.is_some() {
        rustix::process::ioctl_tiocsctty(std::io::stdin()).doing(|| "take the terminal")?;
    }
    for group in &spec.cgroups {
        let file = group.join("cgroup.procs");
        std::fs::write(&file, "0").doing(|| format!("join the control group {}", group.display()))?;
    }
    privileges::set_oom_score(&spec, reporter);
    privileges::set_limits(&spec, reporter)?;
    if let Some(path) = &spec.join_netns {
        let namespace = File::open(path).doing(|| format!("open the network namespace {}", path.display()))?;
        rustix::thread::move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&namespace),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .doing(|| format!("join the network namespace {}", path.display()))?;
    }
    unshare(Namespaces {
        pid: false,
        ..spec.namespaces
    })?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    if let Some(name) = &spec.hostname {
        rustix::system::sethostname(name.as_bytes()).doing(|| format!("set the host name to {name}"))?;
    }
    root::enter(&spec)?;
    let program = prepare(&spec)?;
    // Compiled before the privileges go, loaded after.
    let filters = seccomp::compile(spec.seccomp)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(spec.umask.unwrap_or(0o022)));
    privileges::reduce(&spec)?;
    // Changing the user clears the parent-death signal.
    if spec.namespaces.pid {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
            .doing(|| "ask to die with the launcher")?;
    } else if let Some(signal) = spec.parent_death_signal {
        die_with_parent(signal, parent)?;
    }
    seccomp::load(&filters)?;
    program.execute()
}

fn die_with_parent(signal: i32, parent: i32) -> Result<()> {
    let wanted = rustix::process::Signal::from_named_raw(signal)
        .ok_or_else(|| Error::new("ask to die with the parent", format!("there is no signal {signal}")))?;
    rustix::process::set_parent_process_death_signal(Some(wanted)).doing(|| "ask to die with the parent")?;
    // It may have died before we asked. In a PID namespace of our own the parent has no number, and getppid says 0.
    let now = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    if now != 0 && now != parent {
        return Err(Error::new("start a sandbox", "the parent is gone"));
    }
    Ok(())
}

fn unshare(namespaces: Namespaces) -> Result<()> {
    let wanted = [
        (namespaces.mount, UnshareFlags::NEWNS, "mount"),
        (namespaces.pid, UnshareFlags::NEWPID, "pid"),
        (namespaces.net, UnshareFlags::NEWNET, "network"),
        (namespaces.uts, UnshareFlags::NEWUTS, "uts"),
        (namespaces.ipc, UnshareFlags::NEWIPC, "ipc"),
        (namespaces.cgroup, UnshareFlags::NEWCGROUP, "cgroup"),
    ];
    for (_, flag, name) in wanted.into_iter().filter(|(wanted, ..)| *wanted) {
        // SAFETY: the process has one thread and shares no descriptor table; these flags do not ask for one.
        unsafe { rustix::thread::unshare_unsafe(flag) }.doing(|| format!("make a {name} namespace"))?;
    }
    Ok(())
}

struct Program {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

fn prepare(spec: &SandboxSpec) -> Result<Program> {
    let cwd = if spec.cwd.as_os_str().is_empty() {
        "/".as_ref()
    } else {
        spec.cwd.as_path()
    };
    rustix::process::chdir(cwd).doing(|| format!("change into {}", cwd.display()))?;
    let path = spec
        .argv
        .first()
        .ok_or_else(|| Error::new("start a sandbox", "argv is empty"))?;
    let text = |value: &[u8]| {
        CString::new(value)
            .map_err(|_| Error::new(format!("start {path}"), "an argument or variable contains a zero byte"))
    };
    let mut arguments = Vec::with_capacity(spec.argv.len());
    for (index, argument) in spec.argv.iter().enumerate() {
        let argument = if index == 0 {
            spec.argv0.as_ref().unwrap_or(argument)
        } else {
            argument
        };
        arguments.push(text(argument.as_bytes())?);
    }
    let mut environment = Vec::with_capacity(spec.env.len());
    for (name, value) in &spec.env {
        environment.push(text(format!("{name}={value}").as_bytes())?);
    }
    Ok(Program {
        path: text(std::ffi::OsStr::new(path).as_bytes())?,
        arguments,
        environment,
    })
}

impl Program {
    fn execute(self) -> std::result::Result<Never, Error> {
        let mut arguments: Vec<_> = self.arguments.iter().map(|argument| argument.as_ptr()).collect();
        let mut environment: Vec<_> = self.environment.iter().map(|variable| variable.as_ptr()).collect();
        arguments.push(std::ptr::null());
        environment.push(std::ptr::null());
        // SAFETY: resetting handlers and the mask touches no memory of ours (the Rust runtime ignores SIGPIPE, which
        // would be inherited); the two lists are ended by a null pointer and their strings live in `self`, which
        // outlives the call.
        unsafe {
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            libc::execve(self.path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
        }
        Err(std::io::Error::last_os_error()).doing(|| format!("execute {}", self.path.to_string_lossy()))
    }
}
