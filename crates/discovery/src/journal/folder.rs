//! The files of the state: `snapshot-N`, and `log-N` with what changed after snapshot N was begun.
//!
//! To start again, the newest snapshot is read and then every log from its number on. A snapshot gets its name when it
//! is complete and on disk; until then the one before it and the logs after that are there.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::entry::{self, Entry, Found};

/// The first bytes of both kinds of file; the last one is the version of the format.
pub const MAGIC: &[u8; 8] = b"keeldsc\x01";

/// What kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything at one time.
    Snapshot,
    /// What changed after.
    Log,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Snapshot => "snapshot",
            Kind::Log => "log",
        }
    }
}

/// The path of a file.
pub fn path(folder: &Path, kind: Kind, number: u64) -> PathBuf {
    folder.join(format!("{}-{number:016}", kind.word()))
}

/// The files that are there, by number.
pub fn files(folder: &Path) -> io::Result<Vec<(Kind, u64)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some((word, number)) = name.to_str().and_then(|name| name.split_once('-')) else {
            continue;
        };
        let kind = [Kind::Snapshot, Kind::Log].into_iter().find(|kind| kind.word() == word);
        if let (Some(kind), Ok(number)) = (kind, number.parse()) {
            files.push((kind, number));
        }
    }
    files.sort_by_key(|(_, number)| *number);
    Ok(files)
}

/// What was found at a start.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The number of the next log.
    pub next: u64,
    /// Bytes of all files that were read.
    pub bytes: u64,
    /// Files that were not as they had been written.
    pub damaged: Vec<PathBuf>,
    /// What was wrong, in sentences for the person who runs the service.
    pub complaints: Vec<String>,
}

/// Reads everything that was known.
pub fn load(folder: &Path, mut take: impl FnMut(Entry<'_>)) -> io::Result<Loaded> {
    let files = files(folder)?;
    let newest = |wanted: Kind| {
        files
            .iter()
            .rev()
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, number)| *number)
    };
    let snapshot = newest(Kind::Snapshot);
    let last_log = newest(Kind::Log);
    let mut loaded = Loaded {
        next: files.last().map_or(1, |(_, number)| number + 1),
        ..Loaded::default()
    };
    let from = snapshot.unwrap_or(0);
    let logs = files
        .iter()
        .filter(|(kind, number)| *kind == Kind::Log && *number >= from);
    for (kind, number) in snapshot.map(|number| (Kind::Snapshot, number)).iter().chain(logs) {
        let path = path(folder, *kind, *number);
        let found = read(&path, &mut take).map_err(|e| about(&e, "read", &path))?;
        loaded.bytes += found.1;
        let ordinary = *kind == Kind::Log && Some(*number) == last_log;
        if let Some(complaint) = complaint(*kind, found.0) {
            let name = path.display();
            loaded
                .complaints
                .push(format!("{name}: {complaint}; what it says of other affiliates is used"));
            // The last log ends anywhere when the service was killed: nothing to look into.
            let whole = found.0.is_some_and(|found| found.damaged == 0);
            if !(ordinary && whole) {
                loaded.damaged.push(path);
            }
        }
    }
    Ok(loaded)
}

/// Reads one file: what it had (None if it is none of ours) and its length.
fn read(path: &Path, take: &mut impl FnMut(Entry<'_>)) -> io::Result<(Option<Found>, u64)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut magic = [0; MAGIC.len()];
    match file.read_exact(&mut magic) {
        Ok(()) if magic == *MAGIC => Ok((Some(entry::read(file, take)?), length)),
        Ok(()) => Ok((None, length)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok((None, length)),
        Err(error) => Err(error),
    }
}

fn complaint(kind: Kind, found: Option<Found>) -> Option<String> {
    let Some(found) = found else {
        return Some("it does not begin like a file of this service (or of this version)".to_owned());
    };
    let mut faults = Vec::new();
    if found.damaged > 0 {
        faults.push(format!("it is damaged in {} places", found.damaged));
    }
    if found.cut > 0 {
        faults.push(format!("the last {} bytes are not a whole entry", found.cut));
    }
    if kind == Kind::Snapshot && found.end != Some(found.entries) {
        faults.push("it is not complete".to_owned());
    }
    (!faults.is_empty()).then(|| faults.join(", "))
}

/// Removes what is older than a snapshot. Damaged files are kept under another name, the newest of each kind.
pub fn clean(folder: &Path, snapshot: u64, damaged: &[PathBuf]) -> io::Result<()> {
    for (kind, number) in files(folder)?.into_iter().filter(|(_, number)| *number < snapshot) {
        let path = path(folder, kind, number);
        if damaged.contains(&path) {
            std::fs::rename(&path, folder.join(format!("damaged-{}", kind.word())))?;
        } else {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// An error that says what was being done to which file.
pub fn about(error: &io::Error, doing: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{doing} {}: {error}", path.display()))
}
