//! Getting the packages of a lock: from the cache, the mirrors of this machine, Debian's archive of snapshots.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::lock::{Lock, Locked};
use super::{DebianError, Package, WhenGone};
use crate::cache;
use crate::digest::Digest;
use crate::run::Tool;

/// Seconds that a server may take to answer: archives that cannot be reached must not be waited for long.
const PATIENCE: &str = "15";

/// Downloads the packages of `lock` into `cache` and unpacks them. What is there with the right digest is used again.
pub(super) fn fetch(lock: &Lock, when: WhenGone, cache: &Path) -> Result<Vec<Package>, DebianError> {
    fs::create_dir_all(cache).map_err(|e| DebianError::Io(format!("create {}", cache.display()), e))?;
    let mut gone = missing(lock, cache);
    // What an earlier build took instead is taken again: builds of one lock on one machine do not differ, and places
    // that have nothing are not asked every time.
    let known = successors_of_before(lock, &gone, cache).filter(|_| when == WhenGone::Replace);
    if known.is_none() && !gone.is_empty() {
        Work::new(cache)?.locked(lock, &gone)?;
        gone = missing(lock, cache);
    }
    let successors = match known {
        Some(files) => files,
        None if gone.is_empty() => Vec::new(),
        None if when == WhenGone::Replace => successors(lock, &gone, cache)?,
        None => {
            let told = gone
                .iter()
                .map(|package| format!("{} {}", package.name, package.version));
            return Err(DebianError::Gone(told.collect()));
        }
    };
    let kept = lock.packages.iter().filter(|package| !gone.contains(package));
    let files = kept.map(|package| package.file.clone()).chain(successors);
    cache::touch(&record(lock, cache));
    let mut packages = files
        .map(|file| unpack(&cache.join(file), cache))
        .collect::<Result<Vec<_>, _>>()?;
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

/// Packages whose files are not in the cache.
fn missing(lock: &Lock, cache: &Path) -> Vec<Locked> {
    let missing = lock.packages.iter().filter(|package| !is_there(package, cache));
    missing.cloned().collect()
}

fn is_there(package: &Locked, cache: &Path) -> bool {
    Digest::of_file(&cache.join(&package.file)).is_ok_and(|(digest, _)| digest.hex() == package.sha256)
}

/// Where it is written down what was taken instead of packages of a lock.
fn record(lock: &Lock, cache: &Path) -> PathBuf {
    cache.join(format!("successors-{}.json", lock.id()))
}

/// What an earlier build took for these packages.
fn successors_of_before(lock: &Lock, gone: &[Locked], cache: &Path) -> Option<Vec<String>> {
    let files: Vec<String> = serde_json::from_slice(&fs::read(record(lock, cache)).ok()?).ok()?;
    let of = |file: &String, package: &Locked| file.split('_').next() == Some(package.name.as_str());
    let covers = gone.iter().all(|package| files.iter().any(|file| of(file, package)));
    let whole = files.len() == gone.len() && files.iter().all(|file| cache.join(file).is_file());
    (covers && whole).then_some(files)
}

/// The files of what the mirrors have instead. apt checks that they are Debian's.
fn successors(lock: &Lock, gone: &[Locked], cache: &Path) -> Result<Vec<String>, DebianError> {
    let work = Work::new(cache)?;
    work.apt(gone.iter().map(|package| package.name.clone()).collect())?;
    let files = work.keep(|_, _| true)?;
    let text = serde_json::to_vec_pretty(&files).map_err(|e| DebianError::Io("list packages".into(), e.into()))?;
    let record = record(lock, cache);
    fs::write(&record, text).map_err(|e| DebianError::Io(format!("write {}", record.display()), e))?;
    Ok(files)
}

/// A folder that is downloaded into.
struct Work<'a> {
    dir: TempDir,
    cache: &'a Path,
}

