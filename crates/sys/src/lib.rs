//! Every system call and every `unsafe` block of the project.
//!
//! The rest of the project speaks to the kernel through this crate only. Its areas are named as the kernel names them:
//!
//! - [`files`]: atomic writes, file system statistics;
//! - [`mount`]: mounts, loop devices, the mount table;
//! - [`sandbox`]: start a program in namespaces of its own, with a root, limits and privileges of its own;
//! - [`cgroup`]: control groups, version 1 and 2;
//! - [`net`]: links, addresses, routes and rules over netlink, network namespaces;
//! - [`process`]: the reaper of PID 1, pidfds, the process table;
//! - [`memory`]: the allocator;
//! - [`kmsg`], [`host`], [`sysctl`], [`caps`]: the rest of what an init system asks of a kernel.
//!
//! ```no_run
//! # fn main() -> sys::Result<()> {
//! // First thing in main(): a program that starts sandboxes is executed again to set each one up.
//! sys::sandbox::run_if_requested();
//! sys::files::write_atomic("/run/state", b"{}", 0o600)?;
//! # Ok(()) }
//! ```
// The one crate that may: each block says why it is sound.
#![allow(unsafe_code)]

pub mod caps;
pub mod cgroup;
mod error;
pub mod files;
pub mod host;
pub mod kmsg;
pub mod memory;
pub mod mount;
pub mod net;
pub mod process;
pub mod sandbox;
pub mod sysctl;

pub use error::{Context, Error, Result};

/// How a node's init says "start me again" where there is no machine to reboot. The number is the one by which
/// systemd-nspawn(1) understands its containers; 0 means "stay down".
pub const EXIT_REBOOT: u8 = 133;

/// Watches a descriptor for being readable. The two kinds of handle this crate watches, `File` and `OwnedFd`, keep their
/// descriptor for life, which is what makes the call sound.
pub(crate) fn watch<T: std::os::fd::AsRawFd + Into<std::os::fd::OwnedFd>>(
    handle: T,
) -> std::io::Result<tokio::io::unix::AsyncFd<T>> {
    // SAFETY: `handle` owns its descriptor and moves into the AsyncFd, so it stays open and the same for its lifetime.
    unsafe { tokio::io::unix::AsyncFd::register_with_interest(handle, tokio::io::Interest::READABLE) }
        .map_err(std::io::Error::from)
}
