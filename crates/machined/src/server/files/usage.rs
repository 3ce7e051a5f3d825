//! What files take: the sum of the sizes of a folder and of everything in it, a folder after what is in it.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use api::proto::machine as proto;

use super::walk::{Names, enters_the_kernel, is_of_the_kernel};
use super::{Gone, Sink, Stream, produce};

/// Files with several names that are remembered, so that they count once. Beyond that they count again.
const REMEMBERED: usize = 1 << 20;

pub fn stream(paths: Vec<PathBuf>, request: proto::DiskUsageRequest) -> Stream<proto::DiskUsageInfo> {
    produce(move |sink| {
        let mut measure = Measure {
            sink,
            depth: usize::try_from(request.recursion_depth).unwrap_or(usize::MAX),
            all: request.all,
            threshold: request.threshold,
            skip_kernel: true,
            seen: HashSet::new(),
        };
        for root in &paths {
            measure.skip_kernel = !is_of_the_kernel(root);
            measure.tree(root)?;
        }
        Ok(())
    })
}

struct Measure<'a> {
    sink: &'a Sink<proto::DiskUsageInfo>,
    /// Levels that are reported; deeper ones only count.
    depth: usize,
    all: bool,
    threshold: i64,
    /// Do not enter file systems that show the kernel from outside.
    skip_kernel: bool,
    seen: HashSet<(u64, u64)>,
}

struct Level {
    path: PathBuf,
    relative: PathBuf,
    device: u64,
    names: Names,
    sum: u64,
}

impl Measure<'_> {
    fn tree(&mut self, root: &Path) -> Result<(), Gone> {
        // The root is what was asked for, so a link is followed there.
        let metadata = match std::fs::metadata(root) {
            Ok(metadata) => metadata,
            Err(error) => return self.failure(root, Path::new(""), &error),
        };
        if !metadata.is_dir() {
            return self.report(root, Path::new(""), metadata.len(), false);
        }
        let mut levels = Vec::new();
        let first = (root.to_owned(), PathBuf::new());
        self.enter(&mut levels, first, &metadata)?;
        while let Some(level) = levels.last_mut() {
            self.sink.check()?;
            if let Some(name) = level.names.next() {
                let (path, relative) = (level.path.join(&name), level.relative.join(&name));
                let metadata = match std::fs::symlink_metadata(&path) {
                    Ok(metadata) => metadata,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => {
                        self.failure(&path, &relative, &error)?;
                        continue;
                    }
                };
                if metadata.is_dir() {
                    let kernel = self.skip_kernel && enters_the_kernel(&path, metadata.dev(), Some(level.device));
                    if !kernel {
                        self.enter(&mut levels, (path, relative), &metadata)?;
                    }
                } else if self.counts(&metadata) {
                    level.sum = level.sum.saturating_add(metadata.len());
                    if self.all && levels.len() <= self.depth {
                        self.report(&path, &relative, metadata.len(), false)?;
                    }
                }
                continue;
            }
            let Some(level) = levels.pop() else { break };
            if let Some(above) = levels.last_mut() {
                above.sum = above.sum.saturating_add(level.sum);
            }
            if levels.len() <= self.depth {
                self.report(&level.path, &level.relative, level.sum, true)?;
            }
        }
        Ok(())
    }

    fn enter(
        &self,
        levels: &mut Vec<Level>,
        (path, relative): (PathBuf, PathBuf),
        metadata: &std::fs::Metadata,
    ) -> Result<(), Gone> {
        match Names::of(&path) {
            Ok(names) => levels.push(Level {
                path,
                relative,
                device: metadata.dev(),
                names,
                sum: metadata.len(),
            }),
            Err(error) => self.failure(&path, &relative, &error)?,
        }
        Ok(())
    }

    /// A file with several names counts by the first that is met.
    fn counts(&mut self, metadata: &std::fs::Metadata) -> bool {
        if metadata.nlink() < 2 {
            return true;
        }
        let file = (metadata.dev(), metadata.ino());
        if self.seen.len() < REMEMBERED {
            self.seen.insert(file)
        } else {
            !self.seen.contains(&file)
        }
    }

    fn report(&self, path: &Path, relative: &Path, size: u64, folder: bool) -> Result<(), Gone> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let shown = if self.threshold < 0 {
            size <= self.threshold.saturating_neg()
        } else {
            size >= self.threshold
        };
        if !shown {
            return Ok(());
        }
        self.sink.send(proto::DiskUsageInfo {
            name: path.to_string_lossy().into_owned(),
            relative_name: name(path, relative, folder),
            size,
            ..Default::default()
        })
    }

    fn failure(&self, path: &Path, relative: &Path, error: &io::Error) -> Result<(), Gone> {
        self.sink.send(proto::DiskUsageInfo {
            name: path.to_string_lossy().into_owned(),
            relative_name: name(path, relative, false),
            error: error.to_string(),
            ..Default::default()
        })
    }
}

fn name(path: &Path, relative: &Path, folder: bool) -> String {
    let name = match (relative.as_os_str().is_empty(), folder) {
        (false, _) => relative.as_os_str(),
        (true, true) => ".".as_ref(),
        (true, false) => path.file_name().unwrap_or(path.as_os_str()),
    };
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    async fn measured(request: proto::DiskUsageRequest) -> Vec<(String, i64)> {
        let stream = super::super::usage(request).unwrap().into_inner();
        let item = |i: Result<proto::DiskUsageInfo, _>| {
            let i = i.unwrap();
            assert_eq!(i.error, "");
            (i.relative_name, i.size)
        };
        stream.map(item).collect().await
    }

    #[tokio::test]
    async fn sizes_add_up_and_a_file_with_two_names_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("a/b")).unwrap();
        std::fs::write(path("a/b/x"), vec![0; 1000]).unwrap();
        std::fs::hard_link(path("a/b/x"), path("y")).unwrap();
        let own = |name: &str| i64::try_from(std::fs::metadata(path(name)).unwrap().len()).unwrap();
        let request = proto::DiskUsageRequest {
            paths: vec![folder.path().to_str().unwrap().to_owned()],
            recursion_depth: 1,
            ..Default::default()
        };
        let inside = own("a") + own("a/b") + 1000;
        let total = inside + own(".");
        let expected = [("a".to_owned(), inside), (".".to_owned(), total)];
        assert_eq!(measured(request.clone()).await, expected);
        let only_total = proto::DiskUsageRequest {
            recursion_depth: 0,
            ..request.clone()
        };
        assert_eq!(measured(only_total).await, [(".".to_owned(), total)]);
        let files = proto::DiskUsageRequest {
            recursion_depth: 3,
            all: true,
            threshold: -1000,
            ..request
        };
        assert!(measured(files).await.contains(&("a/b/x".to_owned(), 1000)));
    }
}
