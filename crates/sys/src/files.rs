//! Files that change all at once or not at all, and how full a file system is.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::{Context, Result};

static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// Who may do what with a file that is written. A plain number is [`Access::Exactly`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// These mode bits, whatever the umask: for files whose readers the system decides on.
    Exactly(u32),
    /// These mode bits without those in the umask of the process: for files of the person who started it.
    UpToUmask(u32),
    /// These mode bits, whatever the umask, for one user and the group of the same number: nobody sees the file before it
    /// is theirs. Only root can give it to another.
    OwnedBy {
        /// Mode bits.
        mode: u32,
        /// User and group.
        owner: u32,
    },
}

impl From<u32> for Access {
    fn from(mode: u32) -> Self {
        Access::Exactly(mode)
    }
}

/// Replaces `path` with `bytes`: a reader, or a power cut, sees the old content or the new, never a mix.
///
/// The bytes are written to a temporary file beside the target, synced, renamed over it, and the folder is synced. A
/// symbolic link at `path` is replaced, not followed.
pub fn write_atomic(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>, access: impl Into<Access>) -> Result<()> {
    let path = path.as_ref();
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{name}.{}.{sequence}.tmp", std::process::id()));
    let result = write_and_rename(&temporary, path, &folder, bytes.as_ref(), access.into());
    if result.is_err() {
        // The target is untouched; what is left of the attempt has no use.
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

fn write_and_rename(temporary: &Path, path: &Path, folder: &Path, bytes: &[u8], access: Access) -> Result<()> {
    let (Access::Exactly(mode) | Access::UpToUmask(mode) | Access::OwnedBy { mode, .. }) = access;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(temporary)
        .doing(|| format!("create {}", temporary.display()))?;
    if let Access::OwnedBy { owner, .. } = access {
        std::os::unix::fs::fchown(&file, Some(owner), Some(owner))
            .doing(|| format!("set the owner of {}", temporary.display()))?;
    }
    if !matches!(access, Access::UpToUmask(_)) {
        // The umask took bits away from the mode given at creation.
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(mode))
            .doing(|| format!("set the mode of {}", temporary.display()))?;
    }
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

/// The extended attributes of a file, a link's own ones; empty where the file system has none.
///
/// # Errors
/// The file is not there, or may not be read.
pub fn attributes(path: impl AsRef<Path>) -> Result<Vec<(String, Vec<u8>)>> {
    let path = path.as_ref();
    let unsupported = |e: &rustix::io::Errno| *e == rustix::io::Errno::NOTSUP;
    let names = match grow(|buffer| rustix::fs::llistxattr(path, buffer)) {
        Err(error) if unsupported(&error) => return Ok(Vec::new()),
        names => names.doing(|| format!("list the attributes of {}", path.display()))?,
    };
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        // An attribute that is removed meanwhile, or that only its owner may see, is left out.
        let value = grow(|buffer| rustix::fs::lgetxattr(path, name, buffer)).ok()?;
        Some((String::from_utf8_lossy(name).into_owned(), value))
    };
    Ok(names.filter_map(value).collect())
}

/// Calls with larger buffers until what is read fits; the kernel's own limit is 64 KiB (xattr(7)).
fn grow(mut read: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    for size in [1 << 10, 1 << 16] {
        let mut buffer = vec![0; size];
        match read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(rustix::io::Errno::RANGE) => {}
            Err(error) => return Err(error),
        }
    }
    Err(rustix::io::Errno::RANGE)
}

/// Whether a folder belongs to a file system that shows the kernel (`/proc`, `/sys`, control groups…): what is below
/// takes no space, and has no end.
pub fn shows_the_kernel(path: impl AsRef<Path>) -> bool {
    /// From the kernel's linux/magic.h: proc, sysfs, cgroup, cgroup2, debugfs, tracefs, securityfs, bpf, pstore, configfs.
    const MAGIC: [u64; 10] = [
        0x9fa0,
        0x6265_6572,
        0x0027_e0eb,
        0x6367_7270,
        0x6462_6720,
        0x7472_6163,
        0x7363_6673,
        0xcafe_4a11,
        0x6165_676c,
        0x6265_6570,
    ];
    rustix::fs::statfs(path.as_ref()).is_ok_and(|stat| MAGIC.contains(&stat.f_type.cast_unsigned()))
}

/// Opens a file to read, only if it is a regular one: never waits for a writer of a pipe, never wakes a device.
///
/// # Errors
/// It cannot be opened, or is something else.
pub fn open_regular(path: impl AsRef<Path>, follow: bool) -> Result<File> {
    let path = path.as_ref();
    let mut flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    if !follow {
        flags |= rustix::fs::OFlags::NOFOLLOW;
    }
    let what = || format!("open {}", path.display());
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .doing(what)?;
    let metadata = file.metadata().doing(what)?;
    if metadata.is_file() {
        return Ok(file);
    }
    let kind = if metadata.is_dir() {
        "a folder"
    } else {
        "a device, pipe or socket"
    };
    let reason = std::io::Error::new(std::io::ErrorKind::InvalidInput, format!("it is {kind}, not a file"));
    Err(reason).doing(what)
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
    fn a_file_of_a_person_gets_the_mode_that_the_umask_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let (path, usual) = (folder.path().join("a"), folder.path().join("b"));
        write_atomic(&path, b"one", Access::UpToUmask(0o666)).unwrap();
        // What is made without a word about its mode has all bits but the umask's.
        std::fs::write(&usual, b"one").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&usual));
    }

    #[test]
    fn a_file_of_another_user_is_theirs_from_the_beginning() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        // Only root can give something away; others can give it to themselves.
        let (user, group) = (
            folder.path().metadata().unwrap().uid(),
            folder.path().metadata().unwrap().gid(),
        );
        let owner = if user == 0 { 65534 } else { user };
        if user != 0 && user != group {
            return;
        }
        let path = folder.path().join("key");
        write_atomic(&path, "1", Access::OwnedBy { mode: 0o400, owner }).unwrap();
        let found = path.metadata().unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (owner, owner, 0o400));
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
    fn attributes_are_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "x").unwrap();
        let long = vec![7; 2000];
        let set = rustix::fs::setxattr(&path, "user.long", &long, rustix::fs::XattrFlags::empty());
        let expected = if set.is_ok() {
            vec![("user.long".to_owned(), long)]
        } else {
            vec![]
        };
        let mut found = attributes(&path).unwrap();
        found.retain(|(name, _)| name.starts_with("user."));
        assert_eq!(found, expected);
        assert!(attributes(folder.path().join("none")).is_err());
    }

    #[test]
    fn only_regular_files_are_opened() {
        assert!(open_regular("/proc/self/status", true).is_ok());
        let error = open_regular("/dev/null", true).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(open_regular("/", true).unwrap_err().to_string().contains("folder"));
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/proc/self/status", &link).unwrap();
        assert!(open_regular(&link, true).is_ok() && open_regular(&link, false).is_err());
    }

    #[test]
    fn file_systems_of_the_kernel_are_told_from_those_of_disks() {
        let folder = tempfile::tempdir().unwrap();
        assert!(shows_the_kernel("/proc") && shows_the_kernel("/sys"));
        assert!(!shows_the_kernel(folder.path()));
    }

    #[test]
    fn the_root_file_system_has_a_size() {
        let usage = usage("/").unwrap();
        assert!(usage.total > 0 && usage.available <= usage.total);
    }
}
