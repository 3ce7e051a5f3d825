//! A container and the client that holds it: what is typed goes in, what is shown comes out, and when one of the two ends
//! so does the other.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use api::proto::machine::debug_container_run_request::Request as Part;
use api::proto::machine::debug_container_run_response::Resp;
use api::proto::machine::{DebugContainerRunRequest, DebugContainerRunResponse, DebugContainerTerminalResize};
use futures::StreamExt;
use sys::process::pidfd;
use sys::sandbox::{Child, ExitStatus, Terminal, WindowSize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Status, Streaming};

use super::Room;

/// Pieces of output that wait for the client; then the container waits.
const WAITING: usize = 16;
/// Most bytes of output in one message.
const PIECE: usize = 32 * 1024;
/// How long the kernel may take to end processes.
const KILL: Duration = Duration::from_secs(5);

type Answer = Result<DebugContainerRunResponse, Status>;

/// A container that runs.
pub struct Session {
    child: Child,
    room: Room,
    streams: Streams,
    requests: Requests,
    node: CancellationToken,
}

/// What the client says: what came early, and what comes.
type Requests = (Option<DebugContainerRunRequest>, Streaming<DebugContainerRunRequest>);

/// Our ends of the container's streams.
enum Streams {
    Terminal(Arc<Terminal>),
    Pipes {
        stdin: Option<pipe::Sender>,
        outputs: Vec<pipe::Receiver>,
    },
}

/// Why it is over.
enum End {
    Exited(ExitStatus),
    ClientGone,
    NodeEnds,
}

impl Session {
    /// Takes over a container that was started.
    pub fn begin(mut child: Child, room: Room, requests: Requests, node: CancellationToken) -> Result<Self, Status> {
        let failed = |e: sys::Error| Status::internal(e.to_string());
        let streams = match child.take_terminal().map_err(failed)? {
            Some(terminal) => Streams::Terminal(Arc::new(terminal)),
            None => {
                let outputs = [child.take_stdout(), child.take_stderr()];
                let outputs = outputs.into_iter().filter_map(Result::transpose);
                Streams::Pipes {
                    stdin: child.take_stdin().map_err(failed)?,
                    outputs: outputs.collect::<Result<_, _>>().map_err(failed)?,
                }
            }
        };
        Ok(Self {
            child,
            room,
            streams,
            requests,
            node,
        })
    }

    /// Runs it to its end, whose stream this is. The place among containers is free again when everything is cleared away.
    pub fn run(self, permit: OwnedSemaphorePermit) -> BoxStream<DebugContainerRunResponse> {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            self.work(sender).await;
            drop(permit);
        });
        tokio_stream::wrappers::ReceiverStream::new(receiver).boxed()
    }

    async fn work(self, sender: mpsc::Sender<Answer>) {
        let Self {
            mut child,
            room,
            streams,
            requests,
            node,
        } = self;
        let Ok(process) = child.pidfd().try_clone_to_owned() else {
            let _ = sender
                .send(Err(Status::internal("watch the container: no file is free")))
                .await;
            return;
        };
        let mut outputs = JoinSet::new();
        // Dropped with everything in it when this ends, and then nobody types any more.
        let mut input = JoinSet::new();
        match streams {
            Streams::Terminal(terminal) => {
                outputs.spawn(show_terminal(terminal.clone(), sender.clone()));
                input.spawn(take(requests, Keyboard::Terminal(terminal), process));
            }
            Streams::Pipes { stdin, outputs: pipes } => {
                for pipe in pipes {
                    outputs.spawn(show_pipe(pipe, sender.clone()));
                }
                input.spawn(take(requests, Keyboard::Pipe(stdin), process));
            }
        }
        let end = tokio::select! {
            status = child.wait() => match status {
                Ok(status) => End::Exited(status),
                Err(error) => {
                    tracing::warn!(%error, "the end of a debug container is not known");
                    End::ClientGone
                }
            },
            () = sender.closed() => End::ClientGone,
            _ = input.join_next() => End::ClientGone,
            () = node.cancelled() => End::NodeEnds,
        };
        drop(input);
        clear(child, room).await;
        // Whatever was written is told before the end; everything that could write is gone.
        while tokio::select! {
            more = outputs.join_next() => more.is_some(),
            () = sender.closed() => false,
        } {}
        let last = match end {
            End::Exited(status) => Ok(response(Resp::ExitCode(code(status)))),
            End::NodeEnds => Err(Status::unavailable("the node ends")),
            End::ClientGone => return,
        };
        let _ = sender.send(last).await;
    }
}

