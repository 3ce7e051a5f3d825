//! Whether an image may come: what the rules say of its name, and signatures that are beside it in its repository.

use http::StatusCode;
use image_trust::{Decision, Policy, Signatory, bundle, pattern, simple};
use serde::Deserialize;

use super::http_client::{Client, RequestError};
use super::{Auth, Endpoint, MAX_MANIFEST, PullError, Puller, Source, resolve};
use crate::digest::Digest;
use crate::oci::{Manifest, media_type};
use crate::reference::ImageRef;

/// Most signatures of one form that are tried: people who sign are few, and each costs a request.
const MAX_SIGNATURES: usize = 32;
/// Largest signed document or bundle read: real ones have a few kilobytes.
const MAX_SIGNED: u64 = 1 << 20;

/// An image may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// A signature was checked, and is right.
    pub signed: bool,
    /// Why it may, for a person.
    pub why: String,
}

/// An image may not come; why, for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// What refers to an image, as a registry lists it.
#[derive(Deserialize)]
struct Referrers {
    #[serde(default)]
    manifests: Vec<Referrer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referrer {
    #[serde(default)]
    artifact_type: String,
    digest: Digest,
}

fn name(image: &ImageRef) -> String {
    pattern::name(&image.registry, &image.repository)
}

impl Puller {
    /// Lets images come by these rules only.
    pub fn policy(mut self, policy: Policy) -> Puller {
        self.policy = policy.into();
        self
    }

    /// Uses credentials for a host, instead of those it has.
    pub fn authorize(&mut self, host: &str, auth: &Auth) {
        let of_all = self.registries.get("*").cloned();
        if !self.registries.contains_key(host) {
            self.registries.insert(host.to_owned(), of_all.unwrap_or_default());
        }
        for (
            registry,
            Source {
                endpoints, upstream, ..
            },
        ) in &mut self.registries
        {
            let at_host = |endpoint: &&mut Endpoint| {
                let rest = endpoint
                    .url
                    .split_once("://")
                    .map_or(endpoint.url.as_str(), |(_, rest)| rest);
                rest.split('/').next() == Some(host)
            };
            endpoints
                .iter_mut()
                .filter(at_host)
                .for_each(|endpoint| endpoint.auth = Some(auth.clone()));
            if registry == host {
                upstream.get_or_insert_with(|| Endpoint::new("")).auth = Some(auth.clone());
            }
        }
    }

    /// The digest that a reference names now: the one it has, or what the first endpoint says that answers.
    ///
    /// # Errors
    /// No endpoint has it.
    pub async fn resolve(&self, image: &ImageRef) -> Result<Digest, PullError> {
        if let Some(digest) = &image.digest {
            return Ok(digest.clone());
        }
        let mut attempts = Vec::new();
        for endpoint in self.endpoints(image) {
            let found = async {
                let client = Client::new(&endpoint, image, self.tls.clone(), self.resolver.clone())?;
                resolve(&client, image).await.map(|(_, digest)| digest)
            };
            match found.await {
                Ok(digest) => return Ok(digest),
                Err(error) => attempts.push(format!("{}: {error}", endpoint.url)),
            }
        }
        Err(PullError::NoEndpoint {
            image: image.to_string(),
            attempts,
        })
    }

    /// Whether the rules refuse an image whatever is signed; asks no registry.
    ///
    /// # Errors
    /// They do.
    pub fn may_ask_for(&self, image: &ImageRef) -> Result<(), Refused> {
        match self.policy.decide(&name(image)) {
            Decision::Refused(why) => Err(Refused(why)),
            Decision::Allowed(_) | Decision::Signed { .. } => Ok(()),
        }
    }

    /// Whether an image may come. Where the rules want a signature it is looked for where the image comes from, one
    /// endpoint after the other.
    ///
    /// # Errors
    /// It may not, or it could not be found out.
    pub async fn judge(&self, image: &ImageRef, digest: &Digest) -> Result<Admitted, Refused> {
        let (by, rule) = match self.policy.decide(&name(image)) {
            Decision::Allowed(why) => return Ok(Admitted { signed: false, why }),
            Decision::Refused(why) => return Err(Refused(why)),
            Decision::Signed { by, rule } => (by, rule),
        };
        let mut attempts = Vec::new();
        for endpoint in self.endpoints(image) {
            match self.signed_at(&endpoint, image, digest, by).await {
                Ok(()) => {
                    let why = format!("signed {by} of {rule}");
                    return Ok(Admitted { signed: true, why });
                }
                Err(why) => attempts.push(format!("{}: {why}", endpoint.url)),
            }
        }
        Err(Refused(format!(
            "{}@{digest} is not signed {by} of {rule} ({})",
            image.name(),
            attempts.join("; ")
        )))
    }

