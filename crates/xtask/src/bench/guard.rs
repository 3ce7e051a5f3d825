//! Whatever a measurement makes on this machine is removed, also when it fails, is interrupted or is killed.
//!
//! A second process of ours, in a process group of its own so that Ctrl-C does not reach it, is told of every thing
//! before or as it is made. When the pipe to it closes, for whatever reason, it removes them all, latest first.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// The hidden command that the second process is started with.
pub const COMMAND: &str = "bench-guard";

/// This program, also when somebody built it anew meanwhile.
pub const THIS: &str = "/proc/self/exe";

/// How long a killed process or an emptied control group may take to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// A thing that has to be gone in the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Thing {
    /// A process, killed if it still runs.
    Process(u32),
    /// A cluster, destroyed if it is there.
    Cluster {
        /// The command line that made it.
        keelctl: PathBuf,
        /// Its name.
        name: String,
        /// The folder of clusters.
        state: PathBuf,
    },
    /// A control group, with all below it.
    ControlGroup(PathBuf),
    /// A folder, with all in it.
    Folder(PathBuf),
    /// A kernel setting, put back to what it was.
    Setting {
        /// Its file.
        file: PathBuf,
        /// What it was.
        value: String,
    },
}

/// Our end: things are told here, and are gone after [`Guard::finish`] or a drop.
pub struct Guard {
    child: Child,
    pipe: Option<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Guard {
    /// Starts the second process.
    pub fn start() -> Result<Guard> {
        let mut child = Command::new(THIS)
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("start the process that cleans up")?;
        let pipe = child.stdin.take().zip(child.stdout.take().map(BufReader::new));
        Ok(Guard { child, pipe })
    }

    /// Has a thing removed in the end.
    pub fn watch(&mut self, thing: &Thing) -> Result<()> {
        let (stdin, stdout) = self.pipe.as_mut().context("the process that cleans up is gone")?;
        writeln!(stdin, "{}", serde_json::to_string(thing)?).context("tell the process that cleans up")?;
        // Its answer means that it holds the process, or will find the folder.
        let mut answer = String::new();
        stdout
            .read_line(&mut answer)
            .context("hear from the process that cleans up")?;
        if answer.is_empty() {
            bail!("the process that cleans up ended");
        }
        Ok(())
    }

    /// Removes everything now.
    pub fn finish(mut self) -> Result<()> {
        self.pipe = None;
        let status = self.child.wait().context("wait for the process that cleans up")?;
        if !status.success() {
            bail!("something could not be removed, see above");
        }
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.child.wait();
    }
}

/// The second process.
pub fn run() -> Result<()> {
    let mut things: Vec<(Thing, Option<OwnedFd>)> = Vec::new();
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { break };
        let thing: Thing = serde_json::from_str(&line).context("read what to clean up")?;
        let held = match &thing {
            Thing::Process(pid) => hold(*pid),
            _ => None,
        };
        things.push((thing, held));
        println!();
    }
    let mut failed = 0;
    for (thing, held) in things.iter().rev() {
        if let Err(error) = remove(thing, held.as_ref()) {
            eprintln!("clean up: {error:#}");
            failed += 1;
        }
    }
    if failed > 0 {
        bail!("{failed} things could not be removed");
    }
    Ok(())
}

/// The process itself, whatever becomes of its number; None when it has ended.
fn hold(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

fn remove(thing: &Thing, held: Option<&OwnedFd>) -> Result<()> {
    match thing {
        Thing::Process(_) => held.map_or(Ok(()), kill),
        Thing::Cluster { keelctl, name, state } => destroy(keelctl, name, state),
        Thing::ControlGroup(path) => remove_group(path),
        Thing::Folder(path) => remove_folder(path),
        Thing::Setting { file, value } => restore(file, value),
    }
}

fn kill(process: &OwnedFd) -> Result<()> {
    if pidfd_send_signal(process, Signal::KILL).is_err() {
        return Ok(()); // It has ended.
    }
    let mut waiting = [rustix::event::PollFd::new(process, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec {
        tv_sec: i64::try_from(PATIENCE.as_secs())?,
        tv_nsec: 0,
    };
    if rustix::event::poll(&mut waiting, Some(&limit)).context("wait for a killed process")? == 0 {
        bail!("a killed process does not end");
    }
    Ok(())
}

fn destroy(keelctl: &Path, name: &str, state: &Path) -> Result<()> {
    if !state.join(name).exists() {
        return Ok(());
    }
    let mut command = Command::new(keelctl);
    command.args(["cluster", "destroy", "--force", "--name", name]);
    super::ours::environment(&mut command, state);
    crate::host::quiet(&mut command).map(|_| ())
}

/// Groups go from the inside out, and only when the last process has left them.
fn remove_group(path: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return Ok(());
    };
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        remove_group(&entry.path())?;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match std::fs::remove_dir(path) {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            result => return result.with_context(|| format!("remove the control group {}", path.display())),
        }
    }
}

fn remove_folder(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    // What is mounted there belongs to somebody else.
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("read the mounts")?;
    if let Some(mount) = mounts.lines().find(|line| is_below(line, path)) {
        bail!("{} is kept: something is mounted there: {mount}", path.display());
    }
    std::fs::remove_dir_all(path).with_context(|| format!("remove {}", path.display()))
}

fn is_below(mount: &str, folder: &Path) -> bool {
    let target = mount.split(' ').nth(1).unwrap_or_default();
    Path::new(target).starts_with(folder)
}

fn restore(file: &Path, value: &str) -> Result<()> {
    if std::fs::read_to_string(file).is_ok_and(|now| now == value) {
        return Ok(());
    }
    std::fs::write(file, value).with_context(|| format!("put {} back", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_survive_the_pipe() {
        let thing = Thing::Cluster {
            keelctl: "/k".into(),
            name: "a b".into(),
            state: "/s\n".into(),
        };
        let line = serde_json::to_string(&thing).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Thing>(&line).unwrap(), thing);
    }

    #[test]
    fn a_process_that_is_held_is_killed_and_one_that_ended_is_no_trouble() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let held = hold(child.id());
        remove(&Thing::Process(child.id()), held.as_ref()).unwrap();
        assert!(!child.wait().unwrap().success());
        remove(&Thing::Process(child.id()), held.as_ref()).unwrap();
    }

    #[test]
    fn a_folder_with_a_mount_is_kept() {
        assert!(is_below("tmpfs /a/b/c tmpfs rw 0 0", Path::new("/a/b")));
        assert!(!is_below("tmpfs /a/bc tmpfs rw 0 0", Path::new("/a/b")));
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("x");
        std::fs::create_dir_all(inside.join("y")).unwrap();
        remove_folder(&inside).unwrap();
        assert!(!inside.exists());
        remove_folder(&inside).unwrap();
    }

    #[test]
    fn a_setting_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("setting");
        std::fs::write(&file, "2\n").unwrap();
        restore(&file, "1\n").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "1\n");
    }
}
