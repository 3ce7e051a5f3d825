//! Requests to one registry endpoint: connecting, tokens, redirects, deadlines.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION, USER_AGENT, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Endpoint;
use super::auth::{Auth, Challenge, encode};
use crate::digest::{Digest, Hasher};
use crate::oci::Descriptor;
use crate::reference::ImageRef;

/// How long connecting to one address, TLS included, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may be silent before an answer or in the middle of a body.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;
/// Largest token answer read.
const MAX_TOKEN: u64 = 1 << 20;

/// Why an endpoint did not give what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("{0:?} is not an http:// or https:// URL")]
    BadUrl(String),
    #[error("{0}")]
    Resolve(String),
    #[error("connect to {0}: {1}")]
    Connect(String, std::io::Error),
    #[error("no answer within {} s", IDLE_TIMEOUT.as_secs())]
    Silent,
    #[error("the connection broke: {}", with_causes(.0))]
    Broken(hyper::Error),
    #[error("{status}{detail}")]
    Status { status: StatusCode, detail: String },
    #[error("{0}")]
    Answer(String),
}

impl From<hyper::Error> for RequestError {
    fn from(cause: hyper::Error) -> Self {
        Self::Broken(cause)
    }
}

/// An error that does not say its causes itself, with them.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Talks to one endpoint about one repository.
pub(crate) struct Client {
    base: String,
    namespace: Option<String>,
    repository: String,
    endpoint: Endpoint,
    tls: Arc<rustls::ClientConfig>,
    resolver: Option<dns::Resolver>,
    token: Mutex<Option<Auth>>,
}

