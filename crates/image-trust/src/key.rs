//! Public keys that images are signed with.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo, X509Certificate};

/// Label of a bare key.
const PUBLIC_KEY: &str = "PUBLIC KEY";

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const ED: &str = "1.3.101.112";

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// No PEM, or damaged.
    #[error("{0}")]
    Pem(String),
    /// Nothing, or several.
    #[error("it must be one certificate or one public key as PEM, not {0}")]
    Number(usize),
    /// Something else.
    #[error("it must be a CERTIFICATE or a PUBLIC KEY, not a {0}")]
    Label(String),
    /// Not what its label says.
    #[error("the {0} cannot be read: {1}")]
    Damaged(String, String),
    /// A key of another kind.
    #[error("keys of this kind are not supported: take ECDSA (P-256, P-384), Ed25519 or RSA (2048 bits and more)")]
    Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P256,
    P384,
    Ed25519,
    Rsa,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    kind: Kind,
    /// As its kind has it: a point, 32 bytes, or modulus and exponent.
    bytes: Vec<u8>,
}

impl Key {
    /// Reads a certificate or a public key. Of a certificate only the key counts: neither who issued it, nor until when.
    ///
    /// # Errors
    /// It is none, or of a kind that is not supported.
    pub fn from_pem(text: &str) -> Result<Self, BadKey> {
        let blocks = pki::pem::decode(text.as_bytes()).map_err(|e| BadKey::Pem(e.to_string()))?;
        let [block] = blocks.as_slice() else {
            return Err(BadKey::Number(blocks.len()));
        };
        let damaged = |error: &dyn std::fmt::Display| BadKey::Damaged(block.label.clone(), error.to_string());
        match block.label.as_str() {
            pki::pem::CERTIFICATE => {
                let (_, certificate) = X509Certificate::from_der(&block.der).map_err(|e| damaged(&e))?;
                Self::from_info(certificate.public_key())
            }
            PUBLIC_KEY => {
                let (_, info) = SubjectPublicKeyInfo::from_der(&block.der).map_err(|e| damaged(&e))?;
                Self::from_info(&info)
            }
            other => Err(BadKey::Label(other.to_owned())),
        }
    }

    /// Reads a public key, DER.
    ///
    /// # Errors
    /// It is none, or of a kind that is not supported.
    pub fn from_der(der: &[u8]) -> Result<Self, BadKey> {
        let damaged = |why: String| BadKey::Damaged(PUBLIC_KEY.to_owned(), why);
        match SubjectPublicKeyInfo::from_der(der) {
            Ok(([], info)) => Self::from_info(&info),
            Ok(_) => Err(damaged("something follows it".to_owned())),
            Err(error) => Err(damaged(error.to_string())),
        }
    }

    /// Reads an RSA key as it is without saying that it is one (PKCS #1), DER.
    ///
    /// # Errors
    /// It is none, or too small or too large.
    pub fn from_rsa(der: &[u8]) -> Result<Self, BadKey> {
        Self::usable(Kind::Rsa, der)
    }

    pub(crate) fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Result<Self, BadKey> {
        let curve = || {
            let parameters = info.algorithm.parameters.as_ref()?;
            parameters.as_oid().ok().map(|oid| oid.to_id_string())
        };
        let kind = match (info.algorithm.algorithm.to_id_string().as_str(), curve().as_deref()) {
            (EC, Some(P256)) => Kind::P256,
            (EC, Some(P384)) => Kind::P384,
            (ED, _) => Kind::Ed25519,
            (RSA, _) => Kind::Rsa,
            _ => return Err(BadKey::Kind),
        };
        Self::usable(kind, &info.subject_public_key.data)
    }

    fn usable(kind: Kind, bytes: &[u8]) -> Result<Self, BadKey> {
        let key = Self {
            kind,
            bytes: bytes.to_vec(),
        };
        // A key that no signature could be checked with must not be found out when an image is pulled.
        let usable = key
            .algorithms()
            .iter()
            .all(|algorithm| aws_lc_rs::signature::ParsedPublicKey::new(*algorithm, &key.bytes).is_ok());
        usable.then_some(key).ok_or(BadKey::Kind)
    }

