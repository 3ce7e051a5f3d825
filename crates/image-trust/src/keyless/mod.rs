//! Keyless signatures (sigstore): made with a key that lives for minutes. Its certificate (Fulcio's) says whom an identity
//! provider knew at that time, and a transparency log (Rekor) has an entry of the signature, which says when that was.
//!
//! - [`root`]: whom all of that is traced back to
//! - [`evidence`]: what is beside a signature
//! - [`log`], [`about`]: that the log has the entry, and what the entry is about
//! - [`certificate`], [`sct`]: who signed
//! - [`timestamp`]: when, where the log does not say it
//! - [`flaw`]: why a signature does not count
//!
//! No network, and no clock: times are those of the evidence.

mod about;
mod certificate;
mod evidence;
mod flaw;
mod log;
mod root;
mod sct;
mod timestamp;

use jiff::Timestamp;
use regex_lite::Regex;

pub use self::about::Signed;
use self::certificate::Leaf;
pub use self::certificate::Signer;
pub use self::evidence::{Evidence, Material, annotation};
pub use self::flaw::Flaw;
pub use self::log::{Entry, Proof};
pub use self::root::{BadRoot, TrustRoot};

/// Who must have signed.
#[derive(Clone, Debug)]
pub struct Identity {
    issuer: String,
    subject: Subject,
}

#[derive(Clone, Debug)]
enum Subject {
    Is(String),
    Matches(Regex),
}

/// Why nobody is named who may sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentity {
    /// There is no issuer.
    #[error("it names no issuer")]
    Issuer,
    /// There is none, or two.
    #[error("it must name one of subject and subjectRegex")]
    Subject,
    /// A subject that cannot be read.
    #[error("{0:?} is not a regular expression: {1}")]
    Regex(String, String),
}

impl Identity {
    /// Somebody whom an identity provider knows by this name, or by one that the regular expression matches somewhere.
    ///
    /// # Errors
    /// Nobody is named, or the regular expression is none.
    pub fn new(issuer: &str, subject: &str, regex: &str) -> Result<Self, BadIdentity> {
        if issuer.is_empty() {
            return Err(BadIdentity::Issuer);
        }
        let subject = match (subject.is_empty(), regex.is_empty()) {
            (false, true) => Subject::Is(subject.to_owned()),
            (true, false) => Regex::new(regex)
                .map(Subject::Matches)
                .map_err(|e| BadIdentity::Regex(regex.to_owned(), e.to_string()))?,
            _ => return Err(BadIdentity::Subject),
        };
        Ok(Self {
            issuer: issuer.to_owned(),
            subject,
        })
    }

    /// Checks that this is who signed.
    fn check(&self, signer: Signer) -> Result<(), Flaw> {
        if signer.issuer != self.issuer {
            let wanted = format!("{:?}", self.issuer);
            return Err(Flaw::OtherIssuer { signer, wanted });
        }
        let (good, wanted) = match &self.subject {
            Subject::Is(name) => (signer.names.contains(name), format!("be {name:?}")),
            Subject::Matches(regex) => (
                signer.names.iter().any(|name| regex.is_match(name)),
                format!("match {:?}", regex.as_str()),
            ),
        };
        if good {
            Ok(())
        } else {
            Err(Flaw::OtherSubject { signer, wanted })
        }
    }
}

/// Checks that this identity made a signature, by what is beside it and whom we trust.
///
/// # Errors
/// It did not, or it is not proven.
pub fn check(signed: Signed<'_>, evidence: &Evidence, identity: &Identity, root: &TrustRoot) -> Result<(), Flaw> {
    let leaf = Leaf::read(&evidence.certificate)?;
    if !leaf.key()?.verifies(signed.message, signed.signature) {
        return Err(Flaw::OtherKey);
    }
    let mut flaw = Flaw::NoEntry;
    for entry in &evidence.entries {
        match published(entry, signed, evidence, root) {
            Ok(at) => {
                leaf.trusted_at(at, &evidence.chain, root)?;
                return identity.check(leaf.signer()?);
            }
            Err(why) => flaw = why,
        }
    }
    Err(flaw)
}

/// Checks that a log has this signature; the time at which it was there.
fn published(entry: &Entry, signed: Signed<'_>, evidence: &Evidence, root: &TrustRoot) -> Result<Timestamp, Flaw> {
    about::check(&entry.body, signed, &evidence.certificate)?;
    let proven = entry.proven(root)?;
    let at = match proven.integrated {
        Some(at) => at,
        None => stamped(signed, evidence, root)?,
    };
    if proven.log.valid.contains(at) {
        Ok(at)
    } else {
        Err(Flaw::LogNotThen(at))
    }
}

/// When an authority saw the signature: newer logs leave that to others.
fn stamped(signed: Signed<'_>, evidence: &Evidence, root: &TrustRoot) -> Result<Timestamp, Flaw> {
    let mut flaw = Flaw::NoTime;
    for response in &evidence.timestamps {
        match timestamp::check(response, signed.signature, root) {
            Ok(at) => return Ok(at),
            Err(why) => flaw = why,
        }
    }
    Err(flaw)
}

/// Looks at everything in evidence, whatever is wrong with it.
pub(crate) fn examine(evidence: &Evidence, root: &TrustRoot) {
    let signed = Signed {
        message: b"",
        payload: Some(b""),
        signature: b"",
    };
    for entry in &evidence.entries {
        let _ = about::check(&entry.body, signed, &evidence.certificate);
        let _ = entry.proven(root);
    }
    let _ = stamped(signed, evidence, root);
    if let Ok(leaf) = Leaf::read(&evidence.certificate) {
        let _ = (leaf.key(), leaf.signer());
        let _ = leaf.trusted_at(Timestamp::UNIX_EPOCH, &evidence.chain, root);
    }
}
