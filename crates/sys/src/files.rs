//! Files that change all at once or not at all, and how full a file system is.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::{Context, Result};

static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// Replaces `path` with `bytes`, mode `mode`: a reader, or a power cut, sees the old content or the new, never a mix.
///
/// The bytes are written to a temporary file beside the target, synced, renamed over it, and the folder is synced.
pub fn write_atomic(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    let path = path.as_ref();
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{name}.{}.{sequence}.tmp", std::process::id()));
    let result = write_and_rename(&temporary, path, &folder, bytes.as_ref(), mode);
    if result.is_err() {
        // The target is untouched; what is left of the attempt has no use.
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

fn write_and_rename(temporary: &Path, path: &Path, folder: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(temporary)
        .doing(|| format!("create {}", temporary.display()))?;
    // The umask took bits away from the mode given at creation.
    rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(mode))
        .doing(|| format!("set the mode of {}", temporary.display()))?;
    file.write_all(bytes)
        .doing(|| format!("write {}", temporary.display()))?;
    file.sync_all().doing(|| format!("sync {}", temporary.display()))?;
    drop(file);
    std::fs::rename(temporary, path).doing(|| format!("rename {} to {}", temporary.display(), path.display()))?;
    let folder_handle = File::open(folder).doing(|| format!("open {}", folder.display()))?;
    folder_handle.sync_all().doing(|| format!("sync {}", folder.display()))
}

/// Size and use of a file system, in bytes and inodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes in all.
    pub total: u64,
    /// Bytes free, including those reserved for root.
    pub free: u64,
    /// Bytes free for everybody.
    pub available: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes free.
    pub inodes_free: u64,
    /// True where the file system is mounted read-only.
    pub read_only: bool,
}

/// How full the file system of `path` is.
pub fn usage(path: impl AsRef<Path>) -> Result<Usage> {
    let path = path.as_ref();
    let stat = rustix::fs::statvfs(path).doing(|| format!("statvfs {}", path.display()))?;
    Ok(Usage {
        total: stat.f_blocks * stat.f_frsize,
        free: stat.f_bfree * stat.f_frsize,
        available: stat.f_bavail * stat.f_frsize,
        inodes: stat.f_files,
        inodes_free: stat.f_ffree,
        read_only: stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}

/// An exclusive lock on a file, released when dropped or when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or returns `None` where another process has it. The file is created and stays.
    pub fn try_acquire(path: impl AsRef<Path>) -> Result<Option<Lock>> {
        let path = path.as_ref();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .doing(|| format!("open the lock {}", path.display()))?;
        Lock::take(file, path)
    }

    /// As [`try_acquire`](Self::try_acquire), on a folder that is there: nothing is left behind.
    pub fn try_acquire_folder(path: impl AsRef<Path>) -> Result<Option<Lock>> {
        let path = path.as_ref();
        let file = File::open(path).doing(|| format!("open the folder {}", path.display()))?;
        Lock::take(file, path)
    }

    fn take(file: File, path: &Path) -> Result<Option<Lock>> {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error).doing(|| format!("lock {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomic(&path, b"one", 0o600).unwrap();
        write_atomic(&path, b"two", 0o666).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_fails_names_the_file_and_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        std::fs::create_dir(&target).unwrap();
        let error = write_atomic(&target, b"x", 0o600).unwrap_err().to_string();
        assert!(error.contains("rename") && error.contains("/a"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_lock_is_held_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::try_acquire(&path).unwrap();
        assert!(first.is_some());
        assert!(Lock::try_acquire(&path).unwrap().is_none());
        drop(first);
        assert!(Lock::try_acquire(&path).unwrap().is_some());
    }

    #[test]
    fn the_root_file_system_has_a_size() {
        let usage = usage("/").unwrap();
        assert!(usage.total > 0 && usage.available <= usage.total);
    }
}
