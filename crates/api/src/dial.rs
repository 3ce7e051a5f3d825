//! One TLS connection to an endpoint.

use std::io;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::endpoint::Endpoint;
use crate::resolve;

/// Connects to the first address of the endpoint that answers and does the handshake, all within `limit`.
pub(crate) async fn dial(endpoint: &Endpoint, tls: &TlsConnector, limit: Duration) -> io::Result<TlsStream<TcpStream>> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}"));
    tokio::time::timeout(limit, open(endpoint, tls)).await.map_err(late)?
}

async fn open(endpoint: &Endpoint, tls: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in resolve::addresses(endpoint).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return tls.connect(name, stream).await;
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
