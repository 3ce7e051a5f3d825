//! The one effect that writes files: whatever derives a file, here it becomes one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use node_resources::keelson::{FileSetStatus, FileSpec};
use resource::{All, Context, Outcome, Outputs, Reconcile};
use sha2::{Digest, Sha256};
use sys::files::Access;

/// Writes files and removes those that are no longer wanted.
pub struct Files {
    /// Prepended to every path: `/` on a node, a folder in tests.
    root: PathBuf,
    written: BTreeSet<PathBuf>,
}

impl Files {
    /// Files below a root.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            written: BTreeSet::new(),
        }
    }

    fn place(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

impl Reconcile for Files {
    type Inputs = (All<FileSpec>,);
    type Outputs = Outputs<FileSetStatus>;

    async fn reconcile(&mut self, (files,): Self::Inputs, _: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        let mut sets: BTreeMap<String, Sha256> = BTreeMap::new();
        let mut wanted = BTreeSet::new();
        for (path, file) in files.iter() {
            let place = self.place(path);
            write(&place, file)?;
            let hash = sets.entry(file.set.clone()).or_default();
            for part in [path.as_bytes(), file.contents.as_bytes(), &file.mode.to_be_bytes()] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
            wanted.insert(place);
        }
        for stale in self.written.difference(&wanted) {
            if let Err(error) = std::fs::remove_file(stale)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(error).with_context(|| format!("remove {}", stale.display()));
            }
        }
        self.written = wanted;
        let status = |hash: Sha256| FileSetStatus {
            version: short(&hash.finalize()),
        };
        Ok(Outcome::done(
            sets.into_iter().map(|(set, hash)| (set, status(hash))).collect(),
        ))
    }
}

/// The version of several sets together; none while one of them is missing.
pub fn version(files: &All<FileSetStatus>, sets: &[&str]) -> Option<String> {
    let mut hash = Sha256::new();
    for set in sets {
        hash.update(files.get(set)?.version.as_bytes());
        hash.update([0]);
    }
    Some(short(&hash.finalize()))
}

fn short(hash: &[u8]) -> String {
    hash.iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// Writes a file unless it already says the same; owner and mode are set before anybody can read it.
fn write(place: &Path, file: &FileSpec) -> anyhow::Result<()> {
    let what = || format!("write {}", place.display());
    if std::fs::read(place).is_ok_and(|old| old == file.contents.as_bytes()) {
        return Ok(());
    }
    if let Some(parent) = place.parent() {
        std::fs::create_dir_all(parent).with_context(what)?;
    }
    let access = match (file.mode, file.owner) {
        (mode, 0) => Access::Exactly(mode),
        // Who watches the file opens it as soon as it is there.
        (mode, owner) => Access::OwnedBy { mode, owner },
    };
    sys::files::write_atomic(place, file.contents.as_bytes(), access).with_context(what)
}

/// A file for [`Files`] to write.
pub fn file(set: &str, contents: impl Into<String>, mode: u32, owner: u32) -> FileSpec {
    FileSpec {
        set: set.to_owned(),
        contents: contents.into(),
        mode,
        owner,
    }
}