impl Work<'_> {
    fn new(cache: &Path) -> Result<Work<'_>, DebianError> {
        let dir = cache::work(cache);
        let dir = dir.map_err(|e| DebianError::Io(format!("prepare a folder in {}", cache.display()), e))?;
        Ok(Work { dir, cache })
    }

    /// Gets what can be had of `wanted`.
    fn locked(&self, lock: &Lock, wanted: &[Locked]) -> Result<(), DebianError> {
        let right = |file: &str, digest: &Digest| {
            let same = |package: &Locked| package.file == file && package.sha256 == digest.hex();
            lock.packages.iter().any(same)
        };
        let exact = |package: &Locked| format!("{}={}", package.name, package.version);
        if self.apt(wanted.iter().map(exact).collect()).is_ok() {
            return self.keep(right).map(|_| ());
        }
        // Some are not in the lists any more; their files may still be.
        let mirrors = mirrors();
        for package in wanted {
            let _ = self.apt_once(&[exact(package)]).is_ok() || self.anywhere(lock, package, &mirrors);
        }
        self.keep(right).map(|_| ())
    }

    fn anywhere(&self, lock: &Lock, package: &Locked, mirrors: &[String]) -> bool {
        lock.places(package, mirrors).iter().any(|url| {
            let tool = Tool::new("/usr/lib/apt/apt-helper", "apt").dir(self.dir.path());
            let tool = tool.args([
                "-o",
                &format!("Acquire::http::Timeout={PATIENCE}"),
                "-o",
                "Acquire::Retries=0",
            ]);
            let sum = format!("SHA256:{}", package.sha256);
            tool.args(["download-file", url, &package.file, &sum]).output().is_ok()
        })
    }

    /// Asks apt for packages, with fresh lists if it does not know them.
    fn apt(&self, packages: Vec<String>) -> Result<(), DebianError> {
        if self.apt_once(&packages).is_ok() {
            return Ok(());
        }
        Tool::new("apt-get", "apt").args(["update", "-q"]).output()?;
        self.apt_once(&packages)
    }

    fn apt_once(&self, packages: &[String]) -> Result<(), DebianError> {
        let tool = Tool::new("apt-get", "apt").dir(self.dir.path());
        tool.args(["download", "-o", "APT::Sandbox::User=root"])
            .args(packages)
            .output()?;
        Ok(())
    }

    /// Moves files that are `right` into the cache; gives their names.
    fn keep(&self, right: impl Fn(&str, &Digest) -> bool) -> Result<Vec<String>, DebianError> {
        let failed = |e| DebianError::Io(format!("read {}", self.dir.path().display()), e);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let (digest, _) = Digest::of_file(&entry.path()).map_err(failed)?;
            if name.ends_with(".deb") && right(&name, &digest) {
                fs::rename(entry.path(), self.cache.join(&name)).map_err(failed)?;
                files.push(name);
            }
        }
        files.sort();
        Ok(files)
    }
}

/// The mirrors that apt uses on this machine.
fn mirrors() -> Vec<String> {
    let output = Tool::new("apt-get", "apt")
        .args(["indextargets", "--format", "$(SITE)"])
        .output();
    let text = String::from_utf8(output.unwrap_or_default()).unwrap_or_default();
    let mut sites: Vec<String> = text
        .lines()
        .map(str::to_owned)
        .filter(|line| line.starts_with("http"))
        .collect();
    sites.sort();
    sites.dedup();
    sites
}

fn unpack(file: &Path, cache: &Path) -> Result<Package, DebianError> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut parts = stem.split('_');
    let mut next = || parts.next().unwrap_or_default().replace("%3a", ":");
    let (name, version, architecture) = (next(), next(), next());
    let (digest, _) = Digest::of_file(file).map_err(|e| DebianError::Io(format!("read {}", file.display()), e))?;
    let dir = cache.join("unpacked").join(format!("{stem}-{}", &digest.hex()[..12]));
    // First, so that another build does not remove it now.
    cache::touch(&dir);
    if !dir.is_dir() {
        let failed = |e| DebianError::Io(format!("unpack {}", file.display()), e);
        fs::create_dir_all(cache.join("unpacked")).map_err(failed)?;
        let work = cache::work(cache).map_err(failed)?;
        let partial = work.path().join(&stem);
        fs::create_dir(&partial).map_err(failed)?;
        let tool = Tool::new("dpkg-deb", "dpkg").arg("-x");
        tool.arg(file).arg(&partial).output()?;
        cache::finish(&partial, &dir, || dir.is_dir()).map_err(failed)?;
    }
    cache::touch(file);
    cache::touch(&dir);
    Ok(Package {
        name,
        version,
        architecture,
        digest,
        dir,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package with one file.
    fn package(cache: &Path, name: &str, version: &str) -> Locked {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("DEBIAN")).unwrap();
        let control =
            format!("Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@b>\nDescription: x\n");
        fs::write(tree.path().join("DEBIAN/control"), control).unwrap();
        fs::write(tree.path().join(name), version).unwrap();
        let file = format!("{name}_{version}_all.deb");
        let path = cache.join(&file);
        let tool = Tool::new("dpkg-deb", "dpkg").arg("-b");
        tool.arg(tree.path()).arg(&path).output().unwrap();
        Locked {
            name: name.into(),
            version: version.into(),
            sha256: Digest::of_file(&path).unwrap().0.hex().to_owned(),
            path: format!("pool/{file}"),
            file,
        }
    }

    #[test]
    fn what_is_cached_needs_no_network_and_what_replaces_a_package_is_told() {
        let cache = tempfile::tempdir().unwrap();
        let cache = cache.path();
        let lock = Lock {
            time: "20260101T000000Z".into(),
            packages: vec![package(cache, "first", "1"), package(cache, "second", "1")],
        };
        let packages = fetch(&lock, WhenGone::Fail, cache).unwrap();
        assert_eq!(fs::read_to_string(packages[0].dir.join("first")).unwrap(), "1");
        assert!(lock.replaced_by(&packages).is_empty());

        // The second is gone; an earlier build has taken its successor.
        fs::remove_file(cache.join(&lock.packages[1].file)).unwrap();
        let newer = package(cache, "second", "2");
        fs::write(record(&lock, cache), serde_json::to_vec(&[&newer.file]).unwrap()).unwrap();
        let packages = fetch(&lock, WhenGone::Replace, cache).unwrap();
        let replaced: Vec<(String, String)> = lock.replaced_by(&packages).into_iter().collect();
        assert_eq!(replaced, [("second".to_owned(), "2".to_owned())]);
        assert_eq!(fs::read_to_string(packages[1].dir.join("second")).unwrap(), "2");
    }
}
