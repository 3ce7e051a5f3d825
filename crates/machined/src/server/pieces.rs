//! A file as a stream of messages: each piece is read by a thread and sent by a task, so that a client that does not read
//! holds back its own stream and no thread.

use std::io::{self, ErrorKind, Read};
use std::time::Duration;

use api::proto::common::Data;
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::codegen::BoxStream;

/// Bytes in one message of a stream of bytes: with what is around them they fit in one frame of those who ask for large
/// ones, as our clients and nodes do (128 KiB).
pub const PIECE: usize = 127 * 1024;
/// Pieces that are read ahead.
const AHEAD: usize = 2;

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
pub fn stream<F>(pieces: Pieces<F>, what: String, follow: Option<Duration>) -> BoxStream<Data>
where
    F: Read + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(send(pieces, what, follow, sender));
    Box::pin(ReceiverStream::new(receiver).map(|piece| piece.map(|bytes| Data { metadata: None, bytes })))
}

async fn send<F>(mut pieces: Pieces<F>, what: String, follow: Option<Duration>, to: Sender<Result<Vec<u8>, Status>>)
where
    F: Read + Send + 'static,
{
    loop {
        let reading = tokio::task::spawn_blocking(move || (pieces.next(), pieces));
        // A thread that cannot go on has said so; then there is nothing to read with.
        let Ok((read, rest)) = reading.await else { return };
        pieces = rest;
        match (read, follow) {
            (Ok(Some(piece)), _) => {
                if to.send(Ok(piece)).await.is_err() {
                    return;
                }
            }
            (Ok(None), Some(pause)) => tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = to.closed() => return,
            },
            (Ok(None), None) => return,
            (Err(error), _) => {
                let status = super::files::status(error.kind(), format!("read {what}: {error}"));
                // Whoever is gone needs no reason.
                let _ = to.send(Err(status)).await;
                return;
            }
        }
    }
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

    #[tokio::test]
    async fn a_client_that_does_not_read_holds_no_thread() {
        // More streams than the runtime has threads for work that blocks.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::write(&path, vec![b'x'; 8 * PIECE]).unwrap();
        let open = || Pieces::new(std::fs::File::open(&path).unwrap(), Cut::Anywhere);
        let mut streams: Vec<_> = (0..600).map(|_| stream(open(), "large".into(), None)).collect();
        for stream in &mut streams {
            assert!(stream.next().await.unwrap().is_ok());
        }
        let mut last = stream(open(), "large".into(), None);
        let mut length = 0;
        while let Some(data) = last.next().await {
            length += data.unwrap().bytes.len();
        }
        assert_eq!(length, 8 * PIECE);
    }
}
