//! Pulling an image into a folder, through mirrors, verified.
//!
//! ```no_run
//! # async fn example(tls: std::sync::Arc<rustls::ClientConfig>) -> Result<(), image::pull::PullError> {
//! use image::pull::{Endpoint, Puller, Source};
//! let mut puller = Puller::new(tls);
//! puller.add_registry("*", Source { endpoints: vec![Endpoint::new("http://10.5.0.1:5000")], ..Source::default() });
//! let pulled = puller
//!     .pull("ghcr.io/siderolabs/kubelet:v1.37.1", "/var/lib/kubelet-image".as_ref(), &|_| {}, &Default::default())
//!     .await?;
//! println!("{:?} in {}", pulled.config.entrypoint, pulled.rootfs().display());
//! # Ok(()) }
//! ```

mod auth;
mod http_client;
mod mirror;
mod store;
mod trust;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use auth::Auth;
pub use mirror::Copying;
pub use store::{Pulled, unpack_archived};
pub use trust::{Admitted, Refused};

use crate::digest::Digest;
use crate::oci::{ImageDocument, Index, Manifest, architecture, is_ours, media_type};
use crate::reference::ImageRef;
use http_client::{Client, RequestError};

/// One place an image may come from.
#[derive(Clone)]
pub struct Endpoint {
    /// `http://host:port` or `https://host`, with a path when `override_path` is set.
    pub url: String,
    /// The URL's path replaces `/v2` instead of coming before it.
    pub override_path: bool,
    /// TLS settings for this endpoint; without them the puller's.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Credentials.
    pub auth: Option<Auth>,
}

impl Endpoint {
    /// An endpoint without credentials or settings of its own.
    pub fn new(url: impl Into<String>) -> Endpoint {
        Endpoint {
            url: url.into(),
            override_path: false,
            tls: None,
            auth: None,
        }
    }
}

/// Where a registry's images come from.
#[derive(Clone, Default)]
pub struct Source {
    /// Mirrors, tried in order.
    pub endpoints: Vec<Endpoint>,
    /// Do not try the registry itself after its mirrors.
    pub skip_fallback: bool,
    /// Settings for the registry itself (its URL is made from its name when empty).
    pub upstream: Option<Endpoint>,
}

/// What a pull is doing, for a person who waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// The endpoint that is asked, and for what.
    Resolving {
        /// Endpoint URL.
        endpoint: String,
    },
    /// An endpoint did not deliver; the next is tried.
    Failed {
        /// Endpoint URL.
        endpoint: String,
        /// Why.
        error: String,
    },
    /// Bytes of compressed layers that have arrived.
    Downloading {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A layer is being unpacked.
    Unpacking {
        /// Which, from 1.
        layer: usize,
        /// Of how many.
        layers: usize,
    },
}

