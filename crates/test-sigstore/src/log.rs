//! Logs: of signatures, with promises and proofs, and of certificates.

use anyhow::Result;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::{KeyKind, PrivateKey};
use serde_json::{Value, json};

use crate::{Made, certificate};

/// The number that every entry has.
pub const INDEX: u64 = 2;

/// Somebody who signs what they have seen.
pub struct Log(PrivateKey);

impl Log {
    pub fn new() -> Result<Self> {
        Ok(Self(PrivateKey::generate(KeyKind::EcdsaP256)?))
    }

    pub fn public_key(&self) -> Result<Vec<u8>> {
        Ok(self.0.public_key()?)
    }

    pub fn id(&self) -> Result<Vec<u8>> {
        Ok(hash(&self.public_key()?))
    }

    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok(self.0.sign(message)?)
    }

    /// That an entry is taken in at a time, in seconds.
    pub fn promise(&self, body: &[u8], time: i64) -> Result<Vec<u8>> {
        let (body, id) = (STANDARD.encode(body), hex(&self.id()?));
        let promise = format!(r#"{{"body":"{body}","integratedTime":{time},"logID":"{id}","logIndex":{INDEX}}}"#);
        self.sign(promise.as_bytes())
    }

    /// That an entry is the third of three.
    pub fn proof(&self, body: &[u8]) -> Result<Value> {
        let leaf = |body: &[u8]| hash(&[&[0], body].concat());
        let first = hash(&[&[1], leaf(b"one").as_slice(), &leaf(b"two")].concat());
        let root = hash(&[&[1], first.as_slice(), &leaf(body)].concat());
        let note = format!("log.example - 1\n3\n{}\n", STANDARD.encode(&root));
        let signature = [&self.id()?[..4], &self.sign(note.as_bytes())?].concat();
        let envelope = format!("{note}\n— log.example {}\n", STANDARD.encode(signature));
        Ok(json!({
            "logIndex": INDEX.to_string(),
            "rootHash": STANDARD.encode(root),
            "treeSize": "3",
            "hashes": [STANDARD.encode(first)],
            "checkpoint": {"envelope": envelope},
        }))
    }
}

/// The entry of a signature of a document.
pub fn record(document: &[u8], made: &Made) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": hex(&hash(document))}},
            "signature": {
                "content": STANDARD.encode(&made.signature),
                "publicKey": {"content": STANDARD.encode(certificate::pem(&made.certificate))},
            },
        },
    }))?)
}

/// The entry of a signature of an envelope with this content.
pub fn envelope(payload: &[u8], made: &Made) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "payloadHash": {"algorithm": "sha256", "value": hex(&hash(payload))},
            "signatures": [{
                "signature": STANDARD.encode(&made.signature),
                "verifier": STANDARD.encode(certificate::pem(&made.certificate)),
            }],
        },
    }))?)
}

pub fn hash(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
