//! The parent's side: execute ourselves as the launcher and wait until the target runs.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use super::child::{Child, Ends};
use super::status::{self, Report};
use super::{Input, Output, SandboxSpec, terminal};
use crate::process::{pidfd, reaper};
use crate::{Context, Error, Result};

/// Names the descriptors of the launcher: `SPEC:STATUS:PARENT`.
pub(super) const REQUEST: &str = "KEELSON_SANDBOX";

/// Setting up is a matter of milliseconds; a mount that hangs must not hang the caller.
const SETUP_DEADLINE: Duration = Duration::from_secs(60);

type Job = Box<dyn FnOnce() + Send>;

/// Starts the target of `spec` and returns when it runs, or with what went wrong.
///
/// All targets are started by one thread that lives as long as the process: a parent-death signal is sent when the
/// *thread* that forked ends, and a worker thread of a runtime may end long before the process does.
pub async fn spawn(spec: &SandboxSpec) -> Result<Child> {
    let (answer, result) = tokio::sync::oneshot::channel();
    let spec = spec.clone();
    submit(Box::new(move || {
        // The caller may have been cancelled: then the child is dropped, which kills it.
        let _ = answer.send(start(&spec));
    }))?;
    result
        .await
        .map_err(|_| Error::new("start a sandbox", "the thread that starts sandboxes is gone"))?
}

/// As [`spawn`], for callers without a runtime.
pub fn spawn_blocking(spec: &SandboxSpec) -> Result<Child> {
    let (answer, result) = mpsc::channel();
    let spec = spec.clone();
    submit(Box::new(move || {
        let _ = answer.send(start(&spec));
    }))?;
    result
        .recv()
        .map_err(|_| Error::new("start a sandbox", "the thread that starts sandboxes is gone"))?
}

fn submit(job: Job) -> Result<()> {
    static QUEUE: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let queue = QUEUE.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("sandboxes".into());
        // Without a thread the receiver is dropped and every send reports it.
        let _ = thread.spawn(move || {
            for job in receiver {
                // If this thread ended, every target with a parent-death signal would get it.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
        });
        sender
    });
    queue
        .send(job)
        .map_err(|_| Error::new("start a sandbox", "cannot start the thread that starts sandboxes"))
}

fn start(spec: &SandboxSpec) -> Result<Child> {
    let Some(program) = spec.argv.first().cloned() else {
        return Err(Error::new("start a sandbox", "argv is empty"));
    };
    let name = || format!("start {program}");
    let spec_file = spec_in_memory(spec)?;
    let (status_reader, status_writer) = pipe()?;
    let (streams, ends) = streams(spec)?;
    let passed = [spec_file.as_raw_fd(), status_writer.as_raw_fd()];

    let mut command = Command::new("/proc/self/exe");
    command.arg0("sandbox").env_clear();
    command.env(REQUEST, format!("{}:{}:{}", passed[0], passed[1], std::process::id()));
    let [stdin, stdout, stderr] = streams;
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    // SAFETY: the closure only calls fcntl(2), which is safe between fork and exec, on descriptors that stay open until
    // the exec because this function owns them.
    unsafe {
        command.pre_exec(move || passed.iter().try_for_each(|&fd| keep_over_exec(fd)));
    }
    // Held from the fork to the registration, so that the reaper cannot take the child's status in between.
    let registration = reaper::lock();
    let launcher = command.spawn().doing(name)?;
    let pid = launcher.id().cast_signed();
    let registered = registration.register(pid);
    drop(command);
    drop(status_writer);
    drop(spec_file);
    let pidfd = pidfd::open(pid).doing(name)?;

    let reports = read_reports(status_reader, pidfd.as_fd(), SETUP_DEADLINE);
    let mut child = Child::new(pid, pidfd, registered, ends);
    let reports = match reports {
        Ok(reports) => reports,
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait_blocking(Duration::from_secs(5));
            return Err(error).doing(name);
        }
    };
    for report in reports {
        match report {
            Report::Pid(target) => child.set_target(target),
            Report::Warning(warning) => child.warnings.push(warning),
            Report::Failed { step, kind } => {
                let _ = child.wait_blocking(Duration::from_secs(5));
                let source = if kind == 0 {
                    std::io::Error::other("failed")
                } else {
                    std::io::Error::from_raw_os_error(kind)
                };
                return Err(Error {
                    action: format!("start {program}: {step}"),
                    source,
                });
            }
        }
    }
    Ok(child)
}

