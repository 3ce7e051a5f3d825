//! Where the last lines of a file begin: found from its end, so that the rest of a large file is not read.

use std::io::{Result, SeekFrom};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt};

/// Bytes read at once.
pub const BLOCK: usize = 64 * 1024;

/// Goes to where the last `count` lines begin. What follows the last end of a line is a line too.
///
/// # Errors
/// The file cannot be read, or became shorter meanwhile.
pub async fn seek<F: AsyncRead + AsyncSeek + Unpin>(file: &mut F, count: usize, block: usize) -> Result<()> {
    let length = file.seek(SeekFrom::End(0)).await?;
    let start = start(file, length, count, block).await?;
    file.seek(SeekFrom::Start(start)).await.map(drop)
}

async fn start<F: AsyncRead + AsyncSeek + Unpin>(file: &mut F, length: u64, count: usize, block: usize) -> Result<u64> {
    if count == 0 {
        return Ok(length);
    }
    let mut buffer = vec![0; block];
    let (mut begin, mut lines) = (length, 0);
    while begin > 0 {
        let end = begin;
        begin = end.saturating_sub(block as u64);
        let buffer = &mut buffer[..(end - begin) as usize];
        file.seek(SeekFrom::Start(begin)).await?;
        file.read_exact(buffer).await?;
        for (at, _) in buffer.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let next = begin + at as u64 + 1;
            // The last end of a line of the file begins no other.
            if next == length {
                continue;
            }
            lines += 1;
            if lines == count {
                return Ok(next);
            }
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// The last lines, read in blocks of some bytes.
    async fn last(text: &[u8], count: usize, block: usize) -> Vec<u8> {
        let mut file = Cursor::new(text);
        seek(&mut file, count, block).await.unwrap();
        let mut rest = Vec::new();
        file.read_to_end(&mut rest).await.unwrap();
        rest
    }

    #[tokio::test]
    async fn the_last_lines_are_the_same_however_blocks_cut_them() {
        let texts: [&[u8]; 9] = [
            b"",
            b"\n",
            b"\n\n\n",
            b"one",
            b"one\n",
            b"one\ntwo\nthree",
            b"one\ntwo\nthree\n",
            b"\none\n\n\ntwo\n\n",
            "erste Zeile\ngrüße aus Köln\n日本語の行\nenden ohne Ende: é".as_bytes(),
        ];
        for text in texts {
            let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
            for block in 1..=text.len() + 2 {
                for count in 0..=lines.len() + 2 {
                    let wanted = lines[lines.len().saturating_sub(count)..].concat();
                    assert_eq!(
                        last(text, count, block).await,
                        wanted,
                        "{text:?}, {count} lines, {block} bytes"
                    );
                }
            }
        }
    }

    #[tokio::test]
    async fn a_very_long_line_is_one_line() {
        let long = [vec![b'x'; 5 * BLOCK + 7], b"\n".to_vec()].concat();
        let text = [b"first\n", &long[..], b"last\n"].concat();
        assert_eq!(last(&text, 1, BLOCK).await, b"last\n");
        assert_eq!(last(&text, 2, BLOCK).await, [&long[..], b"last\n"].concat());
        assert_eq!(last(&text, 3, BLOCK).await, text);
    }

    #[tokio::test]
    async fn no_more_of_a_large_file_is_read_than_its_last_blocks() {
        // A hole: reading it all would take minutes.
        let mut sparse = tempfile::tempfile().unwrap();
        std::io::Seek::seek(&mut sparse, SeekFrom::Start(1 << 40)).unwrap();
        std::io::Write::write_all(&mut sparse, b"\nsecond to last\nlast\n").unwrap();
        let mut file = tokio::fs::File::from_std(sparse);
        seek(&mut file, 2, BLOCK).await.unwrap();
        let mut rest = Vec::new();
        file.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"second to last\nlast\n");
    }
}
