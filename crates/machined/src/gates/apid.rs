//! apid: terminates mutual TLS on port 50000, checks roles, and passes calls to the init process or to other nodes.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use api::apid::{Config, TlsState};
use node_resources::network::NodeAddress;
use node_resources::secrets::ApiCertificates;
use node_resources::types::AcceptedCA;
use pki::{KeyKind, Request};
use resource::types::Prefix;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

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
    let state = TlsState {
        server,
        client: None,
        accepted_cas: Vec::new(),
    };
    Ok(watch::channel(state).1)
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
        accepted_cas: accepted,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pki::{Authority, CertInfo, Request};
    use resource::{Graph, Store};
    use rustls::pki_types::ServerName;
    use tokio::time::Instant;

    use super::*;
    use crate::clock::Clock;
    use crate::controllers::certificates;
    use node_resources::config::{MachineKind, MachineType};
    use node_resources::secrets::{CertSAN, OSRootSecrets};

    const HOUR: Duration = Duration::from_secs(60 * 60);

    /// The certificate that a client is shown.
    async fn shown(served: &watch::Receiver<TlsState>, client: &pki::CertAndKey) -> CertInfo {
        let server = served.borrow().server.clone();
        let client = pki::tls::client_config_pinned(&[], Some(client)).unwrap();
        let (near, far) = tokio::io::duplex(64 * 1024);
        let accept = tokio_rustls::TlsAcceptor::from(server).accept(far);
        let connect =
            tokio_rustls::TlsConnector::from(Arc::new(client)).connect(ServerName::try_from("node").unwrap(), near);
        let (accepted, connected) = tokio::join!(accept, connect);
        accepted.unwrap();
        let connected = connected.unwrap();
        let chain = connected.get_ref().1.peer_certificates().unwrap();
        pki::cert_info_der(&chain[0]).unwrap()
    }

    /// Days of the real controller and the real way from its certificates to connections, in a moment: timers and the
    /// clock are the test's.
    #[tokio::test(start_paused = true)]
    async fn the_served_certificate_is_renewed_in_time_and_without_a_restart() {
        pki::tls::install_provider();
        let (store, began, epoch) = (Store::default(), Instant::now(), SystemTime::now());
        node_resources::register(&store);
        let clock = Clock::of(move || epoch + began.elapsed());
        let controllers = Graph::new().reconcile("secrets.APIController", certificates::Api::by(clock.clone()));
        let cancel = CancellationToken::new();
        tokio::spawn(controllers.build().unwrap().run(store.clone(), cancel.clone()));
        let (sender, followed) = watch::channel(None);
        let mut changes = store.watch::<ApiCertificates>();
        tokio::spawn(async move {
            loop {
                let seen = changes.recv().await.resource.map(|resource| resource.spec().clone());
                sender.send_replace(seen);
            }
        });

        let authority = Authority::new_os(epoch).unwrap();
        let root = OSRootSecrets {
            issuing_ca: authority.pair().clone(),
            accepted_cas: vec![AcceptedCA {
                crt: authority.pair().crt.clone(),
            }],
            ..OSRootSecrets::default()
        };
        let names = CertSAN {
            fqdn: "node".into(),
            dns_names: vec!["node".into()],
            ..CertSAN::default()
        };
        store
            .put("test", "machine-type", MachineType(MachineKind::ControlPlane), "")
            .unwrap();
        store.put("test", "os", root, "").unwrap();
        store.put("test", "api", names, "").unwrap();
        let admin = authority
            .sign(&Request::client(KeyKind::Ed25519, "admin", &["os:admin"], epoch))
            .unwrap();

        let served = super::certificates(followed).await.unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..72 {
            let certificate = shown(&served, &admin).await;
            let left = certificate.not_after.duration_since(clock.now()).unwrap();
            assert!(
                certificate.not_before <= clock.now() && left > 11 * HOUR,
                "{left:?} are left"
            );
            seen.insert(certificate.fingerprint);
            tokio::time::sleep(HOUR).await;
        }
        assert!(
            (6..=7).contains(&seen.len()),
            "{} certificates in three days",
            seen.len()
        );
        cancel.cancel();
    }
}
