//! Mounts: making, changing and removing them, and reading the mount table.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount as mount_call,
};
use serde::{Deserialize, Serialize};

use crate::{Context, Error, Result};

mod info;
mod loop_device;

pub use info::{MountInfo, at, list, parse};
pub use loop_device::{LoopDevice, attach_read_only};

/// How mounts made below a mount point travel to its copies in other mount namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Both ways.
    Shared,
    /// From the original to the copy only.
    Slave,
    /// Not at all.
    Private,
}

impl Propagation {
    fn flags(self) -> MountPropagationFlags {
        match self {
            Propagation::Shared => MountPropagationFlags::SHARED,
            Propagation::Slave => MountPropagationFlags::DOWNSTREAM,
            Propagation::Private => MountPropagationFlags::PRIVATE,
        }
    }

    fn raw(self) -> u64 {
        match self {
            Propagation::Shared => libc::MS_SHARED,
            Propagation::Slave => libc::MS_SLAVE,
            Propagation::Private => libc::MS_PRIVATE,
        }
    }
}

/// Mounts `kind` (with its options as the kernel spells them) on `target`.
pub fn file_system(kind: &str, source: &str, target: impl AsRef<Path>, flags: MountFlags, options: &str) -> Result<()> {
    let target = target.as_ref();
    let options = std::ffi::CString::new(options).doing(|| format!("mount {kind} on {}", target.display()))?;
    mount_call(source, target, kind, flags, options.as_c_str())
        .doing(|| format!("mount {kind} ({source}) on {}", target.display()))
}

/// A tmpfs: `size` as the kernel takes it (`64m`, `50%`), `mode` of its root. Device nodes in it do not work.
pub fn tmpfs(target: impl AsRef<Path>, size: Option<&str>, mode: u32) -> Result<()> {
    tmpfs_with(target, size, mode, MountFlags::NOSUID | MountFlags::NODEV)
}

/// A tmpfs for `/dev`, in which device nodes work.
pub fn device_tmpfs(target: impl AsRef<Path>) -> Result<()> {
    tmpfs_with(target, Some("1m"), 0o755, MountFlags::NOSUID)
}

fn tmpfs_with(target: impl AsRef<Path>, size: Option<&str>, mode: u32, flags: MountFlags) -> Result<()> {
    let mut options = format!("mode={mode:o}");
    if let Some(size) = size {
        options.push_str(&format!(",size={size}"));
    }
    file_system("tmpfs", "tmpfs", target, flags, &options)
}

/// The process table of the current PID namespace.
pub fn proc(target: impl AsRef<Path>) -> Result<()> {
    file_system(
        "proc",
        "proc",
        target,
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        "",
    )
}

/// The device tree, with the network devices of the current network namespace.
pub fn sysfs(target: impl AsRef<Path>, read_only: bool) -> Result<()> {
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    if read_only {
        flags |= MountFlags::RDONLY;
    }
    file_system("sysfs", "sysfs", target, flags, "")
}

/// An instance of pseudo-terminals of its own.
pub fn devpts(target: impl AsRef<Path>) -> Result<()> {
    let options = "newinstance,ptmxmode=0666,mode=0620,gid=5";
    file_system(
        "devpts",
        "devpts",
        target,
        MountFlags::NOSUID | MountFlags::NOEXEC,
        options,
    )
}

/// POSIX message queues of the current IPC namespace.
pub fn mqueue(target: impl AsRef<Path>) -> Result<()> {
    file_system(
        "mqueue",
        "mqueue",
        target,
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        "",
    )
}

/// A writable view of read-only folders: `lower` is ordered from the top down; `upper` and `work` share a file system.
pub fn overlay(target: impl AsRef<Path>, lower: &[PathBuf], upper: &Path, work: &Path) -> Result<()> {
    let lower: Vec<String> = lower.iter().map(|path| path.display().to_string()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        upper.display(),
        work.display()
    );
    file_system("overlay", "overlay", target, MountFlags::empty(), &options)
}

/// Shows `source` at `target` too. With `recursive`, everything mounted below comes along.
pub fn bind(source: impl AsRef<Path>, target: impl AsRef<Path>, recursive: bool, read_only: bool) -> Result<()> {
    let (source, target) = (source.as_ref(), target.as_ref());
    let tree = Tree::open(source, recursive)?;
    if read_only {
        tree.set_read_only(recursive)?;
    }
    tree.attach(target)
}

