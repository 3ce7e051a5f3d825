//! Fetching one file over HTTP: redirects, a deadline, a bound on its size, and a reason a person can act on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, LOCATION, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

/// How long one address may take to accept a connection.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;

/// Why a file was not fetched. Headers are never part of it, and URLs only without what comes after `?`.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL cannot be used.
    #[error("{url}: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A header cannot be sent.
    #[error("the header {0:?} cannot be sent: its name or value has characters that HTTP does not allow")]
    Header(String),
    /// The host's name has no address.
    #[error("{url}: find the address of {host}: {reason}")]
    Resolve {
        /// The URL.
        url: String,
        /// The host.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// No address takes a connection.
    #[error("{url}: connect to {address}: {cause}")]
    Connect {
        /// The URL.
        url: String,
        /// Address and port.
        address: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The connection broke.
    #[error("{url}: the connection broke")]
    Broken {
        /// The URL.
        url: String,
        /// What happened.
        source: hyper::Error,
    },
    /// The server has something else to say.
    #[error("{url}: the server answered {status}")]
    Status {
        /// The URL.
        url: String,
        /// Its answer.
        status: StatusCode,
    },
    /// The servers send each other on and on.
    #[error("{url}: more than {MAX_REDIRECTS} redirects")]
    Redirects {
        /// The URL.
        url: String,
    },
    /// It is larger than allowed.
    #[error("{url}: larger than {limit} bytes")]
    TooLarge {
        /// The URL.
        url: String,
        /// The bound.
        limit: usize,
    },
    /// It took too long.
    #[error("{url}: not fetched within {} s", .deadline.as_secs())]
    Late {
        /// The URL.
        url: String,
        /// The bound.
        deadline: Duration,
    },
}

/// How a file is fetched.
#[derive(Clone)]
pub struct Fetch {
    /// Whom to trust for `https://`.
    pub tls: Arc<rustls::ClientConfig>,
    /// Most bytes that are read.
    pub limit: usize,
    /// Most time that it takes, redirects included.
    pub deadline: Duration,
}

impl Fetch {
    /// The file at a URL. The headers go to the URL's own host only, not to where it redirects.
    ///
    /// # Errors
    /// Why it could not be had.
    pub async fn get(&self, url: &str, headers: &BTreeMap<String, String>) -> Result<Vec<u8>, FetchError> {
        let late = FetchError::Late {
            url: shown(url),
            deadline: self.deadline,
        };
        tokio::time::timeout(self.deadline, self.follow(url, headers))
            .await
            .unwrap_or(Err(late))
    }

    async fn follow(&self, url: &str, headers: &BTreeMap<String, String>) -> Result<Vec<u8>, FetchError> {
        let mut uri: Uri = url.parse().map_err(|_| bad(url, "it is not a URL"))?;
        let home = (uri.scheme().cloned(), uri.authority().cloned());
        for _ in 0..=MAX_REDIRECTS {
            let at_home = (uri.scheme(), uri.authority()) == (home.0.as_ref(), home.1.as_ref());
            let none = BTreeMap::new();
            let response = self.send(&uri, if at_home { headers } else { &none }).await?;
            let status = response.status();
            if status.is_success() {
                return self.read(&uri, response).await;
            }
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                let url = shown(&uri.to_string());
                return Err(FetchError::Status { url, status });
            }
            let location = response.headers().get(LOCATION).and_then(|v| v.to_str().ok());
            uri = location
                .and_then(|location| join(&uri, location))
                .ok_or_else(|| bad(&uri.to_string(), "it redirects to no URL"))?;
        }
        Err(FetchError::Redirects { url: shown(url) })
    }

    async fn send(&self, uri: &Uri, headers: &BTreeMap<String, String>) -> Result<Response<Incoming>, FetchError> {
        let url = shown(&uri.to_string());
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad(&url, "it is neither an http:// nor an https:// URL")),
        };
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        if authority.contains('@') {
            return Err(bad(&url, "it has credentials in it (send them as a header)"));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let mut request = Request::get(uri.path_and_query().map_or("/", |p| p.as_str()))
            .header(HOST, authority)
            .header(USER_AGENT, concat!("keelson/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            let header = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
            let (header, mut value) = header.ok_or_else(|| FetchError::Header(name.clone()))?;
            value.set_sensitive(true);
            request = request.header(header, value);
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|_| bad(&url, "no request can be made of it"))?;
        let stream = connect(&url, &host, port).await?;
        if secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| bad(&url, "its host is not a name"))?;
            let stream = tokio_rustls::TlsConnector::from(self.tls.clone()).connect(name, stream);
            let stream = stream.await.map_err(|cause| FetchError::Connect {
                url: url.clone(),
                address: format!("{host}:{port} with TLS"),
                cause,
            })?;
            exchange(&url, TokioIo::new(stream), request).await
        } else {
            exchange(&url, TokioIo::new(stream), request).await
        }
    }

    async fn read(&self, uri: &Uri, response: Response<Incoming>) -> Result<Vec<u8>, FetchError> {
        let url = || shown(&uri.to_string());
        let mut body = response.into_body();
        let mut out = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|source| FetchError::Broken { url: url(), source })?;
            let Ok(data) = frame.into_data() else { continue };
            if out.len() + data.len() > self.limit {
                let limit = self.limit;
                return Err(FetchError::TooLarge { url: url(), limit });
            }
            out.extend_from_slice(&data);
        }
        Ok(out)
    }
}

