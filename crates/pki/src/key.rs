//! Private keys: Ed25519 for the operating system, ECDSA for etcd and Kubernetes, RSA when somebody brings one.

use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::{Error, Secret, der, pem};

/// Which key to make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// Ed25519: everything of the machine API.
    #[default]
    Ed25519,
    /// ECDSA on P-256: etcd and Kubernetes.
    EcdsaP256,
    /// RSA of 2048 bits: where nothing else is understood (policies of TPMs).
    Rsa2048,
    /// RSA of 4096 bits: slow to make (seconds), only when asked for.
    Rsa4096,
}

enum Inner {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair, Curve),
    Rsa(RsaKeyPair),
}

#[derive(Clone, Copy)]
enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    const ALL: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

    fn algorithm(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            Curve::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        }
    }
}

/// A private key that can sign.
pub struct PrivateKey(Inner);

impl PrivateKey {
    /// Makes a new key.
    pub fn generate(kind: KeyKind) -> Result<Self, Error> {
        let failed = |_| Error::Crypto("making a key");
        Ok(Self(match kind {
            KeyKind::Ed25519 => Inner::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
            KeyKind::EcdsaP256 => Inner::Ecdsa(
                EcdsaKeyPair::generate(Curve::P256.algorithm()).map_err(failed)?,
                Curve::P256,
            ),
            KeyKind::Rsa2048 => Inner::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?),
            KeyKind::Rsa4096 => Inner::Rsa(RsaKeyPair::generate(KeySize::Rsa4096).map_err(failed)?),
        }))
    }

    /// Reads the first private key of a PEM text. Accepted labels: `ED25519 PRIVATE KEY` (PKCS #8), `PRIVATE KEY`
    /// (PKCS #8 of any kind), `EC PRIVATE KEY` (SEC 1) and `RSA PRIVATE KEY` (PKCS #1).
    pub fn from_pem(text: &[u8]) -> Result<Self, Error> {
        let blocks = pem::decode(text)?;
        let found = blocks.first().map(|b| b.label.clone());
        let block = blocks
            .into_iter()
            .find(|b| b.label.ends_with("PRIVATE KEY"))
            .ok_or(Error::NoPem {
                wanted: "private key",
                found,
            })?;
        let failed = |reason: &str| Error::Key {
            label: block.label.clone(),
            reason: reason.to_owned(),
        };
        if block.label.starts_with("ENCRYPTED") {
            return Err(failed("it is encrypted; decrypt it first"));
        }
        Self::from_der(&block.der).ok_or_else(|| failed("unknown form or algorithm"))
    }

    /// Tries every form: the label of a PEM block does not always tell the truth.
    fn from_der(bytes: &[u8]) -> Option<Self> {
        if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes) {
            return Some(Self(Inner::Ed25519(key)));
        }
        for curve in Curve::ALL {
            if let Ok(key) = EcdsaKeyPair::from_private_key_der(curve.algorithm(), bytes) {
                return Some(Self(Inner::Ecdsa(key, curve)));
            }
        }
        let rsa = RsaKeyPair::from_pkcs8(bytes)
            .or_else(|_| RsaKeyPair::from_der(bytes))
            .ok()?;
        Some(Self(Inner::Rsa(rsa)))
    }

    /// The key as PEM, in the form and with the label usual for its kind.
    pub fn to_pem(&self) -> Result<Secret, Error> {
        let failed = |_| Error::Crypto("encoding a key");
        let text = match &self.0 {
            Inner::Ed25519(_) => pem::encode("ED25519 PRIVATE KEY", &self.to_pkcs8()?),
            Inner::Ecdsa(key, _) => {
                let sec1: EcPrivateKeyRfc5915Der<'_> = key.private_key().as_der().map_err(failed)?;
                pem::encode("EC PRIVATE KEY", sec1.as_ref())
            }
            Inner::Rsa(_) => {
                let pkcs8 = self.to_pkcs8()?;
                let pkcs1 = pkcs1_of_pkcs8(&pkcs8).ok_or(Error::Crypto("encoding an RSA key"))?;
                pem::encode("RSA PRIVATE KEY", pkcs1)
            }
        };
        Ok(Secret::from(text))
    }

    /// The key as PKCS #8 (what TLS libraries read).
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let failed = |_| Error::Crypto("encoding a key");
        let bytes = match &self.0 {
            Inner::Ed25519(key) => key.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Inner::Ecdsa(key, _) => key.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Inner::Rsa(key) => AsDer::<Pkcs8V1Der<'_>>::as_der(key).map_err(failed)?.as_ref().to_vec(),
        };
        Ok(Zeroizing::new(bytes))
    }

    /// The public half as DER of a SubjectPublicKeyInfo.
    pub fn public_key(&self) -> Result<Vec<u8>, Error> {
        let spki: Result<PublicKeyX509Der<'_>, _> = match &self.0 {
            Inner::Ed25519(key) => key.public_key().as_der(),
            Inner::Ecdsa(key, _) => key.public_key().as_der(),
            Inner::Rsa(key) => key.public_key().as_der(),
        };
        spki.map(|der| der.as_ref().to_vec())
            .map_err(|_| Error::Crypto("encoding a public key"))
    }

    /// The public half as PEM.
    pub fn public_key_pem(&self) -> Result<String, Error> {
        Ok(pem::encode("PUBLIC KEY", &self.public_key()?))
    }

    /// Whether it is an RSA key, the only kind that some who check signatures understand.
    pub fn is_rsa(&self) -> bool {
        matches!(self.0, Inner::Rsa(_))
    }

    /// Signs a message; the algorithm is [`Self::signature_algorithm`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        let failed = |_| Error::Crypto("signing");
        Ok(match &self.0 {
            Inner::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Inner::Ecdsa(key, _) => key.sign(&random, message).map_err(failed)?.as_ref().to_vec(),
            Inner::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(failed)?;
                signature
            }
        })
    }

    /// DER of the AlgorithmIdentifier of this key's signatures (RFC 8410, RFC 5758, RFC 4055).
    pub(crate) fn signature_algorithm(&self) -> Vec<u8> {
        match &self.0 {
            Inner::Ed25519(_) => der::sequence(&[&der::oid(&[1, 3, 101, 112])]),
            Inner::Ecdsa(_, Curve::P256) => der::sequence(&[&der::oid(&[1, 2, 840, 10045, 4, 3, 2])]),
            Inner::Ecdsa(_, Curve::P384) => der::sequence(&[&der::oid(&[1, 2, 840, 10045, 4, 3, 3])]),
            Inner::Ecdsa(_, Curve::P521) => der::sequence(&[&der::oid(&[1, 2, 840, 10045, 4, 3, 4])]),
            Inner::Rsa(_) => der::sequence(&[&der::oid(&[1, 2, 840, 113549, 1, 1, 11]), &der::element(0x05, &[])]),
        }
    }
}

