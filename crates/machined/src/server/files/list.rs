//! Listing: an entry for each file, the root first.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use api::proto::machine as proto;
use api::proto::machine::list_request::Type;

use super::walk::{Entry, Walk};
use super::{Sink, Stream, produce, status};

pub fn stream(root: PathBuf, depth: usize, request: proto::ListRequest) -> Stream<proto::FileInfo> {
    let failed = |e: io::Error| status(e.kind(), format!("list {}: {e}", root.display()));
    let metadata = std::fs::metadata(&root).or_else(|_| std::fs::symlink_metadata(&root));
    if metadata.map_err(failed)?.is_dir() {
        std::fs::read_dir(&root).map_err(failed)?;
    }
    produce(move |sink| {
        let mut walk = Walk::new(&root, depth, false);
        while let Some(entry) = walk.next() {
            if let Some((path, relative, error)) = walk.failed.take() {
                sink.send(failure(&path, &relative, &error))?;
            }
            send(sink, &entry, &request)?;
        }
        match walk.failed.take() {
            Some((path, relative, error)) => sink.send(failure(&path, &relative, &error)),
            None => Ok(()),
        }
    })
}

fn send(sink: &Sink<proto::FileInfo>, entry: &Entry, request: &proto::ListRequest) -> Result<(), super::Gone> {
    let metadata = match &entry.metadata {
        Ok(metadata) => metadata,
        Err(error) => return sink.send(failure(&entry.path, &entry.relative, error)),
    };
    if !wanted(metadata, request) {
        return sink.check();
    }
    let mut info = info(entry, metadata);
    if request.report_xattrs {
        match sys::files::attributes(&entry.path) {
            Ok(attributes) => {
                let xattr = |(name, data)| proto::Xattr { name, data };
                info.xattrs = attributes.into_iter().map(xattr).collect();
            }
            Err(error) => info.error = error.to_string(),
        }
    }
    sink.send(info)
}

fn wanted(metadata: &Metadata, request: &proto::ListRequest) -> bool {
    request.types.is_empty()
        || request.types().any(|kind| match kind {
            Type::Regular => metadata.is_file(),
            Type::Directory => metadata.is_dir(),
            Type::Symlink => metadata.is_symlink(),
        })
}

/// The root is called `.`, or by its name if it is not a folder.
fn name(path: &Path, relative: &Path, folder: bool) -> String {
    let name = match (relative.as_os_str().is_empty(), folder) {
        (false, _) => relative.as_os_str(),
        (true, true) => ".".as_ref(),
        (true, false) => path.file_name().unwrap_or(path.as_os_str()),
    };
    name.to_string_lossy().into_owned()
}

fn info(entry: &Entry, metadata: &Metadata) -> proto::FileInfo {
    let link = if metadata.is_symlink() {
        std::fs::read_link(&entry.path).unwrap_or_default()
    } else {
        PathBuf::new()
    };
    proto::FileInfo {
        name: entry.path.to_string_lossy().into_owned(),
        relative_name: name(&entry.path, &entry.relative, metadata.is_dir()),
        size: i64::try_from(metadata.len()).unwrap_or(i64::MAX),
        mode: mode(metadata),
        modified: metadata.mtime(),
        is_dir: metadata.is_dir(),
        link: link.to_string_lossy().into_owned(),
        uid: metadata.uid(),
        gid: metadata.gid(),
        ..Default::default()
    }
}

fn failure(path: &Path, relative: &Path, error: &io::Error) -> proto::FileInfo {
    proto::FileInfo {
        name: path.to_string_lossy().into_owned(),
        relative_name: name(path, relative, false),
        error: error.to_string(),
        ..Default::default()
    }
}

/// A file's mode as the interface has it: nine bits of permissions, and from the top on the kind and the special bits
/// in the order of Go's `fs.FileMode`.
fn mode(metadata: &Metadata) -> u32 {
    let kind = metadata.file_type();
    let raw = metadata.mode();
    let mut mode = raw & 0o777;
    let bits = [
        (kind.is_dir(), 31),
        (kind.is_symlink(), 27),
        (kind.is_block_device() || kind.is_char_device(), 26),
        (kind.is_fifo(), 25),
        (kind.is_socket(), 24),
        (raw & 0o4000 != 0, 23),
        (raw & 0o2000 != 0, 22),
        (kind.is_char_device(), 21),
        (raw & 0o1000 != 0, 20),
    ];
    for (_, bit) in bits.iter().filter(|(set, _)| *set) {
        mode |= 1 << bit;
    }
    mode
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use futures::StreamExt;

    use super::*;

    async fn listed(root: &Path, request: proto::ListRequest) -> Vec<proto::FileInfo> {
        let request = proto::ListRequest {
            root: root.to_str().unwrap().to_owned(),
            ..request
        };
        let stream = super::super::list(request).unwrap().into_inner();
        stream.map(Result::unwrap).collect().await
    }

    #[tokio::test]
    async fn files_are_listed_with_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        std::fs::create_dir(path("dir")).unwrap();
        std::fs::set_permissions(path("dir"), std::fs::Permissions::from_mode(0o1777)).unwrap();
        std::fs::write(path("dir/inside"), "12345").unwrap();
        std::fs::write(path("file"), "123").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        let all = listed(folder.path(), proto::ListRequest::default()).await;
        let names: Vec<&str> = all.iter().map(|i| i.relative_name.as_str()).collect();
        assert_eq!(names, [".", "dir", "file", "link"]);
        assert_eq!(all[1].mode, 1 << 31 | 1 << 20 | 0o777);
        assert_eq!((all[2].size, all[2].is_dir), (3, false));
        assert_eq!((all[3].mode >> 27, all[3].link.as_str()), (1, "file"));
        let recursive = proto::ListRequest {
            recurse: true,
            types: vec![Type::Regular.into()],
            ..Default::default()
        };
        let files = listed(folder.path(), recursive).await;
        let names: Vec<&str> = files.iter().map(|i| i.relative_name.as_str()).collect();
        assert_eq!(names, ["dir/inside", "file"]);
        let one = listed(&path("file"), proto::ListRequest::default()).await;
        assert_eq!(one[0].relative_name, "file");
    }

    #[test]
    fn devices_are_told_apart() {
        let metadata = std::fs::metadata("/dev/null").unwrap();
        assert_eq!(mode(&metadata) >> 20, 1 << 6 | 1 << 1);
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_an_error() {
        let request = proto::ListRequest {
            root: "/no/such/folder".to_owned(),
            ..Default::default()
        };
        let error = super::super::list(request).map(drop).unwrap_err();
        assert_eq!(error.code(), tonic::Code::NotFound);
        assert!(error.message().contains("/no/such/folder"));
    }
}
