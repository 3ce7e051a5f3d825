//! Unpacking image layers into a folder, without ever leaving it.
//!
//! Every path is opened with `openat2(RESOLVE_IN_ROOT)`: the folder is the root for `..`, absolute paths and symbolic
//! links alike, so a hostile layer can only write inside.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::digest::{Digest, Hasher};
use crate::oci::media_type;

/// Why a layer cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A file could not be written.
    #[error("unpack {path}: {cause}")]
    Entry {
        /// The path inside the image.
        path: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The archive is broken.
    #[error("read a layer: {0}")]
    Archive(io::Error),
    /// The archive's content is not what the image says.
    #[error("a layer's content has digest {got}, not {want}")]
    Mismatch {
        /// From the image configuration.
        want: Digest,
        /// Of the content.
        got: Digest,
    },
    /// A compression we do not know.
    #[error("layer of type {0:?} is not supported (tar, gzip and zstd are)")]
    MediaType(String),
}

impl From<io::Error> for UnpackError {
    fn from(cause: io::Error) -> Self {
        Self::Archive(cause)
    }
}

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// Most symbolic links and folders in one path the kernel follows anyway.
const MAX_DEPTH: usize = 256;

/// A folder that layers are unpacked into, lowest first.
pub struct Unpacker {
    root: OwnedFd,
    own: bool,
    /// Bytes of files that may still be written.
    left: AtomicU64,
}

impl Unpacker {
    /// Prepares to unpack into `root`, an existing folder. Owners are kept only when we are root.
    pub fn new(root: &Path) -> io::Result<Unpacker> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(Unpacker {
            root,
            own: rustix::process::geteuid().is_root(),
            left: AtomicU64::new(u64::MAX),
        })
    }

    /// The same, but writes files of at most `bytes` in all: a few bytes of a layer can stand for any number of zeros.
    pub fn limit(mut self, bytes: u64) -> Unpacker {
        self.left = AtomicU64::new(bytes);
        self
    }
}

/// Unpacks one layer; `want` is the digest of the uncompressed archive.
pub fn layer(to: &Unpacker, from: impl Read, kind: &str, want: Option<&Digest>) -> Result<(), UnpackError> {
    let from = BufReader::with_capacity(1 << 18, from);
    let plain: Box<dyn Read> = match kind {
        media_type::LAYER | "application/vnd.docker.image.rootfs.diff.tar" => Box::new(from),
        media_type::LAYER_GZIP | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            Box::new(flate2::bufread::MultiGzDecoder::new(from))
        }
        media_type::LAYER_ZSTD => Box::new(zstd::Decoder::with_buffer(from)?),
        other => return Err(UnpackError::MediaType(other.to_owned())),
    };
    let mut hashing = HashReader {
        inner: plain,
        hasher: Hasher::default(),
    };
    to.tar(&mut hashing)?;
    io::copy(&mut hashing, &mut io::sink())?;
    let got = hashing.hasher.finish();
    match want {
        Some(want) if *want != got => Err(UnpackError::Mismatch {
            want: want.clone(),
            got,
        }),
        _ => Ok(()),
    }
}

struct HashReader<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for HashReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

/// What an entry's header says, in the kernel's words.
struct Meta {
    mode: Mode,
    owner: (Uid, Gid),
    mtime: i64,
}

