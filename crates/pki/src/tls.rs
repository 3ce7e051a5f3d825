//! TLS for the machine API: mutual, version 1.3 or newer on our servers, one cryptographic library.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};

use crate::fingerprint::Fingerprint;
use crate::roles::RoleSet;
use crate::{CertAndKey, Error, info, pem};

/// The protocol name of HTTP/2, which gRPC needs.
pub const ALPN_H2: &[u8] = b"h2";

/// The cryptographic provider of every configuration made here.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Makes our provider the default of the process, for code that builds its own TLS configuration. May be called twice.
pub fn install_provider() {
    // An error means that one is installed already.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// A client that trusts the given authorities (PEM, one or several) and shows `identity` if the server asks.
/// Offers HTTP/2; set `alpn_protocols` for something else.
pub fn client_config(ca_pems: &[u8], identity: Option<&CertAndKey>) -> Result<ClientConfig, Error> {
    client_config_with(roots(ca_pems)?, identity)
}

/// Like [`client_config`], with authorities that are read already.
pub fn client_config_with(roots: RootCertStore, identity: Option<&CertAndKey>) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_root_certificates(roots);
    finish_client(builder, identity)
}

/// A client that accepts any server certificate, or (if fingerprints are given) only one that matches one of them.
/// For nodes that have no configuration yet. The server still proves that it has the key of its certificate.
pub fn client_config_insecure(fingerprints: &[String]) -> Result<ClientConfig, Error> {
    client_config_pinned(fingerprints, None)
}

/// Like [`client_config_insecure`], showing an identity if the server asks.
pub fn client_config_pinned(fingerprints: &[String], identity: Option<&CertAndKey>) -> Result<ClientConfig, Error> {
    let pins = fingerprints
        .iter()
        .map(|f| f.parse())
        .collect::<Result<Vec<Fingerprint>, _>>()?;
    let verifier = PinnedVerifier {
        pins,
        algorithms: provider().signature_verification_algorithms,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    finish_client(builder, identity)
}

fn finish_client(
    builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    identity: Option<&CertAndKey>,
) -> Result<ClientConfig, Error> {
    let mut config = match identity {
        Some(identity) => {
            let (chain, key) = identity_der(identity)?;
            builder.with_client_auth_cert(chain, key).map_err(tls)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(config)
}

/// A server of TLS 1.3 with HTTP/2. With `accepted_cas` (PEM, one or several authorities, so that rotation can
/// overlap) every client must show a certificate of one of them; without, no certificate is asked for.
/// To reload certificates, make a new configuration and hand it to the next accepted connection.
pub fn server_config(identity: &CertAndKey, accepted_cas: Option<&[u8]>) -> Result<Arc<ServerConfig>, Error> {
    let (chain, key) = identity_der(identity)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(tls)?;
    let builder = match accepted_cas {
        Some(cas) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(cas)?), provider())
                .build()
                .map_err(|e| Error::Tls(e.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(tls)?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(Arc::new(config))
}

/// The roles of a peer: the Organizations of its certificate (DER), which the TLS layer has verified.
pub fn peer_roles(certificate: &[u8]) -> Result<RoleSet, Error> {
    let parsed = info::parse(certificate)?;
    Ok(RoleSet::from_organizations(&info::organizations(parsed.subject())))
}

/// Whether a client with this chain (DER, its own certificate first) would be let in by a server that accepts these
/// authorities (PEM).
pub fn is_client_of(chain: &[CertificateDer<'_>], accepted_cas: &[u8]) -> Result<bool, Error> {
    let Some((certificate, intermediates)) = chain.split_first() else {
        return Ok(false);
    };
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(accepted_cas)?), provider())
        .build()
        .map_err(|e| Error::Tls(e.to_string()))?;
    Ok(verifier
        .verify_client_cert(certificate, intermediates, UnixTime::now())
        .is_ok())
}

/// The authorities of a PEM text as trust anchors.
pub fn roots(ca_pems: &[u8]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for der in pem::certificates(ca_pems)? {
        store.add(CertificateDer::from(der)).map_err(tls)?;
    }
    Ok(store)
}

fn identity_der(identity: &CertAndKey) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let key = identity.check()?;
    let chain = pem::certificates(&identity.crt)?
        .into_iter()
        .map(CertificateDer::from)
        .collect();
    let key = PrivatePkcs8KeyDer::from(key.to_pkcs8()?.to_vec());
    Ok((chain, PrivateKeyDer::Pkcs8(key)))
}

fn tls(error: rustls::Error) -> Error {
    Error::Tls(error.to_string())
}

#[derive(Debug)]
struct PinnedVerifier {
    pins: Vec<Fingerprint>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pins.is_empty() || self.pins.iter().any(|pin| pin.matches(end_entity)) {
            return Ok(ServerCertVerified::assertion());
        }
        let shown = Fingerprint::of(end_entity);
        Err(rustls::Error::InvalidCertificate(CertificateError::Other(
            rustls::OtherError(Arc::new(NotPinned(shown.to_string()))),
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[derive(thiserror::Error)]
#[error("the server's certificate has the fingerprint {0}, which is none of the given ones")]
struct NotPinned(String);

/// The TLS library shows errors of others by their `Debug` form.
impl std::fmt::Debug for NotPinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
