//! Going through a tree of files, a folder's entries in order of their names, with bounded memory.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{Metadata, ReadDir};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Names that are read from a folder and sorted at once. A larger folder comes in several sorted runs.
const RUN: usize = 32 * 1024;

/// The names in a folder.
pub struct Names {
    folder: ReadDir,
    run: VecDeque<OsString>,
}

impl Names {
    pub fn of(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            folder: std::fs::read_dir(folder)?,
            run: VecDeque::new(),
        })
    }
}

impl Iterator for Names {
    type Item = OsString;

    fn next(&mut self) -> Option<OsString> {
        if self.run.is_empty() {
            // An entry that vanishes while the folder is read was not there.
            let run = self.folder.by_ref().flatten().map(|entry| entry.file_name());
            let mut run: Vec<OsString> = run.take(RUN).collect();
            run.sort();
            self.run = run.into();
        }
        self.run.pop_front()
    }
}

/// One file of a tree.
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    /// The same from the root of the tree; empty for the root itself.
    pub relative: PathBuf,
    /// What it is, or why that cannot be told.
    pub metadata: io::Result<Metadata>,
}

/// Every file of a tree, folders before what is in them, links as links.
pub struct Walk {
    root: Option<PathBuf>,
    depth: usize,
    /// Do not enter file systems that show the kernel from outside.
    skip_kernel: bool,
    levels: Vec<Level>,
    /// A folder that was handed out and comes next.
    enter: Option<(PathBuf, PathBuf, Option<u64>)>,
    /// A folder that could not be read.
    pub failed: Option<(PathBuf, PathBuf, io::Error)>,
}

struct Level {
    path: PathBuf,
    relative: PathBuf,
    device: Option<u64>,
    names: Names,
}

impl Walk {
    /// The tree below `root`, `depth` levels of it.
    pub fn new(root: &Path, depth: usize, skip_kernel: bool) -> Self {
        Self {
            root: Some(root.to_owned()),
            depth,
            skip_kernel,
            levels: Vec::new(),
            enter: None,
            failed: None,
        }
    }

    /// Notes a folder as the next to go into, unless it is too deep or not to be entered.
    fn plan(&mut self, entry: &Entry, parent: Option<u64>) {
        let Ok(metadata) = &entry.metadata else { return };
        if !metadata.is_dir() || self.levels.len() >= self.depth {
            return;
        }
        let device = metadata.dev();
        if self.skip_kernel && enters_the_kernel(&entry.path, device, parent) {
            return;
        }
        self.enter = Some((entry.path.clone(), entry.relative.clone(), Some(device)));
    }
}

/// Whether a path is where the kernel shows itself, so that whoever names it wants to see that.
pub fn is_of_the_kernel(path: &Path) -> bool {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    ["/proc", "/sys"].iter().any(|place| path.starts_with(place))
}

/// Whether a folder is where a file system begins that shows the kernel.
pub fn enters_the_kernel(path: &Path, device: u64, parent: Option<u64>) -> bool {
    parent.is_some_and(|parent| parent != device) && sys::files::shows_the_kernel(path)
}

impl Iterator for Walk {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if let Some(root) = self.root.take() {
            // The root is what was asked for, so a link is followed there.
            let entry = Entry {
                metadata: std::fs::metadata(&root).or_else(|_| std::fs::symlink_metadata(&root)),
                path: root,
                relative: PathBuf::new(),
            };
            self.plan(&entry, None);
            return Some(entry);
        }
        if let Some((path, relative, device)) = self.enter.take() {
            match Names::of(&path) {
                Ok(names) => self.levels.push(Level {
                    path,
                    relative,
                    device,
                    names,
                }),
                Err(error) => self.failed = Some((path, relative, error)),
            }
        }
        loop {
            let level = self.levels.last_mut()?;
            let Some(name) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            let path = level.path.join(&name);
            let entry = Entry {
                metadata: std::fs::symlink_metadata(&path),
                relative: level.relative.join(&name),
                path,
            };
            // What vanished between reading its name and looking at it was not there.
            if entry
                .metadata
                .as_ref()
                .is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
            {
                continue;
            }
            let parent = level.device;
            self.plan(&entry, parent);
            return Some(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path, depth: usize) -> Vec<String> {
        let walk = Walk::new(root, depth, true);
        walk.map(|e| e.relative.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_tree_is_gone_through_in_order_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        std::fs::write(root.join("a"), "").unwrap();
        std::fs::write(root.join("b/c/d"), "").unwrap();
        std::os::unix::fs::symlink("/", root.join("z")).unwrap();
        assert_eq!(names(&root, usize::MAX), ["", "a", "b", "b/c", "b/c/d", "z"]);
        assert_eq!(names(&root, 1), ["", "a", "b", "z"]);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&root, &link).unwrap();
        assert_eq!(names(&link, 1), ["", "a", "b", "z"]);
        assert_eq!(names(&root.join("a"), 1), [""]);
    }

    #[test]
    fn a_folder_larger_than_a_run_comes_whole() {
        let folder = tempfile::tempdir().unwrap();
        let count = RUN + 10;
        for number in 0..count {
            std::fs::write(folder.path().join(format!("{number:06}")), "").unwrap();
        }
        let mut found: Vec<OsString> = Names::of(folder.path()).unwrap().collect();
        found.sort();
        found.dedup();
        assert_eq!(found.len(), count);
    }

    #[test]
    fn file_systems_of_the_kernel_are_entered_only_if_asked_for() {
        assert!(!enters_the_kernel(Path::new("/proc"), 1, None));
        assert!(enters_the_kernel(Path::new("/proc"), 1, Some(2)));
        assert!(!enters_the_kernel(Path::new("/proc"), 1, Some(1)));
        let folder = tempfile::tempdir().unwrap();
        assert!(!enters_the_kernel(folder.path(), 1, Some(2)));
        assert!(is_of_the_kernel(Path::new("/sys/fs/cgroup")) && !is_of_the_kernel(folder.path()));
    }
}
