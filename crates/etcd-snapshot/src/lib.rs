//! Snapshots of etcd: is a file one, is it whole, and what is in it.
//!
//! A snapshot is etcd's database file as it was at one moment, followed by 32 bytes, the SHA-256 of everything before
//! them. A database file copied from a member's data folder has no such end. The database is a B+ tree of pages in
//! the format of bbolt ([`bolt`]).
//!
//! Nothing is ever read whole: the checksum goes through the file in pieces, the description page by page.
//!
//! ```no_run
//! let snapshot = etcd_snapshot::Snapshot::open("db.snapshot".as_ref())?;
//! assert_eq!(snapshot.checksum()?, etcd_snapshot::Checksum::Right);
//! println!("{}", snapshot.describe()?);
//! # Ok::<(), etcd_snapshot::Error>(())
//! ```

pub mod bolt;
mod contents;
pub mod fuzz;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

pub use contents::KubernetesAuthority;

/// Length of the checksum at the end.
pub const CHECKSUM: u64 = 32;
/// Pages are multiples of this; what is left over is the checksum.
const GRAIN: u64 = 512;
/// The file is read in pieces of this size to compute the checksum.
const PIECE: usize = 256 * 1024;

/// Why a file is no good as a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Io(io::Error),
    /// It is something else, or less than a snapshot.
    #[error("it is not a snapshot of etcd: {0}")]
    Foreign(String),
    /// It was a snapshot of etcd once.
    #[error("it is corrupted: {0}")]
    Corrupted(String),
}

impl From<io::Error> for Error {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

/// What the checksum at the end says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksum {
    /// The content is what was saved.
    Right,
    /// The content changed since.
    Wrong,
    /// There is none: the file was copied from a data folder.
    Absent,
}

/// What is in a snapshot, as etcd's own tools tell it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Description {
    /// CRC-32C of the names of all buckets, their keys and values.
    pub hash: u32,
    /// The latest revision.
    pub revision: i64,
    /// Keys that exist at that revision.
    pub keys: u64,
    /// Size of the database in bytes, without the checksum.
    pub size: u64,
    /// The authorities of the Kubernetes cluster whose state this is; empty if there is none in it.
    pub kubernetes: KubernetesAuthority,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "hash {:08x}, revision {}, total keys {}, total size {}",
            self.hash, self.revision, self.keys, self.size
        )
    }
}

/// A snapshot in a file.
#[derive(Debug)]
pub struct Snapshot {
    file: File,
    length: u64,
}

impl Snapshot {
    /// Opens a file; what is in it is not looked at yet.
    ///
    /// # Errors
    /// It cannot be read, or has a length that no snapshot has.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Error::Foreign("it is not a file".into()));
        }
        let length = metadata.len();
        match length {
            0 => Err(Error::Foreign("it is empty".into())),
            _ if length % GRAIN == 0 || length % GRAIN == CHECKSUM => Ok(Self { file, length }),
            _ => Err(Error::Foreign(format!(
                "no snapshot is {length} bytes long (it may have been cut off)"
            ))),
        }
    }

    /// Length of the database, without the checksum.
    pub fn size(&self) -> u64 {
        self.length - self.length % GRAIN
    }

    /// Compares the content with the checksum at its end. Reads all of it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn checksum(&self) -> io::Result<Checksum> {
        if self.length.is_multiple_of(GRAIN) {
            return Ok(Checksum::Absent);
        }
        let mut hash = Sha256::new();
        let mut piece = vec![0; PIECE];
        let mut at = 0;
        while at < self.size() {
            let wanted = usize::try_from(self.size() - at).unwrap_or(PIECE).min(PIECE);
            let piece = piece.get_mut(..wanted).unwrap_or_default();
            self.file.read_exact_at(piece, at)?;
            hash.update(&*piece);
            at += wanted as u64;
        }
        let mut expected = [0; CHECKSUM as usize];
        self.file.read_exact_at(&mut expected, at)?;
        Ok(if hash.finalize()[..] == expected {
            Checksum::Right
        } else {
            Checksum::Wrong
        })
    }

    /// Goes through the whole tree and tells what is in it.
    ///
    /// # Errors
    /// It is not a database of etcd, or its pages do not fit together.
    pub fn describe(&self) -> Result<Description, Error> {
        contents::describe(&self.file, self.size())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A snapshot that etcd 3.7 saved of a database with a few keys.
    const SAVED: &[u8] = include_bytes!("../tests/data/small.snapshot");

    fn snapshot(bytes: &[u8]) -> (tempfile::NamedTempFile, Result<Snapshot, Error>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let opened = Snapshot::open(file.path());
        (file, opened)
    }

    #[test]
    fn a_saved_snapshot_is_whole_and_described_as_etcds_own_tool_does() {
        let (_file, snapshot) = snapshot(SAVED);
        let snapshot = snapshot.unwrap();
        assert_eq!(snapshot.checksum().unwrap(), Checksum::Right);
        let told = include_str!("../tests/data/small.status");
        assert_eq!(snapshot.describe().unwrap().to_string(), told.trim());
    }

    #[test]
    fn a_changed_byte_is_found_by_the_checksum() {
        let mut bytes = SAVED.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        let (_file, broken) = snapshot(&bytes);
        assert_eq!(broken.unwrap().checksum().unwrap(), Checksum::Wrong);
        let mut bytes = SAVED.to_vec();
        bytes[100] ^= 1;
        let (_file, broken) = snapshot(&bytes);
        assert_eq!(broken.unwrap().checksum().unwrap(), Checksum::Wrong);
    }

    #[test]
    fn a_copied_database_has_no_checksum_and_is_described_all_the_same() {
        let (_file, copied) = snapshot(&SAVED[..SAVED.len() - 32]);
        let copied = copied.unwrap();
        assert_eq!(copied.checksum().unwrap(), Checksum::Absent);
        let (_file, saved) = snapshot(SAVED);
        assert_eq!(copied.describe().unwrap(), saved.unwrap().describe().unwrap());
    }

    #[test]
    fn something_else_is_refused() {
        for bytes in [&b""[..], b"hello", &SAVED[..SAVED.len() - 100]] {
            assert!(matches!(snapshot(bytes).1, Err(Error::Foreign(_))));
        }
        let (_file, zeros) = snapshot(&[0; 8192]);
        assert!(matches!(zeros.unwrap().describe(), Err(Error::Foreign(_))));
        let (_file, short) = snapshot(&SAVED[..8192]);
        assert!(matches!(short.unwrap().describe(), Err(Error::Corrupted(_))));
    }
}
