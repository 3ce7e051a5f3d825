//! Files out of Debian packages: which versions ([`lock`]), getting them ([`fetch`]), and picking files with the
//! libraries they need.

mod fetch;
pub mod lock;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::components::{Debian, DebianSet};
use crate::digest::Digest;
use crate::elf;
use crate::run::RunError;
use crate::tree::Tree;
use lock::Lock;

/// Why files of a package cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// A tool failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    Io(String, io::Error),
    /// A pattern matches nothing, or a library is in no package.
    #[error("debian.toml: {0}")]
    Missing(String),
    /// What apt says is not understood.
    #[error("read what apt-get says: {0}")]
    Apt(String),
    /// Packages of the lock cannot be had any more.
    #[error(
        "debian.lock: {} can no longer be had from the mirrors of this machine nor from {}: take what the mirrors have \
         now with `cargo xtask dist --update-debian`, and look at what changes",
        .0.join(", "),
        lock::SNAPSHOTS
    )]
    Gone(Vec<String>),
}

/// What to do when a version of the lock is nowhere to be had any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenGone {
    /// Take the version that the mirrors have instead, and say so: on the day of a security update work goes on.
    #[default]
    Replace,
    /// Fail: the bytes of the lock or none.
    Fail,
}

/// An unpacked package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, with epoch.
    pub version: String,
    /// The architecture of its files.
    pub architecture: String,
    /// Digest of the .deb.
    pub digest: Digest,
    /// Where its files are.
    #[serde(skip)]
    pub dir: PathBuf,
}

/// Unpacked packages that no lock of ours has, for what is not part of the distribution: in the versions that an earlier
/// call with the same names found at the mirrors, which are asked the first time only.
pub fn of_mirrors(names: &[String], cache: &Path) -> Result<Vec<Package>, DebianError> {
    let name = format!("mirrors-{}.lock", &Digest::of(names.join(" ").as_bytes()).hex()[..16]);
    let known = cache.join(name);
    let text = fs::read_to_string(&known).unwrap_or_default();
    let lock = match toml::from_str::<Lock>(&text) {
        Ok(lock) => {
            crate::cache::touch(&known);
            lock
        }
        Err(_) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let lock = Lock::of_mirrors(names, now.as_secs())?;
            let failed = |e| DebianError::Io(format!("write {}", known.display()), e);
            fs::create_dir_all(cache).map_err(failed)?;
            fs::write(&known, lock.encode()).map_err(failed)?;
            lock
        }
    };
    fetch::fetch(&lock, WhenGone::Replace, cache)
}

const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "usr/lib"];

/// Unpacked packages, and where each file is.
pub struct Collection {
    /// The packages.
    pub packages: Vec<Package>,
    /// Packages that are not as in the lock, because that version can no longer be had: name and version.
    pub replaced: BTreeMap<String, String>,
    sets: BTreeMap<String, DebianSet>,
    /// Path in a merged-/usr system → package and file on disk.
    files: BTreeMap<String, (usize, PathBuf)>,
}

/// A tree picked from packages, and which packages are in it.
#[derive(Clone, Debug, Default)]
pub struct Picked {
    /// The files.
    pub tree: Tree,
    /// Names of the packages they are from.
    pub packages: BTreeSet<String>,
}

impl Collection {
    /// Fetches and indexes the packages of `lock`.
    pub fn load(debian: &Debian, lock: &Lock, when: WhenGone, cache: &Path) -> Result<Collection, DebianError> {
        let packages = fetch::fetch(lock, when, cache)?;
        let mut files = BTreeMap::new();
        for (number, package) in packages.iter().enumerate() {
            index(&package.dir, &package.dir, number, &mut files)
                .map_err(|e| DebianError::Io(format!("read {}", package.dir.display()), e))?;
        }
        Ok(Collection {
            replaced: lock.replaced_by(&packages),
            packages,
            sets: debian.sets.clone(),
            files,
        })
    }

