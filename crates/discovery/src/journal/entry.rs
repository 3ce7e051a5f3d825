//! What is written to disk: one change of the state after the other, each whole in itself.
//!
//! ```text
//! crc32 of the rest u32 | kind u8 | name length u16 | body length u16 | name | body
//! ```
//! Numbers are little-endian; the name is that of the cluster. An entry says what is so from then on, not what changed,
//! so reading one twice, or one that a snapshot has already taken in, does no harm.

use std::io::{self, Read};

use crate::limits;
use crate::record::Record;

const HEADER: usize = 9;
const SET: u8 = 1;
const DELETE: u8 = 2;
const END: u8 = 3;

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'a> {
    /// The affiliate is so.
    Set(&'a str, Record),
    /// The affiliate is gone: cluster and id.
    Delete(&'a str, &'a str),
    /// A snapshot is complete, with this many entries before.
    End(u64),
}

/// Writes that an affiliate is so.
pub fn put_set(out: &mut Vec<u8>, cluster: &str, record: &Record) {
    put(out, SET, cluster, record.as_bytes());
}

/// Writes that an affiliate is gone.
pub fn put_delete(out: &mut Vec<u8>, cluster: &str, affiliate: &str) {
    put(out, DELETE, cluster, affiliate.as_bytes());
}

/// Writes that a snapshot is complete.
pub fn put_end(out: &mut Vec<u8>, entries: u64) {
    put(out, END, "", &entries.to_le_bytes());
}

fn put(out: &mut Vec<u8>, kind: u8, name: &str, body: &[u8]) {
    // Both are within limits that are far smaller.
    let (Ok(name_length), Ok(body_length)) = (u16::try_from(name.len()), u16::try_from(body.len())) else {
        return;
    };
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.push(kind);
    out.extend_from_slice(&name_length.to_le_bytes());
    out.extend_from_slice(&body_length.to_le_bytes());
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(body);
    let sum = crc32fast::hash(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&sum.to_le_bytes());
}

/// What a file had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Entries that were whole.
    pub entries: u64,
    /// Places between entries with bytes that are none.
    pub damaged: u64,
    /// Bytes after the last entry: one that was cut off.
    pub cut: u64,
    /// What the end said of the number of entries, if there was an end.
    pub end: Option<u64>,
}

