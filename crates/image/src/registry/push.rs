//! Pushing: uploads of blobs, and manifests.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Buf;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::io::AsyncWriteExt;

use super::answer::{Answer, Failure, empty, response};
use super::catalog::Repository;
use super::route::{CONTENT_DIGEST, parse_digest, query};
use super::{MAX_MANIFEST, Registry};
use crate::digest::{Digest, Hasher};
use crate::oci::{Descriptor, Layout, LayoutError, media_type};
use crate::reference::is_tag;

const UPLOAD_ID: &str = "docker-upload-uuid";
/// An upload nobody continues for this long is forgotten.
const IDLE_UPLOAD: Duration = Duration::from_secs(15 * 60);
/// How long a client may be silent in the middle of a body.
const IDLE_BODY: Duration = Duration::from_secs(60);

/// Blobs on their way in.
pub(crate) struct Uploads {
    pub(crate) store: Layout,
    folder: PathBuf,
    max_blob: u64,
    max_uploads: usize,
    open: Mutex<HashMap<String, Upload>>,
    /// Manifests are named one at a time: the index is read, changed and replaced.
    naming: tokio::sync::Mutex<()>,
}

/// What has come of one blob.
struct Upload {
    size: u64,
    hasher: Hasher,
    touched: Instant,
}

impl Uploads {
    pub(crate) fn new(store: Layout, max_blob: u64, max_uploads: usize) -> Result<Uploads, LayoutError> {
        let folder = store.root().join("uploads");
        let made = std::fs::create_dir_all(&folder).and_then(|()| {
            // Uploads of an earlier process cannot be continued: what was hashed is gone.
            for entry in std::fs::read_dir(&folder)? {
                std::fs::remove_file(entry?.path())?;
            }
            Ok(())
        });
        made.map_err(|cause| LayoutError::Io {
            doing: "prepare",
            path: folder.clone(),
            cause,
        })?;
        let open = Mutex::new(HashMap::new());
        Ok(Uploads {
            store,
            folder,
            max_blob,
            max_uploads,
            open,
            naming: tokio::sync::Mutex::new(()),
        })
    }

    fn begin(&self) -> Result<String, Failure> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|id, upload| {
            let fresh = upload.touched.elapsed() < IDLE_UPLOAD;
            if !fresh {
                let _ = std::fs::remove_file(self.folder.join(id));
            }
            fresh
        });
        if open.len() >= self.max_uploads {
            let message = format!("{} uploads are in progress already; try again later", open.len());
            return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message));
        }
        let file = tempfile::Builder::new()
            .prefix("")
            .rand_bytes(24)
            .tempfile_in(&self.folder);
        let (_, path) = file.and_then(|file| Ok(file.keep()?)).map_err(Failure::internal)?;
        let id = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        open.insert(
            id.clone(),
            Upload {
                size: 0,
                hasher: Hasher::default(),
                touched: Instant::now(),
            },
        );
        Ok(id)
    }

    /// Takes an upload out of the table while a request works on it, so that two cannot write the same file.
    fn take<'a>(&'a self, id: &'a str) -> Result<Taken<'a>, Failure> {
        let found = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        let upload = found.ok_or_else(|| {
            let message = format!("there is no upload {id}, or another request is writing it; begin a new one");
            Failure::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", message)
        })?;
        Ok(Taken {
            uploads: self,
            id,
            upload: Some(upload),
        })
    }

    /// Adds a request's body to an upload. A failed body ends the upload: what is on disk no longer fits the hash.
    async fn append(&self, id: &str, upload: &mut Upload, body: Incoming) -> Result<(), Failure> {
        let path = self.folder.join(id);
        let mut file = tokio::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .await
            .map_err(Failure::internal)?;
        let mut body = body;
        loop {
            let frame = match tokio::time::timeout(IDLE_BODY, body.frame()).await {
                Ok(None) => break,
                Ok(Some(frame)) => frame.map_err(|e| bad_upload(format!("the body broke off: {e}")))?,
                Err(_) => return Err(bad_upload(format!("nothing came for {} s", IDLE_BODY.as_secs()))),
            };
            let Ok(mut data) = frame.into_data() else { continue };
            upload.size += data.len() as u64;
            if upload.size > self.max_blob {
                let message = format!("the blob is larger than the {} bytes taken here", self.max_blob);
                return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message));
            }
            upload.hasher.update(&data);
            while data.has_remaining() {
                file.write_buf(&mut data).await.map_err(Failure::internal)?;
            }
        }
        file.sync_all().await.map_err(Failure::internal)?;
        upload.touched = Instant::now();
        Ok(())
    }
}

