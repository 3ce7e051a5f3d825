//! A file as a stream of messages: a thread reads ahead and goes when nobody takes what it read, so that clients that do
//! not read hold back their own streams and no threads.

use std::io::{self, ErrorKind, Read};
use std::time::Duration;

use api::proto::common::Data;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Response, Status};

use super::files;

/// Bytes in one message of a stream of bytes: with what is around them they fit in one frame of those who ask for large
/// ones, as our clients and nodes do (128 KiB).
pub const PIECE: usize = 127 * 1024;
/// Pieces that are read ahead.
const AHEAD: usize = 4;
/// Streams at the same time. What is read ahead for clients that do not read is this often in memory.
const STREAMS: usize = 512;

/// The streams that there are.
static STREAMING: Semaphore = Semaphore::const_new(STREAMS);

/// Where pieces end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Anywhere.
    Anywhere,
    /// After a line, unless it is longer than a piece.
    Lines,
}

/// A file that is read in pieces.
pub struct Pieces<F> {
    file: F,
    cut: Cut,
    /// The beginning of a line whose rest has not been read.
    begun: Vec<u8>,
}

impl<F: Read> Pieces<F> {
    /// The pieces from where the file is.
    pub fn new(file: F, cut: Cut) -> Self {
        let begun = Vec::new();
        Self { file, cut, begun }
    }

    /// The next piece. At the end of the file, what there is of the last line; then None, until the file has grown.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut piece = std::mem::take(&mut self.begun);
        let mut length = piece.len();
        piece.reserve_exact(PIECE.saturating_sub(length));
        piece.resize(PIECE, 0);
        while length < PIECE {
            match self.file.read(&mut piece[length..]) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        piece.truncate(length);
        if self.cut == Cut::Lines
            && length == PIECE
            && let Some(end) = piece.iter().rposition(|byte| *byte == b'\n')
        {
            self.begun = piece.split_off(end + 1);
        }
        Ok((!piece.is_empty()).then_some(piece))
    }
}

/// The pieces as messages, and if they are followed what the file grows by, which is looked for this often. `what` is
/// the file's name in errors.
///
/// # Errors
/// There are too many streams.
pub fn stream<F>(pieces: Pieces<F>, what: String, follow: Option<Duration>) -> Result<Response<BoxStream<Data>>, Status>
where
    F: Read + Send + 'static,
{
    let busy = |_| Status::resource_exhausted(format!("{STREAMS} files and logs are being read: try again later"));
    let place = STREAMING.try_acquire().map_err(busy)?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let _place = place;
        send(pieces, what, follow, sender).await;
    });
    let data = ReceiverStream::new(receiver).map(|piece| piece.map(files::bytes));
    Ok(Response::new(Box::pin(data)))
}

async fn send<F>(mut pieces: Pieces<F>, what: String, follow: Option<Duration>, to: Sender<Result<Vec<u8>, Status>>)
where
    F: Read + Send + 'static,
{
    loop {
        let ahead = to.clone();
        let reading = tokio::task::spawn_blocking(move || (read_ahead(&mut pieces, &ahead), pieces));
        // A thread that could not go on has said so; then there is nothing to read with.
        let Ok((read, rest)) = reading.await else { return };
        pieces = rest;
        let goes_on = match (read, follow) {
            // Some room at once, so that a thread is not woken for each piece.
            (Ok(Stop::Full), _) => to.reserve_many(AHEAD.div_ceil(2)).await.is_ok(),
            (Ok(Stop::End), Some(pause)) => tokio::select! {
                () = tokio::time::sleep(pause) => true,
                () = to.closed() => false,
            },
            (Ok(Stop::End), None) => false,
            (Err(error), _) => {
                let status = files::status(error.kind(), format!("read {what}: {error}"));
                // Whoever is gone needs no reason.
                let _ = to.send(Err(status)).await;
                false
            }
        };
        if !goes_on {
            return;
        }
    }
}

/// Why reading stopped.
enum Stop {
    /// Nobody has taken what was read, or nobody is there.
    Full,
    /// There is no more yet.
    End,
}

/// Reads as long as there is room for what was read.
fn read_ahead<F: Read>(pieces: &mut Pieces<F>, to: &Sender<Result<Vec<u8>, Status>>) -> io::Result<Stop> {
    while let Ok(room) = to.try_reserve() {
        match pieces.next()? {
            Some(piece) => room.send(Ok(piece)),
            None => return Ok(Stop::End),
        }
    }
    Ok(Stop::Full)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in reads of a few.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len());
            self.0.read(&mut buffer[..count])
        }
    }

    fn all(file: impl Read, cut: Cut) -> Vec<Vec<u8>> {
        let mut pieces = Pieces::new(file, cut);
        std::iter::from_fn(|| pieces.next().unwrap()).collect()
    }

    #[test]
    fn pieces_are_the_file_however_it_is_read() {
        let lines: Vec<u8> = (0..60_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let long = [&b"short\n"[..], &vec![b'x'; 3 * PIECE], b"\nend"].concat();
        let nothing_else = vec![b'\n'; 2 * PIECE + 1];
        for text in [
            &b""[..],
            b"\n",
            b"no end",
            &lines,
            &long,
            &nothing_else,
            &lines[..PIECE],
        ] {
            for cut in [Cut::Anywhere, Cut::Lines] {
                for at_once in [1000, PIECE - 1, 1 << 20] {
                    let pieces = all(Slow(text, at_once), cut);
                    assert!(pieces.concat() == text, "{} bytes, {cut:?}, {at_once}", text.len());
                    assert!(pieces.iter().all(|piece| (1..=PIECE).contains(&piece.len())));
                }
            }
        }
    }

    #[test]
    fn lines_are_whole_unless_they_are_longer_than_a_piece() {
        let lines: Vec<u8> = (0..60_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let pieces = all(&lines[..], Cut::Lines);
        assert_eq!(pieces.len(), lines.len().div_ceil(PIECE));
        assert!(pieces.iter().all(|piece| piece.ends_with(b"\n")));
    }

    #[test]
    fn clients_that_do_not_read_hold_no_threads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::write(&path, vec![b'x'; 20 * PIECE]).unwrap();
        let open = || {
            let pieces = Pieces::new(std::fs::File::open(&path).unwrap(), Cut::Anywhere);
            stream(pieces, "large".into(), None).unwrap().into_inner()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .max_blocking_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut unread: Vec<_> = (0..10).map(|_| open()).collect();
            for stream in &mut unread {
                assert!(stream.next().await.unwrap().is_ok());
            }
            for mut stream in unread.drain(..3).chain([open()]) {
                let mut length = 0;
                while let Some(data) = stream.next().await {
                    length += data.unwrap().bytes.len();
                }
                assert!(length >= 19 * PIECE);
            }
        });
    }
}
