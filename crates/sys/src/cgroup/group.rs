//! One control group: made, joined, killed, removed.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Layout, Limits, Stats, limits, stats};
use crate::process::pidfd;
use crate::{Context, Error, Result};

/// How often to look again while waiting.
const PAUSE: Duration = Duration::from_millis(10);

/// A control group by its path in every hierarchy.
#[derive(Clone, Debug)]
pub struct Group {
    pub(super) layout: Layout,
    path: PathBuf,
}

impl Group {
    pub(super) fn new(layout: Layout, path: &Path) -> Group {
        Group {
            layout,
            path: path.strip_prefix("/").unwrap_or(path).to_path_buf(),
        }
    }

    /// The path from the root of the hierarchies, with a leading slash.
    pub fn path(&self) -> PathBuf {
        Path::new("/").join(&self.path)
    }

    /// A group below this one.
    pub fn child(&self, name: impl AsRef<Path>) -> Group {
        Group {
            layout: self.layout.clone(),
            path: self.path.join(name),
        }
    }

    /// Its folders: what [`crate::sandbox::SandboxSpec::cgroups`] takes.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.layout
            .roots()
            .into_iter()
            .map(|root| root.join(&self.path))
            .collect()
    }

    /// Its folder in the hierarchy of a controller.
    pub(super) fn folder(&self, controller: &str) -> Option<PathBuf> {
        let root = match (&self.layout.unified, self.layout.is_v2()) {
            (Some(unified), true) => unified,
            _ => self.layout.controllers.get(controller)?,
        };
        Some(root.join(&self.path))
    }

    /// True where at least one of its folders is there.
    pub fn exists(&self) -> bool {
        self.folders().iter().any(|folder| folder.exists())
    }

    /// Makes it and the groups above it, with every controller the host has in use.
    pub fn create(&self) -> Result<()> {
        for folder in self.folders() {
            std::fs::create_dir_all(&folder).doing(|| format!("make the control group {}", folder.display()))?;
        }
        if self.layout.is_v2() {
            self.enable_controllers()
        } else {
            self.fill_cpuset()
        }
    }

    /// Version 1: a cpuset takes no process before it has processors and memory nodes; it gets those of its parent.
    fn fill_cpuset(&self) -> Result<()> {
        let Some(root) = self.layout.controllers.get("cpuset") else {
            return Ok(());
        };
        let mut folder = root.clone();
        for part in self.path.components() {
            let parent = folder.clone();
            folder.push(part);
            for name in ["cpuset.cpus", "cpuset.mems"] {
                let read = |place: &Path| {
                    let file = place.join(name);
                    std::fs::read_to_string(&file).doing(|| format!("read {}", file.display()))
                };
                if read(&folder)?.trim().is_empty() {
                    let file = folder.join(name);
                    std::fs::write(&file, read(&parent)?.trim()).doing(|| format!("write {}", file.display()))?;
                }
            }
        }
        Ok(())
    }

    /// Version 2: a controller works in a group once every group above lets it. A group with processes must not be told
    /// to: it would count threads from then on, and no group below could take a process.
    fn enable_controllers(&self) -> Result<()> {
        let Some(root) = &self.layout.unified else {
            return Ok(());
        };
        let mut folder = root.clone();
        for part in self.path.components() {
            let file = folder.join("cgroup.subtree_control");
            let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            // The root of all has no type; it alone may have both processes and groups below.
            let busy = !read("cgroup.type").is_empty() && !read("cgroup.procs").is_empty();
            let available = if busy {
                String::new()
            } else {
                read("cgroup.controllers")
            };
            for controller in available.split_ascii_whitespace() {
                // A controller the kernel will not give leaves its limits unset,
                // which `set` reports.
                let _ = std::fs::write(&file, format!("+{controller}"));
            }
            folder.push(part);
        }
        Ok(())
    }

    /// Sets limits as far as the host lets them be set; the rest come back as errors to show.
    pub fn set(&self, limits: &Limits) -> Vec<Error> {
        limits::set(self, limits)
    }

    /// What it uses now.
    pub fn stats(&self) -> Stats {
        stats::read(self)
    }

    /// Moves a process into it.
    pub fn join(&self, pid: i32) -> Result<()> {
        for folder in self.folders() {
            std::fs::write(folder.join("cgroup.procs"), pid.to_string())
                .doing(|| format!("move process {pid} into the control group {}", folder.display()))?;
        }
        Ok(())
    }

    /// The processes in it and in the groups below it, each once.
    pub fn processes(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        for folder in self.folders() {
            collect(&folder, &mut pids);
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Kills every process in it and below it, and waits until they are gone, at most `limit`.
    pub fn kill(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let kill_file = self
            .folder("")
            .map(|folder| folder.join("cgroup.kill"))
            .filter(|file| file.exists());
        loop {
            let pids = self.processes();
            if pids.is_empty() {
                return Ok(());
            }
            // Version 2 kills all at once, without a chance to fork away.
            let at_once = kill_file.as_ref().is_some_and(|file| std::fs::write(file, "1").is_ok());
            if !at_once {
                self.kill_each(&pids);
            }
            if Instant::now() >= deadline {
                let list: Vec<String> = pids.iter().map(ToString::to_string).collect();
                let reason = format!("processes {} did not end within {limit:?}", list.join(", "));
                return Err(Error::new(
                    format!("empty the control group {}", self.path().display()),
                    reason,
                ));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// A number may come to mean another process between looking and killing; a handle cannot, and what is still in
    /// the group once the handle is open is what the handle means.
    fn kill_each(&self, pids: &[i32]) {
        let handles: Vec<_> = pids
            .iter()
            .filter_map(|pid| Some((*pid, pidfd::open(*pid).ok()?)))
            .collect();
        let still = self.processes();
        for (_, handle) in handles.iter().filter(|(pid, _)| still.contains(pid)) {
            let _ = pidfd::send_signal(handle.as_fd(), libc::SIGKILL);
        }
    }

    /// Removes it and the groups below it, waiting at most `limit` for the last processes to leave. A group that is not
    /// there is no error.
    pub fn remove(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        for folder in self.folders() {
            loop {
                match remove_tree(&folder) {
                    Ok(()) => break,
                    Err(_) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                    Err(error) => return Err(error).doing(|| format!("remove the control group {}", folder.display())),
                }
            }
        }
        Ok(())
    }
}

fn collect(folder: &Path, pids: &mut Vec<i32>) {
    let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    // 0 stands for a process of another PID namespace, which has no number here.
    pids.extend(
        text.lines()
            .filter_map(|line| line.parse::<i32>().ok())
            .filter(|pid| *pid != 0),
    );
    for below in folders_in(folder) {
        collect(&below, pids);
    }
}

fn remove_tree(folder: &Path) -> std::io::Result<()> {
    for below in folders_in(folder) {
        remove_tree(&below)?;
    }
    match std::fs::remove_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The groups right below one, by their folders.
pub(super) fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let folders = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cgroup::Version;

    #[test]
    fn in_version_2_a_group_with_processes_is_not_told_to_share_controllers() {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str| root.path().join(name);
        let layout = Layout {
            version: Version::V2,
            unified: Some(root.path().to_owned()),
            controllers: BTreeMap::new(),
        };
        std::fs::write(file("cgroup.controllers"), "cpu\n").unwrap();
        std::fs::write(file("cgroup.type"), "domain\n").unwrap();
        std::fs::write(file("cgroup.procs"), "1\n").unwrap();
        layout.group("/init").create().unwrap();
        assert!(!file("cgroup.subtree_control").exists());
        // The process has left.
        std::fs::write(file("cgroup.procs"), "").unwrap();
        layout.group("/system").create().unwrap();
        assert_eq!(std::fs::read_to_string(file("cgroup.subtree_control")).unwrap(), "+cpu");
    }
}
