//! What can go wrong with keys and certificates.

use std::path::PathBuf;

/// An error of this crate. No variant ever contains a private key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A secret that should be text is not.
    #[error("a secret that should be text is not valid UTF-8")]
    NotText,
    /// There is no PEM block with one of the expected labels.
    #[error("no PEM block of a {wanted} found{}", found.as_ref().map(|f| format!(" (found \"{f}\")")).unwrap_or_default())]
    NoPem {
        /// What was looked for, in words.
        wanted: &'static str,
        /// The label that was there instead.
        found: Option<String>,
    },
    /// A PEM block whose body is not base64.
    #[error("PEM block \"{label}\" is damaged: {reason}")]
    DamagedPem {
        /// The label of the block.
        label: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A private key that cannot be read.
    #[error("read private key ({label}): {reason}; supported are Ed25519, ECDSA P-256/P-384/P-521 and RSA")]
    Key {
        /// The label of the PEM block.
        label: String,
        /// Why not.
        reason: String,
    },
    /// A certificate or request that cannot be read.
    #[error("read {what}: {reason}")]
    Parse {
        /// "certificate" or "certificate signing request".
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// Certificate and key are not a pair.
    #[error("the private key does not belong to the certificate (subject \"{subject}\")")]
    Mismatch {
        /// Subject of the certificate.
        subject: String,
    },
    /// The key is of a kind that signatures of this form are not made with.
    #[error("the private key is not an RSA key, and signatures of this form (PKCS #7) are made with no other here")]
    NotRsa,
    /// The certificate may not sign others.
    #[error("certificate \"{subject}\" is not a certificate authority")]
    NotAuthority {
        /// Subject of the certificate.
        subject: String,
    },
    /// The operation needs the authority's key, which workers do not have.
    #[error("the authority has no private key here; only control plane nodes have it")]
    NoAuthorityKey,
    /// The cryptographic library refused.
    #[error("{0} failed in the cryptographic library")]
    Crypto(&'static str),
    /// A time that a certificate cannot express.
    #[error("time is out of the range that a certificate can express")]
    Time,
    /// A DNS name that cannot stand in a certificate.
    #[error("\"{0}\" cannot stand in a certificate as a DNS name")]
    DnsName(String),
    /// A TLS configuration that cannot be made.
    #[error("TLS configuration: {0}")]
    Tls(String),
    /// A fingerprint that is neither hexadecimal nor base64 of 32 bytes.
    #[error("certificate fingerprint \"{0}\" is not a SHA-256 in hexadecimal (64 digits, colons allowed) or base64")]
    Fingerprint(String),
    /// A file that cannot be read or written.
    #[error("{action} {path}: {cause}")]
    File {
        /// "read" or "write".
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A client configuration that does not parse.
    #[error("client configuration{}: {reason}", path.as_ref().map(|p| format!(" {}", p.display())).unwrap_or_default())]
    ClientConfig {
        /// Which file, if it came from one.
        path: Option<PathBuf>,
        /// Why not.
        reason: String,
    },
    /// A context that is not in the client configuration.
    #[error("context \"{name}\" is not in the client configuration; it has: {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    NoContext {
        /// The missing context.
        name: String,
        /// The contexts that exist.
        known: Vec<String>,
    },
}
