//! Downloading layers and unpacking them into a folder that appears complete or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::http_client::{Client, RequestError};
use super::{Failure, Progress, PullError};
use crate::archive::Archived;
use crate::digest::Digest;
use crate::oci::{Descriptor, ImageConfig, ImageDocument, Manifest};
use crate::unpack::{self, Unpacker};

/// Layers downloaded at the same time.
const PARALLEL: usize = 3;
/// Most bytes an image may unpack to: twenty times the largest a node runs services from.
const MAX_UNPACKED: u64 = 16 << 30;
const DOCUMENT: &str = "image.json";
const ROOTFS: &str = "rootfs";

/// An image on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pulled {
    /// As it was asked for.
    pub reference: String,
    /// The digest the reference named when it was pulled.
    pub digest: Digest,
    /// How a container of it starts.
    pub config: ImageConfig,
    /// Its folder.
    #[serde(skip)]
    pub dir: PathBuf,
}

impl Pulled {
    /// The image in `dir`, if a complete one is there.
    pub fn open(dir: &Path) -> io::Result<Option<Pulled>> {
        let bytes = match fs::read(dir.join(DOCUMENT)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut pulled: Pulled = serde_json::from_slice(&bytes)?;
        pulled.dir = dir.to_owned();
        Ok(Some(pulled))
    }

    /// Where its files are.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join(ROOTFS)
    }
}

pub(super) async fn fetch_and_unpack(
    client: &Client,
    reference: &str,
    digest: Digest,
    manifest: &Manifest,
    document: ImageDocument,
    dir: &Path,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Pulled, Failure> {
    let place = Place::prepare(reference, dir).map_err(Failure::Here)?;
    let total = manifest.layer_bytes();
    let done = AtomicU64::new(0);
    let downloads = manifest.layers.iter().enumerate().map(|(number, layer)| {
        let path = place.work.path().join(format!("layer-{number}"));
        let done = &done;
        async move {
            download(client, layer, &path, &|bytes| {
                let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
                progress(Progress::Downloading { done, total });
            })
            .await?;
            Ok::<_, Failure>(path)
        }
    });
    let paths: Vec<PathBuf> = futures::stream::iter(downloads)
        .buffered(PARALLEL)
        .try_collect()
        .await?;

    let unpacked = place.unpack(digest, manifest, document, paths, progress).await;
    unpacked.map_err(Failure::Here)
}

/// Unpacks an image of an archive into `dir`, as a pull does.
///
/// # Errors
/// A layer is not what the image says, or the folder cannot be written.
pub async fn unpack_archived(image: &Archived, dir: &Path) -> Result<Pulled, PullError> {
    let place = Place::prepare(&image.name, dir)?;
    let layers = image.manifest.layers.iter();
    let paths = layers.map(|layer| image.layout.blob_path(&layer.digest)).collect();
    let (digest, document) = (image.target.digest.clone(), image.document.clone());
    place.unpack(digest, &image.manifest, document, paths, &|_| {}).await
}

/// Where an image is put together, and where it goes.
struct Place<'a> {
    /// What the image is called in errors, and in its document.
    reference: &'a str,
    work: tempfile::TempDir,
    dir: &'a Path,
    parent: &'a Path,
}

impl<'a> Place<'a> {
    /// A folder to work in beside `dir`, so that the finished image is put there by a rename.
    fn prepare(reference: &'a str, dir: &'a Path) -> Result<Self, PullError> {
        let parent = dir.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).map_err(disk(reference, format!("create {}", parent.display())))?;
        let work = tempfile::Builder::new()
            .prefix(".pull-")
            .tempdir_in(parent)
            .map_err(disk(reference, format!("create a folder in {}", parent.display())))?;
        Ok(Self {
            reference,
            work,
            dir,
            parent,
        })
    }

    async fn unpack(
        self,
        digest: Digest,
        manifest: &Manifest,
        document: ImageDocument,
        paths: Vec<PathBuf>,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Pulled, PullError> {
        let Self {
            reference,
            work,
            dir,
            parent,
        } = self;
        let disk = |doing| disk(reference, doing);
        let rootfs = work.path().join(ROOTFS);
        fs::create_dir(&rootfs).map_err(disk(format!("create {}", rootfs.display())))?;
        let unpacker = Unpacker::new(&rootfs).map_err(disk(format!("open {}", rootfs.display())))?;
        let unpacker = Arc::new(unpacker.limit(MAX_UNPACKED));
        let layers = paths.len();
        for (number, path) in paths.into_iter().enumerate() {
            progress(Progress::Unpacking {
                layer: number + 1,
                layers,
            });
            let (kind, want) = (
                manifest.layers[number].media_type.clone(),
                document.rootfs.diff_ids[number].clone(),
            );
            let unpacker = unpacker.clone();
            let own = path.starts_with(work.path());
            let unpacked = tokio::task::spawn_blocking(move || {
                let file = fs::File::open(&path)?;
                unpack::layer(&unpacker, file, &kind, Some(&want))?;
                if own {
                    fs::remove_file(&path)?;
                }
                Ok(())
            });
            let unpacked = unpacked.await.map_err(|e| disk("unpack".into())(io::Error::other(e)))?;
            unpacked.map_err(|cause| PullError::Unpack {
                image: reference.to_owned(),
                cause,
            })?;
        }

        let pulled = Pulled {
            reference: reference.to_owned(),
            digest,
            config: document.config,
            dir: dir.to_owned(),
        };
        let text = serde_json::to_vec_pretty(&pulled).map_err(|e| disk("describe".into())(e.into()))?;
        let put = || -> io::Result<()> {
            let mut file = fs::File::create(work.path().join(DOCUMENT))?;
            file.write_all(&text)?;
            file.sync_all()?;
            swap(work, dir, parent)
        };
        put().map_err(disk(format!("put the image into {}", dir.display())))?;
        Ok(pulled)
    }
}

/// The error of an image that could not be put on disk.
fn disk(image: &str, doing: String) -> impl FnOnce(io::Error) -> PullError + use<> {
    let image = image.to_owned();
    move |cause| PullError::Disk { image, doing, cause }
}

/// Moves the finished folder into place. An older image there is exchanged for it in one step and then removed.
fn swap(work: tempfile::TempDir, dir: &Path, parent: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o755))?;
    if dir.exists() {
        match renameat_with(CWD, work.path(), CWD, dir, RenameFlags::EXCHANGE) {
            Ok(()) => {} // `work` is the old image now, and is removed when it goes out of scope
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                fs::remove_dir_all(dir)?;
                fs::rename(work.keep(), dir)?;
            }
            Err(error) => return Err(error.into()),
        }
    } else {
        fs::rename(work.keep(), dir)?;
    }
    fs::File::open(parent)?.sync_all()
}

async fn download(
    client: &Client,
    layer: &Descriptor,
    path: &Path,
    arrived: &(dyn Fn(u64) + Send + Sync),
) -> Result<(), RequestError> {
    use tokio::io::AsyncWriteExt;
    let failed = |e: io::Error| RequestError::Answer(format!("write {}: {e}", path.display()));
    let mut blob = client.read(layer).await?;
    let file = tokio::fs::File::create(path).await.map_err(failed)?;
    let mut file = tokio::io::BufWriter::with_capacity(1 << 20, file);
    while let Some(data) = blob.next().await? {
        file.write_all(&data).await.map_err(failed)?;
        arrived(data.len() as u64);
    }
    file.flush().await.map_err(failed)
}
