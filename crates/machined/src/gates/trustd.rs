//! trustd: issues certificates of the machine API to nodes that do not hold the authority, on port 50001.

use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use api::trustd::{Config, Issuer};
use node_resources::secrets::{OSRootSecrets, TrustdCertificates};
use node_resources::types::AcceptedCA;
use pki::Authority;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The resources that the init process shows to trustd.
pub const RESOURCES: &str = "/system/run/trustd/runtime.sock";

/// The trustd process.
pub fn main() -> ExitCode {
    super::main(run)
}

async fn run(cancel: CancellationToken) -> anyhow::Result<()> {
    let channel = super::resources(RESOURCES);
    let mut roots = super::follow::<OSRootSecrets>(&channel, "os");
    let mut certificates = super::follow::<TrustdCertificates>(&channel, "trustd");
    let (issuers, issuer) = watch::channel(Issuer::default());
    tokio::spawn(async move {
        while roots.changed().await.is_ok() {
            let root = roots.borrow_and_update().clone();
            issuers.send_replace(root.map(|r| issuer_of(&r)).unwrap_or_default());
        }
    });
    let first = certificates
        .wait_for(Option::is_some)
        .await
        .context("wait for certificates")?
        .clone();
    let (states, tls) = watch::channel(tls(&first.context("certificates are missing")?)?);
    tokio::spawn(async move {
        while certificates.changed().await.is_ok() {
            let Some(newer) = certificates.borrow_and_update().clone() else {
                continue;
            };
            match self::tls(&newer) {
                Ok(state) => drop(states.send_replace(state)),
                Err(error) => tracing::error!("new certificates are not usable, the old ones stay: {error:#}"),
            }
        }
    });
    let listener = super::listen(api::endpoint::TRUSTD_PORT)
        .await
        .context("listen on port 50001")?;
    tracing::info!("issuing certificates");
    // A node is known by the address it asks from; it is given no certificate for any other.
    let same_node = Arc::new(|peer: IpAddr, other: IpAddr| peer == other);
    api::trustd::serve(
        Config {
            listener,
            tls,
            issuer,
            same_node,
        },
        cancel,
    )
    .await;
    Ok(())
}

fn issuer_of(root: &OSRootSecrets) -> Issuer {
    Issuer {
        authority: Authority::from_pair(&root.issuing_ca).ok().map(Arc::new),
        accepted_cas: AcceptedCA::bundle(&root.accepted_cas),
        token: root.token.clone().into(),
        reserved_names: root.cert_san_dns_names.clone(),
    }
}

fn tls(certificates: &TrustdCertificates) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    pki::tls::server_config(&certificates.server, None).context("use the server certificate")
}
