//! From a request to what is to be done, and the read-only part of doing it.

use http::header::{CONTENT_TYPE, HeaderName};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::Registry;
use super::answer::{Answer, Failure, empty, file, json, response};
use super::catalog::Repository;
use crate::digest::Digest;
use crate::oci::media_type;
use crate::reference::{is_registry, is_repository, is_tag};

pub(crate) const CONTENT_DIGEST: &str = "docker-content-digest";
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// What a path under `/v2/` names.
#[derive(Debug, PartialEq)]
enum Target<'a> {
    Base,
    Catalog,
    Tags,
    Manifest(&'a str),
    Blob(&'a str),
    /// An upload, or the place to begin one when empty.
    Upload(&'a str),
    Referrers(&'a str),
}

pub(crate) async fn answer(registry: &Registry, request: Request<Incoming>) -> Answer {
    let mut answer = route(registry, request).await.unwrap_or_else(Failure::into_answer);
    answer
        .headers_mut()
        .insert(API_VERSION, http::HeaderValue::from_static("registry/2.0"));
    answer
}

async fn route(registry: &Registry, request: Request<Incoming>) -> Result<Answer, Failure> {
    let path = request.uri().path().to_owned();
    let Some((name, target)) = parse(&path) else {
        return Err(Failure::new(
            StatusCode::NOT_FOUND,
            "NAME_UNKNOWN",
            format!("{path} is not part of this API"),
        ));
    };
    let namespace = query(&request, "ns").filter(|ns| !ns.is_empty());
    let repository = Repository {
        path: name.to_owned(),
        namespace,
    };
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    let head = request.method() == Method::HEAD;
    match target {
        Target::Base if read => Ok(json(&json!({}))),
        Target::Catalog if read => {
            let names = registry.inner.catalog.repositories().map_err(Failure::internal)?;
            Ok(json(&json!({ "repositories": names })))
        }
        Target::Tags if read => tags(registry, &repository, &request),
        Target::Manifest(selector) if read => manifest(registry, &repository, selector, &request, head).await,
        Target::Blob(digest) if read => {
            let digest = parse_digest(digest)?;
            let Some(path) = registry.inner.catalog.blob(&digest) else {
                return Err(unknown_blob(&digest));
            };
            let headers = vec![
                (CONTENT_DIGEST, digest.to_string()),
                (CONTENT_TYPE.as_str(), "application/octet-stream".to_owned()),
            ];
            file(&path, request.headers(), head, headers).await
        }
        Target::Referrers(digest) if read => {
            parse_digest(digest)?;
            let index = json!({ "schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [] });
            let mut answer = json(&index);
            answer
                .headers_mut()
                .insert(CONTENT_TYPE, http::HeaderValue::from_static(media_type::INDEX));
            Ok(answer)
        }
        Target::Manifest(selector) if request.method() == Method::PUT => {
            let selector = selector.to_owned();
            super::push::put_manifest(registry, &repository, &selector, request).await
        }
        Target::Upload(id) => {
            let id = id.to_owned();
            super::push::upload(registry, &repository, &id, request).await
        }
        _ => Err(Failure::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "UNSUPPORTED",
            format!("{} of {path} is not supported", request.method()),
        )),
    }
}

/// Splits a path into repository and target.
fn parse(path: &str) -> Option<(&str, Target<'_>)> {
    let rest = path.strip_prefix("/v2")?;
    let rest = rest.strip_prefix('/').or(rest.is_empty().then_some(""))?;
    if rest.is_empty() {
        return Some(("", Target::Base));
    }
    if rest == "_catalog" {
        return Some(("", Target::Catalog));
    }
    let (name, target) = if let Some(name) = rest.strip_suffix("/tags/list") {
        (name, Target::Tags)
    } else if let Some((name, id)) = rest.split_once("/blobs/uploads/") {
        (name, Target::Upload(id))
    } else if let Some(name) = rest.strip_suffix("/blobs/uploads") {
        (name, Target::Upload(""))
    } else if let Some((name, selector)) = rest.rsplit_once("/manifests/") {
        (name, Target::Manifest(selector))
    } else if let Some((name, digest)) = rest.rsplit_once("/blobs/") {
        (name, Target::Blob(digest))
    } else if let Some((name, digest)) = rest.rsplit_once("/referrers/") {
        (name, Target::Referrers(digest))
    } else {
        return None;
    };
    // The first part may be a registry host, which has its own alphabet.
    let repository = match name.split_once('/') {
        Some((first, repository)) if is_registry(first) => repository,
        _ => name,
    };
    is_repository(repository).then_some((name, target))
}

/// A query parameter, percent-decoded.
pub(crate) fn query<B>(request: &Request<B>, key: &str) -> Option<String> {
    let pairs = request.uri().query()?.split('&');
    pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| decode(value))
}

fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = |b: &u8| char::from(*b).to_digit(16);
        rest = tail;
        match (byte, tail.first().and_then(hex), tail.get(1).and_then(hex)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub(crate) fn parse_digest(text: &str) -> Result<Digest, Failure> {
    text.parse()
        .map_err(|e| Failure::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", format!("{e}")))
}

fn unknown_blob(digest: &Digest) -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        "BLOB_UNKNOWN",
        format!("there is no blob {digest}"),
    )
}

fn tags(registry: &Registry, repository: &Repository, request: &Request<Incoming>) -> Result<Answer, Failure> {
    let tags = registry.inner.catalog.tags(repository).map_err(Failure::internal)?;
    if tags.is_empty() {
        let message = format!("there is no repository {}", repository.full_name());
        return Err(Failure::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message));
    }
    let last = query(request, "last");
    let limit = query(request, "n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let page: Vec<_> = tags
        .into_iter()
        .filter(|tag| last.as_ref().is_none_or(|last| tag > last))
        .take(limit)
        .collect();
    Ok(json(&json!({ "name": repository.path, "tags": page })))
}

async fn manifest(
    registry: &Registry,
    repository: &Repository,
    selector: &str,
    request: &Request<Incoming>,
    head: bool,
) -> Result<Answer, Failure> {
    let unknown = || {
        let message = format!("there is no image {}, tag or digest {selector}", repository.full_name());
        Failure::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message)
    };
    let catalog = &registry.inner.catalog;
    let (digest, media) = if selector.contains(':') {
        let digest = parse_digest(selector)?;
        let media = catalog.media_type(&digest);
        (digest, media)
    } else if is_tag(selector) {
        let found = catalog
            .by_tag(repository, selector)
            .map_err(Failure::internal)?
            .ok_or_else(unknown)?;
        (found.digest, Some(found.media_type))
    } else {
        return Err(unknown());
    };
    let path = catalog.blob(&digest).ok_or_else(unknown)?;
    let media = match media.filter(|media| !media.is_empty()) {
        Some(media) => media,
        None => read_media_type(&path).await.ok_or_else(unknown)?,
    };
    let headers = vec![(CONTENT_DIGEST, digest.to_string()), (CONTENT_TYPE.as_str(), media)];
    if request
        .headers()
        .get(http::header::IF_NONE_MATCH)
        .is_some_and(|etag| etag == digest.as_str())
    {
        return Ok(response(StatusCode::NOT_MODIFIED, &headers, empty()));
    }
    file(&path, &http::HeaderMap::new(), head, headers).await
}

/// The media type a manifest inside an index says of itself; a blob that is no manifest has none.
async fn read_media_type(path: &std::path::Path) -> Option<String> {
    let size = tokio::fs::metadata(path).await.ok()?.len();
    if size > super::MAX_MANIFEST as u64 {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(&tokio::fs::read(path).await.ok()?).ok()?;
    value.get("schemaVersion")?;
    let inner = value.get("mediaType").and_then(|m| m.as_str());
    Some(
        inner
            .unwrap_or(if value.get("manifests").is_some() {
                media_type::INDEX
            } else {
                media_type::MANIFEST
            })
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_into_repository_and_target() {
        assert_eq!(parse("/v2/"), Some(("", Target::Base)));
        assert_eq!(parse("/v2"), Some(("", Target::Base)));
        assert_eq!(parse("/v2/a/b/manifests/v1"), Some(("a/b", Target::Manifest("v1"))));
        let full = parse("/v2/registry.k8s.io/coredns/coredns/blobs/sha256:00");
        assert_eq!(
            full,
            Some(("registry.k8s.io/coredns/coredns", Target::Blob("sha256:00")))
        );
        assert_eq!(parse("/v2/a/blobs/uploads/"), Some(("a", Target::Upload(""))));
        assert_eq!(parse("/v2/a/blobs/uploads/42"), Some(("a", Target::Upload("42"))));
        for bad in [
            "/",
            "/v1/",
            "/v2/../x/manifests/1",
            "/v2/A/manifests/1",
            "/v2//manifests/1",
            "/v2/a",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
