//! A tree as a compressed archive (tar.gz), made while it is sent.

use std::fs::Metadata;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use api::proto::common::Data;
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::super::pieces::PIECE;
use super::walk::{self, Entry, Walk};
use super::{Gone, Sink, Stream, bytes, complaint, produce, status};

/// Files of the kernel show no size: they are read first. More of one than this is left out.
const UNSIZED_MAX: u64 = 4 << 20;
/// Complaints are sent at the end; a tree without permissions must not fill the memory with them.
const COMPLAINTS: usize = 100;

pub fn stream(root: PathBuf) -> Stream<Data> {
    let failed = |e: io::Error| status(e.kind(), format!("copy {}: {e}", root.display()));
    let metadata = std::fs::metadata(&root).map_err(failed)?;
    if metadata.is_dir() {
        std::fs::read_dir(&root).map_err(failed)?;
    }
    produce(move |sink| {
        let encoder = GzEncoder::new(Chunks::new(sink), Compression::fast());
        let mut archive = Archive {
            tar: Builder::new(encoder),
            complaints: Vec::new(),
        };
        let mut walk = Walk::new(&root, usize::MAX, !walk::is_of_the_kernel(&root));
        while let Some(entry) = walk.next() {
            if let Some((path, _, error)) = walk.failed.take() {
                archive.complain(&path, &error);
            }
            archive.add(&entry).map_err(|_| Gone)?;
        }
        if let Some((path, _, error)) = walk.failed.take() {
            archive.complain(&path, &error);
        }
        // Writing fails only when the client is gone.
        let encoder = archive.tar.into_inner().map_err(|_| Gone)?;
        encoder
            .finish()
            .and_then(|mut chunks| chunks.flush())
            .map_err(|_| Gone)?;
        if archive.complaints.is_empty() {
            return Ok(());
        }
        sink.send(complaint(archive.complaints.join("; ")))
    })
}

/// Sends what is written to it, in pieces.
struct Chunks<'a> {
    sink: &'a Sink<Data>,
    buffer: Vec<u8>,
}

impl<'a> Chunks<'a> {
    fn new(sink: &'a Sink<Data>) -> Self {
        Self {
            sink,
            buffer: Vec::with_capacity(PIECE),
        }
    }
}

