//! Remove a cluster, whatever is left of it.

use std::io;
use std::path::Path;
use std::time::Duration;

use sys::cgroup::Layout;
use sys::net::Netlink;
use sys::process::Identity;
use sys::{Context, caps};

use crate::create::lock;
use crate::error::{Error, Result};
use crate::names::Names;
use crate::options::Provider;
use crate::plan::{absolute, check_name};
use crate::progress::{Event, Progress};
use crate::show::not_found;
use crate::state::{ClusterState, RunState};
use crate::{docker, firewall, network};

/// How long the kernel may take to end processes, and to let go of what they used.
const KILL_LIMIT: Duration = Duration::from_secs(30);

/// Ends every process of the cluster and removes everything it has: containers, links, control groups, packet filter
/// rules, mounts, loop devices (they go with the mounts) and files. Goes on when one of them cannot be removed, and reports it then.
pub async fn destroy(state_dir: &Path, name: &str, progress: Progress<'_>) -> Result<()> {
    check_name(name)?;
    let state_dir = absolute(state_dir)?;
    let names = Names::of(&state_dir, name);
    if !names.folder().is_dir() {
        return Err(not_found(&state_dir, name));
    }
    let in_docker = matches!(
        ClusterState::load(&names),
        Ok(Some(ClusterState {
            provider: Provider::Docker { .. },
            ..
        }))
    );
    if !in_docker {
        caps::require_root("destroy a cluster of namespaces")?;
    }
    let _lock = lock(names.folder(), &format!("the cluster {name:?}")).await?;
    let mut problems = Vec::new();
    // A creation killed before it wrote anything down made nothing but the folder; names lead to the rest anyway.
    let state = ClusterState::load(&names).unwrap_or_else(|error| {
        problems.push(error.to_string());
        None
    });

    if in_docker {
        docker::remove(name, &mut problems, progress);
    } else {
        progress(Event::Step("stopping the nodes".to_owned()));
    }
    // Containers that could not be removed still pull from the registry.
    if !in_docker || problems.is_empty() {
        if let Some(state) = state.as_ref().filter(|state| state.same_boot()) {
            note(&mut problems, end_processes(&names, state).await);
        }
        note(&mut problems, empty_groups(&names).await);
    }
    if !in_docker {
        progress(Event::Step("removing the network".to_owned()));
        match Netlink::open() {
            Ok(net) => note(&mut problems, network::remove(&net, &names).await),
            Err(error) => problems.push(error.to_string()),
        }
        let subnet = state.as_ref().map(|state| state.subnet);
        note(&mut problems, firewall::close(&names, subnet).await);
    }

    progress(Event::Step("removing the files".to_owned()));
    note(&mut problems, unmount_below(names.folder()));
    if problems.is_empty() {
        let folder = names.folder().to_path_buf();
        let removed = tokio::task::spawn_blocking(move || remove_folder(&folder)).await;
        note(
            &mut problems,
            removed.unwrap_or_else(|error| Err(sys::Error::new("remove files", error.to_string()).into())),
        );
    } else {
        // Without its record nothing of it could be found again.
        problems.push(format!("the folder {} is kept", names.folder().display()));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Left {
            name: name.to_owned(),
            problems,
        })
    }
}

pub(crate) fn note(problems: &mut Vec<String>, result: Result<()>) {
    if let Err(error) = result {
        problems.push(error.to_string());
    }
}

/// Supervisors first, so that none starts a node again; their nodes die with them. Each process is checked to be the
/// one that was recorded.
async fn end_processes(names: &Names, state: &ClusterState) -> Result<()> {
    let mut processes: Vec<Identity> = state.supervisors.values().copied().collect();
    kill(&processes).await?;
    // Read after the supervisors ended: they write no more.
    for who in state.supervisors.keys() {
        if let Ok(Some(run)) = RunState::load(&names.run_file(who)) {
            processes.extend([run.launcher, run.init].into_iter().flatten());
        }
    }
    kill(&processes).await
}

async fn kill(processes: &[Identity]) -> Result<()> {
    for process in processes {
        process.signal(libc::SIGKILL)?;
    }
    for process in processes.iter().copied() {
        let ended = tokio::task::spawn_blocking(move || process.wait_ended(KILL_LIMIT)).await;
        if !ended.map_err(|error| sys::Error::new("wait for processes", error.to_string()))?? {
            return Err(Error::Timeout {
                what: format!("the end of process {}", process.pid),
                limit: KILL_LIMIT,
            });
        }
    }
    Ok(())
}

/// What is in the cluster's own control groups is the cluster's.
async fn empty_groups(names: &Names) -> Result<()> {
    let group = Layout::detect()?.group(names.cgroup());
    if !group.exists() {
        return Ok(());
    }
    let work = tokio::task::spawn_blocking(move || group.kill(KILL_LIMIT).and_then(|()| group.remove(KILL_LIMIT)));
    Ok(work
        .await
        .map_err(|error| sys::Error::new("remove control groups", error.to_string()))??)
}

/// Nodes mount in namespaces of their own; nothing is expected here. A mount that is there would make the removal of
/// files reach into it.
fn unmount_below(folder: &Path) -> Result<()> {
    let mounts = sys::mount::list()?;
    for mount in mounts.iter().rev().filter(|mount| mount.target.starts_with(folder)) {
        sys::mount::detach(&mount.target)?;
    }
    Ok(())
}

/// The record goes last: a removal that is interrupted can be repeated.
pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    let entries = std::fs::read_dir(folder).doing(|| format!("read {}", folder.display()))?;
    for entry in entries.flatten().filter(|entry| entry.file_name() != "state.json") {
        let path = entry.path();
        let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if folder {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Ok(Err(error).doing(|| format!("remove {}", path.display()))?);
            }
            _ => {}
        }
    }
    Ok(std::fs::remove_dir_all(folder).doing(|| format!("remove {}", folder.display()))?)
}
