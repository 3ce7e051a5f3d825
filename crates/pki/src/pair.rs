//! A certificate with its private key, in PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::{Error, PrivateKey, Secret, info, pem};

/// A certificate and its key as PEM. In YAML both are base64 of the PEM, as in machine configuration; a missing or
/// empty key means that only the certificate is known (workers).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CertAndKey {
    /// The certificate (or several).
    #[serde(with = "base64_bytes")]
    pub crt: Vec<u8>,
    /// The private key.
    #[serde(with = "base64_secret")]
    pub key: Secret,
}

impl CertAndKey {
    /// Reads the key and checks that it belongs to the certificate.
    pub fn check(&self) -> Result<PrivateKey, Error> {
        if self.key.is_empty() {
            return Err(Error::NoAuthorityKey);
        }
        let key = PrivateKey::from_pem(self.key.expose())?;
        let certificates = pem::certificates(&self.crt)?;
        let parsed = info::parse(&certificates[0])?;
        if parsed.tbs_certificate.subject_pki.raw != key.public_key()? {
            return Err(Error::Mismatch {
                subject: parsed.subject().to_string(),
            });
        }
        Ok(key)
    }
}

/// Serde of bytes as standard base64, for PEM in YAML. Line breaks and spaces in the base64 are tolerated.
pub mod base64_bytes {
    use super::*;

    /// Writes bytes as base64.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    /// Reads bytes from base64; null is empty.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = Zeroizing::new(Option::<String>::deserialize(deserializer)?.unwrap_or_default());
        let compact: Zeroizing<String> = Zeroizing::new(text.chars().filter(|c| !c.is_whitespace()).collect());
        STANDARD
            .decode(compact.as_bytes())
            .map_err(|e| serde::de::Error::custom(format!("not base64: {e}")))
    }
}

/// Serde of a [`Secret`] as base64 of its bytes.
pub mod base64_secret {
    use super::*;

    /// Writes a secret as base64.
    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        base64_bytes::serialize(secret.expose(), serializer)
    }

    /// Reads a secret from base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        base64_bytes::deserialize(deserializer).map(Secret::new)
    }
}
