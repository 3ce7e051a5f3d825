//! What a person or a program does to end a command: work is given up in order, not cut off.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::session::Interrupted;

/// The signals by which a command is ended.
struct Ending {
    interrupt: Signal,
    terminate: Signal,
}

impl Ending {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn asked(&mut self) -> Interrupted {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        };
        Interrupted::by(kind.as_raw_value())
    }
}

/// Does the work unless a signal ends it first: then the work is dropped, and the error is [`Interrupted`]. From the first
/// use on, these signals do not end the process by themselves.
///
/// # Errors
/// Those of the work; a signal came; or signals cannot be listened for.
pub async fn unless_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut ending = Ending::listen()?;
    tokio::select! {
        done = work => done,
        interrupted = ending.asked() => Err(interrupted.into()),
    }
}
