//! Names to addresses, without the C library.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::endpoint::Endpoint;

/// The addresses of an endpoint in the order to try them. Literals and `localhost` need no name server.
pub(crate) async fn addresses(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    let to_socket = |ip: IpAddr| SocketAddr::new(ip, endpoint.port);
    if let Some(ip) = endpoint.ip() {
        return Ok(vec![to_socket(ip)]);
    }
    if endpoint.host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![to_socket(Ipv4Addr::LOCALHOST.into())]);
    }
    let host = endpoint.host.clone();
    // The resolver blocks, and reads its files anew so that a change of name servers takes effect.
    let found = tokio::task::spawn_blocking(move || dns::Resolver::from_system().resolve(&host))
        .await
        .map_err(io::Error::other)?
        .map_err(io::Error::other)?;
    Ok(found.into_iter().map(to_socket).collect())
}