impl Client {
    pub(crate) fn new(
        endpoint: &Endpoint,
        image: &ImageRef,
        tls: Arc<rustls::ClientConfig>,
        resolver: Option<dns::Resolver>,
    ) -> Result<Client, RequestError> {
        let url = endpoint.url.trim_end_matches('/');
        let uri: Uri = url.parse().map_err(|_| RequestError::BadUrl(endpoint.url.clone()))?;
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        if host.is_empty() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(RequestError::BadUrl(endpoint.url.clone()));
        }
        let is_upstream = host == image.registry || (image.registry == "docker.io" && host == "registry-1.docker.io");
        Ok(Client {
            base: if endpoint.override_path {
                url.to_owned()
            } else {
                format!("{url}/v2")
            },
            namespace: (!is_upstream).then(|| image.registry.clone()),
            repository: image.repository.clone(),
            endpoint: endpoint.clone(),
            tls: endpoint.tls.clone().unwrap_or(tls),
            resolver,
            token: Mutex::new(None),
        })
    }

    fn url(&self, rest: &str) -> String {
        let ns = self
            .namespace
            .as_ref()
            .map(|ns| format!("?ns={}", encode(ns)))
            .unwrap_or_default();
        format!("{}/{}/{rest}{ns}", self.base, self.repository)
    }

    /// A manifest's bytes and media type.
    pub(crate) async fn manifest(
        &self,
        selector: &str,
        accept: &str,
        limit: u64,
    ) -> Result<(Bytes, String), RequestError> {
        let response = self
            .get(&self.url(&format!("manifests/{selector}")), Some(accept))
            .await?;
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        Ok((read_all(response.into_body(), limit).await?, kind))
    }

    /// The list of what refers to an image, as an index.
    pub(crate) async fn referrers(&self, digest: &Digest, limit: u64) -> Result<Bytes, RequestError> {
        let url = self.url(&format!("referrers/{digest}"));
        let response = self.get(&url, Some(crate::oci::media_type::INDEX)).await?;
        read_all(response.into_body(), limit).await
    }

    /// A blob as it comes, checked on its way.
    pub(crate) async fn read<'a>(&self, blob: &'a Descriptor) -> Result<BlobReader<'a>, RequestError> {
        Ok(BlobReader {
            blob,
            body: self.blob(&blob.digest).await?,
            hasher: Hasher::default(),
            size: 0,
        })
    }

    /// A blob's body; the caller checks the digest.
    async fn blob(&self, digest: &Digest) -> Result<Incoming, RequestError> {
        Ok(self.get(&self.url(&format!("blobs/{digest}")), None).await?.into_body())
    }

    /// A small blob, checked.
    pub(crate) async fn blob_bytes(&self, descriptor: &Descriptor, limit: u64) -> Result<Bytes, RequestError> {
        let bytes = read_all(self.blob(&descriptor.digest).await?, limit).await?;
        if Digest::of(&bytes) == descriptor.digest {
            Ok(bytes)
        } else {
            Err(RequestError::Answer(format!(
                "blob {} does not have its digest",
                descriptor.digest
            )))
        }
    }

    async fn get(&self, url: &str, accept: Option<&str>) -> Result<Response<Incoming>, RequestError> {
        let known = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let auth = known.or_else(|| self.endpoint.auth.clone());
        let response = self.follow(url, accept, auth.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return checked(response).await;
        }
        let challenge = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let Some(challenge) = challenge.filter_map(|v| v.to_str().ok()).find_map(Challenge::parse) else {
            return checked(response).await;
        };
        let token = self.fetch_token(&challenge).await?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        checked(self.follow(url, accept, Some(&token)).await?).await
    }

    async fn fetch_token(&self, challenge: &Challenge) -> Result<Auth, RequestError> {
        let url = challenge.url(&self.repository);
        let response = checked(self.follow(&url, None, self.endpoint.auth.as_ref()).await?).await?;
        let bytes = read_all(response.into_body(), MAX_TOKEN).await?;
        let value: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|e| RequestError::Answer(format!("the token service's answer is not JSON: {e}")))?;
        let token = ["token", "access_token"]
            .into_iter()
            .find_map(|key| value.get(key)?.as_str());
        let token = token.ok_or_else(|| RequestError::Answer("the token service gave no token".into()))?;
        Ok(Auth::Bearer(token.to_owned()))
    }

    /// GET with redirects. Credentials do not follow to another host.
    async fn follow(
        &self,
        url: &str,
        accept: Option<&str>,
        auth: Option<&Auth>,
    ) -> Result<Response<Incoming>, RequestError> {
        let mut uri: Uri = url.parse().map_err(|_| RequestError::BadUrl(url.to_owned()))?;
        let first = uri.authority().cloned();
        for _ in 0..=MAX_REDIRECTS {
            let auth = auth.filter(|_| uri.authority() == first.as_ref());
            let response = self.send(&uri, accept, auth).await?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|v| v.to_str().ok())
                .unwrap_or_default();
            uri = join(&uri, location).ok_or_else(|| RequestError::BadUrl(location.to_owned()))?;
        }
        Err(RequestError::Answer(format!("more than {MAX_REDIRECTS} redirects")))
    }

    async fn send(
        &self,
        uri: &Uri,
        accept: Option<&str>,
        auth: Option<&Auth>,
    ) -> Result<Response<Incoming>, RequestError> {
        let host = uri
            .host()
            .ok_or_else(|| RequestError::BadUrl(uri.to_string()))?
            .to_owned();
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut request = Request::get(uri.path_and_query().map_or("/", |p| p.as_str()))
            .header(HOST, authority)
            .header(USER_AGENT, concat!("keelson/", env!("CARGO_PKG_VERSION")));
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        if let Some(auth) = auth {
            request = request.header(AUTHORIZATION, auth.header());
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|e| RequestError::Answer(format!("make a request: {e}")))?;
        let stream = self.connect(&host, port).await?;
        if secure {
            let name = rustls_pki_types::ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                .map_err(|_| RequestError::BadUrl(uri.to_string()))?;
            let connector = tokio_rustls::TlsConnector::from(self.tls.clone());
            let handshake = tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(name, stream));
            let stream = handshake
                .await
                .map_err(|_| RequestError::Silent)?
                .map_err(|e| RequestError::Connect(format!("{host}:{port} with TLS"), e))?;
            exchange(TokioIo::new(stream), request).await
        } else {
            exchange(TokioIo::new(stream), request).await
        }
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, RequestError> {
        let (resolver, name) = (self.resolver.clone(), host.to_owned());
        let addresses = tokio::task::spawn_blocking(move || {
            resolver
                .unwrap_or_else(dns::Resolver::from_system)
                .resolve(&name)
                .map_err(|e| e.to_string())
        });
        let addresses = addresses
            .await
            .map_err(|e| RequestError::Resolve(e.to_string()))?
            .map_err(RequestError::Resolve)?;
        let mut last = RequestError::Resolve(format!("{host} has no address"));
        for address in addresses {
            let address = SocketAddr::new(address, port);
            match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = RequestError::Connect(address.to_string(), error),
                Err(_) => last = RequestError::Connect(address.to_string(), std::io::ErrorKind::TimedOut.into()),
            }
        }
        Err(last)
    }
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, RequestError>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    // Ends by itself when the response body is read or dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "pull: connection ended");
        }
    });
    let answer = tokio::time::timeout(IDLE_TIMEOUT, sender.send_request(request));
    Ok(answer.await.map_err(|_| RequestError::Silent)??)
}

