//! Whether a node answers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Port of the machine API.
const API_PORT: u16 = 50000;
/// How long one attempt to connect to a node may take. A node is a bridge away; an attempt before it has its address
/// gets no answer, and TCP repeats it after a second.
const ATTEMPT: Duration = Duration::from_millis(100);

/// Where a node serves its API.
pub(crate) fn api(address: impl Into<IpAddr>) -> SocketAddr {
    SocketAddr::new(address.into(), API_PORT)
}

/// Whether something accepts connections there now.
pub(crate) async fn accepts(address: SocketAddr) -> bool {
    let attempt = tokio::net::TcpStream::connect(address);
    matches!(tokio::time::timeout(ATTEMPT, attempt).await, Ok(Ok(_)))
}
