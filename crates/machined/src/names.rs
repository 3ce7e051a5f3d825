//! Looking up names: the C library's way needs files that a static program does not have.

use std::net::IpAddr;

/// The addresses of a name, from the hosts file and the node's resolvers.
///
/// # Errors
/// The name is not known, or no resolver answers.
pub async fn resolve(name: &str) -> anyhow::Result<Vec<IpAddr>> {
    let name = name.to_owned();
    Ok(tokio::task::spawn_blocking(move || dns::Resolver::from_system().resolve(&name)).await??)
}