impl Unpacker {
    fn tar(&self, from: &mut impl Read) -> Result<(), UnpackError> {
        let mut archive = tar::Archive::new(from);
        // A folder's time changes while it is filled, so folders get theirs last.
        let mut folders: Vec<(PathBuf, i64)> = Vec::new();
        for entry in archive.entries()? {
            let mut entry = entry?;
            let raw = entry.path()?.into_owned();
            let failed = |cause: io::Error| UnpackError::Entry {
                path: raw.display().to_string(),
                cause,
            };
            let Some(path) = clean(&raw).map_err(failed)? else {
                continue;
            };
            let Some(name) = path.file_name().and_then(|n| n.to_str()).map(str::to_owned) else {
                return Err(failed(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the name is not UTF-8",
                )));
            };
            let parent = path.parent().unwrap_or(Path::new(""));
            if name == OPAQUE {
                self.empty(parent).map_err(failed)?;
                continue;
            }
            if let Some(hidden) = name.strip_prefix(WHITEOUT) {
                if !hidden.is_empty() && hidden != "." && hidden != ".." {
                    self.remove(&parent.join(hidden)).map_err(failed)?;
                }
                continue;
            }
            self.entry(&mut entry, &path, parent, &name, &mut folders)
                .map_err(failed)?;
        }
        for (path, mtime) in folders.iter().rev() {
            if let Ok(folder) = self.open(path, OFlags::DIRECTORY | OFlags::RDONLY) {
                let _ = rustix::fs::futimens(&folder, &times(*mtime));
            }
        }
        Ok(())
    }

    fn entry<R: Read>(
        &self,
        entry: &mut tar::Entry<'_, R>,
        path: &Path,
        parent: &Path,
        name: &str,
        folders: &mut Vec<(PathBuf, i64)>,
    ) -> io::Result<()> {
        let header = entry.header();
        let id = |value: u64| u32::try_from(value).map_err(|_| io::Error::other("the owner is no 32-bit number"));
        let meta = Meta {
            mode: Mode::from_raw_mode(header.mode()? & 0o7777),
            owner: (Uid::from_raw(id(header.uid()?)?), Gid::from_raw(id(header.gid()?)?)),
            mtime: i64::try_from(header.mtime()?).unwrap_or_default(),
        };
        let kind = header.entry_type();
        let folder = self.make_folders(parent)?;
        match kind {
            tar::EntryType::Directory => {
                match rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) => {}
                    Err(Errno::EXIST) => {
                        // A folder over a folder changes its mode; over anything else it replaces it.
                        let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
                        let leads_to_folder = is_link && self.open(path, OFlags::DIRECTORY | OFlags::RDONLY).is_ok();
                        if !is_folder && !leads_to_folder {
                            self.remove(path)?;
                            rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755))?;
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
                let made = self.open(path, OFlags::DIRECTORY | OFlags::RDONLY)?;
                if self.own {
                    rustix::fs::fchown(&made, Some(meta.owner.0), Some(meta.owner.1))?;
                }
                rustix::fs::fchmod(&made, meta.mode)?;
                folders.push((path.to_owned(), meta.mtime));
            }
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                self.remove(path)?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let made = rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o600))?;
                let mut file = File::from(made);
                self.content(entry, &mut file)?;
                if self.own {
                    rustix::fs::fchown(&file, Some(meta.owner.0), Some(meta.owner.1))?;
                }
                set_xattrs(entry, &file)?;
                // After the owner: chown clears set-user-ID.
                rustix::fs::fchmod(&file, meta.mode)?;
                rustix::fs::futimens(&file, &times(meta.mtime))?;
            }
            tar::EntryType::Symlink => {
                let target = entry
                    .link_name()?
                    .ok_or_else(|| io::Error::other("the link has no target"))?;
                self.remove(path)?;
                rustix::fs::symlinkat(&*target, &folder, name)?;
                if self.own {
                    let (uid, gid) = meta.owner;
                    rustix::fs::chownat(&folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
                }
                let nofollow = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::utimensat(&folder, name, &times(meta.mtime), nofollow)?;
            }
            tar::EntryType::Link => {
                let target = entry
                    .link_name()?
                    .ok_or_else(|| io::Error::other("the link has no target"))?;
                let target = clean(&target)?.ok_or_else(|| io::Error::other("the link leads to the root"))?;
                self.remove(path)?;
                let other = self.open_parent(&target)?;
                let other_name = target.file_name().unwrap_or_default();
                rustix::fs::linkat(&other, other_name, &folder, name, AtFlags::empty())?;
            }
            // A container makes its own devices; overlayfs marks deletions with character device 0/0, layers do not.
            tar::EntryType::Char | tar::EntryType::Block | tar::EntryType::Fifo => {}
            other => return Err(io::Error::other(format!("entry of unknown kind {other:?}"))),
        }
        Ok(())
    }

    /// Writes the content of a file, within the limit.
    fn content(&self, from: &mut impl Read, to: &mut File) -> io::Result<()> {
        let left = self.left.load(Ordering::Relaxed);
        let written = io::copy(&mut from.take(left), to)?;
        self.left.store(left - written, Ordering::Relaxed);
        if written == left && from.read(&mut [0])? > 0 {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the image unpacks to more than is allowed",
            ));
        }
        Ok(())
    }

    /// Opens a path inside the root.
    fn open(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(rustix::fs::openat2(
            &self.root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )?)
    }

    fn open_parent(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open(
            path.parent().unwrap_or(Path::new("")),
            OFlags::DIRECTORY | OFlags::RDONLY,
        )
    }

    /// Opens a folder, making it and those above it where they are missing.
    fn make_folders(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY;
        match self.open(path, flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let Some(name) = path.file_name() else {
            return self.open(path, flags);
        };
        let parent = self.make_folders(path.parent().unwrap_or(Path::new("")))?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => self.open(path, flags),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what is at `path`, whatever it is; nothing there is fine. Links are removed, not followed.
    fn remove(&self, path: &Path) -> io::Result<()> {
        let parent = match self.open_parent(path) {
            Ok(parent) => parent,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let Some(name) = path.file_name() else { return Ok(()) };
        remove_at(&parent, Path::new(name), MAX_DEPTH)
    }

    fn empty(&self, path: &Path) -> io::Result<()> {
        match self.open(path, OFlags::DIRECTORY | OFlags::RDONLY) {
            Ok(folder) => empty_folder(&folder, MAX_DEPTH),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn remove_at(parent: &OwnedFd, name: &Path, depth: usize) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = rustix::fs::openat(parent, name, flags, Mode::empty())?;
            empty_folder(&folder, depth)?;
            Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
        }
        Err(error) => Err(error.into()),
    }
}

fn empty_folder(folder: &OwnedFd, depth: usize) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    if depth == 0 {
        return Err(io::Error::other("folders are nested too deeply"));
    }
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            remove_at(folder, Path::new(name), depth - 1)?;
        }
    }
    Ok(())
}

/// File capabilities and the like travel as PAX records.
fn set_xattrs<R: Read>(entry: &mut tar::Entry<'_, R>, file: &File) -> io::Result<()> {
    let Some(extensions) = entry.pax_extensions()? else {
        return Ok(());
    };
    for extension in extensions {
        let extension = extension?;
        let Ok(key) = extension.key() else { continue };
        if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
            match rustix::fs::fsetxattr(file, name, extension.value_bytes(), rustix::fs::XattrFlags::empty()) {
                // A filesystem without attributes loses them, as it does for tar.
                Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn times(mtime: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// A path relative to the root; none for the root itself. `..` is refused: no image needs it.
fn clean(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the path leaves the image ('..')",
                ));
            }
        }
    }
    Ok((!out.as_os_str().is_empty()).then_some(out))
}

#[cfg(test)]
mod tests;
