//! apid: terminates mutual TLS on port 50000, checks roles, and passes calls to the init process or to other nodes.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use api::apid::{Config, TlsState};
use pki::{KeyKind, Request};
use resource::types::Prefix;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::resources::network::NodeAddress;
use crate::resources::secrets::ApiCertificates;
use crate::resources::types::AcceptedCA;

/// The resources that the init process shows to apid.
pub const RESOURCES: &str = "/system/run/apid/runtime.sock";
/// The machine API of the init process.
const BACKEND: &str = "/system/run/machined/machine.sock";
/// The argument that says: no configuration yet, so no certificates.
pub const MAINTENANCE: &str = "maintenance";
/// The argument that says: pass calls on to other nodes.
pub const FORWARD: &str = "forward";
/// The name in the certificate of a node without configuration (the interface's constant).
const MAINTENANCE_NAME: &str = "maintenance-service.talos.dev";

/// The apid process.
pub fn main() -> ExitCode {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| flags.iter().any(|f| f == flag);
    super::main(async |cancel| run(has(MAINTENANCE), has(FORWARD), cancel).await)
}

async fn run(maintenance: bool, forwarding: bool, cancel: CancellationToken) -> anyhow::Result<()> {
    let channel = super::resources(RESOURCES);
    let addresses = addresses(super::follow::<NodeAddress>(&channel, "accumulative"));
    let tls = if maintenance {
        maintenance_tls()?
    } else {
        certificates(super::follow::<ApiCertificates>(&channel, "api")).await?
    };
    let listener = super::listen(api::endpoint::APID_PORT)
        .await
        .context("listen on port 50000")?;
    let config = Config {
        forwarding,
        maintenance,
        ..Config::new(listener, tls, addresses, PathBuf::from(BACKEND))
    };
    tracing::info!(maintenance, forwarding, "serving the machine API");
    api::apid::serve(config, cancel).await;
    Ok(())
}

/// A certificate for the time before the first configuration. Its key never leaves this process.
fn maintenance_tls() -> anyhow::Result<watch::Receiver<TlsState>> {
    let names = vec![MAINTENANCE_NAME.to_owned()];
    let request = Request::server(KeyKind::Ed25519, MAINTENANCE_NAME, names, vec![], SystemTime::now());
    let identity = pki::self_signed(&request)?;
    tracing::info!("waiting for a configuration (apply-config --insecure)");
    match pki::cert_info(&identity.crt) {
        Ok(info) => tracing::info!("this node's certificate fingerprint: {}", info.fingerprint),
        Err(error) => tracing::warn!(%error, "the fingerprint cannot be shown"),
    }
    let server = pki::tls::server_config(&identity, None)?;
    Ok(watch::channel(TlsState { server, client: None }).1)
}

async fn certificates(
    mut followed: watch::Receiver<Option<ApiCertificates>>,
) -> anyhow::Result<watch::Receiver<TlsState>> {
    let first = followed
        .wait_for(Option::is_some)
        .await
        .context("wait for certificates")?
        .clone();
    let first = first.context("certificates are missing")?;
    let (sender, receiver) = watch::channel(tls(&first)?);
    tokio::spawn(async move {
        while followed.changed().await.is_ok() {
            let Some(certificates) = followed.borrow_and_update().clone() else {
                continue;
            };
            match tls(&certificates) {
                Ok(state) => drop(sender.send_replace(state)),
                Err(error) => tracing::error!("new certificates are not usable, the old ones stay: {error:#}"),
            }
        }
    });
    Ok(receiver)
}

fn tls(certificates: &ApiCertificates) -> anyhow::Result<TlsState> {
    let accepted = AcceptedCA::bundle(&certificates.accepted_cas);
    let server =
        pki::tls::server_config(&certificates.server, Some(&accepted)).context("use the server certificate")?;
    let client = (!certificates.client.crt.is_empty())
        .then(|| pki::tls::client_config(&accepted, Some(&certificates.client)))
        .transpose()
        .context("use the client certificate")?;
    Ok(TlsState {
        server,
        client: client.map(Arc::new),
    })
}

fn addresses(mut followed: watch::Receiver<Option<NodeAddress>>) -> watch::Receiver<Vec<IpAddr>> {
    let (sender, receiver) = watch::channel(Vec::new());
    tokio::spawn(async move {
        while followed.changed().await.is_ok() {
            let addresses = followed
                .borrow_and_update()
                .as_ref()
                .map(|a| a.addresses.iter().map(Prefix::addr).collect());
            sender.send_replace(addresses.unwrap_or_default());
        }
    });
    receiver
}
