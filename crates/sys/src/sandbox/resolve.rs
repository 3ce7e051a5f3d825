//! Find and make mount points inside a root without ever leaving it through a link.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::{Context, Error, Result};

/// What to make where nothing is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Folder,
    File,
    Nothing,
}

/// A root under construction.
pub(super) struct RootHandle {
    handle: OwnedFd,
}

impl RootHandle {
    pub(super) fn open(path: &Path) -> Result<RootHandle> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle =
            rustix::fs::open(path, flags, Mode::empty()).doing(|| format!("open the root {}", path.display()))?;
        Ok(RootHandle { handle })
    }

    /// A handle of `path` inside the root, made (with its folders) where missing.
    pub(super) fn locate(&self, path: &Path, missing: Missing) -> Result<OwnedFd> {
        let inside = path.strip_prefix("/").unwrap_or(path);
        if inside.as_os_str().is_empty() {
            return self.handle.try_clone().doing(|| "open the root");
        }
        match self.open_inside(inside) {
            Err(Errno::NOENT) if missing != Missing::Nothing => {}
            other => return other.doing(|| format!("open {} in the new root", path.display())),
        }
        let (parent, name) = self.parent(path)?;
        let making = || format!("make {} in the new root", path.display());
        if missing == Missing::Folder {
            rustix::fs::mkdirat(&parent, &name, Mode::from_raw_mode(0o755)).doing(making)?;
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(&parent, &name, flags, Mode::from_raw_mode(0o644)).doing(making)?;
        }
        self.open_inside(inside)
            .doing(|| format!("open {} in the new root", path.display()))
    }

    /// The folder that `path` is in, made where missing, and the last part of its name.
    pub(super) fn parent(&self, path: &Path) -> Result<(OwnedFd, PathBuf)> {
        let name = path.file_name().ok_or_else(|| {
            Error::new(
                format!("make {} in the new root", path.display()),
                "the path has no last part",
            )
        })?;
        let parent = self.locate(path.parent().unwrap_or(Path::new("/")), Missing::Folder)?;
        Ok((parent, PathBuf::from(name)))
    }

    fn open_inside(&self, inside: &Path) -> std::result::Result<OwnedFd, Errno> {
        loop {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(self.handle.as_fd(), inside, flags, Mode::empty(), resolve) {
                // A rename elsewhere raced with the lookup (openat2(2)).
                Err(Errno::AGAIN) => {}
                other => return other,
            }
        }
    }
}

/// The path by which a system call that takes no descriptor reaches what `handle` refers to.
pub(super) fn path_of(handle: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_cannot_lead_out_of_the_root() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("run")).unwrap();
        std::os::unix::fs::symlink("/run", folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink("../../..", folder.path().join("up")).unwrap();
        let root = RootHandle::open(folder.path()).unwrap();
        root.locate(Path::new("/link/a/b"), Missing::Folder).unwrap();
        root.locate(Path::new("up/c"), Missing::File).unwrap();
        assert!(folder.path().join("run/a/b").is_dir());
        assert!(folder.path().join("c").is_file());
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = RootHandle::open(folder.path()).unwrap();
        let error = root.locate(Path::new("/a/b"), Missing::Nothing).unwrap_err();
        assert_eq!(error.action, "open /a/b in the new root");
    }
}
