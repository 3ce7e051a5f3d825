//! The gateway of a cluster: its registry, its discovery service, and the ports of the host that lead into it.

use std::net::SocketAddr;

use sys::Context;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::discovery::Discovery;
use super::{Ending, Report};
use crate::error::{Error, Result};
use crate::log::Log;
use crate::names::Names;
use crate::options::{Protocol, Provider, REGISTRY_PORT};
use crate::proxy;
use crate::state::{ClusterState, GATEWAY, Phase};

pub(super) async fn run(names: &Names, cluster: &ClusterState) -> Result<()> {
    let log = Log::open(names.console_log(GATEWAY));
    let mut report = Report::new(names, GATEWAY, log.clone());
    let mut ending = Ending::listen()?;
    let mut services = JoinSet::new();
    // Everything is bound before it is called running: a port that is taken fails the creation, not some later use.
    serve_registry(cluster, &mut services).await?;
    if let Some(program) = &cluster.discovery {
        let discovery = Discovery::start(names, cluster.subnet, program).await?;
        services.spawn(discovery.keep_running());
    }
    // Docker publishes the ports of its containers itself.
    if matches!(cluster.provider, Provider::Native { .. }) {
        forward_ports(cluster, &mut services).await?;
    }
    report.set(Phase::Running, "");
    tokio::select! {
        () = ending.asked() => {
            report.set(Phase::Stopped, "stopped by its provider");
            Ok(())
        }
        Some(ended) = services.join_next() => {
            let reason = match ended {
                Ok(Ok(())) => "a service ended".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            Err(Error::System(sys::Error::new("serve the gateway", reason)))
        }
    }
}

async fn serve_registry(cluster: &ClusterState, services: &mut JoinSet<std::io::Result<()>>) -> Result<()> {
    let Some(layout) = &cluster.registry else { return Ok(()) };
    let options = image::registry::Options {
        layout: Some(layout.clone()),
        ..Default::default()
    };
    let registry = image::registry::Registry::new(options)
        .map_err(|error| Error::System(sys::Error::new("open the registry", error.to_string())))?;
    let address = SocketAddr::from((cluster.subnet.gateway(), REGISTRY_PORT));
    let listener = TcpListener::bind(address)
        .await
        .doing(|| format!("serve the registry on {address}"))?;
    services.spawn(image::registry::serve(listener, registry, CancellationToken::new()));
    Ok(())
}

async fn forward_ports(cluster: &ClusterState, services: &mut JoinSet<std::io::Result<()>>) -> Result<()> {
    // Control planes come first.
    let Some(node) = cluster.nodes.first() else {
        return Ok(());
    };
    for port in &cluster.ports {
        let here = SocketAddr::new(port.host, port.host_port);
        let target = SocketAddr::from((node.address, port.node_port));
        let what = || format!("expose port {port}");
        match port.protocol {
            Protocol::Tcp => services.spawn(proxy::tcp(TcpListener::bind(here).await.doing(what)?, target)),
            Protocol::Udp => services.spawn(proxy::udp(UdpSocket::bind(here).await.doing(what)?, target)),
        };
    }
    Ok(())
}
