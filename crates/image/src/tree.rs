//! A file tree as a value: built in memory, written as a tar archive whose bytes depend on nothing else.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::digest::{Digest, Hasher};

/// Where a file's content is.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Here.
    Bytes(Vec<u8>),
    /// In a file with this digest.
    File {
        /// Which file.
        path: PathBuf,
        /// Digest of its content.
        digest: Digest,
        /// Its length.
        size: u64,
    },
}

/// One name in a tree. Everything belongs to root.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A folder.
    Dir {
        /// Permission bits.
        mode: u32,
    },
    /// A regular file.
    File {
        /// Permission bits.
        mode: u32,
        /// Content.
        source: Source,
    },
    /// A symbolic link.
    Link {
        /// What it points at.
        target: String,
    },
}

/// A tree of files; paths have no leading slash. Iteration is in the order of names, folders before what is in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

/// Bits that let a program run with another user's rights, and the sticky bit's neighbours.
const SET_ID: u32 = 0o6000;

impl Tree {
    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// The entry at a path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(&self.resolve(path))
    }

    /// Adds a folder and those above it.
    pub fn dir(&mut self, path: &str, mode: u32) {
        let path = self.prepare(path);
        if !path.is_empty() {
            self.entries.insert(path, Entry::Dir { mode });
        }
    }

    /// Adds a file with content.
    pub fn bytes(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) {
        let path = self.prepare(path);
        self.entries.insert(
            path,
            Entry::File {
                mode: mode & !SET_ID,
                source: Source::Bytes(content.into()),
            },
        );
    }

    /// Adds a file whose content is on disk; set-user-ID and set-group-ID are dropped.
    pub fn file(&mut self, path: &str, mode: u32, from: &Path) -> io::Result<()> {
        let (digest, size) = Digest::of_file(from)
            .map_err(|e| io::Error::new(e.kind(), format!("read {} (for {path}): {e}", from.display())))?;
        self.known_file(path, mode, from, digest, size);
        Ok(())
    }

    /// Adds a file on disk whose digest is known.
    pub fn known_file(&mut self, path: &str, mode: u32, from: &Path, digest: Digest, size: u64) {
        let path = self.prepare(path);
        let source = Source::File {
            path: from.to_owned(),
            digest,
            size,
        };
        self.entries.insert(
            path,
            Entry::File {
                mode: mode & !SET_ID,
                source,
            },
        );
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        let path = self.prepare(path);
        self.entries.insert(
            path,
            Entry::Link {
                target: target.to_owned(),
            },
        );
    }

    /// Adds everything of another tree, whose entries win.
    pub fn merge(&mut self, other: &Tree) {
        for (path, entry) in &other.entries {
            if matches!(entry, Entry::Dir { .. }) && self.entries.contains_key(path) {
                continue;
            }
            let path = self.prepare(path);
            self.entries.insert(path, entry.clone());
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Resolves links to folders on the way to a path (a merged /usr), and makes the folders above it.
    fn prepare(&mut self, path: &str) -> String {
        let path = self.resolve(path);
        let mut above = String::new();
        for part in path
            .split('/')
            .collect::<Vec<_>>()
            .split_last()
            .map(|(_, above)| above)
            .unwrap_or_default()
        {
            if !above.is_empty() {
                above.push('/');
            }
            above.push_str(part);
            self.entries.entry(above.clone()).or_insert(Entry::Dir { mode: 0o755 });
        }
        path
    }

    fn resolve(&self, path: &str) -> String {
        let path = path.trim_matches('/');
        if let Some((first, rest)) = path.split_once('/')
            && let Some(Entry::Link { target }) = self.entries.get(first)
        {
            return format!("{}/{rest}", target.trim_matches('/'));
        }
        path.to_owned()
    }

    /// Identifies the tree's content: equal trees, and only those, have equal ids.
    pub fn id(&self) -> Digest {
        let mut hasher = Hasher::default();
        for (path, entry) in &self.entries {
            let line = match entry {
                Entry::Dir { mode } => format!("dir {mode:o} {path:?}\n"),
                Entry::File {
                    mode,
                    source: Source::Bytes(bytes),
                } => {
                    format!("file {mode:o} {path:?} {}\n", Digest::of(bytes))
                }
                Entry::File {
                    mode,
                    source: Source::File { digest, .. },
                } => {
                    format!("file {mode:o} {path:?} {digest}\n")
                }
                Entry::Link { target } => format!("link {path:?} {target:?}\n"),
            };
            hasher.update(line.as_bytes());
        }
        hasher.finish()
    }

    /// Writes the tree as a tar archive: owner 0:0, every time `epoch` (seconds since 1970).
    pub fn write_tar(&self, to: &mut dyn Write, epoch: u64) -> io::Result<()> {
        let mut builder = tar::Builder::new(to);
        for (path, entry) in &self.entries {
            let mut header = tar::Header::new_ustar();
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(epoch);
            let failed = |e: io::Error| io::Error::new(e.kind(), format!("archive {path}: {e}"));
            match entry {
                Entry::Dir { mode } => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_mode(*mode);
                    header.set_size(0);
                    builder
                        .append_data(&mut header, format!("{path}/"), io::empty())
                        .map_err(failed)?;
                }
                Entry::File { mode, source } => {
                    header.set_entry_type(tar::EntryType::Regular);
                    header.set_mode(*mode);
                    match source {
                        Source::Bytes(bytes) => {
                            header.set_size(bytes.len() as u64);
                            builder
                                .append_data(&mut header, path, bytes.as_slice())
                                .map_err(failed)?;
                        }
                        Source::File {
                            path: from,
                            digest,
                            size,
                        } => {
                            header.set_size(*size);
                            let mut file = Checked::open(from).map_err(failed)?;
                            builder
                                .append_data(&mut header, path, (&mut file).take(*size))
                                .map_err(failed)?;
                            file.check(digest).map_err(failed)?;
                        }
                    }
                }
                Entry::Link { target } => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_mode(0o777);
                    header.set_size(0);
                    builder.append_link(&mut header, path, target).map_err(failed)?;
                }
            }
        }
        builder.finish()
    }
}

