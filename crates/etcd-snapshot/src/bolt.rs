//! Databases in bbolt's format, read only: meta pages, and the tree of pages below a bucket.
//!
//! Everything in a file is believed only after it was checked: offsets lie inside their page, pages inside the
//! database, no page is part of the tree twice, keys ascend. So a walk ends, whatever the file says, and uses memory
//! for one path through the tree and one bit per page.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::Error;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// id: u64, flags: u16, count: u16, overflow: u32.
const HEADER: usize = 16;
/// What a meta page says, checksum included.
const META: usize = 64;
/// Branch and leaf elements have the same length.
const ELEMENT: usize = 16;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
/// Flag of a leaf element whose value is a bucket.
const BUCKET: u32 = 0x01;
/// root: u64, sequence: u64.
const BUCKET_HEADER: usize = 16;
/// A page and what overflows from it: values of etcd are a few MiB at most.
const MAX_PAGE: u64 = 64 << 20;
/// Trees of bbolt have a handful of levels.
const MAX_DEPTH: usize = 32;

/// Where a database is read from.
pub trait Source {
    /// Fills a buffer from an offset.
    ///
    /// # Errors
    /// There is not that much, or it cannot be read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

impl Source for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).ok();
        let part = from.and_then(|from| self.get(from..from.checked_add(buffer.len())?));
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A bucket: a tree of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bucket {
    /// Its root is a page of the database.
    Page(u64),
    /// It is so small that its only page is inside its parent's.
    Inline(Vec<u8>),
}

/// What a key stands for.
#[derive(Debug)]
pub enum Entry<'a> {
    /// A value.
    Value(&'a [u8]),
    /// Another bucket.
    Bucket(Bucket),
}

/// A database.
#[derive(Debug)]
pub struct Database<'a, S: ?Sized> {
    source: &'a S,
    page_size: u64,
    /// The first page that was never used.
    end: u64,
    root: u64,
}

impl<'a, S: Source + ?Sized> Database<'a, S> {
    /// Reads the meta pages of a database of `size` bytes.
    ///
    /// # Errors
    /// It is no database of bbolt, or shorter than it says.
    pub fn open(source: &'a S, size: u64) -> Result<Self, Error> {
        let first = Meta::read(source, 0)?;
        // The second is at the first's page size; if the first is bad, at the one that nearly everybody uses.
        let at = first.as_ref().map_or(4096, |meta| meta.page_size);
        let second = Meta::read(source, at)?;
        let newest = [first, second]
            .into_iter()
            .flatten()
            .max_by_key(|meta| meta.transaction);
        let meta = newest.ok_or_else(|| Error::Foreign("it is not a database of bbolt".into()))?;
        if !meta.page_size.is_power_of_two() || !(512..=65536).contains(&meta.page_size) {
            return Err(Error::Foreign(format!("its pages have {} bytes", meta.page_size)));
        }
        match meta.end.checked_mul(meta.page_size) {
            Some(wanted) if wanted <= size => {}
            _ => {
                return Err(Error::Corrupted(format!(
                    "it has {size} bytes and should have {} pages of {}: the end is missing",
                    meta.end, meta.page_size
                )));
            }
        }
        Ok(Self {
            source,
            page_size: meta.page_size,
            end: meta.end,
            root: meta.root,
        })
    }

    /// The bucket that all others are in.
    pub fn root(&self) -> Bucket {
        Bucket::Page(self.root)
    }

    /// The database's size in bytes: pages that are or were in use.
    pub fn size(&self) -> u64 {
        self.end * self.page_size
    }

    /// A walk through some buckets. Pages may be met once in a walk.
    pub fn walk(&self) -> Walk<'_, 'a, S> {
        let pages = usize::try_from(self.end / 64 + 1).unwrap_or_default();
        Walk {
            database: self,
            seen: vec![0; pages],
        }
    }

    fn page(&self, id: u64) -> Result<Vec<u8>, Error> {
        // Two meta pages come first.
        if !(2..self.end).contains(&id) {
            return Err(Error::Corrupted(format!("page {id} does not exist")));
        }
        let mut header = [0; HEADER];
        self.source.read_at(&mut header, id * self.page_size)?;
        let overflow = u64::from(u32_at(&header, 12)?);
        if u64_at(&header, 0)? != id || id + overflow >= self.end {
            return Err(Error::Corrupted(format!("page {id} is not where it should be")));
        }
        let length = (overflow + 1) * self.page_size;
        if length > MAX_PAGE {
            return Err(Error::Corrupted(format!("page {id} has {length} bytes")));
        }
        let mut page = vec![0; usize::try_from(length).unwrap_or_default()];
        self.source.read_at(&mut page, id * self.page_size)?;
        Ok(page)
    }
}

/// A meta page that is valid.
struct Meta {
    page_size: u64,
    root: u64,
    end: u64,
    transaction: u64,
}

