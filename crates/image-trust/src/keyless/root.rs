//! Whom signatures are traced back to: sigstore's document `trusted_root.json`.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use serde::Deserialize;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::key::{BadKey, Key};

/// What the public good instance of sigstore uses; see `data/README.md`.
const PUBLIC_GOOD: &str = include_str!("../../data/trusted_root.json");
/// What the type of a document begins with; a version follows.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot";

/// Why a document is no trust root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no trusted_root.json of sigstore: {0}")]
pub struct BadRoot(String);

/// Authorities and logs that are trusted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrustRoot {
    /// Transparency logs of signatures (Rekor).
    pub(super) logs: Vec<Log>,
    /// Authorities that certify who signs (Fulcio).
    pub(super) authorities: Vec<Authority>,
    /// Transparency logs of certificates. Where there is none, certificates need not be in one.
    pub(super) certificate_logs: Vec<Log>,
    /// Authorities that say when something was signed.
    pub(super) timestamp_authorities: Vec<Authority>,
}

/// A log that signs what it has seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Log {
    pub id: Vec<u8>,
    pub key: Key,
    pub valid: Period,
}

/// An authority's certificates, DER: what issues first, the root last; never empty.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Authority {
    pub chain: Vec<Vec<u8>>,
    pub valid: Period,
}

