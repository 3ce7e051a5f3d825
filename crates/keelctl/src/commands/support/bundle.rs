//! The archive: a zip beside its place until it is whole.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tempfile::{NamedTempFile, SpooledTempFile};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::scrub::{Needles, Scrub};

/// What one source has in memory at most, in bytes; more of it is in a file until it is in the archive.
const IN_MEMORY: usize = 1 << 20;
/// What one source may be long, in bytes. A log is cut off there, with a note.
const LONGEST: u64 = 256 << 20;

/// A zip that is being written. Dropped unfinished, it leaves nothing.
pub struct Bundle {
    target: PathBuf,
    folder: PathBuf,
    overwrite: bool,
    zip: ZipWriter<BufWriter<NamedTempFile>>,
    modified: DateTime,
    names: BTreeSet<String>,
}

impl Bundle {
    /// A zip that will be at `target`.
    ///
    /// # Errors
    /// There is something already that may not be overwritten, or nothing can be written there.
    pub fn create(target: &Path, overwrite: bool) -> Result<Self> {
        let target = std::path::absolute(target).with_context(|| format!("find {}", target.display()))?;
        if target.is_dir() {
            bail!("{} is a folder: name a file for the bundle (-O)", target.display());
        }
        if !overwrite && target.symlink_metadata().is_ok() {
            bail!(
                "{} exists already: name another file (-O), or say --force to overwrite it",
                target.display()
            );
        }
        let folder = target.parent().unwrap_or(Path::new("/")).to_owned();
        let file = tempfile::Builder::new()
            .prefix(".support-")
            .suffix(".part")
            .tempfile_in(&folder)
            .with_context(|| format!("create a file in {}", folder.display()))?;
        let now = Timestamp::now().to_zoned(TimeZone::UTC).datetime();
        Ok(Self {
            target,
            folder,
            overwrite,
            zip: ZipWriter::new(BufWriter::new(file)),
            modified: DateTime::try_from(now).unwrap_or_default(),
            names: BTreeSet::new(),
        })
    }

    /// A place for what a source says, until it is added.
    pub fn spool(&self, needles: &Arc<Needles>) -> Spool {
        Spool {
            file: tempfile::spooled_tempfile_in(IN_MEMORY, &self.folder),
            scrub: Some(Scrub::new(Arc::clone(needles))),
            length: 0,
        }
    }

    /// Adds a file.
    ///
    /// # Errors
    /// The disk is full, or the like: the bundle cannot be made.
    pub fn add(&mut self, name: &str, spool: Spool) -> Result<()> {
        let name = self.unused(name);
        let add = || -> io::Result<()> {
            let mut content = spool.finish()?;
            content.rewind()?;
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .last_modified_time(self.modified)
                .unix_permissions(0o600);
            self.zip.start_file(name.as_str(), options).map_err(io::Error::other)?;
            io::copy(&mut content, &mut self.zip).map(drop)
        };
        add().with_context(|| format!("add {name} to the bundle {}", self.target.display()))?;
        self.names.insert(name);
        Ok(())
    }

    /// Two sources may have one name, such as containers of pods that came after each other.
    fn unused(&self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}.{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        names.find(|name| !self.names.contains(name)).unwrap_or_default()
    }

    /// Puts the zip in its place; gives its size in bytes.
    ///
    /// # Errors
    /// It cannot be written, or something came to be at its place meanwhile.
    pub fn finish(self) -> Result<u64> {
        let written = |error: io::Error| anyhow::Error::new(error).context(format!("write {}", self.target.display()));
        let mut buffer = self.zip.finish().map_err(|error| written(error.into()))?;
        buffer.flush().map_err(written)?;
        let file = buffer.into_inner().map_err(|error| written(error.into_error()))?;
        file.as_file().sync_all().map_err(written)?;
        let size = file.as_file().metadata().map_err(written)?.len();
        let placed = if self.overwrite {
            file.persist(&self.target)
        } else {
            file.persist_noclobber(&self.target)
        };
        placed.map_err(|error| written(error.error))?;
        let folder = std::fs::File::open(&self.folder).map_err(written)?;
        folder.sync_all().map_err(written)?;
        Ok(size)
    }
}

/// What one source says, cleaned of secrets.
pub struct Spool {
    file: SpooledTempFile,
    scrub: Option<Scrub>,
    length: u64,
}

impl Spool {
    /// More text; false when there is enough of it.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn push(&mut self, piece: &[u8]) -> io::Result<bool> {
        self.length += piece.len() as u64;
        if let Some(scrub) = &mut self.scrub {
            self.file.write_all(&scrub.push(piece))?;
        }
        Ok(self.length < LONGEST)
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn finish(mut self) -> io::Result<SpooledTempFile> {
        if let Some(scrub) = self.scrub.take() {
            self.file.write_all(&scrub.finish())?;
        }
        if self.length >= LONGEST {
            self.file.write_all(b"\n(cut off here: it is too long)\n")?;
        }
        Ok(self.file)
    }
}

/// What is in a bundle, by name; for tests.
#[cfg(test)]
pub fn read(path: &Path) -> Result<std::collections::BTreeMap<String, String>> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path)?)?;
    let mut files = std::collections::BTreeMap::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let text = io::read_to_string(&mut file)?;
        files.insert(file.name()?.into_owned(), text);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(bundle: &mut Bundle, name: &str, text: &[u8]) {
        let mut spool = bundle.spool(&Arc::default());
        assert!(spool.push(text).unwrap());
        bundle.add(name, spool).unwrap();
    }

    #[test]
    fn what_was_added_is_read_back_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("support.zip");
        let mut bundle = Bundle::create(&path, false).unwrap();
        add(&mut bundle, "node/a.log", b"one\n");
        add(&mut bundle, "node/a.log", b"two\n");
        let large = vec![b'x'; IN_MEMORY * 3];
        add(&mut bundle, "large", &large);
        assert!(!path.exists(), "not before it is whole");
        assert_eq!(bundle.finish().unwrap(), path.metadata().unwrap().len());
        let files = read(&path).unwrap();
        assert_eq!(
            (files["node/a.log"].as_str(), files["node/a.log.2"].as_str()),
            ("one\n", "two\n")
        );
        assert_eq!(files["large"].len(), large.len());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_exists_is_overwritten_only_when_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("support.zip");
        std::fs::write(&path, "old").unwrap();
        let error = Bundle::create(&path, false).err().unwrap().to_string();
        assert!(error.contains("--force"), "{error}");
        let mut bundle = Bundle::create(&path, true).unwrap();
        add(&mut bundle, "a", b"a");
        drop(bundle);
        assert_eq!(
            std::fs::read(&path).unwrap(),
            b"old",
            "an unfinished bundle replaces nothing"
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let mut bundle = Bundle::create(&path, true).unwrap();
        add(&mut bundle, "a", b"a");
        bundle.finish().unwrap();
        assert_eq!(read(&path).unwrap()["a"], "a");
    }
}