/// Changes how mounts travel from and to `target`.
pub fn set_propagation(target: impl AsRef<Path>, propagation: Propagation, recursive: bool) -> Result<()> {
    let target = target.as_ref();
    let mut flags = propagation.flags();
    if recursive {
        flags |= MountPropagationFlags::REC;
    }
    rustix::mount::mount_change(target, flags)
        .doing(|| format!("make the mount {} {propagation:?}", target.display()).to_lowercase())
}

/// Makes the mount at `target` read-only, and with `recursive` all mounts below it.
pub fn set_read_only(target: impl AsRef<Path>, recursive: bool) -> Result<()> {
    let target = target.as_ref();
    let what = || format!("make the mount {} read-only", target.display());
    set_attributes(place(target)?.as_fd(), libc::MOUNT_ATTR_RDONLY, 0, None, recursive).doing(what)
}

/// Lets the mount at `target` be written to. The file system it shows must allow it too.
pub fn set_writable(target: impl AsRef<Path>) -> Result<()> {
    let target = target.as_ref();
    let what = || format!("make the mount {} writable", target.display());
    set_attributes(place(target)?.as_fd(), 0, libc::MOUNT_ATTR_RDONLY, None, false).doing(what)
}

/// A handle on the mount at a path.
fn place(target: &Path) -> Result<OwnedFd> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(target, flags, rustix::fs::Mode::empty()).doing(|| format!("open {}", target.display()))
}

/// Removes the mount at `target` now from the tree, and from the kernel as soon as nothing uses it: never waits.
pub fn detach(target: impl AsRef<Path>) -> Result<()> {
    let target = target.as_ref();
    rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
        .doing(|| format!("unmount {}", target.display()))
}

/// Removes the mount at `target`; fails while it is in use.
pub fn unmount(target: impl AsRef<Path>) -> Result<()> {
    let target = target.as_ref();
    rustix::mount::unmount(target, UnmountFlags::NOFOLLOW).doing(|| format!("unmount {}", target.display()))
}

/// Mounts a squashfs image read-only through a loop device that goes away with the mount. Returns the device.
///
/// Images already attached are shared, so that several nodes on one image use its page cache once.
pub fn squashfs(image: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<PathBuf> {
    let (image, target) = (image.as_ref(), target.as_ref());
    let device = attach_read_only(image)?;
    let source = device.path().display().to_string();
    file_system("squashfs", &source, target, MountFlags::RDONLY, "").map_err(|error| Error {
        action: format!(
            "mount the squashfs image {} ({source}) on {}",
            image.display(),
            target.display()
        ),
        ..error
    })?;
    Ok(device.path().to_path_buf())
}

/// A copy of a mount, or a tree of mounts, that is not attached anywhere yet.
pub(crate) struct Tree {
    handle: OwnedFd,
    source: PathBuf,
}

impl Tree {
    pub(crate) fn open(source: &Path, recursive: bool) -> Result<Tree> {
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        if recursive {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        let handle =
            rustix::mount::open_tree(rustix::fs::CWD, source, flags).doing(|| format!("bind {}", source.display()))?;
        Ok(Tree {
            handle,
            source: source.to_path_buf(),
        })
    }

    pub(crate) fn set_read_only(&self, recursive: bool) -> Result<()> {
        set_attributes(self.handle.as_fd(), libc::MOUNT_ATTR_RDONLY, 0, None, recursive)
            .doing(|| format!("make the bind of {} read-only", self.source.display()))
    }

    pub(crate) fn set_propagation(&self, propagation: Propagation, recursive: bool) -> Result<()> {
        set_attributes(self.handle.as_fd(), 0, 0, Some(propagation), recursive)
            .doing(|| format!("change the propagation of the bind of {}", self.source.display()))
    }

    pub(crate) fn attach(self, target: &Path) -> Result<()> {
        rustix::mount::move_mount(
            &self.handle,
            "",
            rustix::fs::CWD,
            target,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS,
        )
        .doing(|| format!("bind {} on {}", self.source.display(), target.display()))
    }
}

fn set_attributes(
    handle: BorrowedFd<'_>,
    set: u64,
    clear: u64,
    propagation: Option<Propagation>,
    recursive: bool,
) -> std::io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: clear,
        propagation: propagation.map_or(0, Propagation::raw),
        userns_fd: 0,
    };
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is a valid empty C string, `attributes` outlives the call and its size is given; the kernel
    // only reads both. rustix has no wrapper for mount_setattr(2).
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            handle.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}