/// A file that must still have the digest it had when it was added.
struct Checked {
    file: File,
    hasher: Hasher,
}

impl Checked {
    fn open(path: &Path) -> io::Result<Checked> {
        Ok(Checked {
            file: File::open(path)?,
            hasher: Hasher::default(),
        })
    }

    fn check(self, want: &Digest) -> io::Result<()> {
        if self.hasher.finish() == *want {
            Ok(())
        } else {
            Err(io::Error::other("the file changed while it was being read"))
        }
    }
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_under_a_link_to_a_folder_land_in_the_folder() {
        let mut tree = Tree::default();
        tree.dir("usr/lib", 0o755);
        tree.link("lib", "usr/lib");
        tree.bytes("/lib/x/libc.so", 0o644, "elf");
        assert!(tree.get("usr/lib/x/libc.so").is_some());
        assert!(tree.get("lib/x/libc.so").is_some());
        assert_eq!(
            tree.iter().map(|(path, _)| path).collect::<Vec<_>>(),
            ["lib", "usr", "usr/lib", "usr/lib/x", "usr/lib/x/libc.so"]
        );
    }

    #[test]
    fn the_same_tree_gives_the_same_archive_in_whatever_order_it_was_filled() {
        let mut one = Tree::default();
        one.bytes("a/b", 0o644, "1");
        one.link("c", "a");
        let mut two = Tree::default();
        two.link("c", "a");
        two.bytes("a/b", 0o644, "1");
        let tar = |tree: &Tree| {
            let mut out = Vec::new();
            tree.write_tar(&mut out, 7).unwrap();
            out
        };
        assert_eq!(tar(&one), tar(&two));
        assert_eq!(one.id(), two.id());
        two.bytes("a/b", 0o755, "1");
        assert_ne!(one.id(), two.id());
    }

    #[test]
    fn nothing_gets_set_user_id() {
        let mut tree = Tree::default();
        tree.bytes("usr/bin/mount", 0o4755, "");
        assert!(matches!(
            tree.get("usr/bin/mount"),
            Some(Entry::File { mode: 0o755, .. })
        ));
    }
}
