//! The person at this end: what they type, how large their terminal is, and how they leave.

use std::io::{IsTerminal as _, Read as _, stdin};

use anyhow::{Context as _, Result};
use api::proto::machine::debug_container_run_request::Request as Part;
use api::proto::machine::{DebugContainerRunRequest, DebugContainerTerminalResize};
use ratatui::crossterm::terminal;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::request;
use crate::output::stdout_is_terminal;
use crate::session::Interrupted;

/// Most bytes of input in one message.
const PIECE: usize = 32 * 1024;

/// Whoever called.
pub struct Person {
    terminal: bool,
}

/// The person while the container has their terminal. Dropping it gives the terminal back.
pub struct Present {
    typing: JoinHandle<()>,
    leaving: mpsc::Receiver<Interrupted>,
    _terminal: Option<RawTerminal>,
}

impl Person {
    /// A person where both input and output are a terminal; else a program.
    pub fn here() -> Self {
        Self {
            terminal: stdin().is_terminal() && stdout_is_terminal(),
        }
    }

    /// Whether the container gets a terminal.
    pub fn has_terminal(&self) -> bool {
        self.terminal
    }

    /// What the container has to know of this end: what kind of terminal it is.
    pub fn environment(&self) -> std::collections::BTreeMap<String, String> {
        let kind = std::env::var("TERM").ok().filter(|_| self.terminal);
        kind.map(|kind| ("TERM".to_owned(), kind)).into_iter().collect()
    }

    /// How large the container's terminal shall be, where it gets one.
    pub fn size(&self) -> Option<Part> {
        if self.terminal { size() } else { None }
    }

    /// Hands over the terminal, and everything that is typed.
    ///
    /// # Errors
    /// The terminal cannot be taken, or signals cannot be listened for.
    pub fn attend(self, requests: mpsc::Sender<DebugContainerRunRequest>) -> Result<Present> {
        let signals = Signals::listen()?;
        let raw = self.terminal.then(RawTerminal::take).transpose()?;
        let (leave, leaving) = mpsc::channel(1);
        let typing = Typing {
            requests,
            keys: keys(),
            signals,
            leave,
            terminal: self.terminal,
        };
        Ok(Present {
            typing: tokio::spawn(typing.run()),
            leaving,
            _terminal: raw,
        })
    }
}

impl Present {
    /// Returns when a signal ends the command.
    pub async fn left(&mut self) -> anyhow::Error {
        match self.leaving.recv().await {
            Some(interrupted) => interrupted.into(),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.typing.abort();
    }
}

/// A terminal that hands on every key as it is. Dropping it makes it what it was.
struct RawTerminal;

impl RawTerminal {
    fn take() -> Result<Self> {
        terminal::enable_raw_mode().context("take the terminal")?;
        Ok(Self)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // There is nothing else to try.
        let _ = terminal::disable_raw_mode();
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    resized: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            resized: listen(SignalKind::window_change())?,
        })
    }

    /// The next one.
    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hang_up.recv() => SignalKind::hangup(),
            _ = self.resized.recv() => SignalKind::window_change(),
        }
    }

    /// The number of the next one that ends programs.
    async fn ending(&mut self) -> i32 {
        loop {
            match self.next().await {
                kind if kind == SignalKind::window_change() => {}
                kind => return kind.as_raw_value(),
            }
        }
    }
}

/// What is typed, read by a thread of its own, as reading blocks. The thread ends with the program.
fn keys() -> mpsc::Receiver<Vec<u8>> {
    let (sender, keys) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        while let Ok(read @ 1..) = stdin().lock().read(&mut buffer) {
            if sender.blocking_send(buffer[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    keys
}

/// Tells the node what the person does.
struct Typing {
    requests: mpsc::Sender<DebugContainerRunRequest>,
    keys: mpsc::Receiver<Vec<u8>>,
    signals: Signals,
    leave: mpsc::Sender<Interrupted>,
    terminal: bool,
}

impl Typing {
    async fn run(mut self) {
        let mut open = true;
        let mut asked = false;
        while open {
            let part = tokio::select! {
                keys = self.keys.recv() => match keys {
                    Some(bytes) => Part::StdinData(bytes),
                    None => {
                        open = false;
                        continue;
                    }
                },
                kind = self.signals.next() => match kind {
                    kind if kind == SignalKind::window_change() => {
                        open = !self.terminal || self.tell_size().await;
                        continue;
                    }
                    // The container's program may have its own end; who asks twice, or hangs up, does not wait for it.
                    kind if asked || kind == SignalKind::hangup() => return self.give_up(kind.as_raw_value()).await,
                    kind => {
                        asked = true;
                        Part::Signal(kind.as_raw_value())
                    }
                },
            };
            open = tokio::select! {
                sent = self.requests.send(request(part)) => sent.is_ok(),
                // The container does not read.
                number = self.signals.ending() => return self.give_up(number).await,
            };
        }
        let Self {
            requests,
            mut signals,
            leave,
            ..
        } = self;
        // By this the container knows that nothing more is typed.
        drop(requests);
        let number = signals.ending().await;
        let _ = leave.send(Interrupted::by(number)).await;
    }

    async fn give_up(self, number: i32) {
        let _ = self.leave.send(Interrupted::by(number)).await;
    }

    async fn tell_size(&self) -> bool {
        match size() {
            Some(size) => self.requests.send(request(size)).await.is_ok(),
            None => true,
        }
    }
}

/// How large the terminal is now.
fn size() -> Option<Part> {
    let (columns, rows) = terminal::size().ok()?;
    Some(Part::TermResize(DebugContainerTerminalResize {
        width: columns.into(),
        height: rows.into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::WAITING;
    use super::*;

    fn typing(terminal: bool) -> (mpsc::Receiver<DebugContainerRunRequest>, mpsc::Sender<Vec<u8>>, Typing) {
        let (requests, received) = mpsc::channel(WAITING);
        let (type_keys, keys) = mpsc::channel(1);
        let typing = Typing {
            requests,
            keys,
            signals: Signals::listen().unwrap(),
            leave: mpsc::channel(1).0,
            terminal,
        };
        (received, type_keys, typing)
    }

    #[tokio::test]
    async fn what_is_typed_is_sent_and_its_end_is_the_end_of_the_requests() {
        let (mut received, type_keys, typing) = typing(false);
        let work = tokio::spawn(typing.run());
        type_keys.send(b"abc".to_vec()).await.unwrap();
        drop(type_keys);
        let first = received.recv().await.and_then(|r| r.request);
        assert_eq!(first, Some(Part::StdinData(b"abc".to_vec())));
        assert!(received.recv().await.is_none());
        work.abort();
    }
}