/// Why a pull failed.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The reference is none.
    #[error(transparent)]
    Reference(#[from] crate::reference::BadReference),
    /// No endpoint had it.
    #[error("pull {image}: {}", attempts.join("; "))]
    NoEndpoint {
        /// The image.
        image: String,
        /// What each endpoint answered.
        attempts: Vec<String>,
    },
    /// The rules about images do not let it come.
    #[error("pull {image}: {why}")]
    Refused {
        /// The image.
        image: String,
        /// Why.
        why: Refused,
    },
    /// The caller cancelled.
    #[error("pull {0}: cancelled")]
    Cancelled(String),
    /// The folder could not be prepared or written.
    #[error("pull {image}: {doing}: {cause}")]
    Disk {
        /// The image.
        image: String,
        /// What was being done.
        doing: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A layer cannot be unpacked.
    #[error("pull {image}: {cause}")]
    Unpack {
        /// The image.
        image: String,
        /// Why.
        cause: crate::unpack::UnpackError,
    },
}

/// Pulls images; knows mirrors, credentials, and which images may come.
#[derive(Clone)]
pub struct Puller {
    registries: BTreeMap<String, Source>,
    tls: Arc<rustls::ClientConfig>,
    resolver: Option<dns::Resolver>,
    policy: Arc<image_trust::Policy>,
}

impl Puller {
    /// A puller that uses `tls` for HTTPS endpoints that bring no settings of their own.
    pub fn new(tls: Arc<rustls::ClientConfig>) -> Puller {
        Puller {
            registries: BTreeMap::new(),
            tls,
            resolver: None,
            policy: Arc::default(),
        }
    }

    /// Uses `resolver` instead of what `/etc/resolv.conf` says at the time of the pull.
    pub fn resolver(mut self, resolver: dns::Resolver) -> Puller {
        self.resolver = Some(resolver);
        self
    }

    /// Sets where images of `registry` come from; `*` stands for every registry that is not set.
    pub fn add_registry(&mut self, registry: impl Into<String>, source: Source) {
        self.registries.insert(registry.into(), source);
    }

    /// The places `image` may come from, in the order they are tried.
    fn endpoints(&self, image: &ImageRef) -> Vec<Endpoint> {
        let source = self
            .registries
            .get(&image.registry)
            .or_else(|| self.registries.get("*"));
        let mut endpoints = source.map(|source| source.endpoints.clone()).unwrap_or_default();
        if source.is_none_or(|source| !source.skip_fallback) {
            let host = if image.registry == "docker.io" {
                "registry-1.docker.io"
            } else {
                &image.registry
            };
            let mut upstream = source
                .and_then(|source| source.upstream.clone())
                .unwrap_or_else(|| Endpoint::new(""));
            if upstream.url.is_empty() {
                upstream.url = format!("https://{host}");
            }
            endpoints.push(upstream);
        }
        endpoints
    }

    /// Pulls `reference` into `dir`, which then holds `rootfs/` and `image.json`.
    ///
    /// What is there already is kept when it is the wanted image (by digest when the reference has one, else by what
    /// the registry says now, else — no endpoint answers — by name). The folder appears complete or not at all.
    ///
    /// # Errors
    /// The rules refuse the image, no endpoint has it, or it cannot be unpacked.
    pub async fn pull(
        &self,
        reference: &str,
        dir: &Path,
        progress: &(dyn Fn(Progress) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<Pulled, PullError> {
        let image: ImageRef = reference.parse()?;
        self.may_ask_for(&image).map_err(refused(reference))?;
        tokio::select! {
            () = cancel.cancelled() => Err(PullError::Cancelled(reference.to_owned())),
            pulled = self.pull_any(&image, reference, dir, progress) => pulled,
        }
    }

    async fn pull_any(
        &self,
        image: &ImageRef,
        reference: &str,
        dir: &Path,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Pulled, PullError> {
        let here = Pulled::open(dir).ok().flatten();
        if let (Some(here), Some(wanted)) = (&here, &image.digest)
            && here.digest == *wanted
        {
            return Ok(here.clone());
        }
        let mut attempts = Vec::new();
        for endpoint in self.endpoints(image) {
            progress(Progress::Resolving {
                endpoint: endpoint.url.clone(),
            });
            match self
                .pull_from(&endpoint, image, reference, dir, here.as_ref(), progress)
                .await
            {
                Ok(pulled) => return Ok(pulled),
                Err(Failure::Endpoint(error)) => {
                    let error = error.to_string();
                    tracing::debug!(
                        image = reference,
                        endpoint = endpoint.url,
                        error,
                        "pull: endpoint failed"
                    );
                    attempts.push(format!("{}: {error}", endpoint.url));
                    progress(Progress::Failed {
                        endpoint: endpoint.url,
                        error,
                    });
                }
                Err(Failure::Here(error)) => return Err(error),
            }
        }
        match here.filter(|here| image.digest.is_none() && here.reference == reference) {
            Some(here) => Ok(here),
            None => Err(PullError::NoEndpoint {
                image: reference.to_owned(),
                attempts,
            }),
        }
    }

    async fn pull_from(
        &self,
        endpoint: &Endpoint,
        image: &ImageRef,
        reference: &str,
        dir: &Path,
        here: Option<&Pulled>,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Pulled, Failure> {
        let client = Client::new(endpoint, image, self.tls.clone(), self.resolver.clone())?;
        let (manifest, digest) = resolve(&client, image).await?;
        let judged = self.judge(image, &digest).await;
        let admitted = judged.map_err(|why| Failure::Here(refused(reference)(why)))?;
        tracing::debug!(image = reference, %digest, why = admitted.why, "pull: the image may come");
        if let Some(here) = here.filter(|here| here.digest == digest && here.reference == reference) {
            return Ok(here.clone());
        }
        let config = client.blob_bytes(&manifest.config, MAX_CONFIG).await?;
        let document: ImageDocument = serde_json::from_slice(&config)
            .map_err(|e| RequestError::Answer(format!("the image configuration is not readable: {e}")))?;
        if document.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(RequestError::Answer("the image's layers and its configuration disagree".into()).into());
        }
        store::fetch_and_unpack(&client, reference, digest, &manifest, document, dir, progress).await
    }
}

fn refused(image: &str) -> impl FnOnce(Refused) -> PullError {
    let image = image.to_owned();
    move |why| PullError::Refused { image, why }
}

/// Largest image configuration read.
const MAX_CONFIG: u64 = 4 << 20;
/// Largest manifest read.
const MAX_MANIFEST: u64 = 4 << 20;

/// A failure that the next endpoint may not have, or one it would have too.
enum Failure {
    Endpoint(RequestError),
    Here(PullError),
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Failure::Endpoint(error)
    }
}

/// Finds the manifest for this machine's platform; the digest is of what the reference names (an index, perhaps).
async fn resolve(client: &Client, image: &ImageRef) -> Result<(Manifest, Digest), RequestError> {
    let accept = [
        media_type::MANIFEST,
        media_type::INDEX,
        media_type::DOCKER_MANIFEST,
        media_type::DOCKER_LIST,
    ];
    let accept = accept.join(", ");
    let (bytes, kind) = client.manifest(image.selector(), &accept, MAX_MANIFEST).await?;
    let digest = Digest::of(&bytes);
    if let Some(want) = image.digest.as_ref().filter(|want| **want != digest) {
        return Err(RequestError::Answer(format!(
            "the manifest has digest {digest}, not {want}"
        )));
    }
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|e| RequestError::Answer(format!("the manifest is not JSON: {e}")))?;
    let unreadable = |e: serde_json::Error| RequestError::Answer(format!("the manifest is not readable: {e}"));
    if kind != media_type::INDEX && kind != media_type::DOCKER_LIST && value.get("manifests").is_none() {
        return Ok((serde_json::from_value(value).map_err(unreadable)?, digest));
    }
    let index: Index = serde_json::from_value(value).map_err(unreadable)?;
    let Some(chosen) = index.manifests.iter().find(|d| is_ours(d)) else {
        let message = format!("the image has no variant for linux/{}", architecture());
        return Err(RequestError::Answer(message));
    };
    let (bytes, _) = client.manifest(chosen.digest.as_str(), &accept, MAX_MANIFEST).await?;
    if Digest::of(&bytes) != chosen.digest {
        return Err(RequestError::Answer(format!(
            "a manifest does not have its digest {}",
            chosen.digest
        )));
    }
    Ok((serde_json::from_slice(&bytes).map_err(unreadable)?, digest))
}

#[cfg(test)]
mod tests;
