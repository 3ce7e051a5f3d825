//! One TLS connection to an endpoint.

use std::io;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::endpoint::Endpoint;
use crate::resolve;

/// The largest piece of an answer that we let the other side send. A small one, as HTTP/2 has it by default, is sent and
/// received with a system call of its own: a stream of large messages spends most of its time on them.
pub(crate) const MAX_FRAME_SIZE: u32 = 128 * 1024;
/// How much is received at once. TLS by itself asks for a record at a time.
const RECEIVED: usize = 128 * 1024;

/// A connection that is open.
pub(crate) type Stream = TlsStream<BufReader<TcpStream>>;

/// Connects to the first address of the endpoint that answers and does the handshake, all within `limit`.
pub(crate) async fn dial(endpoint: &Endpoint, tls: &TlsConnector, limit: Duration) -> io::Result<Stream> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}"));
    tokio::time::timeout(limit, open(endpoint, tls)).await.map_err(late)?
}

async fn open(endpoint: &Endpoint, tls: &TlsConnector) -> io::Result<Stream> {
    let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in resolve::addresses(endpoint).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return tls.connect(name, BufReader::with_capacity(RECEIVED, stream)).await;
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
