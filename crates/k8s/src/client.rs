//! The client: one server, one identity, a pool of connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;

use crate::connect::Connector;
use crate::{ApiResource, Auth, Error, Kubeconfig, Options};

/// An answer larger than this is refused: nothing an API server sends in one page comes near it.
const BODY_LIMIT: usize = 256 * 1024 * 1024;
/// Idle connections are closed after this, before the server's own idle limit.
const IDLE: Duration = Duration::from_secs(60);

/// A client of one API server; clones share connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    http: legacy::Client<Connector, Full<Bytes>>,
    base: Uri,
    server: String,
    authorization: Option<HeaderValue>,
    pub(crate) timeout: Duration,
    pub(crate) namespace: String,
    pub(crate) kinds: Mutex<HashMap<String, Vec<ApiResource>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.inner.server)
            .finish_non_exhaustive()
    }
}

/// One call, and its words for errors.
pub(crate) struct Call {
    pub what: String,
    pub method: Method,
    pub path: String,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<(&'static str, Bytes)>,
}

impl Call {
    pub(crate) fn new(what: impl Into<String>, method: Method, path: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
        }
    }

    pub(crate) fn json(mut self, value: &Value) -> Self {
        self.body = Some(("application/json", Bytes::from(value.to_string())));
        self
    }

    fn path_and_query(&self) -> String {
        let mut text = self.path.clone();
        let mut separator = if text.contains('?') { '&' } else { '?' };
        for (key, value) in &self.query {
            text.push(separator);
            text.push_str(key);
            text.push('=');
            text.push_str(&crate::resources::encode(value));
            separator = '&';
        }
        text
    }
}

impl Client {
    /// A client for `https://host:port`, whose certificate must be signed by one of `ca` (PEM).
    ///
    /// # Errors
    /// The URL or the certificates are unusable. Nothing is sent yet.
    pub fn new(server: &str, ca: &[u8], auth: Auth) -> Result<Self, Error> {
        Self::with(Options::new(server, ca, auth))
    }

    /// A client for the current context of a kubeconfig file (YAML or JSON).
    ///
    /// # Errors
    /// As [`Client::new`], and when the file is unusable or needs a credential plugin.
    pub fn from_kubeconfig(bytes: &[u8]) -> Result<Self, Error> {
        Self::with(Kubeconfig::parse(bytes)?.options(None)?)
    }

    /// A client with everything said.
    ///
    /// # Errors
    /// The URL or the certificates are unusable. Nothing is sent yet.
    pub fn with(options: Options) -> Result<Self, Error> {
        let base: Uri = options
            .server
            .trim_end_matches('/')
            .parse()
            .map_err(|e| Error::Setup(format!("{:?} is not a URL: {e}", options.server)))?;
        let connector = Connector::new(&base, &options)?;
        let authorization = match &options.auth {
            Auth::Token(token) => {
                let token = token.expose_str().map_err(|e| Error::Setup(format!("token: {e}")))?;
                let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
                    .map_err(|_| Error::Setup("the token has characters that no token has".into()))?;
                value.set_sensitive(true);
                Some(value)
            }
            Auth::Anonymous | Auth::Certificate(_) => None,
        };
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                base,
                server: options.server,
                authorization,
                timeout: options.timeout,
                namespace: options.namespace,
                kinds: Mutex::default(),
            }),
        })
    }

    /// The URL of the server.
    pub fn server(&self) -> &str {
        &self.inner.server
    }

    /// GETs a path such as `/readyz` or `/version` and returns the body.
    ///
    /// # Errors
    /// See [`Error`]; any status but 2xx is one.
    pub async fn raw(&self, path: &str) -> Result<Bytes, Error> {
        self.bytes(Call::new(format!("get {path}"), Method::GET, path)).await
    }

    /// Sends any call with an optional JSON body (for subresources that have no function here, such as evictions).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let mut call = Call::new(format!("{} {path}", method.as_str().to_lowercase()), method, path);
        if let Some(body) = body {
            call = call.json(body);
        }
        self.value(call).await
    }

    pub(crate) async fn value(&self, call: Call) -> Result<Value, Error> {
        let what = call.what.clone();
        let bytes = self.bytes(call).await?;
        serde_json::from_slice(&bytes).map_err(|e| Error::Decode {
            what,
            reason: e.to_string(),
        })
    }

    pub(crate) async fn bytes(&self, call: Call) -> Result<Bytes, Error> {
        let what = call.what.clone();
        let limited = async {
            let response = self.send(call).await?;
            self.collect(&what, response).await
        };
        tokio::time::timeout(self.inner.timeout, limited)
            .await
            .unwrap_or_else(|_| Err(self.timed_out(&what)))
    }

    /// Sends a call and returns the answer with its body still to come; a failure status is an error.
    pub(crate) async fn stream(&self, call: Call) -> Result<Response<Incoming>, Error> {
        let what = call.what.clone();
        tokio::time::timeout(self.inner.timeout, self.send(call))
            .await
            .unwrap_or_else(|_| Err(self.timed_out(&what)))
    }

    pub(crate) fn timed_out(&self, what: &str) -> Error {
        Error::Timeout {
            what: what.to_owned(),
            server: self.inner.server.clone(),
            after: self.inner.timeout,
        }
    }

    pub(crate) fn unreachable(&self, what: &str, error: &dyn std::error::Error) -> Error {
        Error::Unreachable {
            what: what.to_owned(),
            server: self.inner.server.clone(),
            reason: chain(error),
        }
    }

    async fn send(&self, call: Call) -> Result<Response<Incoming>, Error> {
        let what = call.what.clone();
        let setup = |e: http::Error| Error::Setup(format!("{what}: {e}"));
        let prefix = self.inner.base.path().trim_end_matches('/');
        let uri = Uri::builder()
            .scheme(self.inner.base.scheme_str().unwrap_or("https"))
            .authority(
                self.inner
                    .base
                    .authority()
                    .map_or("localhost", http::uri::Authority::as_str),
            )
            .path_and_query(format!("{prefix}{}", call.path_and_query()))
            .build()
            .map_err(setup)?;
        let mut request = Request::builder()
            .method(call.method)
            .uri(uri)
            .header(ACCEPT, "application/json, */*;q=0.1")
            .header(USER_AGENT, concat!("keelson/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = &self.inner.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let body = match call.body {
            Some((content_type, bytes)) => {
                request = request.header(CONTENT_TYPE, content_type);
                bytes
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(body)).map_err(setup)?;
        let response = self
            .inner
            .http
            .request(request)
            .await
            .map_err(|e| self.unreachable(&what, &e))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|v| v.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let body = self.collect(&what, response).await?;
        Err(Error::from_response(&what, code, retry_after, &body))
    }

    async fn collect(&self, what: &str, response: Response<Incoming>) -> Result<Bytes, Error> {
        let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
        Ok(body.map_err(|e| self.unreachable(what, e.as_ref()))?.to_bytes())
    }

    pub(crate) fn kinds(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<ApiResource>>> {
        // The map is only ever extended by whole entries, so it is sound after a panic elsewhere.
        self.inner.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error with its causes: `client error (Connect): 127.0.0.1:6443: Connection refused`.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
