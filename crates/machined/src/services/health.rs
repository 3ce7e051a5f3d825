//! Health checks: one question to a service, with a deadline.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use node_resources::service_spec::Health;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// Time between two checks.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Time between two checks of a service that starts: this wait is part of every boot.
pub const PERIOD_STARTING: Duration = Duration::from_millis(50);
/// How long a service may count as one that starts. An etcd member that learns is unhealthy for much longer.
pub const STARTING: Duration = Duration::from_secs(30);
/// How long one check may take.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Runs a check.
///
/// # Errors
/// What did not answer, and how.
pub async fn check(health: &Health) -> anyhow::Result<()> {
    tokio::time::timeout(TIMEOUT, ask(health))
        .await
        .context("no answer in time")?
}

async fn ask(health: &Health) -> anyhow::Result<()> {
    match health {
        Health::None => Ok(()),
        Health::Tcp { port } => {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            TcpStream::connect(address)
                .await
                .with_context(|| format!("connect to {address}"))?;
            Ok(())
        }
        Health::Socket { path } => {
            UnixStream::connect(path)
                .await
                .with_context(|| format!("connect to {path}"))?;
            Ok(())
        }
        Health::Http { port, path } => {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            let mut stream = TcpStream::connect(address)
                .await
                .with_context(|| format!("connect to {address}"))?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut head = [0u8; 256];
            let read = stream.read(&mut head).await?;
            let head = String::from_utf8_lossy(&head[..read]);
            let line = head.lines().next().unwrap_or_default();
            if line.split(' ').nth(1) != Some("200") {
                bail!("http://{address}{path} answered \"{line}\"");
            }
            Ok(())
        }
    }
}
