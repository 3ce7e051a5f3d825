//! An OCI image layout: a folder with `oci-layout`, `index.json` and `blobs/sha256/`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::types::{Descriptor, Index, REF_NAME};
use crate::digest::{Digest, HashWriter};

/// What can go wrong with a layout.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file could not be read or written.
    #[error("{doing} {}: {cause}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A document is not what it should be.
    #[error("read {}: {cause}", path.display())]
    Json {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        cause: serde_json::Error,
    },
    /// Content does not have the digest it was announced with.
    #[error("store blob: content has digest {got}, not {want}")]
    Mismatch {
        /// The announced digest.
        want: Digest,
        /// The real one.
        got: Digest,
    },
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LayoutError {
    let path = path.to_owned();
    move |cause| LayoutError::Io { doing, path, cause }
}

/// A layout on disk. Opening one reads nothing; every call looks at the files as they are.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout at `root`, which may not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Layout {
        Layout { root: root.into() }
    }

    /// Makes the folders and the marker file if they are not there.
    pub fn create(root: impl Into<PathBuf>) -> Result<Layout, LayoutError> {
        let layout = Layout::at(root);
        let blobs = layout.root.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(io_error("create", &blobs))?;
        let marker = layout.root.join("oci-layout");
        if !marker.exists() {
            replace(&marker, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        if !layout.index_path().exists() {
            layout.write_index(&Index::default())?;
        }
        Ok(layout)
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the list of images is.
    pub fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    /// Where a blob is, whether it exists or not.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// The list of images; an absent file is an empty list.
    pub fn index(&self) -> Result<Index, LayoutError> {
        let path = self.index_path();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|cause| LayoutError::Json { path, cause }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::default()),
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// Replaces the list of images, sorted by name.
    pub fn write_index(&self, index: &Index) -> Result<(), LayoutError> {
        let mut index = index.clone();
        let name = |d: &Descriptor| d.annotations.get(REF_NAME).cloned();
        index
            .manifests
            .sort_by(|a, b| (name(a), &a.digest).cmp(&(name(b), &b.digest)));
        let path = self.index_path();
        let bytes = serde_json::to_vec_pretty(&index).map_err(|cause| LayoutError::Json {
            path: path.clone(),
            cause,
        })?;
        replace(&path, &bytes)
    }

    /// The manifest that carries the name `reference` (the full upstream reference).
    pub fn find(&self, reference: &str) -> Result<Option<Descriptor>, LayoutError> {
        let index = self.index()?;
        Ok(index
            .manifests
            .into_iter()
            .find(|d| d.annotations.get(REF_NAME).is_some_and(|name| name == reference)))
    }

    /// Names a manifest; an older manifest of that name loses it.
    pub fn tag(&self, reference: &str, manifest: &Descriptor) -> Result<(), LayoutError> {
        let mut index = self.index()?;
        index
            .manifests
            .retain(|d| d.annotations.get(REF_NAME).is_none_or(|name| name != reference));
        let mut named = manifest.clone();
        named.annotations.insert(REF_NAME.to_owned(), reference.to_owned());
        index.manifests.push(named);
        self.write_index(&index)
    }

    /// Stores a small blob.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, LayoutError> {
        let digest = Digest::of(bytes);
        let path = self.blob_path(&digest);
        if !path.exists() {
            replace(&path, bytes)?;
        }
        Ok(digest)
    }

    /// Reads a small blob.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, LayoutError> {
        let path = self.blob_path(digest);
        fs::read(&path).map_err(io_error("read", &path))
    }

    /// Stores a blob that `write` produces, and gives its digest and size.
    pub fn put_with<E: From<LayoutError>>(
        &self,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(Digest, u64), E> {
        let folder = self.root.join("blobs/sha256");
        let temporary =
            tempfile::NamedTempFile::new_in(&folder).map_err(|e| E::from(io_error("create a file in", &folder)(e)))?;
        let mut writer = HashWriter::new(io::BufWriter::with_capacity(1 << 18, temporary));
        write(&mut writer)?;
        let (buffered, digest, size) = writer.finish();
        let file = buffered
            .into_inner()
            .map_err(|e| E::from(io_error("write", &folder)(e.into_error())))?;
        let path = self.blob_path(&digest);
        finish_temporary(file, &path).map_err(E::from)?;
        Ok((digest, size))
    }

    /// Takes a finished file into the layout as blob `digest`; the caller has checked its content.
    pub fn adopt(&self, file: &Path, digest: &Digest) -> Result<(), LayoutError> {
        let path = self.blob_path(digest);
        fs::rename(file, &path).map_err(io_error("move a blob to", &path))
    }
}

fn finish_temporary(file: tempfile::NamedTempFile, path: &Path) -> Result<(), LayoutError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).map_err(io_error("set the mode of", path))?;
    file.as_file().sync_all().map_err(io_error("write", path))?;
    file.persist(path).map_err(|e| io_error("write", path)(e.error))?;
    Ok(())
}

/// Writes a file so that a power cut leaves the old or the new.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), LayoutError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io_error("create a file beside", path))?;
    file.write_all(bytes).map_err(io_error("write", path))?;
    finish_temporary(file, path)?;
    fs::File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(io_error("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type;

    #[test]
    fn a_name_moves_to_the_newest_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::create(dir.path()).unwrap();
        let (old, new) = (
            Descriptor::of(media_type::MANIFEST, b"old"),
            Descriptor::of(media_type::MANIFEST, b"new"),
        );
        layout.tag("h.io/a:1", &old).unwrap();
        layout.tag("h.io/a:1", &new).unwrap();
        assert_eq!(layout.find("h.io/a:1").unwrap().unwrap().digest, new.digest);
        assert_eq!(layout.index().unwrap().manifests.len(), 1);
    }
}
