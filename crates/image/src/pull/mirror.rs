//! Copying images from their registries into a layout, as they are: every byte, so that digests and signatures hold.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{StreamExt as _, TryStreamExt as _};
use http::StatusCode;

use super::http_client::{Client, RequestError};
use super::{Failure, MAX_MANIFEST, Progress, PullError, Puller};
use crate::digest::Digest;
use crate::oci::{Descriptor, Index, Layout, LayoutError, Manifest, Platform, media_type};
use crate::reference::ImageRef;

/// How many blobs of an image are fetched at once.
const PARALLEL: usize = 4;

/// What of an image is copied, and where blobs are kept besides.
#[derive(Clone, Debug, Default)]
pub struct Copying {
    /// Variants for these platforms; an image without variants is copied whatever it is for.
    pub platforms: Vec<Platform>,
    /// The image's signatures by cosign too, where it has any.
    pub signatures: bool,
    /// Blobs that are here need not be fetched; those that are fetched are kept here.
    pub kept: Option<Layout>,
}

impl Puller {
    /// Copies an image into a layout under its complete name. Blobs that are there are not fetched again.
    ///
    /// # Errors
    /// No endpoint has the image, or a variant of it for one of the platforms; or the layout cannot be written.
    pub async fn copy(
        &self,
        reference: &str,
        layout: &Layout,
        copying: &Copying,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Digest, PullError> {
        let image: ImageRef = reference.parse()?;
        let mut attempts = Vec::new();
        for endpoint in self.endpoints(&image) {
            let copy = async {
                let client = Client::new(&endpoint, &image, self.tls.clone(), self.resolver.clone())?;
                let job = Job {
                    client: &client,
                    layout,
                    copying,
                    progress,
                };
                let root = job.image(&image).await?;
                layout.tag(&image.to_string(), &root).map_err(disk(reference))?;
                if copying.signatures {
                    job.signatures(&image, &root.digest).await?;
                }
                Ok(root.digest)
            };
            match copy.await {
                Ok(digest) => return Ok(digest),
                Err(Failure::Endpoint(error)) => attempts.push(format!("{}: {error}", endpoint.url)),
                Err(Failure::Here(error)) => return Err(error),
            }
        }
        Err(PullError::NoEndpoint {
            image: reference.to_owned(),
            attempts,
        })
    }
}

fn disk(image: &str) -> impl FnOnce(LayoutError) -> Failure {
    let image = image.to_owned();
    move |error| {
        Failure::Here(PullError::Disk {
            image,
            doing: "write the layout".to_owned(),
            cause: io::Error::other(error),
        })
    }
}

/// One image, from one endpoint.
struct Job<'a> {
    client: &'a Client,
    layout: &'a Layout,
    copying: &'a Copying,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Job<'_> {
    /// Copies what a reference names, whether it has variants or not.
    async fn image(&self, image: &ImageRef) -> Result<Descriptor, Failure> {
        let (bytes, root) = self.manifest(image.selector()).await?;
        if let Some(want) = image.digest.as_ref().filter(|want| **want != root.digest) {
            return Err(RequestError::Answer(format!("the manifest has digest {}, not {want}", root.digest)).into());
        }
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if value.get("manifests").is_none() {
            self.blobs(&bytes).await?;
        } else {
            let index: Index = serde_json::from_value(value).map_err(unreadable)?;
            for platform in &self.copying.platforms {
                let is_it = |d: &&Descriptor| d.platform.as_ref() == Some(platform);
                let Some(variant) = index.manifests.iter().find(is_it) else {
                    let message = format!("the image has no variant for {}/{}", platform.os, platform.architecture);
                    return Err(RequestError::Answer(message).into());
                };
                let (bytes, found) = self.manifest(variant.digest.as_str()).await?;
                if found.digest != variant.digest {
                    return Err(RequestError::Answer(format!(
                        "a manifest does not have its digest {}",
                        variant.digest
                    ))
                    .into());
                }
                self.blobs(&bytes).await?;
                self.put(&bytes)?;
            }
        }
        self.put(&bytes)?;
        Ok(root)
    }

    /// Copies the signatures of an image, which are an image of their own beside it; most have none.
    async fn signatures(&self, image: &ImageRef, digest: &Digest) -> Result<(), Failure> {
        let tag = image_trust::simple::tag(digest.as_str());
        match self.manifest(&tag).await {
            Ok((bytes, root)) => {
                self.blobs(&bytes).await?;
                self.put(&bytes)?;
                self.layout
                    .tag(&format!("{}:{tag}", image.name()), &root)
                    .map_err(disk(&tag))
            }
            Err(RequestError::Status {
                status: StatusCode::NOT_FOUND,
                ..
            }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn manifest(&self, selector: &str) -> Result<(bytes::Bytes, Descriptor), RequestError> {
        let accept = [
            media_type::MANIFEST,
            media_type::INDEX,
            media_type::DOCKER_MANIFEST,
            media_type::DOCKER_LIST,
        ];
        let (bytes, kind) = self.client.manifest(selector, &accept.join(", "), MAX_MANIFEST).await?;
        let descriptor = Descriptor::of(&kind, &bytes);
        Ok((bytes, descriptor))
    }

    fn put(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.layout.put(bytes).map(drop).map_err(disk("manifest"))
    }

    /// Copies everything a manifest names.
    async fn blobs(&self, manifest: &[u8]) -> Result<(), Failure> {
        let manifest: Manifest = serde_json::from_slice(manifest).map_err(unreadable)?;
        let total = manifest.layer_bytes();
        let done = AtomicU64::new(0);
        let all = std::iter::once(&manifest.config).chain(&manifest.layers);
        let fetches = all.map(|blob| {
            let done = &done;
            async move {
                self.blob(blob).await?;
                let done = done.fetch_add(blob.size, Ordering::Relaxed) + blob.size;
                (self.progress)(Progress::Downloading {
                    done: done.min(total),
                    total,
                });
                Ok::<_, Failure>(())
            }
        });
        futures::stream::iter(fetches)
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await
    }

    async fn blob(&self, blob: &Descriptor) -> Result<(), Failure> {
        if self.layout.blob_path(&blob.digest).exists() {
            return Ok(());
        }
        if let Some(kept) = &self.copying.kept {
            if !kept.blob_path(&blob.digest).exists() {
                self.fetch(blob, kept).await?;
            }
            return share(kept, self.layout, blob).map_err(|cause| {
                Failure::Here(PullError::Disk {
                    image: blob.digest.to_string(),
                    doing: "copy a blob that was kept".to_owned(),
                    cause,
                })
            });
        }
        self.fetch(blob, self.layout).await
    }

    /// Fetches a blob into a layout; it appears there whole and checked, or not at all.
    async fn fetch(&self, blob: &Descriptor, layout: &Layout) -> Result<(), Failure> {
        let here = |cause: io::Error| {
            Failure::Here(PullError::Disk {
                image: blob.digest.to_string(),
                doing: format!("write {}", layout.root().display()),
                cause,
            })
        };
        let mut coming = self.client.read(blob).await?;
        let mut file = tempfile::NamedTempFile::new_in(layout.root()).map_err(here)?;
        while let Some(data) = coming.next().await? {
            file.write_all(&data).map_err(here)?;
        }
        file.as_file().sync_all().map_err(here)?;
        let path = file.into_temp_path();
        layout.adopt(&path, &blob.digest).map_err(disk("blob"))
    }
}

fn unreadable(error: serde_json::Error) -> RequestError {
    RequestError::Answer(format!("the manifest is not readable: {error}"))
}

/// Gives a layout a blob of another one. What was kept may have been damaged since.
fn share(from: &Layout, to: &Layout, blob: &Descriptor) -> io::Result<()> {
    let mut source = std::fs::File::open(from.blob_path(&blob.digest))?;
    let (digest, _) = to
        .put_with::<CopyError>(|out| Ok(io::copy(&mut source, out).map(drop)?))
        .map_err(io::Error::other)?;
    if digest == blob.digest {
        return Ok(());
    }
    std::fs::remove_file(to.blob_path(&digest))?;
    std::fs::remove_file(from.blob_path(&blob.digest))?;
    Err(io::Error::other(format!(
        "{} was damaged, and is removed: run this again",
        from.blob_path(&blob.digest).display()
    )))
}

#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error(transparent)]
    Write(#[from] LayoutError),
}