/// Ends the container with everything it started, and gives back what it had.
async fn clear(mut child: Child, room: Room) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = tokio::time::timeout(KILL, child.wait()).await;
    drop(child);
    // It waits for the kernel, which must not hold up the runtime.
    let _ = tokio::task::spawn_blocking(move || room.clear(KILL)).await;
}

/// As shells tell it.
fn code(status: ExitStatus) -> i32 {
    match status {
        ExitStatus::Code(code) => code,
        ExitStatus::Signal(signal) => 128 + signal,
    }
}

fn response(resp: Resp) -> DebugContainerRunResponse {
    DebugContainerRunResponse { resp: Some(resp) }
}

/// Sends a piece of output; false when nobody takes it.
async fn show(piece: &[u8], sender: &mpsc::Sender<Answer>) -> bool {
    let answer = response(Resp::StdoutData(piece.to_vec()));
    sender.send(Ok(answer)).await.is_ok()
}

async fn show_pipe(mut pipe: pipe::Receiver, sender: mpsc::Sender<Answer>) {
    let mut buffer = vec![0; PIECE];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        if !show(&buffer[..read], &sender).await {
            return;
        }
    }
}

async fn show_terminal(terminal: Arc<Terminal>, sender: mpsc::Sender<Answer>) {
    let mut buffer = vec![0; PIECE];
    while let Ok(read @ 1..) = terminal.read(&mut buffer).await {
        if !show(&buffer[..read], &sender).await {
            return;
        }
    }
}

fn size(told: &DebugContainerTerminalResize) -> WindowSize {
    let number = |value: i32| u16::try_from(value.max(0)).unwrap_or(u16::MAX);
    WindowSize {
        rows: number(told.height),
        columns: number(told.width),
    }
}

/// The size of the terminal that a request tells; unknown if it is about something else.
pub fn size_of(request: Option<&DebugContainerRunRequest>) -> WindowSize {
    match request.and_then(|request| request.request.as_ref()) {
        Some(Part::TermResize(told)) => size(told),
        _ => WindowSize::default(),
    }
}

/// Where what a client types goes.
enum Keyboard {
    Terminal(Arc<Terminal>),
    Pipe(Option<pipe::Sender>),
}

impl Keyboard {
    async fn write(&mut self, bytes: &[u8]) {
        let written = match self {
            Self::Terminal(terminal) => terminal.write_all(bytes).await,
            Self::Pipe(Some(pipe)) => pipe.write_all(bytes).await,
            Self::Pipe(None) => Ok(()),
        };
        // A program that does not read its input to the end is none of our business: what else comes is left out.
        if written.is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
            self.close();
        }
    }

    fn close(&mut self) {
        if let Self::Pipe(pipe) = self {
            *pipe = None;
        }
    }

    fn resize(&self, to: &DebugContainerTerminalResize) {
        if let Self::Terminal(terminal) = self
            && let Err(error) = terminal.resize(size(to))
        {
            tracing::debug!(%error, "a debug container's terminal keeps its size");
        }
    }
}

/// Does what the client says. Returns when it has gone; one that has only said everything may still want to see.
async fn take((mut early, mut requests): Requests, mut keyboard: Keyboard, process: OwnedFd) {
    use std::os::fd::AsFd;
    loop {
        let next = match early.take() {
            Some(early) => Ok(Some(early)),
            None => requests.message().await,
        };
        let Ok(request) = next else { return };
        let Some(request) = request else {
            keyboard.close();
            return std::future::pending().await;
        };
        match request.request {
            Some(Part::StdinData(bytes)) => keyboard.write(&bytes).await,
            Some(Part::TermResize(size)) => keyboard.resize(&size),
            Some(Part::Signal(signal)) => {
                if let Err(error) = pidfd::send_signal(process.as_fd(), signal) {
                    tracing::debug!(%error, signal, "a debug container did not get a signal");
                }
            }
            // It runs already.
            Some(Part::Spec(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_terminal_fits_in_what_the_kernel_takes() {
        let told = |width, height| DebugContainerRunRequest {
            request: Some(Part::TermResize(DebugContainerTerminalResize { width, height })),
        };
        let of = |request: Option<&DebugContainerRunRequest>| {
            let size = size_of(request);
            (size.columns, size.rows)
        };
        assert_eq!(of(Some(&told(120, 40))), (120, 40));
        assert_eq!(of(Some(&told(-1, i32::MAX))), (0, u16::MAX));
        assert_eq!(of(None), (0, 0));
    }

    #[test]
    fn an_end_by_a_signal_is_told_as_shells_tell_it() {
        assert_eq!((code(ExitStatus::Code(3)), code(ExitStatus::Signal(9))), (3, 137));
    }
}