/// An upload a request works on. Unless it is given back or finished it is forgotten, also when the client goes away
/// in the middle and the request is dropped.
struct Taken<'a> {
    uploads: &'a Uploads,
    id: &'a str,
    upload: Option<Upload>,
}

impl Taken<'_> {
    fn size(&self) -> u64 {
        self.upload.as_ref().map_or(0, |upload| upload.size)
    }

    async fn append(&mut self, body: Incoming) -> Result<(), Failure> {
        match &mut self.upload {
            Some(upload) => self.uploads.append(self.id, upload, body).await,
            None => Ok(()),
        }
    }

    fn give_back(mut self) {
        if let Some(upload) = self.upload.take() {
            let mut open = self.uploads.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.insert(self.id.to_owned(), upload);
        }
    }

    fn finish(mut self, want: &Digest) -> Result<(), Failure> {
        let hasher = self.upload.as_ref().map(|upload| upload.hasher.clone());
        let got = hasher.unwrap_or_default().finish();
        if got != *want {
            let message = format!("the content has digest {got}, not {want}");
            return Err(Failure::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message));
        }
        self.upload = None;
        let path = self.uploads.folder.join(self.id);
        self.uploads.store.adopt(&path, want).map_err(Failure::internal)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.upload.is_some() {
            let _ = std::fs::remove_file(self.uploads.folder.join(self.id));
        }
    }
}

fn bad_upload(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message)
}

fn uploads(registry: &Registry) -> Result<&Uploads, Failure> {
    registry.inner.uploads.as_ref().ok_or_else(|| {
        Failure::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "UNSUPPORTED",
            "this registry is read-only: it has no store folder",
        )
    })
}

pub(crate) async fn upload(
    registry: &Registry,
    repository: &Repository,
    id: &str,
    request: Request<Incoming>,
) -> Result<Answer, Failure> {
    let uploads = uploads(registry)?;
    let digest = query(&request, "digest")
        .map(|digest| parse_digest(&digest))
        .transpose()?;
    match (request.method().clone(), id) {
        (Method::POST, "") => {
            let mount = query(&request, "mount")
                .map(|digest| parse_digest(&digest))
                .transpose()?;
            if let Some(digest) = mount.filter(|digest| registry.inner.catalog.blob(digest).is_some()) {
                return Ok(created(repository, "blobs", &digest));
            }
            let id = uploads.begin()?;
            match digest {
                Some(digest) => complete(uploads, repository, &id, digest, request).await,
                None => Ok(progress(StatusCode::ACCEPTED, repository, &id, 0)),
            }
        }
        (Method::GET, id) if !id.is_empty() => {
            let upload = uploads.take(id)?;
            let size = upload.size();
            upload.give_back();
            Ok(progress(StatusCode::NO_CONTENT, repository, id, size))
        }
        (Method::PATCH, id) if !id.is_empty() => {
            let mut upload = uploads.take(id)?;
            if let Some(start) = content_range_start(&request)
                && start != upload.size()
            {
                let answer = progress(StatusCode::RANGE_NOT_SATISFIABLE, repository, id, upload.size());
                upload.give_back();
                return Ok(answer);
            }
            upload.append(request.into_body()).await?;
            let size = upload.size();
            upload.give_back();
            Ok(progress(StatusCode::ACCEPTED, repository, id, size))
        }
        (Method::PUT, id) if !id.is_empty() => {
            let digest = digest.ok_or_else(|| bad_upload("the last request of an upload needs ?digest=".into()))?;
            complete(uploads, repository, id, digest, request).await
        }
        (Method::DELETE, id) if !id.is_empty() => {
            drop(uploads.take(id)?);
            Ok(response(StatusCode::NO_CONTENT, &[], empty()))
        }
        (method, _) => Err(Failure::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "UNSUPPORTED",
            format!("{method} is not a step of an upload"),
        )),
    }
}

