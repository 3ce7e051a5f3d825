//! The floor: the programs of a control plane node started one after another by as little as possible.
//!
//! They run as plain processes, in namespaces only so that nothing of them stays: `unshare` gives them their own network,
//! mounts and process numbers, and when it ends the kernel ends all of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::certificates;
use super::guard::{Guard, THIS, Thing};
use super::{Times, Tools, floor_node};
use crate::host;

/// Settings that a kubelet changes for the whole machine.
const SETTINGS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// What the processes inside the namespaces are told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Programs by name.
    pub programs: BTreeMap<String, PathBuf>,
    /// Certificates and keys.
    pub certificates: PathBuf,
    /// Where everything is written.
    pub folder: PathBuf,
    /// The control group of pods, as the kubelet names it.
    pub group: String,
}

/// Starts a node once and says when each phase was reached.
pub fn run(tools: &Tools, number: usize) -> Result<Times> {
    let folder = tools.work.join(format!("floor-{number}"));
    for top in ["/var", "/run"] {
        if folder.starts_with(top) {
            bail!(
                "the floor has a {top} of its own, so its files cannot be in {}: set KEELSON_CACHE",
                folder.display()
            );
        }
    }
    let mut guard = Guard::start()?;
    guard.watch(&Thing::Folder(folder.clone()))?;
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let keys = folder.join("pki");
    certificates::make(&keys, floor_node::ADDRESS, floor_node::NAME)?;
    for name in SETTINGS {
        let file = Path::new("/proc/sys").join(name);
        if let Ok(value) = std::fs::read_to_string(&file) {
            guard.watch(&Thing::Setting { file, value })?;
        }
    }
    let group = format!("keelson-bench-{}-{number}", std::process::id());
    make_groups(&mut guard, &group)?;
    let setup = Setup {
        programs: tools.programs.clone(),
        certificates: keys,
        folder: folder.clone(),
        group: format!("/{group}"),
    };
    let file = folder.join("setup.json");
    std::fs::write(&file, serde_json::to_vec(&setup)?).with_context(|| format!("write {}", file.display()))?;
    let result = inside(&mut guard, &file);
    guard.finish()?;
    result
}

/// Runs [`floor_node::run`] in namespaces of its own.
fn inside(guard: &mut Guard, setup: &Path) -> Result<Times> {
    let this = setup.with_file_name("xtask");
    std::fs::copy(THIS, &this).with_context(|| format!("copy this program to {}", this.display()))?;
    let child = Command::new("unshare")
        .args([
            "--net",
            "--pid",
            "--fork",
            "--mount",
            "--kill-child",
            "--mount-proc",
            "--",
        ])
        .arg(this)
        .arg(floor_node::COMMAND)
        .arg(setup)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("run unshare")?;
    guard.watch(&Thing::Process(child.id()))?;
    let output = child.wait_with_output().context("wait for the floor")?;
    if !output.status.success() {
        bail!("the floor did not start: {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("read the floor's times")
}

/// A control group for the pods of the floor in every hierarchy.
fn make_groups(guard: &mut Guard, name: &str) -> Result<()> {
    for hierarchy in hierarchies(Path::new("/sys/fs/cgroup"))? {
        let group = hierarchy.join(name);
        guard.watch(&Thing::ControlGroup(group.clone()))?;
        std::fs::create_dir(&group).with_context(|| format!("create the control group {}", group.display()))?;
        // A new group of this kind has no processors and no memory, and takes no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let of_parent = hierarchy.join(file);
            if of_parent.exists() {
                let value = std::fs::read(&of_parent).with_context(|| format!("read {}", of_parent.display()))?;
                std::fs::write(group.join(file), value)
                    .with_context(|| format!("set {file} of {}", group.display()))?;
            }
        }
    }
    Ok(())
}

/// The one hierarchy of version 2; or those of version 1, and the empty one of version 2 that may be beside them and
/// that the kubelet uses too.
fn hierarchies(root: &Path) -> Result<Vec<PathBuf>> {
    if root.join("cgroup.controllers").exists() {
        return Ok(vec![root.to_owned()]);
    }
    let entries = std::fs::read_dir(root).with_context(|| format!("read {}", root.display()))?;
    let folders = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = folders
        .filter(|path| !path.is_symlink() && path.join("cgroup.procs").exists())
        .collect();
    found.sort();
    Ok(found)
}

/// The programs the floor is made of, built or from the cache as `dist` has them.
pub fn programs(ui: &crate::ui::Ui) -> Result<BTreeMap<String, PathBuf>> {
    let wanted = ["kubernetes", "etcd", "containerd", "runc", "cni"].map(str::to_owned);
    let programs = crate::dist::go_programs(ui, &wanted)?;
    for name in floor_node::PROGRAMS {
        if !programs.contains_key(name) {
            bail!("no component has a program {name}");
        }
    }
    Ok(programs)
}

/// What the floor needs of the machine.
pub fn packages(ui: &crate::ui::Ui) -> Result<()> {
    host::install(ui, &["curl", "iproute2", "openssl", "util-linux"].map(str::to_owned))
}
