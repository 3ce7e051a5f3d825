//! What an entry of a transparency log is about: it must be this signature, by this certificate, of this content.

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::flaw::Flaw;
use super::log::hex;

/// A signature with what it is of.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The bytes that were signed.
    pub message: &'a [u8],
    /// The content of the envelope, where the message is made of one.
    pub payload: Option<&'a [u8]>,
    /// The signature.
    pub signature: &'a [u8],
}

/// Where an entry has what matters: JSON pointers.
struct Form {
    /// The hash: an object.
    hash: &'static str,
    /// The hash is of the envelope's content, and not of what was signed.
    of_payload: bool,
    /// The signature, or a list of them.
    signatures: &'static str,
    /// In such a one: the bytes of the signature.
    content: &'static str,
    /// In such a one: the certificate.
    certificate: &'static str,
    encoding: Encoding,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// Hashes in hexadecimal, certificates PEM in base64.
    Pem,
    /// The same, and signatures in base64 twice.
    PemTwice,
    /// Hashes and certificates (DER) in base64.
    Der,
}

const HASHED_RECORD: Form = Form {
    hash: "/spec/data/hash",
    of_payload: false,
    signatures: "/spec/signature",
    content: "/content",
    certificate: "/publicKey/content",
    encoding: Encoding::Pem,
};

const HASHED_RECORD_2: Form = Form {
    hash: "/spec/hashedRekordV002/data",
    of_payload: false,
    signatures: "/spec/hashedRekordV002/signature",
    content: "/content",
    certificate: "/verifier/x509Certificate/rawBytes",
    encoding: Encoding::Der,
};

const ENVELOPE: Form = Form {
    hash: "/spec/payloadHash",
    of_payload: true,
    signatures: "/spec/signatures",
    content: "/signature",
    certificate: "/verifier",
    encoding: Encoding::Pem,
};

const ENVELOPE_2: Form = Form {
    hash: "/spec/dsseV002/payloadHash",
    of_payload: true,
    signatures: "/spec/dsseV002/signatures",
    content: "/content",
    certificate: "/verifier/x509Certificate/rawBytes",
    encoding: Encoding::Der,
};

const IN_TOTO: Form = Form {
    hash: "/spec/content/payloadHash",
    of_payload: true,
    signatures: "/spec/content/envelope/signatures",
    content: "/sig",
    certificate: "/publicKey",
    encoding: Encoding::PemTwice,
};

/// Checks that an entry is about this signature by this certificate (DER).
///
/// # Errors
/// It is about something else, or of a kind that does not say.
pub fn check(body: &[u8], signed: Signed<'_>, certificate: &[u8]) -> Result<(), Flaw> {
    let unreadable = |e: serde_json::Error| Flaw::Unreadable("the entry of the transparency log", e.to_string());
    let entry: Value = serde_json::from_slice(body).map_err(unreadable)?;
    let form = form(&entry)?;
    let other = |what: &str| Flaw::OtherEntry(what.to_owned());
    let content = match (form.of_payload, signed.payload) {
        (false, _) => signed.message,
        (true, Some(payload)) => payload,
        (true, None) => return Err(other("an envelope")),
    };
    if !entry
        .pointer(form.hash)
        .is_some_and(|hash| form.is_hash_of(hash, content))
    {
        return Err(other("other content"));
    }
    let found = entry.pointer(form.signatures).unwrap_or(&Value::Null);
    let signatures = found.as_array().map_or(std::slice::from_ref(found), Vec::as_slice);
    let of_this = |s: &&Value| form.signature(s).is_some_and(|bytes| bytes == signed.signature);
    let mut same = signatures.iter().filter(of_this).peekable();
    if same.peek().is_none() {
        return Err(other("another signature"));
    }
    if same.any(|s| form.certificate(s).is_some_and(|der| der == certificate)) {
        Ok(())
    } else {
        Err(other("the signature of another certificate or key"))
    }
}

fn form(entry: &Value) -> Result<Form, Flaw> {
    let text = |key: &str| entry[key].as_str().unwrap_or_default();
    match (text("kind"), text("apiVersion")) {
        ("hashedrekord", "0.0.1") => Ok(HASHED_RECORD),
        ("hashedrekord", "0.0.2") => Ok(HASHED_RECORD_2),
        ("dsse", "0.0.1") => Ok(ENVELOPE),
        ("dsse", "0.0.2") => Ok(ENVELOPE_2),
        ("intoto", "0.0.2") => Ok(IN_TOTO),
        (kind, version) => Err(Flaw::OtherEntry(format!(
            "something of the kind {kind:?}, version {version:?}, which is not supported"
        ))),
    }
}

impl Form {
    fn is_hash_of(&self, hash: &Value, content: &[u8]) -> bool {
        let Some(algorithm) = hash["algorithm"].as_str().and_then(algorithm) else {
            return false;
        };
        let expected = digest(algorithm, content);
        match self.encoding {
            Encoding::Pem | Encoding::PemTwice => hash["value"].as_str() == Some(&hex(expected.as_ref())),
            Encoding::Der => hash["digest"].as_str() == Some(&STANDARD.encode(expected)),
        }
    }

    fn signature(&self, signature: &Value) -> Option<Vec<u8>> {
        let once = bytes(signature.pointer(self.content)?)?;
        match self.encoding {
            Encoding::PemTwice => STANDARD.decode(once).ok(),
            Encoding::Pem | Encoding::Der => Some(once),
        }
    }

    /// The certificate of a signature, DER; none if there is a bare key.
    fn certificate(&self, signature: &Value) -> Option<Vec<u8>> {
        let bytes = bytes(signature.pointer(self.certificate)?)?;
        match self.encoding {
            Encoding::Der => Some(bytes),
            Encoding::Pem | Encoding::PemTwice => {
                let blocks = pki::pem::decode(&bytes).ok()?;
                let first = blocks.into_iter().next()?;
                (first.label == pki::pem::CERTIFICATE).then(|| first.der.to_vec())
            }
        }
    }
}

fn algorithm(name: &str) -> Option<&'static Algorithm> {
    match name {
        "sha256" | "SHA2_256" => Some(&SHA256),
        "sha384" | "SHA2_384" => Some(&SHA384),
        "sha512" | "SHA2_512" => Some(&SHA512),
        _ => None,
    }
}

fn bytes(text: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(text.as_str()?).ok()
}
