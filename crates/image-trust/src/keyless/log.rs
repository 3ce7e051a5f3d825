//! Entries of a transparency log (Rekor), and the proofs that they are in it: the log's promise to have taken an entry in
//! at a time (signed entry timestamp), and the path from the entry to a root that the log signed (inclusion proof and
//! checkpoint).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::flaw::Flaw;
use super::root::{Log, TrustRoot};
use crate::key::Key;

/// Most signatures of a checkpoint that are tried: one is the log's, others are of witnesses.
const MAX_SIGNATURES: usize = 32;

/// An entry of a log as it is beside a signature, not proven.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which log.
    pub log: Vec<u8>,
    /// Its number there.
    pub index: u64,
    /// When the log took it in, in seconds; 0 where the log does not say.
    pub integrated: i64,
    /// What was taken in.
    pub body: Vec<u8>,
    /// The log's signature of all of the above.
    pub promise: Option<Vec<u8>>,
    /// The path to a root.
    pub proof: Option<Proof>,
}

/// The path from an entry to a root of the log.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The entry's number in the tree.
    pub index: u64,
    /// Hashes beside the path, from the entry upwards.
    pub hashes: Vec<Vec<u8>>,
    /// Size and root of the tree, signed: a note (<https://c2sp.org/signed-note>).
    pub checkpoint: String,
}

/// An entry that is in a trusted log.
#[derive(Debug)]
pub struct Proven<'a> {
    /// The log.
    pub(super) log: &'a Log,
    /// When the entry was taken in, if the log signed that.
    pub integrated: Option<Timestamp>,
}

impl Entry {
    /// Checks that the entry is in a log that is trusted. Every proof that is there must be right, and one must be there.
    ///
    /// # Errors
    /// It is not, or not proven.
    pub fn proven<'a>(&self, root: &'a TrustRoot) -> Result<Proven<'a>, Flaw> {
        let log = root.logs.iter().find(|log| log.id == self.log);
        let log = log.ok_or_else(|| Flaw::StrangeLog(hex(&self.log)))?;
        let mut integrated = None;
        if let Some(promise) = &self.promise {
            if !log.key.verifies(&self.promised(), promise) {
                return Err(Flaw::Unproven("the signed entry timestamp is not the log's"));
            }
            let at = Timestamp::from_second(self.integrated).map_err(|_| Flaw::NoTime)?;
            integrated = (self.integrated > 0).then_some(at);
        }
        match (&self.proof, &self.promise) {
            (Some(proof), _) => proof.check(&self.body, &log.key)?,
            (None, Some(_)) => {}
            (None, None) => {
                let why = "there is neither a signed entry timestamp nor an inclusion proof with a checkpoint";
                return Err(Flaw::Unproven(why));
            }
        }
        Ok(Proven { log, integrated })
    }

    /// What the log signs when it promises to take an entry in: canonical JSON.
    fn promised(&self) -> Vec<u8> {
        let (body, log) = (STANDARD.encode(&self.body), hex(&self.log));
        let (time, index) = (self.integrated, self.index);
        format!(r#"{{"body":"{body}","integratedTime":{time},"logID":"{log}","logIndex":{index}}}"#).into_bytes()
    }
}

impl Proof {
    fn check(&self, body: &[u8], key: &Key) -> Result<(), Flaw> {
        let (text, signatures) = self
            .checkpoint
            .split_once("\n\n")
            .ok_or(Flaw::Unproven("the checkpoint is no signed note"))?;
        let text = format!("{text}\n");
        let signed = |line: &str| {
            let signature = line.strip_prefix("— ").and_then(|rest| rest.split_once(' '));
            let signature = signature.and_then(|(_, text)| STANDARD.decode(text).ok());
            // Four bytes say which key it is of.
            signature.is_some_and(|s| s.len() > 4 && key.verifies(text.as_bytes(), &s[4..]))
        };
        if !signatures.lines().take(MAX_SIGNATURES).any(signed) {
            return Err(Flaw::Unproven("the checkpoint is not signed by the log"));
        }
        let mut lines = text.lines().skip(1);
        let size = lines.next().and_then(|line| line.parse::<u64>().ok());
        let root = lines.next().and_then(|line| STANDARD.decode(line).ok());
        let (Some(size), Some(root)) = (size, root) else {
            return Err(Flaw::Unproven("the checkpoint has no size and no root"));
        };
        if climb(leaf(body), self.index, size, &self.hashes).is_some_and(|top| top == root) {
            Ok(())
        } else {
            Err(Flaw::Unproven("the inclusion proof does not lead to the checkpoint"))
        }
    }
}

/// The hash of an entry (RFC 6962, 2.1).
pub(super) fn leaf(body: &[u8]) -> Vec<u8> {
    digest(&SHA256, &[&[0], body].concat()).as_ref().to_vec()
}

/// The hash of two hashes.
pub(super) fn node(left: &[u8], right: &[u8]) -> Vec<u8> {
    digest(&SHA256, &[&[1], left, right].concat()).as_ref().to_vec()
}

/// The root that a path leads to (RFC 9162, 2.1.3.2); none if it has another length than the tree is high.
fn climb(leaf: Vec<u8>, index: u64, size: u64, path: &[Vec<u8>]) -> Option<Vec<u8>> {
    let (mut number, mut last) = (index, size.checked_sub(1)?);
    if number > last {
        return None;
    }
    let mut top = leaf;
    for hash in path {
        if last == 0 {
            return None;
        }
        if number & 1 == 1 || number == last {
            top = node(hash, &top);
            while number & 1 == 0 && number != 0 {
                number >>= 1;
                last >>= 1;
            }
        } else {
            top = node(&top, hash);
        }
        number >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(top)
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
