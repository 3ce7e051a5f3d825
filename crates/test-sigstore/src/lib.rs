//! For tests: a little sigstore. It certifies whoever asks (Fulcio), keeps a log of signatures (Rekor) and one of
//! certificates, and signs as `cosign` does: with a key of its own each time.

mod certificate;
mod log;

use std::collections::BTreeMap;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use pki::{KeyKind, PrivateKey};
use serde_json::{Value, json};

use self::certificate::Issuer;
use self::log::Log;

/// How long a certificate is good.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// A name of a signer.
#[derive(Clone, Debug)]
pub enum Name {
    /// An address of e-mail.
    Email(String),
    /// A URI.
    Uri(String),
    /// A name of sigstore's own form.
    Other(String),
}

/// Who signs, and when.
#[derive(Clone, Debug)]
pub struct Signing {
    /// URL of who knows the signer.
    pub issuer: String,
    /// Name there.
    pub name: Name,
    /// When the certificate begins to be good.
    pub certified: Timestamp,
    /// When the log has the signature.
    pub logged: Timestamp,
    /// What the certificate is for: the last number of a purpose (RFC 5280, 4.2.1.12).
    pub purpose: u32,
}

/// The purpose of certificates of signers.
pub const CODE_SIGNING: u32 = 3;

impl Signing {
    /// Somebody with an address of e-mail signs now.
    pub fn now(issuer: &str, email: &str) -> Self {
        let now = Timestamp::now();
        Self {
            issuer: issuer.to_owned(),
            name: Name::Email(email.to_owned()),
            certified: now,
            logged: now,
            purpose: CODE_SIGNING,
        }
    }
}

/// A little sigstore.
pub struct Sigstore {
    issuer: Issuer,
    log: Log,
    certificate_log: Log,
}

/// What was made when something was signed.
pub struct Made {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

impl Sigstore {
    /// Another one, which no other trusts.
    ///
    /// # Errors
    /// A key cannot be made.
    pub fn new() -> Result<Self> {
        Ok(Self {
            issuer: Issuer::new()?,
            log: Log::new()?,
            certificate_log: Log::new()?,
        })
    }

    /// The document `trusted_root.json` of those who trust it.
    ///
    /// # Errors
    /// A key cannot be encoded.
    pub fn trusted_root(&self) -> Result<Value> {
        let valid = json!({"start": "2020-01-01T00:00:00Z"});
        let log = |log: &Log| -> Result<Value> {
            Ok(json!({
                "baseUrl": "https://log.example",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": STANDARD.encode(log.public_key()?), "validFor": valid},
                "logId": {"keyId": STANDARD.encode(log.id()?)},
            }))
        };
        let chain = self.issuer.chain();
        let chain: Vec<Value> = chain.map(|der| json!({"rawBytes": STANDARD.encode(der)})).collect();
        Ok(json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(&self.log)?],
            "certificateAuthorities": [{"certChain": {"certificates": chain}, "validFor": valid}],
            "ctlogs": [log(&self.certificate_log)?],
        }))
    }

    /// Certifies a new key, and signs with it.
    ///
    /// # Errors
    /// A key cannot be made.
    pub fn sign(&self, signing: &Signing, message: &[u8]) -> Result<Made> {
        let key = PrivateKey::generate(KeyKind::EcdsaP256)?;
        Ok(Made {
            certificate: self.issuer.certify(signing, &key, &self.certificate_log)?,
            signature: key.sign(message)?,
        })
    }

    /// Signs a document as a layer of cosign's image of signatures: its annotations.
    ///
    /// # Errors
    /// A key cannot be made.
    pub fn annotations(&self, signing: &Signing, document: &[u8]) -> Result<BTreeMap<String, String>> {
        let made = self.sign(signing, document)?;
        let body = log::record(document, &made)?;
        let time = signing.logged.as_second();
        let bundle = json!({
            "SignedEntryTimestamp": STANDARD.encode(self.log.promise(&body, time)?),
            "Payload": {
                "body": STANDARD.encode(&body),
                "integratedTime": time,
                "logIndex": log::INDEX,
                "logID": log::hex(&self.log.id()?),
            },
        });
        let text = |name: &str, value: String| (name.to_owned(), value);
        Ok(BTreeMap::from([
            text("dev.cosignproject.cosign/signature", STANDARD.encode(&made.signature)),
            text("dev.sigstore.cosign/certificate", certificate::pem(&made.certificate)),
            text(
                "dev.sigstore.cosign/chain",
                self.issuer.chain().map(certificate::pem).collect(),
            ),
            text("dev.sigstore.cosign/bundle", bundle.to_string()),
        ]))
    }

    /// Signs an envelope with this content: a bundle.
    ///
    /// # Errors
    /// A key cannot be made.
    pub fn bundle(&self, signing: &Signing, kind: &str, payload: &[u8]) -> Result<Value> {
        let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
        let made = self.sign(signing, &[head.as_bytes(), payload].concat())?;
        let body = log::envelope(payload, &made)?;
        let time = signing.logged.as_second();
        Ok(json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": STANDARD.encode(&made.certificate)},
                "tlogEntries": [{
                    "logIndex": log::INDEX.to_string(),
                    "logId": {"keyId": STANDARD.encode(self.log.id()?)},
                    "kindVersion": {"kind": "dsse", "version": "0.0.1"},
                    "integratedTime": time.to_string(),
                    "inclusionPromise": {"signedEntryTimestamp": STANDARD.encode(self.log.promise(&body, time)?)},
                    "inclusionProof": self.log.proof(&body)?,
                    "canonicalizedBody": STANDARD.encode(&body),
                }],
            },
            "dsseEnvelope": {
                "payload": STANDARD.encode(payload),
                "payloadType": kind,
                "signatures": [{"sig": STANDARD.encode(&made.signature)}],
            },
        }))
    }
}
