//! A terminal between a target and its caller.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::{Context, Result};

/// How large a terminal is, in characters. 0 means that nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// The caller's end: what is written is typed, what is read is shown.
#[derive(Debug)]
pub struct Terminal {
    end: AsyncFd<OwnedFd>,
}

/// A new terminal: our end and the target's.
pub(super) fn open(size: WindowSize) -> Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags).doing(|| "open a terminal (/dev/ptmx)")?;
    rustix::pty::unlockpt(&ours).doing(|| "unlock a terminal")?;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags).doing(|| "open the other end of a terminal")?;
    set_size(&theirs, size)?;
    Ok((ours, theirs))
}

fn set_size(terminal: &OwnedFd, size: WindowSize) -> Result<()> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(terminal, size).doing(|| "set the size of a terminal")
}

impl Terminal {
    pub(super) fn new(end: OwnedFd) -> Result<Self> {
        let wait = || -> io::Result<_> {
            let flags = rustix::fs::fcntl_getfl(&end)?;
            rustix::fs::fcntl_setfl(&end, flags | OFlags::NONBLOCK)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            // SAFETY: `end` owns its descriptor and moves into the AsyncFd, so it stays open and the same for its lifetime.
            unsafe { AsyncFd::register_with_interest(end, interest) }.map_err(io::Error::from)
        };
        let end = wait().doing(|| "watch a terminal")?;
        Ok(Self { end })
    }

    /// What the target shows; 0 bytes when nothing has the terminal open any more.
    ///
    /// # Errors
    /// The terminal cannot be read.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.end.readable().await?;
            match ready.try_io(|end| Ok(rustix::io::read(end.get_ref(), &mut *buffer)?)) {
                // How Linux says that the other end is closed.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Ok(0),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(done) => return done,
                Err(_) => {}
            }
        }
    }

    /// Types all of it, as fast as the target reads.
    ///
    /// # Errors
    /// Nothing has the terminal open any more.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.end.writable().await?;
            match ready.try_io(|end| Ok(rustix::io::write(end.get_ref(), bytes)?)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(written) => bytes = &bytes[written?.min(bytes.len())..],
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Tells the target, by SIGWINCH, that its terminal has another size.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn resize(&self, size: WindowSize) -> Result<()> {
        set_size(self.end.get_ref(), size)
    }
}