/// Anything but success becomes an error with what the registry said.
async fn checked(response: Response<Incoming>) -> Result<Response<Incoming>, RequestError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = read_all(response.into_body(), 64 << 10).await.unwrap_or_default();
    let value: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = value.pointer("/errors/0/message").and_then(|m| m.as_str());
    let detail = message.map(|message| format!(": {message}")).unwrap_or_default();
    Err(RequestError::Status { status, detail })
}

/// A blob that is being read: no longer than announced, and with its digest, or an error.
pub(crate) struct BlobReader<'a> {
    blob: &'a Descriptor,
    body: Incoming,
    hasher: Hasher,
    size: u64,
}

impl BlobReader<'_> {
    /// The next piece; none at the end, when all of it was right.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, RequestError> {
        let digest = &self.blob.digest;
        loop {
            let frame = tokio::time::timeout(IDLE_TIMEOUT, self.body.frame())
                .await
                .map_err(|_| RequestError::Silent)?;
            let Some(frame) = frame else { break };
            let Ok(data) = frame?.into_data() else { continue };
            self.size += data.len() as u64;
            if self.size > self.blob.size {
                return Err(RequestError::Answer(format!("blob {digest} is larger than announced")));
            }
            self.hasher.update(&data);
            return Ok(Some(data));
        }
        let got = std::mem::take(&mut self.hasher).finish();
        if got == *digest {
            Ok(None)
        } else {
            Err(RequestError::Answer(format!("blob {digest} came with digest {got}")))
        }
    }
}

async fn read_all(body: Incoming, limit: u64) -> Result<Bytes, RequestError> {
    let mut body = body;
    let mut out = Vec::new();
    loop {
        let frame = tokio::time::timeout(IDLE_TIMEOUT, body.frame())
            .await
            .map_err(|_| RequestError::Silent)?;
        let Some(frame) = frame else { return Ok(out.into()) };
        if let Ok(data) = frame?.into_data() {
            if (out.len() + data.len()) as u64 > limit {
                return Err(RequestError::Answer(format!("the answer is larger than {limit} bytes")));
            }
            out.extend_from_slice(&data);
        }
    }
}

/// The target of a redirect.
fn join(base: &Uri, location: &str) -> Option<Uri> {
    if location.starts_with("http://") || location.starts_with("https://") {
        return location.parse().ok();
    }
    let authority = base.authority()?;
    location
        .starts_with('/')
        .then(|| format!("{}://{authority}{location}", base.scheme_str().unwrap_or("https")))?
        .parse()
        .ok()
}
