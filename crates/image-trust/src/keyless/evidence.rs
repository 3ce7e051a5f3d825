//! What is beside a keyless signature: who made it, and what a transparency log says of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};

use super::flaw::Flaw;
use super::log::{Entry, Proof};

/// Most entries of logs that are looked at.
const MAX_ENTRIES: usize = 8;
/// Most timestamps that are looked at.
const MAX_TIMESTAMPS: usize = 8;
/// Most certificates beside the signer's that are looked at.
const MAX_CHAIN: usize = 8;

/// What is beside a keyless signature, not checked.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The signer's certificate, DER.
    pub certificate: Vec<u8>,
    /// Certificates between it and a root, DER.
    pub chain: Vec<Vec<u8>>,
    /// Entries of transparency logs.
    pub entries: Vec<Entry>,
    /// Timestamps of the signature (RFC 3161), DER.
    pub timestamps: Vec<Vec<u8>>,
}

/// Annotations of a layer of cosign's image of signatures.
pub mod annotation {
    /// The signer's certificate, PEM.
    pub const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
    /// The certificates above it, PEM.
    pub const CHAIN: &str = "dev.sigstore.cosign/chain";
    /// The entry of the transparency log, JSON.
    pub const BUNDLE: &str = "dev.sigstore.cosign/bundle";
    /// A timestamp, JSON.
    pub const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EntryAnnotation {
    signed_entry_timestamp: Bytes,
    payload: EntryPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryPayload {
    body: Bytes,
    integrated_time: Number,
    log_index: Number,
    #[serde(rename = "logID")]
    log_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TimestampAnnotation {
    #[serde(rename = "SignedRFC3161Timestamp")]
    timestamp: Bytes,
}

/// What a bundle has beside its signature.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Material {
    certificate: Option<Raw>,
    x509_certificate_chain: Option<Chain>,
    tlog_entries: Vec<LogEntry>,
    timestamp_verification_data: Option<Timestamps>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    raw_bytes: Bytes,
}

#[derive(Debug, Deserialize)]
struct Chain {
    certificates: Vec<Raw>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogEntry {
    #[serde(default)]
    log_index: Number,
    log_id: KeyId,
    #[serde(default)]
    integrated_time: Number,
    inclusion_promise: Option<Promise>,
    inclusion_proof: Option<InclusionProof>,
    canonicalized_body: Bytes,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyId {
    key_id: Bytes,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Promise {
    signed_entry_timestamp: Bytes,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InclusionProof {
    #[serde(default)]
    log_index: Number,
    #[serde(default)]
    hashes: Vec<Bytes>,
    checkpoint: Option<Checkpoint>,
}

#[derive(Debug, Deserialize)]
struct Checkpoint {
    envelope: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Timestamps {
    #[serde(rename = "rfc3161Timestamps")]
    timestamps: Vec<SignedTimestamp>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedTimestamp {
    signed_timestamp: Bytes,
}

impl Evidence {
    /// Reads the annotations of a layer of cosign's image of signatures; none if they have no certificate.
    ///
    /// # Errors
    /// They are damaged.
    pub fn from_annotations<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Self>, Flaw> {
        let Some(certificate) = get(annotation::CERTIFICATE).filter(|pem| !pem.is_empty()) else {
            return Ok(None);
        };
        let mut certificates = certificates(certificate)?.into_iter();
        let Some(certificate) = certificates.next() else {
            return Ok(None);
        };
        let chain = get(annotation::CHAIN).filter(|pem| !pem.is_empty());
        let chain = self::certificates(chain.unwrap_or_default())?;
        let entry = match get(annotation::BUNDLE) {
            Some(text) => {
                let bundle: EntryAnnotation = read("the annotation with the log's entry", text)?;
                Some(Entry {
                    log: unhex(&bundle.payload.log_id),
                    index: bundle.payload.log_index.unsigned(),
                    integrated: bundle.payload.integrated_time.0,
                    body: bundle.payload.body.0,
                    promise: Some(bundle.signed_entry_timestamp.0),
                    proof: None,
                })
            }
            None => None,
        };
        let timestamp = match get(annotation::TIMESTAMP) {
            Some(text) => Some(
                read::<TimestampAnnotation>("the annotation with a timestamp", text)?
                    .timestamp
                    .0,
            ),
            None => None,
        };
        Ok(Some(Self {
            certificate,
            chain: certificates.chain(chain).take(MAX_CHAIN).collect(),
            entries: entry.into_iter().collect(),
            timestamps: timestamp.into_iter().collect(),
        }))
    }

    /// Takes what a bundle has; none if it has no certificate.
    pub fn from_material(material: Material) -> Option<Self> {
        let chain = material.x509_certificate_chain.map(|chain| chain.certificates);
        let all = material.certificate.into_iter().chain(chain.unwrap_or_default());
        let mut all = all.map(|raw| raw.raw_bytes.0);
        let timestamps = material.timestamp_verification_data.unwrap_or_default().timestamps;
        Some(Self {
            certificate: all.next()?,
            chain: all.take(MAX_CHAIN).collect(),
            entries: material.tlog_entries.into_iter().take(MAX_ENTRIES).map(entry).collect(),
            timestamps: timestamps
                .into_iter()
                .take(MAX_TIMESTAMPS)
                .map(|t| t.signed_timestamp.0)
                .collect(),
        })
    }
}

fn entry(entry: LogEntry) -> Entry {
    // A proof without a checkpoint proves nothing: older bundles have such beside the log's promise.
    let proof = entry.inclusion_proof.and_then(|proof| {
        Some(Proof {
            index: proof.log_index.unsigned(),
            hashes: proof.hashes.into_iter().map(|hash| hash.0).collect(),
            checkpoint: proof.checkpoint?.envelope,
        })
    });
    Entry {
        log: entry.log_id.key_id.0,
        index: entry.log_index.unsigned(),
        integrated: entry.integrated_time.0,
        body: entry.canonicalized_body.0,
        promise: entry.inclusion_promise.map(|promise| promise.signed_entry_timestamp.0),
        proof,
    }
}

fn read<'a, T: Deserialize<'a>>(what: &'static str, text: &'a str) -> Result<T, Flaw> {
    serde_json::from_str(text).map_err(|e| Flaw::Unreadable(what, e.to_string()))
}

fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, Flaw> {
    if pem.is_empty() {
        return Ok(Vec::new());
    }
    let blocks = pki::pem::decode(pem.as_bytes());
    let blocks = blocks.map_err(|e| Flaw::Unreadable("the annotation with a certificate", e.to_string()))?;
    let certificates = blocks.into_iter().filter(|block| block.label == pki::pem::CERTIFICATE);
    Ok(certificates.map(|block| block.der.to_vec()).collect())
}

/// Bytes of a text in hexadecimal; nothing, which is no log's name, if it is not.
fn unhex(text: &str) -> Vec<u8> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let pairs = digits
        .filter(|digits| digits.len().is_multiple_of(2))
        .unwrap_or_default();
    pairs.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Bytes that JSON has in base64.
#[derive(Debug)]
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A number that JSON has as a number or, as protobuf's 64 bits, as a text.
#[derive(Clone, Copy, Debug, Default)]
struct Number(i64);

impl Number {
    /// What is negative is no place in a log.
    fn unsigned(self) -> u64 {
        u64::try_from(self.0).unwrap_or(u64::MAX)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(i64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self(number)),
            Form::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}