/// When something is good: both ends belong to it, a missing one is open.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Period {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl Period {
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= at) && self.end.is_none_or(|end| at <= end)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: String,
    #[serde(default)]
    tlogs: Vec<LogDocument>,
    #[serde(default)]
    certificate_authorities: Vec<AuthorityDocument>,
    #[serde(default)]
    ctlogs: Vec<LogDocument>,
    #[serde(default)]
    timestamp_authorities: Vec<AuthorityDocument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogDocument {
    public_key: KeyDocument,
    log_id: IdDocument,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyDocument {
    raw_bytes: String,
    #[serde(default)]
    key_details: String,
    #[serde(default)]
    valid_for: Period,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdDocument {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorityDocument {
    cert_chain: ChainDocument,
    #[serde(default)]
    valid_for: Period,
}

#[derive(Deserialize)]
struct ChainDocument {
    certificates: Vec<CertificateDocument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CertificateDocument {
    raw_bytes: String,
}

impl TrustRoot {
    /// What the public good instance of sigstore uses, as of when this program was built.
    pub fn public_good() -> Arc<Self> {
        // It is part of the program and tested. If it could not be read nobody would be trusted.
        static ROOT: LazyLock<Arc<TrustRoot>> =
            LazyLock::new(|| Arc::new(TrustRoot::parse(PUBLIC_GOOD).unwrap_or_default()));
        ROOT.clone()
    }

    /// The document of [`TrustRoot::public_good`].
    pub fn public_good_document() -> &'static str {
        PUBLIC_GOOD
    }

    /// Reads a `trusted_root.json`. Logs with keys of a kind that is not supported are left out: nothing is proven by
    /// them.
    ///
    /// # Errors
    /// It is none, is damaged, or has no log or no authority, so that no signature could be traced back to it.
    pub fn parse(text: &str) -> Result<Self, BadRoot> {
        let document: Document = serde_json::from_str(text).map_err(|e| BadRoot(e.to_string()))?;
        if !document.media_type.starts_with(MEDIA_TYPE) {
            return Err(BadRoot(format!("it is of the type {:?}", document.media_type)));
        }
        let root = Self {
            logs: logs("tlogs", document.tlogs)?,
            authorities: authorities("certificateAuthorities", document.certificate_authorities)?,
            certificate_logs: logs("ctlogs", document.ctlogs)?,
            timestamp_authorities: authorities("timestampAuthorities", document.timestamp_authorities)?,
        };
        for (name, missing) in [
            ("tlogs", root.logs.is_empty()),
            ("certificateAuthorities", root.authorities.is_empty()),
        ] {
            if missing {
                return Err(BadRoot(format!("{name} has nothing that can be used")));
            }
        }
        Ok(root)
    }
}

fn logs(name: &str, documents: Vec<LogDocument>) -> Result<Vec<Log>, BadRoot> {
    let mut logs = Vec::new();
    for (number, document) in documents.into_iter().enumerate() {
        let bad = |why: String| BadRoot(format!("{name}[{number}]: {why}"));
        let der = bytes(&document.public_key.raw_bytes).map_err(bad)?;
        let bare = document.public_key.key_details.starts_with("PKCS1_RSA");
        let key = if bare { Key::from_rsa(&der) } else { Key::from_der(&der) };
        let key = match key {
            Err(BadKey::Kind) => continue,
            key => key.map_err(|e| bad(e.to_string()))?,
        };
        logs.push(Log {
            id: bytes(&document.log_id.key_id).map_err(bad)?,
            key,
            valid: document.public_key.valid_for,
        });
    }
    Ok(logs)
}

fn authorities(name: &str, documents: Vec<AuthorityDocument>) -> Result<Vec<Authority>, BadRoot> {
    let mut authorities = Vec::new();
    for (number, document) in documents.into_iter().enumerate() {
        let bad = |why: String| BadRoot(format!("{name}[{number}]: {why}"));
        let mut chain = Vec::new();
        for certificate in document.cert_chain.certificates {
            let der = bytes(&certificate.raw_bytes).map_err(bad)?;
            let read = X509Certificate::from_der(&der).map_err(|e| bad(format!("a certificate: {e}")))?;
            if !read.0.is_empty() {
                return Err(bad("a certificate has something behind it".to_owned()));
            }
            chain.push(der);
        }
        if chain.is_empty() {
            return Err(bad("it has no certificates".to_owned()));
        }
        authorities.push(Authority {
            chain,
            valid: document.valid_for,
        });
    }
    Ok(authorities)
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|e| format!("it is not base64: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_public_good_instance_uses_can_be_read() {
        let root = TrustRoot::parse(PUBLIC_GOOD).unwrap();
        assert_eq!(root, *TrustRoot::public_good());
        let sizes = (root.logs.len(), root.authorities.len(), root.certificate_logs.len());
        assert_eq!(sizes, (2, 2, 2));
        assert_eq!(root.timestamp_authorities.len(), 1);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let first = &root.authorities[0].valid;
        assert!(first.contains(at("2022-01-01T00:00:00Z")) && !first.contains(at("2023-01-01T00:00:00Z")));
        assert!(!first.contains(at("2021-01-01T00:00:00Z")));
        assert!(root.authorities[1].valid.contains(at("2099-01-01T00:00:00Z")));
    }

    #[test]
    fn a_document_that_is_damaged_or_empty_says_what_is_wrong_with_it() {
        let changed = |path: &str, value: serde_json::Value| {
            let mut document: serde_json::Value = serde_json::from_str(PUBLIC_GOOD).unwrap();
            *document.pointer_mut(path).unwrap() = value;
            TrustRoot::parse(&document.to_string()).map_err(|e| e.to_string())
        };
        for (path, value, said) in [
            (
                "/mediaType",
                "application/json".into(),
                "of the type \"application/json\"",
            ),
            ("/tlogs", serde_json::json!([]), "tlogs has nothing"),
            (
                "/certificateAuthorities",
                serde_json::json!([]),
                "certificateAuthorities has nothing",
            ),
            (
                "/certificateAuthorities/1/certChain/certificates/0/rawBytes",
                "AAAA".into(),
                "certificateAuthorities[1]: a certificate",
            ),
            ("/tlogs/0/publicKey/rawBytes", "?".into(), "tlogs[0]: it is not base64"),
            (
                "/tlogs/0/publicKey/validFor/start",
                "today".into(),
                "no trusted_root.json",
            ),
        ] {
            let error = changed(path, value).unwrap_err();
            assert!(error.contains(said), "{path}: {error}");
        }
        // Without a log of certificates none of them has to be in one.
        assert!(
            changed("/ctlogs", serde_json::json!([]))
                .unwrap()
                .certificate_logs
                .is_empty()
        );
        assert!(TrustRoot::parse("").is_err());
    }
}
