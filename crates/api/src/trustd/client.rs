//! The side of the worker.

use std::sync::Arc;
use std::time::Duration;

use pki::Secret;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use super::TOKEN_KEY;
use crate::client::{self, explain};
use crate::endpoint::{Endpoint, EndpointError, TRUSTD_PORT};
use crate::proto::securityapi::CertificateRequest;
use crate::proto::securityapi::security_service_client::SecurityServiceClient;

/// How long one control plane may take to answer before the next one is asked.
const ATTEMPT: Duration = Duration::from_secs(10);

/// A certificate and whom to accept, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The authorities of the cluster.
    pub ca: Vec<u8>,
    /// The certificate.
    pub crt: Vec<u8>,
}

/// Why no control plane signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// An endpoint cannot be read.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The token cannot be sent.
    #[error("the token (machine.token) has characters that cannot be sent")]
    Token,
    /// There is nobody to ask.
    #[error("no control plane is known that could sign the node's certificate")]
    NoEndpoint,
    /// Nobody signed; the reason of each.
    #[error("get the node's certificate signed: {}", .0.join("; "))]
    Refused(Vec<String>),
}

/// Asks one control plane after the other to sign a request (PEM). `tls` must trust the authority of the cluster,
/// which a worker has in its configuration; it needs no identity.
pub async fn sign_request(
    endpoints: &[String],
    tls: &rustls::ClientConfig,
    token: &Secret,
    csr_pem: &[u8],
) -> Result<Signed, SignError> {
    let endpoints = endpoints.iter().map(|e| Endpoint::parse(e, TRUSTD_PORT));
    let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
    if endpoints.is_empty() {
        return Err(SignError::NoEndpoint);
    }
    let text = token.expose_str().map_err(|_| SignError::Token)?;
    let mut token = MetadataValue::try_from(text).map_err(|_| SignError::Token)?;
    token.set_sensitive(true);
    let mut refused = Vec::new();
    for endpoint in endpoints {
        let mut request = Request::new(CertificateRequest { csr: csr_pem.to_vec() });
        request.metadata_mut().insert(TOKEN_KEY, token.clone());
        let asked = tokio::time::timeout(ATTEMPT, ask(endpoint.clone(), tls.clone(), request)).await;
        match asked.unwrap_or_else(|_| Err(Status::deadline_exceeded(format!("no answer within {ATTEMPT:?}")))) {
            Ok(signed) => return Ok(signed),
            Err(status) => refused.push(format!("{endpoint}: {}", explain(&status))),
        }
    }
    Err(SignError::Refused(refused))
}

async fn ask(
    endpoint: Endpoint,
    tls: rustls::ClientConfig,
    request: Request<CertificateRequest>,
) -> Result<Signed, Status> {
    let channel = client::channel(Arc::new([endpoint]), tls, client::ATTEMPT_TIMEOUT)
        .map_err(|e| Status::invalid_argument(e.to_string()))?;
    let signed = SecurityServiceClient::new(channel)
        .certificate(request)
        .await?
        .into_inner();
    pki::cert_info(&signed.crt).map_err(|e| Status::internal(format!("what came is no certificate: {e}")))?;
    Ok(Signed {
        ca: signed.ca,
        crt: signed.crt,
    })
}
