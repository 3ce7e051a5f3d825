//! Connections to the one server of a client: TCP, then TLS if the URL says so.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{Auth, Error, Options, Resolver};

/// How long one address may take to accept a connection; the whole call has its own limit.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens connections for the pool.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Target>);

struct Target {
    host: String,
    port: u16,
    connect_to: Option<SocketAddr>,
    resolver: Option<Resolver>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Connector {
    pub(crate) fn new(server: &Uri, options: &Options) -> Result<Self, Error> {
        let host = server
            .host()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let secure = match server.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(Error::Setup(format!("{server}: the server must be an https:// URL"))),
        };
        let tls = if secure { Some(tls(&host, options)?) } else { None };
        Ok(Self(Arc::new(Target {
            port: server.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            host,
            connect_to: options.connect_to,
            resolver: options.resolver.clone(),
            tls,
        })))
    }
}

fn tls(host: &str, options: &Options) -> Result<(TlsConnector, ServerName<'static>), Error> {
    let identity = match &options.auth {
        Auth::Certificate(pair) => Some(pair),
        Auth::Anonymous | Auth::Token(_) => None,
    };
    let failed = |e: pki::Error| Error::Setup(format!("TLS to {}: {e}", options.server));
    let mut config = if options.insecure {
        pki::tls::client_config_pinned(&[], identity).map_err(failed)?
    } else {
        pki::tls::client_config(&options.ca, identity).map_err(failed)?
    };
    // One connection per watch keeps this simple, and a broken one then breaks one watch only.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = options.server_name.clone().unwrap_or_else(|| host.to_owned());
    let server_name = ServerName::try_from(name.clone())
        .map_err(|_| Error::Setup(format!("{name:?} is neither a host name nor an address")))?;
    Ok((TlsConnector::from(Arc::new(config)), server_name))
}

impl Target {
    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if let Some(address) = self.connect_to {
            return Ok(vec![address]);
        }
        let ips: Vec<IpAddr> = if let Ok(ip) = self.host.parse() {
            vec![ip]
        } else if self.host == "localhost" {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        } else if let Some(resolver) = &self.resolver {
            resolver(self.host.clone()).await?
        } else {
            return Err(io::Error::other(format!(
                "{:?} is a name, and this client has no resolver: use an address",
                self.host
            )));
        };
        Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect())
    }

    async fn open(&self) -> io::Result<Stream> {
        let mut last = io::Error::other(format!("{:?} has no address", self.host));
        for address in self.addresses().await? {
            match tokio::time::timeout(DIAL_TIMEOUT, self.dial(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
                Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{address}: no answer")),
            }
        }
        Err(last)
    }

    async fn dial(&self, address: SocketAddr) -> io::Result<Stream> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Io> = match &self.tls {
            Some((connector, name)) => Box::new(connector.connect(name.clone(), tcp).await?),
            None => Box::new(tcp),
        };
        Ok(Stream(TokioIo::new(stream)))
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Stream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let target = self.0.clone();
        Box::pin(async move { target.open().await })
    }
}

/// What the pool keeps.
pub(crate) struct Stream(TokioIo<Box<dyn Io>>);

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
