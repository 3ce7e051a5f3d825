//! The effect that sees which of its files the API server of this node works with.
//!
//! It reads certificates anew by itself when they change, and tells nobody when it has. So it is looked at: which
//! certificate it shows, and of how many authorities it asks for certificates of clients.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use node_resources::k8s::APIServerConfig;
use node_resources::keelson::{ApiServerFiles, FileSetStatus};
use node_resources::secrets::{KubernetesDynamicCerts, KubernetesRootSecrets};
use node_resources::types::AcceptedCA;
use pki::{cert_info, cert_info_der, tls};
use resource::{All, Context, One, Outcome, Outputs, Reconcile};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::kubernetes::control_plane_files::ANEW_SET;

/// Time between two looks, until it works with the newest files.
const LOOK: Duration = Duration::from_millis(500);
/// How long a look may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Looks at the API server until it works with the files as they are.
#[derive(Default)]
pub struct Look;

/// What an API server shows in a handshake.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    /// SHA-256 of its certificate.
    certificate: String,
    /// Of how many authorities clients may show a certificate.
    authorities: usize,
}

impl Reconcile for Look {
    type Inputs = (
        One<APIServerConfig>,
        One<KubernetesDynamicCerts>,
        One<KubernetesRootSecrets>,
        All<FileSetStatus>,
    );
    type Outputs = Outputs<ApiServerFiles>;

    async fn reconcile(
        &mut self,
        (server, certs, root, files): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        let Some(set) = files.get(ANEW_SET) else {
            return Ok(Outcome::done(Outputs::none()));
        };
        let wanted = wanted(&certs, &root)?;
        let port = u16::try_from(server.local_port).with_context(|| format!("{} is not a port", server.local_port))?;
        // While it starts there is nothing to see.
        let shown = tokio::time::timeout(LIMIT, look(port)).await;
        Ok(match shown {
            Ok(Ok(shown)) if shown == wanted => {
                let version = set.version.clone();
                Outcome::done(Outputs::one("kube-apiserver", ApiServerFiles { version }))
            }
            _ => Outcome::unchanged().requeue(LOOK),
        })
    }
}

/// What it shows when it works with these.
fn wanted(certs: &KubernetesDynamicCerts, root: &KubernetesRootSecrets) -> anyhow::Result<Shown> {
    // It takes clients of Kubernetes' authorities, and what is before it (a front proxy) of the aggregator's.
    let mut authorities = pki::pem::certificates(&AcceptedCA::bundle(&root.accepted_cas))?;
    authorities.extend(pki::pem::certificates(&root.aggregator_ca.crt)?);
    authorities.sort();
    authorities.dedup();
    Ok(Shown {
        certificate: cert_info(&certs.api_server.crt)?.fingerprint,
        authorities: authorities.len(),
    })
}

async fn look(port: u16) -> anyhow::Result<Shown> {
    let asked = Arc::new(Asked::default());
    // Nothing is said to it, so it need not be trusted: it is to show what it has.
    let mut config = tls::client_config_insecure(&[])?;
    config.client_auth_cert_resolver = asked.clone();
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let (_, connection) = stream.get_ref();
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    Ok(Shown {
        certificate: cert_info_der(certificate.context("it shows no certificate")?)?.fingerprint,
        authorities: asked.authorities.load(Ordering::Relaxed),
    })
}

/// A client without a certificate, which notes of whom the server wants one.
#[derive(Debug, Default)]
struct Asked {
    authorities: AtomicUsize,
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, authorities: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.authorities.store(authorities.len(), Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use pki::{Authority, KeyKind, Request};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_server_shows_its_certificate_and_how_many_authorities_it_takes_clients_of() {
        let now = SystemTime::now();
        let (old, new) = (
            Authority::new_kubernetes(now).unwrap(),
            Authority::new_kubernetes(now).unwrap(),
        );
        let name = vec!["kubernetes".to_owned()];
        let request = Request::server(KeyKind::EcdsaP256, "kube-apiserver", name, Vec::new(), now);
        let identity = new.sign(&request).unwrap();
        let both = [old.certificate(), new.certificate()].concat();
        let acceptor = tokio_rustls::TlsAcceptor::from(tls::server_config(&identity, Some(&both)).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            // It wants a certificate, and gets none.
            let _ = acceptor.accept(stream).await;
        });
        let shown = Shown {
            certificate: cert_info(&identity.crt).unwrap().fingerprint,
            authorities: 2,
        };
        assert_eq!(look(port).await.unwrap(), shown);
    }
}
