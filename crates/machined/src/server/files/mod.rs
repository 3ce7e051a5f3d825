//! Files of the node: listing, reading, copying, measuring.
//!
//! The path a client names is followed if it is a link, as `ls DIR/` and `cat` do; links below it never are. What
//! is said of folders is made by a thread that a slow client holds back and that ends when the client goes away; a file
//! alone comes in [`pieces`].

mod archive;
mod list;
mod usage;
mod walk;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use api::proto::common::{Data, Metadata};
use api::proto::machine as proto;
use futures::StreamExt;
use tokio::sync::{Semaphore, mpsc};
use tonic::codegen::BoxStream;
use tonic::{Response, Status};

use super::pieces::{self, Cut, Pieces};

/// Messages that may wait for the client.
const WAITING: usize = 8;
/// Streams that threads make at the same time. A client that does not read holds its thread back, and the node has 512
/// for all work that blocks.
const THREADS: usize = 64;

/// The threads that make streams.
static PRODUCING: Semaphore = Semaphore::const_new(THREADS);

type Stream<T> = Result<Response<BoxStream<T>>, Status>;

/// Where a thread puts what it makes.
struct Sink<T>(mpsc::Sender<Result<T, Status>>);

/// The client went away; there is nothing more to do.
struct Gone;

impl<T> Sink<T> {
    /// Waits until the client takes it.
    fn send(&self, item: T) -> Result<(), Gone> {
        self.0.blocking_send(Ok(item)).map_err(|_| Gone)
    }

    /// For work that has nothing to send for long.
    fn check(&self) -> Result<(), Gone> {
        if self.0.is_closed() { Err(Gone) } else { Ok(()) }
    }
}

/// A stream of what a thread makes.
fn produce<T: Send + 'static>(work: impl FnOnce(&Sink<T>) -> Result<(), Gone> + Send + 'static) -> Stream<T> {
    produce_in(&PRODUCING, work)
}

/// The same with one of so many threads, or a refusal.
fn produce_in<T: Send + 'static>(
    threads: &'static Semaphore,
    work: impl FnOnce(&Sink<T>) -> Result<(), Gone> + Send + 'static,
) -> Stream<T> {
    let busy = |_| Status::resource_exhausted("too many folders are being listed, measured or copied: try again later");
    let place = threads.try_acquire().map_err(busy)?;
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let _place = place;
        // A client that is gone ended the work, which is all there is to say of it.
        let _ = work(&Sink(sender));
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    Ok(Response::new(stream.boxed()))
}

/// The path a client named: it has no folder of its own that a relative one could start from.
fn absolute(path: &str) -> Result<PathBuf, Status> {
    let path = Path::new(path);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let text = format!("the path {:?} is not absolute: write it from / on", path.display());
    Err(Status::invalid_argument(text))
}

/// An error of the file system as a status.
pub(super) fn status(kind: ErrorKind, text: impl Into<String>) -> Status {
    let text = text.into();
    match kind {
        ErrorKind::NotFound => Status::not_found(text),
        ErrorKind::PermissionDenied => Status::permission_denied(text),
        ErrorKind::InvalidInput | ErrorKind::NotADirectory | ErrorKind::IsADirectory => Status::invalid_argument(text),
        _ => Status::internal(text),
    }
}

pub(super) fn bytes(bytes: Vec<u8>) -> Data {
    Data { metadata: None, bytes }
}

/// A message that says what went wrong where the rest of the stream is still good.
fn complaint(error: String) -> Data {
    #[allow(deprecated)]
    let metadata = Metadata {
        error,
        ..Metadata::default()
    };
    Data {
        metadata: Some(metadata),
        bytes: Vec::new(),
    }
}

/// Entries of a folder, and of the folders below it.
pub fn list(request: proto::ListRequest) -> Stream<proto::FileInfo> {
    let root = absolute(if request.root.is_empty() { "/" } else { &request.root })?;
    let depth = match (request.recurse, usize::try_from(request.recursion_depth)) {
        (false, _) => 1,
        (true, Ok(depth @ 1..)) => depth,
        (true, _) => usize::MAX,
    };
    list::stream(root, depth, request)
}

/// What files take.
pub fn usage(request: proto::DiskUsageRequest) -> Stream<proto::DiskUsageInfo> {
    let paths = if request.paths.is_empty() {
        vec![PathBuf::from("/")]
    } else {
        request.paths.iter().map(|p| absolute(p)).collect::<Result<_, _>>()?
    };
    usage::stream(paths, request)
}

/// A folder or file as a compressed archive.
pub fn copy(request: &proto::CopyRequest) -> Stream<Data> {
    archive::stream(absolute(&request.root_path)?)
}

/// The content of a file.
pub fn read(request: &proto::ReadRequest) -> Stream<Data> {
    let path = absolute(&request.path)?;
    let file = sys::files::open_regular(&path, true).map_err(|e| status(e.kind(), e.to_string()))?;
    let what = path.display().to_string();
    pieces::stream(Pieces::new(file, Cut::Anywhere), what, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn content(path: &str) -> Result<Vec<u8>, Status> {
        let mut stream = read(&proto::ReadRequest { path: path.to_owned() })?.into_inner();
        let mut all = Vec::new();
        while let Some(data) = stream.next().await {
            all.extend(data?.bytes);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_file_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let large: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &large).unwrap();
        assert_eq!(content(path.to_str().unwrap()).await.unwrap(), large);
        // Files of the kernel have no size to go by.
        let status = content("/proc/self/status").await.unwrap();
        assert!(status.starts_with(b"Name:"));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_said() {
        let code = async |path| content(path).await.unwrap_err().code();
        assert_eq!(code("etc/hosts").await, tonic::Code::InvalidArgument);
        assert_eq!(code("/etc").await, tonic::Code::InvalidArgument);
        assert_eq!(code("/dev/zero").await, tonic::Code::InvalidArgument);
        assert_eq!(code("/no/such/file").await, tonic::Code::NotFound);
    }

    #[tokio::test]
    async fn a_client_that_goes_away_ends_the_thread() {
        let (ended, wait) = tokio::sync::oneshot::channel();
        let stream = produce(move |sink| {
            let _ended = ended;
            loop {
                sink.send(1)?;
            }
        });
        let mut stream = stream.unwrap().into_inner();
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        drop(stream);
        // The sender is dropped with the thread's work.
        assert!(wait.await.map(|()| "sent").is_err());
    }

    #[tokio::test]
    async fn clients_that_do_not_read_hold_so_many_threads_and_no_more() {
        static TWO: Semaphore = Semaphore::const_new(2);
        let endless = || {
            produce_in(&TWO, |sink| {
                loop {
                    sink.send(1)?;
                }
            })
        };
        let held = [endless().unwrap(), endless().unwrap()];
        assert_eq!(endless().err().unwrap().code(), tonic::Code::ResourceExhausted);
        drop(held);
        let freed = async {
            while endless().is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), freed)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn work_that_sends_nothing_ends_too() {
        let (ended, wait) = tokio::sync::oneshot::channel();
        let stream = produce::<()>(move |sink| {
            let _ended: tokio::sync::oneshot::Sender<()> = ended;
            loop {
                sink.check()?;
            }
        });
        drop(stream);
        assert!(wait.await.is_err());
    }
}