    /// Picks sets of files and every library they need.
    pub fn pick<'a>(&self, sets: impl IntoIterator<Item = &'a str>) -> Result<Picked, DebianError> {
        let mut picked = Picked::default();
        let mut wanted = Vec::new();
        for name in sets {
            let set = self
                .sets
                .get(name)
                .ok_or_else(|| DebianError::Missing(format!("there is no set {name:?}")))?;
            for pattern in &set.files {
                let pattern = merged(pattern);
                let before = wanted.len();
                wanted.extend(self.files.keys().filter(|path| matches(&pattern, path)).cloned());
                if wanted.len() == before {
                    return Err(DebianError::Missing(format!("set {name}: no package has {pattern}")));
                }
            }
            for (path, target) in &set.links {
                picked.tree.link(path, target);
            }
        }
        while let Some(path) = wanted.pop() {
            if picked.tree.get(&path).is_none() {
                self.add(&path, &mut picked, &mut wanted)?;
            }
        }
        Ok(picked)
    }

    fn add(&self, path: &str, picked: &mut Picked, wanted: &mut Vec<String>) -> Result<(), DebianError> {
        use std::os::unix::fs::PermissionsExt;
        let Some((package, disk)) = self.files.get(path) else {
            return Err(DebianError::Missing(format!("no package in the list has {path}")));
        };
        picked.packages.insert(self.packages[*package].name.clone());
        let failed = |e| DebianError::Io(format!("read {}", disk.display()), e);
        let meta = fs::symlink_metadata(disk).map_err(failed)?;
        if meta.is_symlink() {
            let target = fs::read_link(disk).map_err(failed)?.to_string_lossy().into_owned();
            picked.tree.link(path, &target);
            wanted.push(follow(path, &target));
            return Ok(());
        }
        let mode = if meta.permissions().mode() & 0o111 == 0 {
            0o644
        } else {
            0o755
        };
        picked.tree.file(path, mode, disk).map_err(failed)?;
        let needs = elf::needs(&fs::read(disk).map_err(failed)?);
        for library in needs.libraries {
            let places = LIBRARIES.iter().map(|dir| format!("{dir}/{library}"));
            let Some(found) = places.into_iter().find(|place| self.files.contains_key(place)) else {
                return Err(DebianError::Missing(format!(
                    "{path} needs {library}, which no package in the list has"
                )));
            };
            wanted.push(found);
        }
        if let Some(interpreter) = needs.interpreter {
            wanted.push(merged(interpreter.trim_start_matches('/')));
        }
        Ok(())
    }

    /// All certificates of package ca-certificates in one PEM file.
    pub fn ca_bundle(&self) -> Result<Vec<u8>, DebianError> {
        let mut out = Vec::new();
        for (path, (_, disk)) in self.files.range("usr/share/ca-certificates/".to_owned()..) {
            if !path.starts_with("usr/share/ca-certificates/") {
                break;
            }
            if path.ends_with(".crt") {
                let text = fs::read(disk).map_err(|e| DebianError::Io(format!("read {}", disk.display()), e))?;
                out.extend_from_slice(text.trim_ascii_end());
                out.push(b'\n');
            }
        }
        if out.is_empty() {
            return Err(DebianError::Missing(
                "package ca-certificates is not in the list".into(),
            ));
        }
        Ok(out)
    }

    /// The text of a package's copyright file.
    pub fn copyright(&self, package: &str) -> Option<String> {
        let (_, disk) = self.files.get(&format!("usr/share/doc/{package}/copyright"))?;
        fs::read_to_string(disk).ok()
    }
}

/// Adds every file below `dir` under its path in a merged-/usr system.
fn index(root: &Path, dir: &Path, package: usize, files: &mut BTreeMap<String, (usize, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            index(root, &path, package, files)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            files.insert(merged(&relative.to_string_lossy()), (package, path));
        }
    }
    Ok(())
}

/// `lib/x` is `usr/lib/x` where /usr is merged.
fn merged(path: &str) -> String {
    let old = ["bin/", "sbin/", "lib/", "lib64/"];
    if old.iter().any(|dir| path.starts_with(dir)) {
        format!("usr/{path}")
    } else {
        path.to_owned()
    }
}

/// Where a symbolic link at `path` leads.
fn follow(path: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return merged(absolute);
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." | "" => {}
            name => parts.push(name),
        }
    }
    merged(&parts.join("/"))
}

/// `*` stands for any part of one name.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((before, after)) => path
            .strip_prefix(before)
            .is_some_and(|rest| rest.strip_suffix(after).is_some_and(|middle| !middle.contains('/'))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_patterns_are_followed_as_in_a_merged_system() {
        assert_eq!(
            follow("usr/lib64/ld.so", "/lib/x86_64-linux-gnu/ld.so"),
            "usr/lib/x86_64-linux-gnu/ld.so"
        );
        assert_eq!(
            follow("usr/bin/iptables-xml", "../sbin/xtables-legacy-multi"),
            "usr/sbin/xtables-legacy-multi"
        );
        assert!(matches("usr/lib/x/libxt_*.so", "usr/lib/x/libxt_mark.so"));
        assert!(!matches("usr/lib/*.so", "usr/lib/x/libxt_mark.so"));
    }
}
