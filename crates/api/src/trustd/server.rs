//! The server of control planes.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::{Request as HttpRequest, Response as HttpResponse};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use pki::{Authority, Csr, Secret};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tower_service::Service;

use super::TOKEN_KEY;
use super::grant::grant;
use super::rate::Rate;
use crate::door::body::Body;
use crate::door::{self, Caller, Handler};
use crate::proto::securityapi::security_service_server::{SecurityService, SecurityServiceServer};
use crate::proto::securityapi::{CertificateRequest, CertificateResponse};

/// A request holds a key and some names: a few kilobytes.
const MAX_REQUEST: usize = 64 * 1024;

/// A request has to be there, and answered, within this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether an address belongs to the same node as the peer's, as far as the cluster knows.
pub type SameNode = dyn Fn(IpAddr, IpAddr) -> bool + Send + Sync;

/// What trustd needs.
pub struct Config {
    /// Where nodes connect.
    pub listener: TcpListener,
    /// Its own certificate; no client certificate is asked for.
    pub tls: watch::Receiver<Arc<rustls::ServerConfig>>,
    /// What it signs with.
    pub issuer: watch::Receiver<Issuer>,
    /// Which other addresses of a request belong to the peer (from the members of the cluster).
    pub same_node: Arc<SameNode>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

/// The authority of the moment. While there is none (just after boot, during rotation) requests are told to wait.
#[derive(Clone, Debug, Default)]
pub struct Issuer {
    /// Signs node certificates.
    pub authority: Option<Arc<Authority>>,
    /// What nodes shall accept, as PEM: the authority, and during a rotation the one before or after it.
    pub accepted_cas: Vec<u8>,
    /// By which nodes of this cluster are known.
    pub token: Secret,
    /// Names that only control planes bear: the endpoint of the cluster, their host names.
    pub reserved_names: Vec<String>,
}

/// Serves until `cancel`.
pub async fn serve(config: Config, cancel: CancellationToken) {
    let signer = Signer {
        issuer: config.issuer,
        same_node: config.same_node,
        rate: Arc::default(),
    };
    let service = SecurityServiceServer::new(signer).max_decoding_message_size(MAX_REQUEST);
    let handler = Trustd {
        tls: config.tls,
        service,
    };
    door::serve(config.listener, Arc::new(handler), cancel).await;
}

struct Trustd {
    tls: watch::Receiver<Arc<rustls::ServerConfig>>,
    service: SecurityServiceServer<Signer>,
}

impl Handler for Trustd {
    fn tls(&self) -> Arc<rustls::ServerConfig> {
        self.tls.borrow().clone()
    }

    async fn answer(self: Arc<Self>, caller: Arc<Caller>, mut request: HttpRequest<Incoming>) -> HttpResponse<Body> {
        request.extensions_mut().insert(caller.peer);
        // Anybody may connect, so nobody may take for ever to say what is asked.
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, self.service.clone().call(request)).await;
        let Ok(response) = answer.unwrap_or_else(|_| {
            let late = Status::deadline_exceeded("the request did not arrive in time");
            Ok(late.into_http())
        });
        response.map(|body| body.map_err(Into::into).boxed_unsync())
    }
}

#[derive(Clone)]
struct Signer {
    issuer: watch::Receiver<Issuer>,
    same_node: Arc<SameNode>,
    rate: Arc<Mutex<Rate>>,
}

impl Signer {
    fn rate<T>(&self, f: impl FnOnce(&mut Rate) -> T) -> T {
        f(&mut self.rate.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[tonic::async_trait]
impl SecurityService for Signer {
    async fn certificate(&self, request: Request<CertificateRequest>) -> Result<Response<CertificateResponse>, Status> {
        let peer = request.extensions().get::<SocketAddr>().map(SocketAddr::ip);
        let peer = peer.ok_or_else(|| Status::internal("the address of the caller is not known"))?;
        if !self.rate(|rate| rate.admit(peer, Instant::now())) {
            tracing::warn!(%peer, "certificate requests come too often");
            return Err(Status::resource_exhausted(
                "too many requests from this address, wait a minute",
            ));
        }
        let issuer = self.issuer.borrow().clone();
        let shown = request
            .metadata()
            .get(TOKEN_KEY)
            .map(tonic::metadata::MetadataValue::as_bytes)
            .unwrap_or_default();
        // An empty token must open nothing, however the node is configured.
        if issuer.token.is_empty() || !pki::tokens::equal(issuer.token.expose(), shown) {
            self.rate(|rate| rate.failed(peer));
            tracing::warn!(%peer, "certificate request with a wrong token");
            return Err(Status::permission_denied(
                "the token is not that of this cluster (machine.token)",
            ));
        }
        let authority = issuer
            .authority
            .ok_or_else(|| Status::unavailable("this node has no authority to sign with yet"))?;
        let bad = |e: pki::Error| Status::invalid_argument(format!("read the certificate request: {e}"));
        let csr = Csr::from_pem(&request.get_ref().csr).map_err(bad)?;
        let terms = grant(&csr, peer, &*self.same_node, &issuer.reserved_names, SystemTime::now())
            .map_err(|refusal| Status::permission_denied(refusal.to_string()))?;
        let failed = |e: pki::Error| Status::internal(format!("sign the certificate: {e}"));
        let crt = authority.sign_csr(&csr, &terms).map_err(failed)?;
        tracing::info!(%peer, addresses = ?terms.ips, names = ?terms.dns_names, "certificate signed");
        let ca = match issuer.accepted_cas.is_empty() {
            true => authority.certificate().to_vec(),
            false => issuer.accepted_cas,
        };
        Ok(Response::new(CertificateResponse { ca, crt }))
    }
}