impl Meta {
    fn read<S: Source + ?Sized>(source: &S, at: u64) -> Result<Option<Self>, Error> {
        let mut meta = [0; META];
        match source.read_at(&mut meta, at + HEADER as u64) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let sum = fnv(meta.get(..META - 8).unwrap_or_default());
        let valid = u32_at(&meta, 0)? == MAGIC && u32_at(&meta, 4)? == VERSION && u64_at(&meta, META - 8)? == sum;
        if !valid {
            return Ok(None);
        }
        Ok(Some(Self {
            page_size: u64::from(u32_at(&meta, 8)?),
            root: u64_at(&meta, 16)?,
            end: u64_at(&meta, 40)?,
            transaction: u64_at(&meta, 48)?,
        }))
    }
}

/// Makes the checksum of the meta page at `offset` right, where the database is long enough to have it.
pub(crate) fn seal_meta(database: &mut [u8], offset: usize) {
    let from = offset + HEADER;
    let Some(meta) = database.get_mut(from..from + META) else {
        return;
    };
    let (content, sum) = meta.split_at_mut(META - 8);
    sum.copy_from_slice(&fnv(content).to_le_bytes());
}

/// FNV-1a with 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A walk through buckets that remembers which pages it met.
pub struct Walk<'d, 'a, S: ?Sized> {
    database: &'d Database<'a, S>,
    /// One bit per page.
    seen: Vec<u64>,
}

/// What is done with each key of a bucket.
type Visit<'v> = &'v mut dyn FnMut(&[u8], Entry<'_>) -> Result<(), Error>;

impl<S: Source + ?Sized> Walk<'_, '_, S> {
    /// Goes through the keys of a bucket, in ascending order; buckets inside it are given, not entered.
    ///
    /// # Errors
    /// Its pages do not fit together, or `visit` fails.
    pub fn bucket(&mut self, bucket: &Bucket, visit: Visit<'_>) -> Result<(), Error> {
        let mut last = None;
        match bucket {
            Bucket::Page(id) => self.tree(*id, MAX_DEPTH, &mut last, visit),
            Bucket::Inline(page) => leaf(page, &mut last, visit),
        }
    }

    fn tree(&mut self, id: u64, depth: usize, last: &mut Option<Vec<u8>>, visit: Visit<'_>) -> Result<(), Error> {
        let page = self.database.page(id)?;
        let overflow = u64::from(u32_at(&page, 12)?);
        for part in id..=id + overflow {
            self.meet(part)?;
        }
        match u16_at(&page, 8)? {
            LEAF => leaf(&page, last, visit),
            BRANCH if depth > 0 => {
                for child in children(&page)? {
                    self.tree(child, depth - 1, last, visit)?;
                }
                Ok(())
            }
            other => Err(Error::Corrupted(format!("page {id} has kind {other:#x} in a tree"))),
        }
    }

    fn meet(&mut self, id: u64) -> Result<(), Error> {
        let bit = 1 << (id % 64);
        let word = usize::try_from(id / 64).ok().and_then(|word| self.seen.get_mut(word));
        match word {
            Some(word) if *word & bit == 0 => {
                *word |= bit;
                Ok(())
            }
            _ => Err(Error::Corrupted(format!("page {id} is in the tree twice"))),
        }
    }
}

fn children(page: &[u8]) -> Result<Vec<u64>, Error> {
    let count = usize::from(u16_at(page, 10)?);
    (0..count).map(|n| u64_at(page, HEADER + n * ELEMENT + 8)).collect()
}

/// Visits the keys of a leaf.
fn leaf(page: &[u8], last: &mut Option<Vec<u8>>, visit: Visit<'_>) -> Result<(), Error> {
    if u16_at(page, 8)? != LEAF {
        return Err(Error::Corrupted("a bucket inside a page is no leaf".into()));
    }
    for n in 0..usize::from(u16_at(page, 10)?) {
        let at = HEADER + n * ELEMENT;
        let flags = u32_at(page, at)?;
        let length = |offset| u32_at(page, at + offset).map(|l| l as usize);
        // Positions count from the element itself.
        let from = at + length(4)?;
        let key = slice(page, from, length(8)?)?;
        let value = slice(page, from + key.len(), length(12)?)?;
        if last.as_deref().is_some_and(|last| last >= key) {
            return Err(Error::Corrupted("keys are not in their order".into()));
        }
        let entry = if flags & BUCKET == 0 {
            Entry::Value(value)
        } else {
            Entry::Bucket(match u64_at(value, 0)? {
                0 => Bucket::Inline(value.get(BUCKET_HEADER..).unwrap_or_default().to_vec()),
                root => Bucket::Page(root),
            })
        };
        visit(key, entry)?;
        *last = Some(key.to_vec());
    }
    Ok(())
}

fn slice(bytes: &[u8], from: usize, length: usize) -> Result<&[u8], Error> {
    let to = from.checked_add(length);
    to.and_then(|to| bytes.get(from..to))
        .ok_or_else(|| Error::Corrupted("something lies outside of its page".into()))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Error> {
    let outside = |_| Error::Corrupted("something lies outside of its page".into());
    slice(bytes, at, N)?.try_into().map_err(outside)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Error> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Error> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Error> {
    array(bytes, at).map(u64::from_le_bytes)
}
