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
    /// Entries that were not what was written.
    pub damaged: u64,
    /// Bytes of an entry that was cut off at the end.
    pub cut: u64,
    /// What the end said of the number of entries, if there was an end.
    pub end: Option<u64>,
}

/// Reads entries to the end of the file. One that is damaged is passed over.
pub fn read(mut file: impl Read, mut take: impl FnMut(Entry<'_>)) -> io::Result<Found> {
    let mut found = Found::default();
    let mut bytes = Vec::new();
    loop {
        bytes.resize(HEADER, 0);
        let got = fill(&mut file, &mut bytes)?;
        if got < HEADER {
            found.cut = got as u64;
            return Ok(found);
        }
        let name = usize::from(u16::from_le_bytes([bytes[5], bytes[6]]));
        let body = usize::from(u16::from_le_bytes([bytes[7], bytes[8]]));
        bytes.resize(HEADER + name + body, 0);
        let got = fill(&mut file, &mut bytes[HEADER..])?;
        if got < name + body {
            found.cut = (HEADER + got) as u64;
            return Ok(found);
        }
        match parse(&bytes, name) {
            Some(Entry::End(entries)) => found.end = Some(entries),
            Some(entry) => {
                found.entries += 1;
                take(entry);
            }
            None => found.damaged += 1,
        }
    }
}

fn parse(bytes: &[u8], name: usize) -> Option<Entry<'_>> {
    let (sum, rest) = bytes.split_at_checked(4)?;
    if sum != crc32fast::hash(rest).to_le_bytes() {
        return None;
    }
    let (name, body) = bytes.get(HEADER..)?.split_at_checked(name)?;
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|name| name.len() <= limits::CLUSTER_ID)?;
    match bytes.get(4)? {
        &SET => Some(Entry::Set(name, Record::from_bytes(body)?)),
        &DELETE => Some(Entry::Delete(name, std::str::from_utf8(body).ok()?)),
        &END => Some(Entry::End(u64::from_le_bytes(body.try_into().ok()?))),
        _ => None,
    }
}

/// Reads until the buffer is full or the file ends; says how much was read.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
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
        let mut bytes = three();
        bytes[HEADER + 12] ^= 1;
        let (names, found) = names(&bytes);
        assert_eq!(names, ["-c/b", "d/e"]);
        assert_eq!((found.entries, found.damaged), (2, 1));
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