/// PrivateKeyInfo ::= SEQUENCE { version, algorithm, privateKey OCTET STRING (the PKCS #1 key), ... }
fn pkcs1_of_pkcs8(pkcs8: &[u8]) -> Option<&[u8]> {
    let (_, inside, _) = der::split(pkcs8)?;
    let (_, _, rest) = der::split(inside)?;
    let (_, _, rest) = der::split(rest)?;
    let (tag, key, _) = der::split(rest)?;
    (tag == 0x04).then_some(key)
}

/// A key that signs Kubernetes service account tokens, as PEM: ECDSA P-256, or RSA 4096 when `rsa` is asked for.
pub fn service_account_key(rsa: bool) -> Result<Secret, Error> {
    PrivateKey::generate(if rsa { KeyKind::Rsa4096 } else { KeyKind::EcdsaP256 })?.to_pem()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_survives_its_pem() {
        for (kind, label) in [
            (KeyKind::Ed25519, "-----BEGIN ED25519 PRIVATE KEY-----"),
            (KeyKind::EcdsaP256, "-----BEGIN EC PRIVATE KEY-----"),
        ] {
            let key = PrivateKey::generate(kind).unwrap();
            let text = key.to_pem().unwrap();
            assert!(text.expose_str().unwrap().starts_with(label));
            let again = PrivateKey::from_pem(text.expose()).unwrap();
            assert_eq!(again.public_key().unwrap(), key.public_key().unwrap());
            let pkcs8 = pem::encode("PRIVATE KEY", &key.to_pkcs8().unwrap());
            let again = PrivateKey::from_pem(pkcs8.as_bytes()).unwrap();
            assert_eq!(again.to_pem().unwrap(), text);
        }
    }

    #[test]
    fn an_rsa_key_is_written_as_pkcs1() {
        let key = PrivateKey::generate(KeyKind::Rsa2048).unwrap();
        let text = key.to_pem().unwrap();
        assert!(
            text.expose_str()
                .unwrap()
                .starts_with("-----BEGIN RSA PRIVATE KEY-----")
        );
        assert_eq!(
            PrivateKey::from_pem(text.expose()).unwrap().public_key().unwrap(),
            key.public_key().unwrap()
        );
    }

    #[test]
    fn garbage_is_refused_without_being_repeated() {
        let error = PrivateKey::from_pem(pem::encode("EC PRIVATE KEY", b"not a key").as_bytes())
            .err()
            .unwrap();
        assert!(
            error
                .to_string()
                .starts_with("read private key (EC PRIVATE KEY): unknown form"),
            "{error}"
        );
    }
}