    /// Looks for a signature at one endpoint; the error says what was there instead.
    async fn signed_at(
        &self,
        endpoint: &Endpoint,
        image: &ImageRef,
        digest: &Digest,
        by: &Signatory,
    ) -> Result<(), String> {
        let client = Client::new(endpoint, image, self.tls.clone(), self.resolver.clone());
        let search = Search {
            client: client.map_err(|e| e.to_string())?,
            by,
            digest,
        };
        let mut flaws = Vec::new();
        match search.simple(&mut flaws).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => flaws.push(error.to_string()),
        }
        match search.bundles(&mut flaws).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => flaws.push(error.to_string()),
        }
        Err(match flaws.as_slice() {
            [] => "there is no signature".to_owned(),
            flaws => flaws.join(", "),
        })
    }
}

/// The search for a signature of one image by one signatory at one endpoint. What is wrong with signatures that are no
/// good is added to a list.
struct Search<'a> {
    client: Client,
    by: &'a Signatory,
    digest: &'a Digest,
}

impl Search<'_> {
    /// In the image of signatures that cosign keeps under a tag.
    async fn simple(&self, flaws: &mut Vec<String>) -> Result<bool, RequestError> {
        let Some(bytes) = self.manifest(&simple::tag(self.digest.as_str())).await? else {
            return Ok(false);
        };
        let manifest: Manifest = parsed("the image of signatures", &bytes)?;
        let layers = manifest
            .layers
            .iter()
            .filter(|layer| layer.media_type == simple::MEDIA_TYPE);
        for layer in layers.take(MAX_SIGNATURES) {
            if !layer.annotations.contains_key(simple::SIGNATURE) {
                continue;
            }
            let checked = match self.client.blob_bytes(layer, MAX_SIGNED).await {
                Ok(payload) => simple::check(&payload, &layer.annotations, self.by, self.digest.as_str())
                    .map_err(|flaw| flaw.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match checked {
                Ok(()) => return Ok(true),
                Err(flaw) => flaws.push(flaw),
            }
        }
        Ok(false)
    }

    /// In bundles that refer to the image.
    async fn bundles(&self, flaws: &mut Vec<String>) -> Result<bool, RequestError> {
        let referrers = self.referrers().await?;
        let bundles = referrers
            .iter()
            .filter(|r| r.artifact_type.starts_with(bundle::MEDIA_TYPE));
        for referrer in bundles.take(MAX_SIGNATURES) {
            match self.bundle(&referrer.digest).await {
                Ok(()) => return Ok(true),
                Err(flaw) => flaws.push(flaw),
            }
        }
        Ok(false)
    }

    async fn bundle(&self, artifact: &Digest) -> Result<(), String> {
        let text = |error: RequestError| error.to_string();
        let bytes = self.manifest(artifact.as_str()).await.map_err(text)?;
        let bytes = bytes.filter(|bytes| Digest::of(bytes) == *artifact);
        let bytes = bytes.ok_or_else(|| format!("{artifact} is listed, and not there"))?;
        let manifest: Manifest = parsed("the bundle's manifest", &bytes).map_err(text)?;
        let layer = manifest
            .layers
            .iter()
            .find(|l| l.media_type.starts_with(bundle::MEDIA_TYPE));
        let layer = layer.ok_or_else(|| format!("{artifact} has no bundle in it"))?;
        let bundle = self.client.blob_bytes(layer, MAX_SIGNED).await.map_err(text)?;
        bundle::check(&bundle, self.by, self.digest.as_str()).map_err(|flaw| flaw.to_string())
    }

    /// What refers to the image, as the registry lists it, or as the index under a tag does where none is listed.
    async fn referrers(&self) -> Result<Vec<Referrer>, RequestError> {
        let listed = match self.client.referrers(self.digest, MAX_MANIFEST).await {
            Ok(bytes) => parsed::<Referrers>("the list of referrers", &bytes)?.manifests,
            // Registries without this list say so in many ways.
            Err(RequestError::Status { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        if !listed.is_empty() {
            return Ok(listed);
        }
        match self.manifest(&bundle::fallback_tag(self.digest.as_str())).await? {
            Some(bytes) => Ok(parsed::<Referrers>("the index of referrers", &bytes)?.manifests),
            None => Ok(Vec::new()),
        }
    }

    /// A manifest's bytes, if there is such a one.
    async fn manifest(&self, selector: &str) -> Result<Option<bytes::Bytes>, RequestError> {
        let accept = [media_type::MANIFEST, media_type::INDEX].join(", ");
        match self.client.manifest(selector, &accept, MAX_MANIFEST).await {
            Ok((bytes, _)) => Ok(Some(bytes)),
            Err(RequestError::Status {
                status: StatusCode::NOT_FOUND,
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn parsed<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, RequestError> {
    serde_json::from_slice(bytes).map_err(|e| RequestError::Answer(format!("{what} is not readable: {e}")))
}

#[cfg(test)]
mod tests;