    /// Signatures are over SHA-256, as cosign makes them; by a P-384 key they may be over SHA-384 too.
    fn algorithms(&self) -> &'static [&'static dyn VerificationAlgorithm] {
        match self.kind {
            Kind::P256 => &[&ECDSA_P256_SHA256_ASN1],
            Kind::P384 => &[&ECDSA_P384_SHA256_ASN1, &ECDSA_P384_SHA384_ASN1],
            Kind::Ed25519 => &[&ED25519],
            Kind::Rsa => &[&RSA_PKCS1_2048_8192_SHA256],
        }
    }

    /// Whether this key signed the message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.algorithms().iter().any(|algorithm| {
            UnparsedPublicKey::new(*algorithm, &self.bytes)
                .verify(message, signature)
                .is_ok()
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    };

    use super::*;

    /// A pair of keys as cosign makes them: the public one as PEM, and what signs.
    pub fn pair() -> (String, EcdsaKeyPair) {
        ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)
    }

    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> (String, EcdsaKeyPair) {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        (pki::pem::encode(PUBLIC_KEY, der.as_ref()), pair)
    }

    pub fn sign(pair: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
        pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    #[test]
    fn each_kind_of_key_verifies_what_it_signed_and_nothing_else() {
        let (ed, rsa) = (
            Ed25519KeyPair::generate().unwrap(),
            RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        );
        let pem = |der: PublicKeyX509Der<'_>| pki::pem::encode(PUBLIC_KEY, der.as_ref());
        let mut by_rsa = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"yes", &mut by_rsa)
            .unwrap();
        let (p256, p384) = (pair(), ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING));
        for (pem, signature) in [
            (p256.0, sign(&p256.1, b"yes")),
            (p384.0, sign(&p384.1, b"yes")),
            (
                pem(ed.public_key().as_der().unwrap()),
                ed.sign(b"yes").as_ref().to_vec(),
            ),
            (pem(rsa.public_key().as_der().unwrap()), by_rsa),
        ] {
            let key = Key::from_pem(&pem).unwrap();
            assert!(key.verifies(b"yes", &signature));
            assert!(!key.verifies(b"no", &signature));
            assert!(!key.verifies(b"yes", &signature[1..]));
            assert!(!key.verifies(b"yes", b""));
            assert!(!Key::from_pem(&pair().0).unwrap().verifies(b"yes", &signature));
        }
    }

    #[test]
    fn the_key_of_a_certificate_is_taken() {
        let now = std::time::SystemTime::now();
        let authority = pki::Authority::new_kubernetes(now).unwrap();
        let text = String::from_utf8(authority.pair().crt.clone()).unwrap();
        Key::from_pem(&text).unwrap();
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let (pem, _) = pair();
        assert_eq!(Key::from_pem("MII--Sample Value--"), Err(BadKey::Number(0)));
        assert_eq!(Key::from_pem(&pem.repeat(2)), Err(BadKey::Number(2)));
        let private = pem.replace(PUBLIC_KEY, "EC PRIVATE KEY");
        assert_eq!(Key::from_pem(&private), Err(BadKey::Label("EC PRIVATE KEY".to_owned())));
        let cut = pki::pem::encode(PUBLIC_KEY, &[0x30, 0x10, 0x01]);
        assert!(matches!(Key::from_pem(&cut), Err(BadKey::Damaged(..))));
        assert!(matches!(Key::from_pem(&pem[..40]), Err(BadKey::Pem(_))));
        let small = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: PublicKeyX509Der<'_> = small.public_key().as_der().unwrap();
        let other: Vec<u8> = der
            .as_ref()
            .iter()
            .map(|b| if *b == 0x86 { 0x87 } else { *b })
            .collect();
        assert!(Key::from_pem(&pki::pem::encode(PUBLIC_KEY, &other)).is_err());
    }
}