impl Write for Chunks<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = PIECE - self.buffer.len();
        let taken = data.len().min(room);
        self.buffer.extend_from_slice(&data[..taken]);
        if self.buffer.len() == PIECE {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        let sent = self.sink.send(bytes(piece));
        sent.map_err(|Gone| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

struct Archive<W: Write> {
    tar: Builder<W>,
    complaints: Vec<String>,
}

impl<W: Write> Archive<W> {
    /// Adds a file. What cannot be read is left out and complained of; an error is one of writing.
    fn add(&mut self, entry: &Entry) -> io::Result<()> {
        let metadata = match &entry.metadata {
            Ok(metadata) => metadata,
            Err(error) => {
                self.complain(&entry.path, error);
                return Ok(());
            }
        };
        let root = entry.relative.as_os_str().is_empty();
        if root && metadata.is_dir() {
            return Ok(());
        }
        let name = if root {
            Path::new(entry.path.file_name().unwrap_or_default())
        } else {
            &entry.relative
        };
        let kind = metadata.file_type();
        let mut header = header(metadata);
        if kind.is_file() {
            return self.file(name, &entry.path, root, metadata, header);
        }
        if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            return match std::fs::read_link(&entry.path) {
                Ok(target) => self.tar.append_link(&mut header, name, target),
                Err(error) => {
                    self.complain(&entry.path, &error);
                    Ok(())
                }
            };
        }
        if kind.is_dir() {
            header.set_entry_type(EntryType::Directory);
        } else if kind.is_fifo() {
            header.set_entry_type(EntryType::Fifo);
        } else if kind.is_block_device() || kind.is_char_device() {
            header.set_entry_type(if kind.is_char_device() {
                EntryType::Char
            } else {
                EntryType::Block
            });
            header.set_device_major(rustix::fs::major(metadata.rdev()))?;
            header.set_device_minor(rustix::fs::minor(metadata.rdev()))?;
        } else {
            // A socket means nothing without its process, and the format has no word for it.
            return Ok(());
        }
        self.tar.append_data(&mut header, name, io::empty())
    }

    fn file(
        &mut self,
        name: &Path,
        path: &Path,
        root: bool,
        metadata: &Metadata,
        mut header: Header,
    ) -> io::Result<()> {
        // Only the root may be a link: what was a file when it was looked at, and is a link now, is not followed.
        let file = match sys::files::open_regular(path, root) {
            Ok(file) => file,
            Err(error) => {
                self.complain(path, &error.source);
                return Ok(());
            }
        };
        header.set_entry_type(EntryType::Regular);
        if metadata.len() == 0 || sys::files::shows_the_kernel(path) {
            let mut content = Vec::new();
            let read = file.take(UNSIZED_MAX + 1).read_to_end(&mut content);
            let too_large = || io::Error::other("it shows no size, and is too large to be held");
            let read = read.and_then(|length| {
                if length as u64 > UNSIZED_MAX {
                    Err(too_large())
                } else {
                    Ok(length)
                }
            });
            if let Err(error) = read {
                self.complain(path, &error);
                return Ok(());
            }
            header.set_size(content.len() as u64);
            return self.tar.append_data(&mut header, name, &content[..]);
        }
        header.set_size(metadata.len());
        let mut exact = Exact {
            file,
            left: metadata.len(),
            failed: None,
        };
        self.tar.append_data(&mut header, name, &mut exact)?;
        if let Some(error) = exact.failed {
            self.complain(path, &error);
        }
        Ok(())
    }

    fn complain(&mut self, path: &Path, error: &io::Error) {
        match self.complaints.len() {
            0..COMPLAINTS => self.complaints.push(format!("{}: {error}", path.display())),
            COMPLAINTS => self.complaints.push("and more".to_owned()),
            _ => {}
        }
    }
}

fn header(metadata: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(0);
    header.set_mode(metadata.mode() & 0o7777);
    header.set_uid(metadata.uid().into());
    header.set_gid(metadata.gid().into());
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    header
}

/// Exactly as many bytes as the header promised: what a file grows by meanwhile is left out, what it shrinks by is
/// zeros, and said.
struct Exact {
    file: std::fs::File,
    left: u64,
    failed: Option<io::Error>,
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..wanted];
        let read = if self.failed.is_some() {
            Ok(0)
        } else {
            self.file.read(buffer)
        };
        let count = match read {
            Ok(0) if wanted > 0 => {
                let shrunk = || io::Error::other("it became shorter while it was copied");
                self.failed.get_or_insert_with(shrunk);
                buffer.fill(0);
                wanted
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.failed = Some(error);
                buffer.fill(0);
                wanted
            }
        };
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flate2::read::GzDecoder;
    use futures::StreamExt;

    use super::*;

    async fn archive(path: &Path) -> (Vec<u8>, String) {
        let stream = stream(path.to_owned()).unwrap().into_inner();
        let pieces: Vec<Data> = stream.map(Result::unwrap).collect().await;
        let (mut all, mut complaints) = (Vec::new(), String::new());
        for piece in pieces {
            assert!(piece.bytes.len() <= PIECE);
            all.extend(piece.bytes);
            #[allow(deprecated)]
            complaints.extend(piece.metadata.map(|m| m.error));
        }
        (all, complaints)
    }

    fn contents(archive: &[u8]) -> BTreeMap<String, (EntryType, Vec<u8>)> {
        let mut archive = tar::Archive::new(GzDecoder::new(archive));
        let mut all = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            all.insert(name, (entry.header().entry_type(), content));
        }
        all
    }

    #[tokio::test]
    async fn a_tree_comes_out_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
        std::fs::create_dir_all(path(&"d".repeat(120))).unwrap();
        std::fs::write(path(&long), vec![7; 200_000]).unwrap();
        std::fs::write(path("empty"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        let (bytes, complaints) = archive(folder.path()).await;
        assert_eq!(complaints, "");
        let found = contents(&bytes);
        assert_eq!(found.len(), 4, "{:?}", found.keys());
        assert_eq!(found[&long], (EntryType::Regular, vec![7; 200_000]));
        assert_eq!(found["empty"], (EntryType::Regular, vec![]));
        assert_eq!(found["link"].0, EntryType::Symlink);
    }

    #[tokio::test]
    async fn a_single_file_and_files_of_the_kernel_are_archived() {
        let (bytes, _) = archive(Path::new("/proc/self/limits")).await;
        let found = contents(&bytes);
        assert!(found["limits"].1.starts_with(b"Limit"));
        let (bytes, _) = archive(Path::new("/sys/fs/cgroup")).await;
        assert!(contents(&bytes).keys().any(|name| name.ends_with("cgroup.procs")));
    }

    #[test]
    fn a_file_that_shrinks_is_filled_with_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        let mut exact = Exact {
            file: std::fs::File::open(&path).unwrap(),
            left: 5,
            failed: None,
        };
        let mut content = Vec::new();
        exact.read_to_end(&mut content).unwrap();
        assert_eq!(content, b"abc\0\0");
        assert!(exact.failed.is_some());
    }
}
