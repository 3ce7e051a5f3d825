//! `copy` and `read`: files of a node, to here.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::{Context as _, Result, anyhow, bail};
use api::proto::common::Data;
use api::proto::machine::{CopyRequest, ReadRequest};
use flate2::read::GzDecoder;
use tar::EntryType;
use tonic::{Status, Streaming};

use crate::Program;
use crate::cli::common::Node;
use crate::cli::files::{Copy, Read};
use crate::output::{note, print_bytes};
use crate::session::{Failures, Session, Silent, block};

/// Pieces of an archive that may wait for the disk.
const WAITING: usize = 16;

/// Runs `read`.
pub fn read(command: &Node<Read>, program: Program) -> Result<()> {
    block(async {
        let session = Session::open(&command.client, program)?;
        let target = session.single("read")?;
        let failed = |status| Failures(vec![(target.node.clone(), status)]);
        let request = ReadRequest {
            path: command.args.path.clone(),
        };
        let stream = target.client.machine().read(request).await;
        let mut stream = stream.map_err(failed)?.into_inner();
        while let Some(data) = stream.message().await.map_err(failed)? {
            print_bytes(&data.bytes)?;
        }
        Ok(())
    })
}

/// Runs `copy`.
pub fn copy(command: &Node<Copy>, program: Program) -> Result<()> {
    let args = &command.args;
    if args.target != "-" {
        let target = Path::new(&args.target);
        if target.exists() && !target.is_dir() {
            bail!(
                "{} is not a folder: name one to unpack into, or - for the archive",
                args.target
            );
        }
    }
    block(async {
        let session = Session::open(&command.client, program)?;
        let target = session.single("copy")?;
        let failed = |status| Failures(vec![(target.node.clone(), status)]);
        let request = CopyRequest {
            root_path: args.source.clone(),
        };
        let stream = target.client.machine().copy(request).await;
        let mut stream = stream.map_err(failed)?.into_inner();
        let complaints = if args.target == "-" {
            each_piece(&mut stream, |piece| Ok(print_bytes(&piece)?)).await
        } else {
            receive(&mut stream, &args.target).await
        };
        let complaints = complaints.map_err(|error| match error.downcast::<Status>() {
            Ok(status) => failed(status).into(),
            Err(error) => error,
        })?;
        if complaints.is_empty() {
            return Ok(());
        }
        note(&format!(
            "{}: not everything could be copied: {complaints}",
            target.node
        ));
        Err(Silent.into())
    })
}

/// Hands on the bytes of a stream; what the node could not read is the result.
async fn each_piece(stream: &mut Streaming<Data>, mut take: impl FnMut(Vec<u8>) -> Result<()>) -> Result<String> {
    let mut complaints = String::new();
    while let Some(data) = stream.message().await? {
        #[allow(deprecated)]
        complaints.extend(data.metadata.map(|m| m.error));
        if !data.bytes.is_empty() {
            take(data.bytes)?;
        }
    }
    Ok(complaints)
}

/// Unpacks a stream while it comes, on a thread of its own.
async fn receive(stream: &mut Streaming<Data>, target: &str) -> Result<String> {
    let target = PathBuf::from(target);
    let (sender, receiver) = sync_channel(WAITING);
    let unpacking = std::thread::spawn(move || unpack(Pieces::new(receiver), &target));
    let received = each_piece(stream, |piece| {
        // The thread ended early: why, it says itself.
        sender.send(piece).map_err(|_| anyhow!("unpacking ended"))
    })
    .await;
    drop(sender);
    let unpacked = unpacking.join().map_err(|_| anyhow!("unpacking panicked"))?;
    match received {
        // An archive that was cut short is not what is wrong if the stream broke.
        Err(error) if error.is::<Status>() => Err(error),
        received => {
            unpacked?;
            received
        }
    }
}

/// What comes through a channel, to be read.
struct Pieces {
    receiver: Receiver<Vec<u8>>,
    piece: io::Cursor<Vec<u8>>,
}

impl Pieces {
    fn new(receiver: Receiver<Vec<u8>>) -> Self {
        Self {
            receiver,
            piece: io::Cursor::default(),
        }
    }
}

impl io::Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.piece.read(buffer)? {
                0 if !buffer.is_empty() => match self.receiver.recv() {
                    Ok(piece) => self.piece = io::Cursor::new(piece),
                    Err(_) => return Ok(0),
                },
                count => return Ok(count),
            }
        }
    }
}

