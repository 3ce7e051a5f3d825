//! The Docker engine that end-to-end tests start. Its programs come out of Debian's packages without installing them:
//! installing would put a service on the machine, and start it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::debian;

use crate::host;
use crate::ui::Ui;

/// Names the folder to the tests.
pub const VARIABLE: &str = "KEELSON_DOCKER";
/// The engine, what it starts containers with, and its command line.
const PACKAGES: [&str; 3] = ["containerd", "docker.io", "runc"];
/// What these need and Debian's base system does not have. None of it is a service.
const INSTALLED: [&str; 3] = ["iptables", "libdevmapper1.02.1", "libseccomp2"];
/// Where packages have their programs.
const FOLDERS: [&str; 2] = ["usr/bin", "usr/sbin"];

/// `engine`: prepares it and says how tests find it.
pub fn run(ui: &Ui) -> Result<()> {
    let folder = programs(ui, &crate::paths::cache()?)?;
    ui.say(&format!(
        "for `cargo test --workspace --test e2e`: {VARIABLE}={}",
        folder.display()
    ));
    Ok(())
}

/// A folder with `dockerd`, `docker` and the programs they run.
pub fn programs(ui: &Ui, cache: &Path) -> Result<PathBuf> {
    host::install(ui, &INSTALLED.map(str::to_owned))?;
    ui.step("Docker engine for tests", || {
        let packages = debian::of_mirrors(&PACKAGES.map(str::to_owned), &cache.join("debian"))?;
        let bin = cache.join("docker");
        // Made anew: what links of an earlier version lead to may be gone.
        match fs::remove_dir_all(&bin) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", bin.display()));
            }
            _ => fs::create_dir_all(&bin).with_context(|| format!("make {}", bin.display()))?,
        }
        let folders = packages
            .iter()
            .flat_map(|package| FOLDERS.map(|folder| package.dir.join(folder)));
        folders
            .filter(|folder| folder.is_dir())
            .try_for_each(|folder| link(&folder, &bin))?;
        let engine = packages.iter().find(|package| package.name == "docker.io");
        Ok((bin, engine.map(|engine| engine.version.clone())))
    })
}

/// Links every file of a folder into another.
fn link(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        // A program may be in both folders of its package.
        if fs::symlink_metadata(&place).is_err() {
            symlink(entry.path(), &place).with_context(|| format!("make the link {}", place.display()))?;
        }
    }
    Ok(())
}