async fn connect(url: &str, host: &str, port: u16) -> Result<TcpStream, FetchError> {
    let addresses = crate::names::resolve(host).await.map_err(|error| FetchError::Resolve {
        url: url.to_owned(),
        host: host.to_owned(),
        reason: error.to_string(),
    })?;
    let mut last = None;
    for address in addresses {
        let failed = |cause| FetchError::Connect {
            url: url.to_owned(),
            address: std::net::SocketAddr::new(address, port).to_string(),
            cause,
        };
        match tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect((address, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Some(failed(error)),
            Err(_) => last = Some(failed(std::io::ErrorKind::TimedOut.into())),
        }
    }
    Err(last.unwrap_or_else(|| FetchError::Resolve {
        url: url.to_owned(),
        host: host.to_owned(),
        reason: "it has no address".to_owned(),
    }))
}

async fn exchange<S>(url: &str, stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, FetchError>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let broken = |source| FetchError::Broken {
        url: url.to_owned(),
        source,
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.map_err(broken)?;
    // It ends by itself when the body is read or dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "fetch: the connection ended");
        }
    });
    sender.send_request(request).await.map_err(broken)
}

fn bad(url: &str, reason: &'static str) -> FetchError {
    FetchError::Url {
        url: shown(url),
        reason,
    }
}

/// A URL as it may be shown: without a query and without credentials, either may be a secret.
fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

/// The target of a redirect.
fn join(base: &Uri, location: &str) -> Option<Uri> {
    if location.starts_with("http://") || location.starts_with("https://") {
        return location.parse().ok();
    }
    if let Some(rest) = location.strip_prefix("//") {
        return format!("{}://{rest}", base.scheme_str()?).parse().ok();
    }
    let path = if location.starts_with('/') {
        location.to_owned()
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{location}")
    };
    format!("{}://{}{path}", base.scheme_str()?, base.authority()?)
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers by path, and tells in its answer whether it was sent the header `x-token`.
    async fn server(answer: fn(&str, bool) -> String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                let text = String::from_utf8(request).unwrap();
                let path = text.split(' ').nth(1).unwrap();
                let answer = answer(path, text.to_lowercase().contains("x-token: secret"));
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        url
    }

    fn fetch() -> Fetch {
        pki::tls::install_provider();
        Fetch {
            tls: Arc::new(
                rustls::ClientConfig::builder()
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth(),
            ),
            limit: 32,
            deadline: Duration::from_secs(5),
        }
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn headers_go_to_the_urls_own_host_and_redirects_are_followed() {
        let other = server(|_, token| ok(if token { "leaked" } else { "other" })).await;
        let url = server(|path, token| match path {
            "/file" => ok(if token { "with token" } else { "without" }),
            "/moved" => "HTTP/1.1 302 Found\r\nlocation: file\r\ncontent-length: 0\r\n\r\n".into(),
            away => format!(
                "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{}/\r\ncontent-length: 0\r\n\r\n",
                &away[1..]
            ),
        })
        .await;
        let headers = BTreeMap::from([("x-token".to_owned(), "secret".to_owned())]);
        let get = async |path: &str| fetch().get(&format!("{url}{path}"), &headers).await.unwrap();
        assert_eq!(get("/file").await, b"with token");
        assert_eq!(get("/moved").await, b"with token");
        let port = other.rsplit(':').next().unwrap();
        assert_eq!(get(&format!("/{port}")).await, b"other");
    }

    #[tokio::test]
    async fn what_cannot_be_fetched_says_why_and_shows_no_secret() {
        let url = server(|path, _| match path {
            "/large" => ok(&"x".repeat(33)),
            "/loop" => "HTTP/1.1 302 Found\r\nlocation: /loop\r\ncontent-length: 0\r\n\r\n".into(),
            _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".into(),
        })
        .await;
        let why = async |url: String| fetch().get(&url, &BTreeMap::new()).await.unwrap_err().to_string();
        assert!(why(format!("{url}/large")).await.ends_with("larger than 32 bytes"));
        assert!(why(format!("{url}/loop")).await.ends_with("more than 5 redirects"));
        let missing = why(format!("{url}/none?token=secret")).await;
        assert!(
            missing.contains("/none: the server answered 404") && !missing.contains("secret"),
            "{missing}"
        );
        let refused = why("http://127.0.0.1:1/x".into()).await;
        assert!(refused.contains("connect to 127.0.0.1:1"), "{refused}");
        let credentials = why("http://me:secret@127.0.0.1/x".into()).await;
        assert!(
            credentials.contains("as a header") && !credentials.contains("secret"),
            "{credentials}"
        );
        assert!(
            why("ftp://a/b".into())
                .await
                .contains("neither an http:// nor an https://")
        );
    }
}