fn keep_over_exec(fd: RawFd) -> std::io::Result<()> {
    // SAFETY: F_SETFD with a number touches no memory.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

fn spec_in_memory(spec: &SandboxSpec) -> Result<File> {
    let json = serde_json::to_vec(spec).map_err(|error| Error::new("encode a sandbox", error.to_string()))?;
    let memory = rustix::fs::memfd_create("sandbox", rustix::fs::MemfdFlags::CLOEXEC).doing(|| "make a memory file")?;
    let mut file = File::from(memory);
    file.write_all(&json).doing(|| "write a memory file")?;
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).doing(|| "rewind a memory file")?;
    Ok(file)
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).doing(|| "make a pipe")
}

/// The three standard streams of the target, and our ends of them.
fn streams(spec: &SandboxSpec) -> Result<([Stdio; 3], Ends)> {
    if let Some(size) = spec.terminal {
        let (ours, theirs) = terminal::open(size)?;
        let copy = || theirs.try_clone().doing(|| "hand over a terminal");
        let streams = [copy()?.into(), copy()?.into(), theirs.into()];
        let ends = Ends {
            terminal: Some(ours),
            ..Ends::default()
        };
        return Ok((streams, ends));
    }
    let (stdin, stdin_writer) = match spec.stdin {
        Input::Null => (Stdio::null(), None),
        Input::Pipe => {
            let (reader, writer) = pipe()?;
            (reader.into(), Some(writer))
        }
    };
    let (stdout, stdout_reader) = output(&spec.stdout)?;
    let (stderr, stderr_reader) = output(&spec.stderr)?;
    let ends = Ends {
        stdin: stdin_writer,
        stdout: stdout_reader,
        stderr: stderr_reader,
        terminal: None,
    };
    Ok(([stdin, stdout, stderr], ends))
}

fn output(output: &Output) -> Result<(Stdio, Option<OwnedFd>)> {
    Ok(match output {
        Output::Null => (Stdio::null(), None),
        Output::Inherit => (Stdio::inherit(), None),
        Output::Pipe => {
            let (reader, writer) = pipe()?;
            (writer.into(), Some(reader))
        }
        Output::Append(path) => {
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
            (file.doing(|| format!("open the log {}", path.display()))?.into(), None)
        }
    })
}

/// Reads until every writer is gone, which is when the target has been executed or the launcher has failed.
fn read_reports(pipe: OwnedFd, launcher: std::os::fd::BorrowedFd<'_>, wait: Duration) -> std::io::Result<Vec<Report>> {
    let deadline = Instant::now() + wait;
    let mut pipe = File::from(pipe);
    let mut text = Vec::new();
    let mut ended = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "setting up the sandbox took too long",
            ));
        }
        let timeout = rustix::time::Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        };
        let readable = rustix::event::PollFlags::IN;
        let mut wanted = vec![rustix::event::PollFd::new(&pipe, readable)];
        if !ended {
            wanted.push(rustix::event::PollFd::from_borrowed_fd(launcher, readable));
        }
        match rustix::event::poll(&mut wanted, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let data = !wanted[0].revents().is_empty();
        ended = ended || wanted.get(1).is_some_and(|fd| !fd.revents().is_empty());
        if data {
            let mut chunk = [0; 4096];
            match pipe.read(&mut chunk)? {
                0 => break,
                count => text.extend_from_slice(&chunk[..count]),
            }
        }
    }
    let reports = status::parse(&String::from_utf8_lossy(&text));
    if reports.is_empty() {
        let reason = "the launcher said nothing: does main() call sys::sandbox::run_if_requested() first?";
        return Err(std::io::Error::other(reason));
    }
    Ok(reports)
}
