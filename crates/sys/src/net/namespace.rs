//! Network namespaces.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::{Path, PathBuf};

use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::{Context, Error, Result};

/// A network namespace; it lives at least as long as this handle.
#[derive(Debug)]
pub struct Namespace {
    handle: File,
}

impl Namespace {
    /// Makes a new one with nothing in it but a loopback that is down.
    pub fn create() -> Result<Namespace> {
        on_thread(|| {
            // SAFETY: changes the network namespace of this thread only, which ends right after.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.doing(|| "make a network namespace")?;
            Namespace::open("/proc/thread-self/ns/net")
        })?
    }

    /// Opens one by path: `/proc/PID/ns/net`, `/run/netns/NAME`.
    pub fn open(path: impl AsRef<Path>) -> Result<Namespace> {
        let path = path.as_ref();
        let handle = File::open(path).doing(|| format!("open the network namespace {}", path.display()))?;
        Ok(Namespace { handle })
    }

    /// That of this thread.
    pub fn current() -> Result<Namespace> {
        Namespace::open("/proc/thread-self/ns/net")
    }

    /// A path by which other processes find it while this handle is open, for
    /// [`crate::sandbox::SandboxSpec::join_netns`].
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.handle.as_raw_fd()))
    }

    /// Moves this thread, and the threads and processes it starts from now on, into it. For the first lines of `main`.
    pub fn enter(&self) -> Result<()> {
        rustix::thread::move_into_link_name_space(self.handle.as_fd(), Some(LinkNameSpaceType::Network))
            .doing(|| "enter a network namespace")
    }

    /// Runs something inside it, on a thread of its own. Sockets opened there stay there.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let handle = self.handle.try_clone().doing(|| "use a network namespace")?;
        on_thread(move || {
            rustix::thread::move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))
                .doing(|| "enter a network namespace")?;
            Ok(work())
        })?
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl AsRawFd for Namespace {
    fn as_raw_fd(&self) -> RawFd {
        self.handle.as_raw_fd()
    }
}

/// The namespace of a thread cannot be given back safely, so the thread ends with the work.
fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let thread = std::thread::Builder::new().name("namespace".into()).spawn(work);
    let thread = thread.doing(|| "start a thread for a network namespace")?;
    thread
        .join()
        .map_err(|_| Error::new("work in a network namespace", "the thread panicked"))
}
