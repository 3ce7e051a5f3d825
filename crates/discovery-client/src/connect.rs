//! A connection to the service by its URL. Names are looked up without the C library.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

/// How long a connection, and then each call, may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// A ping this often finds a service that is gone; one that does not answer for [`PATIENCE`] is left.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEndpoint {
    uri: Uri,
    host: String,
    port: u16,
    encrypted: bool,
}

/// The text is not a service endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("discovery service endpoint {0:?}: write https://HOST[:PORT] or http://HOST[:PORT]")]
pub struct NotAnEndpoint(String);

impl std::str::FromStr for ServiceEndpoint {
    type Err = NotAnEndpoint;

    fn from_str(text: &str) -> Result<ServiceEndpoint, NotAnEndpoint> {
        ServiceEndpoint::parse(text).ok_or_else(|| NotAnEndpoint(text.to_owned()))
    }
}

impl std::fmt::Display for ServiceEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.uri.fmt(f)
    }
}

impl ServiceEndpoint {
    fn parse(text: &str) -> Option<ServiceEndpoint> {
        let uri: Uri = text.trim().parse().ok()?;
        let encrypted = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = uri.host().filter(|host| !host.is_empty())?;
        Some(ServiceEndpoint {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 }),
            encrypted,
            uri: format!("{}://{}/", uri.scheme_str()?, uri.authority()?).parse().ok()?,
        })
    }

    /// An endpoint the service told, which may be without a scheme: then it is as this one's.
    pub(crate) fn redirected(&self, text: &str) -> Result<ServiceEndpoint, NotAnEndpoint> {
        match text.contains("://") {
            // Nobody is led from an encrypted connection to one that is not.
            true => text
                .parse()
                .and_then(|to: ServiceEndpoint| match self.encrypted && !to.encrypted {
                    true => Err(NotAnEndpoint(text.to_owned())),
                    false => Ok(to),
                }),
            false => format!("{}://{text}", if self.encrypted { "https" } else { "http" }).parse(),
        }
    }

    /// Connects.
    pub(crate) async fn connect(&self, tls: &Arc<rustls::ClientConfig>) -> Result<Channel, tonic::transport::Error> {
        let (target, tls) = (self.clone(), tls.clone());
        let connector = tower::service_fn(move |_: Uri| {
            let (target, tls) = (target.clone(), tls.clone());
            async move { target.dial(tls).await.map(TokioIo::new) }
        });
        // The library sees a plain connection, as encryption is in the connector; the origin is what the service is told.
        Endpoint::from(Uri::from_static("http://service"))
            .origin(self.uri.clone())
            .connect_timeout(PATIENCE)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(PATIENCE)
            .keep_alive_while_idle(true)
            .connect_with_connector(connector)
            .await
    }

    async fn dial(&self, tls: Arc<rustls::ClientConfig>) -> io::Result<Stream> {
        let open = async {
            let stream = self.open().await?;
            stream.set_nodelay(true)?;
            if !self.encrypted {
                return Ok(Stream::Plain(stream));
            }
            let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
            let mut tls = rustls::ClientConfig::clone(&tls);
            tls.alpn_protocols = vec![pki::tls::ALPN_H2.to_vec()];
            let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
            Ok(Stream::Tls(Box::new(stream)))
        };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {PATIENCE:?}"));
        tokio::time::timeout(PATIENCE, open).await.map_err(late)?
    }

    async fn open(&self) -> io::Result<TcpStream> {
        let host = self.host.clone();
        // The resolver blocks, and reads its files anew so that a change of name servers takes effect.
        let found = tokio::task::spawn_blocking(move || dns::Resolver::from_system().resolve(&host));
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in found.await.map_err(io::Error::other)?? {
            match TcpStream::connect(SocketAddr::new(address, self.port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_with_usual_ports() {
        let parse = |text: &str| text.parse::<ServiceEndpoint>();
        let endpoint = parse("https://discovery.example/").unwrap();
        assert_eq!(
            (endpoint.host.as_str(), endpoint.port, endpoint.encrypted),
            ("discovery.example", 443, true)
        );
        let endpoint = parse("http://[fd00::1]:3000").unwrap();
        assert_eq!(
            (endpoint.host.as_str(), endpoint.port, endpoint.encrypted),
            ("fd00::1", 3000, false)
        );
        for wrong in ["", "host", "host:3000", "ftp://host", "https://"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_redirect_keeps_encryption() {
        let from: ServiceEndpoint = "https://a".parse().unwrap();
        assert_eq!(from.redirected("b:1").unwrap().to_string(), "https://b:1/");
        assert!(from.redirected("http://b").is_err());
        let plain: ServiceEndpoint = "http://a".parse().unwrap();
        assert!(plain.redirected("https://b").unwrap().encrypted);
    }
}
