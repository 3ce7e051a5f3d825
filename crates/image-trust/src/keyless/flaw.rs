//! Why a keyless signature does not count.

use jiff::Timestamp;

use super::certificate::Signer;

/// Why a keyless signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It was made with a key that is not in a certificate.
    #[error("the signature has no certificate that says who made it")]
    NoCertificate,
    /// Something beside the signature is not what it should be.
    #[error("{0} beside the signature cannot be read: {1}")]
    Unreadable(&'static str, String),
    /// The certificate's key did not make the signature, or what is signed was changed.
    #[error("the signature is not by the key of its certificate")]
    OtherKey,
    /// Nothing shows that it was published.
    #[error("the signature has no entry of a transparency log")]
    NoEntry,
    /// The log is none of the trust root.
    #[error("the entry is of the transparency log {0}, which is not trusted")]
    StrangeLog(String),
    /// What is beside the entry does not prove that it is in the log.
    #[error("it is not proven that the entry is in the transparency log: {0}")]
    Unproven(&'static str),
    /// The entry is a good one of something else.
    #[error("the entry of the transparency log is about {0}")]
    OtherEntry(String),
    /// A certificate is good for minutes, so it must be clear when the signature was made.
    #[error("nothing that is trusted says when the signature was made")]
    NoTime,
    /// A timestamp is not what it should be.
    #[error("the timestamp of the signature does not count: {0}")]
    Timestamp(String),
    /// The log's key was not good at that time.
    #[error("the transparency log was not trusted at {0}, when the signature was made")]
    LogNotThen(Timestamp),
    /// The certificate was not good at that time.
    #[error("the certificate was good from {from} to {until}, and the signature was made at {at}")]
    NotThen {
        /// Beginning of the certificate.
        from: Timestamp,
        /// Its end.
        until: Timestamp,
        /// Time of the signature.
        at: Timestamp,
    },
    /// The certificate is for something else.
    #[error("the certificate is not for signing")]
    OtherUse,
    /// No authority of the trust root issued the certificate.
    #[error("the certificate is not by an authority that is trusted: {0}")]
    Stranger(String),
    /// The certificate was not published.
    #[error("no certificate transparency log that is trusted has seen the certificate: {0}")]
    Unseen(&'static str),
    /// Another identity provider knows the signer.
    #[error("it is signed by {signer}, and the issuer must be {wanted}")]
    OtherIssuer {
        /// Who signed.
        signer: Signer,
        /// What the rule wants.
        wanted: String,
    },
    /// Somebody else signed.
    #[error("it is signed by {signer}, and the subject must {wanted}")]
    OtherSubject {
        /// Who signed.
        signer: Signer,
        /// What the rule wants: `be …` or `match …`.
        wanted: String,
    },
}