/// Reads entries to the end of the file. Bytes that are no entry are passed over, to where the next one begins.
pub fn read(file: impl Read, mut take: impl FnMut(Entry<'_>)) -> io::Result<Found> {
    let mut found = Found::default();
    let mut window = Window::new(file);
    loop {
        let bytes = window.see()?;
        if bytes.is_empty() {
            return Ok(found);
        }
        let Some((entry, length)) = parse(bytes) else {
            found.cut += 1;
            window.pass(1);
            continue;
        };
        if std::mem::take(&mut found.cut) > 0 {
            found.damaged += 1;
        }
        match entry {
            Entry::End(entries) => found.end = Some(entries),
            entry => {
                found.entries += 1;
                take(entry);
            }
        }
        window.pass(length);
    }
}

/// The entry that begins here, and its length.
fn parse(bytes: &[u8]) -> Option<(Entry<'_>, usize)> {
    let header = bytes.first_chunk::<HEADER>()?;
    let name = usize::from(u16::from_le_bytes([header[5], header[6]]));
    let body = usize::from(u16::from_le_bytes([header[7], header[8]]));
    // What cannot be an entry is not summed up: that is what makes looking for the next one quick.
    if !(SET..=END).contains(&header[4]) || name > limits::CLUSTER_ID || body > Record::MOST_BYTES {
        return None;
    }
    let length = HEADER + name + body;
    let entry = bytes.get(..length)?;
    if entry[..4] != crc32fast::hash(&entry[4..]).to_le_bytes() {
        return None;
    }
    let (name, body) = entry[HEADER..].split_at_checked(name)?;
    let name = std::str::from_utf8(name).ok()?;
    let entry = match header[4] {
        SET => Entry::Set(name, Record::from_bytes(body)?),
        DELETE => Entry::Delete(name, std::str::from_utf8(body).ok()?),
        _ => Entry::End(u64::from_le_bytes(body.try_into().ok()?)),
    };
    Some((entry, length))
}

/// A part of a file that moves along it, and always shows as much as the longest entry has unless the file ends.
struct Window<R> {
    file: R,
    bytes: Vec<u8>,
    from: usize,
    to: usize,
    ended: bool,
}

impl<R: Read> Window<R> {
    const LONGEST_ENTRY: usize = HEADER + limits::CLUSTER_ID + Record::MOST_BYTES;

    fn new(file: R) -> Self {
        Window {
            file,
            bytes: vec![0; 32 * Self::LONGEST_ENTRY],
            from: 0,
            to: 0,
            ended: false,
        }
    }

    /// What comes next; nothing at the end.
    fn see(&mut self) -> io::Result<&[u8]> {
        if self.to - self.from < Self::LONGEST_ENTRY && !self.ended {
            self.bytes.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
            while !self.ended && self.to < self.bytes.len() {
                match self.file.read(&mut self.bytes[self.to..]) {
                    Ok(0) => self.ended = true,
                    Ok(more) => self.to += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(&self.bytes[self.from..self.to])
    }

    fn pass(&mut self, bytes: usize) {
        self.from += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Parts;
    use crate::time::Time;
    use proptest::prelude::*;

    fn record(id: &str) -> Record {
        let data = Some((b"sealed".as_slice(), Time(7)));
        let parts = Parts {
            id: id.as_bytes(),
            data,
            endpoints: vec![],
        };
        parts.pack().unwrap()
    }

    fn three() -> Vec<u8> {
        let mut out = Vec::new();
        put_set(&mut out, "c", &record("a"));
        put_delete(&mut out, "c", "b");
        put_set(&mut out, "d", &record("e"));
        out
    }

    fn names(bytes: &[u8]) -> (Vec<String>, Found) {
        let mut names = Vec::new();
        let found = read(bytes, |entry| match entry {
            Entry::Set(cluster, record) => names.push(format!("{cluster}/{}", String::from_utf8_lossy(record.id()))),
            Entry::Delete(cluster, id) => names.push(format!("-{cluster}/{id}")),
            Entry::End(_) => {}
        });
        (names, found.unwrap())
    }

    #[test]
    fn what_was_written_is_read() {
        let mut bytes = three();
        put_end(&mut bytes, 3);
        let (names, found) = names(&bytes);
        assert_eq!(names, ["c/a", "-c/b", "d/e"]);
        assert_eq!(
            found,
            Found {
                entries: 3,
                end: Some(3),
                ..Found::default()
            }
        );
    }

    #[test]
    fn a_damaged_entry_does_not_take_others_with_it() {
        let mut first = Vec::new();
        put_set(&mut first, "c", &record("a"));
        for at in 0..first.len() {
            let mut bytes = three();
            bytes[at] ^= 0x40;
            let (names, found) = names(&bytes);
            assert_eq!(names, ["-c/b", "d/e"], "{at}");
            assert_eq!((found.entries, found.damaged, found.cut), (2, 1, 0));
        }
    }

    #[test]
    fn entries_are_found_over_the_edge_of_a_window() {
        let mut bytes = Vec::new();
        let name = "c".repeat(limits::CLUSTER_ID);
        for _ in 0..2000 {
            put_set(&mut bytes, &name, &record("a"));
        }
        let (names, found) = names(&bytes);
        assert_eq!((names.len(), found.damaged, found.cut), (2000, 0, 0));
    }

    proptest! {
        #[test]
        fn a_cut_file_gives_whole_entries_only(cut in 0usize..200) {
            let bytes = three();
            prop_assume!(cut < bytes.len());
            let (names, found) = names(&bytes[..cut]);
            prop_assert!(["c/a", "-c/b", "d/e"].starts_with(&names.iter().map(String::as_str).collect::<Vec<_>>()));
            prop_assert_eq!(found.damaged, 0);
        }

        #[test]
        fn any_bytes_are_read_to_the_end(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            names(&bytes);
        }
    }
}