async fn complete(
    uploads: &Uploads,
    repository: &Repository,
    id: &str,
    digest: Digest,
    request: Request<Incoming>,
) -> Result<Answer, Failure> {
    let mut upload = uploads.take(id)?;
    upload.append(request.into_body()).await?;
    upload.finish(&digest)?;
    Ok(created(repository, "blobs", &digest))
}

fn content_range_start(request: &Request<Incoming>) -> Option<u64> {
    request
        .headers()
        .get(CONTENT_RANGE)?
        .to_str()
        .ok()?
        .split('-')
        .next()?
        .parse()
        .ok()
}

/// The namespace stays in the location, so that the next request means the same repository.
fn place(repository: &Repository, rest: &str) -> String {
    let ns = repository
        .namespace
        .as_ref()
        .map(|ns| format!("?ns={ns}"))
        .unwrap_or_default();
    format!("/v2/{}/{rest}{ns}", repository.path)
}

fn progress(status: StatusCode, repository: &Repository, id: &str, size: u64) -> Answer {
    let headers = [
        (LOCATION.as_str(), place(repository, &format!("blobs/uploads/{id}"))),
        (RANGE.as_str(), format!("0-{}", size.saturating_sub(1))),
        (UPLOAD_ID, id.to_owned()),
        (CONTENT_LENGTH.as_str(), "0".to_owned()),
    ];
    response(status, &headers, empty())
}

fn created(repository: &Repository, kind: &str, digest: &Digest) -> Answer {
    let headers = [
        (LOCATION.as_str(), place(repository, &format!("{kind}/{digest}"))),
        (CONTENT_DIGEST, digest.to_string()),
        (CONTENT_LENGTH.as_str(), "0".to_owned()),
    ];
    response(StatusCode::CREATED, &headers, empty())
}

pub(crate) async fn put_manifest(
    registry: &Registry,
    repository: &Repository,
    selector: &str,
    request: Request<Incoming>,
) -> Result<Answer, Failure> {
    let uploads = uploads(registry)?;
    let invalid = |message: String| Failure::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message);
    let media = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .map(str::to_owned);
    let body = Limited::new(request.into_body(), MAX_MANIFEST).collect();
    let bytes = match tokio::time::timeout(IDLE_BODY, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => {
            return Err(invalid(format!(
                "read the manifest (at most {MAX_MANIFEST} bytes): {error}"
            )));
        }
        Err(_) => return Err(invalid("the manifest did not come in time".into())),
    };
    let document: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| invalid(format!("not JSON: {e}")))?;
    check_references(registry, &document)?;
    let media = media
        .or_else(|| document.get("mediaType").and_then(|m| m.as_str()).map(str::to_owned))
        .unwrap_or_else(|| media_type::MANIFEST.to_owned());
    let descriptor = Descriptor::of(&media, &bytes);
    let store = &uploads.store;
    let _one_at_a_time = uploads.naming.lock().await;
    if selector.contains(':') {
        let want = parse_digest(selector)?;
        if want != descriptor.digest {
            let message = format!("the manifest has digest {}, not {want}", descriptor.digest);
            return Err(Failure::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message));
        }
        store.put(&bytes).map_err(Failure::internal)?;
    } else if is_tag(selector) {
        store.put(&bytes).map_err(Failure::internal)?;
        store
            .tag(&format!("{}:{selector}", repository.full_name()), &descriptor)
            .map_err(Failure::internal)?;
    } else {
        return Err(invalid(format!("{selector:?} is neither a tag nor a digest")));
    }
    Ok(created(repository, "manifests", &descriptor.digest))
}

/// A manifest is taken when everything it points at is here.
fn check_references(registry: &Registry, document: &serde_json::Value) -> Result<(), Failure> {
    let one = document.get("config").into_iter();
    let many = ["layers", "manifests"]
        .into_iter()
        .filter_map(|key| document.get(key)?.as_array())
        .flatten();
    for descriptor in one.chain(many) {
        let text = descriptor.get("digest").and_then(|d| d.as_str()).unwrap_or_default();
        let digest = parse_digest(text)?;
        if registry.inner.catalog.blob(&digest).is_none() {
            let message = format!("the manifest needs blob {digest}, which is not here; push it first");
            return Err(Failure::new(StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN", message));
        }
    }
    Ok(())
}