/// Unpacks an archive. Owners are whoever runs this, nothing is written outside the folder, and devices are left out.
fn unpack(archive: impl io::Read, target: &Path) -> Result<()> {
    std::fs::create_dir_all(target).with_context(|| format!("make {}", target.display()))?;
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    archive.set_preserve_permissions(false);
    archive.set_preserve_mtime(true);
    archive.set_overwrite(true);
    // Folders get their modes at the end, when nothing has to be put into them any more.
    let mut folders = Vec::new();
    for entry in archive.entries().context("read the archive")? {
        let mut entry = entry.context("read the archive")?;
        let name = entry.path().context("read a name in the archive")?.into_owned();
        match entry.header().entry_type() {
            EntryType::Directory => {
                folders.push(name);
                continue;
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                note(&format!("{}: a device or pipe is not made here", name.display()));
                continue;
            }
            _ => {}
        }
        let place = target.join(&name);
        let made = entry
            .unpack_in(target)
            .with_context(|| format!("write {}", place.display()))?;
        if !made {
            bail!(
                "the archive has a name that leads out of the folder: {}",
                name.display()
            );
        }
    }
    for name in folders {
        if name.components().any(|c| !matches!(c, std::path::Component::Normal(_))) {
            bail!(
                "the archive has a name that leads out of the folder: {}",
                name.display()
            );
        }
        let place = target.join(&name);
        // Through a link that was unpacked, a folder could be made elsewhere.
        if !inside(&place, target) {
            bail!(
                "the archive has a name that leads out of the folder: {}",
                name.display()
            );
        }
        std::fs::create_dir_all(&place).with_context(|| format!("make {}", place.display()))?;
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&place, mode).with_context(|| format!("make {}", place.display()))?;
    }
    io::stdout().flush()?;
    Ok(())
}

/// Whether no part of the path below the folder is a link.
fn inside(place: &Path, target: &Path) -> bool {
    let above = place.ancestors().take_while(|path| *path != target);
    above.into_iter().all(|path| !path.is_symlink())
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, Header};

    use super::*;

    fn header(kind: EntryType, mode: u32, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_uid(12345);
        header
    }

    fn archive(fill: impl FnOnce(&mut Builder<GzEncoder<Vec<u8>>>)) -> Vec<u8> {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        fill(&mut builder);
        builder.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn an_archive_is_unpacked_without_modes_that_lock_us_out() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = archive(|b| {
            b.append_data(&mut header(EntryType::Directory, 0o000, 0), "dir", io::empty())
                .unwrap();
            b.append_data(&mut header(EntryType::Regular, 0o4755, 3), "dir/a", &b"abc"[..])
                .unwrap();
            b.append_link(&mut header(EntryType::Symlink, 0o777, 0), "link", "/etc")
                .unwrap();
            b.append_data(&mut header(EntryType::Fifo, 0o600, 0), "pipe", io::empty())
                .unwrap();
        });
        let target = folder.path().join("new");
        unpack(&bytes[..], &target).unwrap();
        assert_eq!(std::fs::read(target.join("dir/a")).unwrap(), b"abc");
        let mode = |name: &str| std::fs::metadata(target.join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("dir"), mode("dir/a") & 0o4000), (0o755, 0));
        assert_eq!(std::fs::read_link(target.join("link")).unwrap(), Path::new("/etc"));
        assert!(!target.join("pipe").exists());
    }

    #[test]
    fn nothing_is_written_outside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (target, outside) = (folder.path().join("target"), folder.path().join("outside"));
        std::fs::create_dir(&outside).unwrap();
        for (name, kind) in [("link/made", EntryType::Directory), ("link/file", EntryType::Regular)] {
            let bytes = archive(|b| {
                b.append_link(&mut header(EntryType::Symlink, 0o777, 0), "link", &outside)
                    .unwrap();
                b.append_data(&mut header(kind, 0o644, 0), name, io::empty()).unwrap();
            });
            assert!(unpack(&bytes[..], &target).is_err(), "{name}");
        }
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn an_archive_that_was_cut_short_is_an_error() {
        let bytes = archive(|b| {
            b.append_data(&mut header(EntryType::Regular, 0o644, 3), "a", &b"abc"[..])
                .unwrap();
        });
        let folder = tempfile::tempdir().unwrap();
        assert!(unpack(&bytes[..bytes.len() / 2], folder.path()).is_err());
    }
}
