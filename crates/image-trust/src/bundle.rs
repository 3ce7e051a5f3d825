//! Signatures as artifacts that refer to an image (OCI 1.1): a bundle of sigstore, in which a signed envelope (DSSE)
//! holds a statement (in-toto) about the image. Newer versions of cosign sign so.

use serde::Deserialize;

use crate::keyless::{self, Evidence, Material};
use crate::{Flaw, Signatory, decoded};

/// What the type of a bundle begins with, as an artifact and as its layer; a version follows.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle";
/// What a statement is about: "this image is signed". Other statements (how it was built, what is in it) are no
/// signatures, whoever made them.
pub const PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
/// What is in the envelope.
const STATEMENT: &str = "application/vnd.in-toto+json";
/// Most signatures of an envelope that are tried.
const MAX_SIGNATURES: usize = 16;

/// The tag of an index of artifacts that refer to an image, in registries that cannot list them; `digest` is
/// `sha256:…`.
pub fn fallback_tag(digest: &str) -> String {
    digest.replace(':', "-")
}

/// A bundle, as far as it matters for images.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Option<Envelope>,
    /// Who signed, and what logs say of it: of no interest for a public key.
    #[serde(default)]
    verification_material: serde_json::Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Deserialize)]
struct Signature {
    sig: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Debug, Deserialize)]
struct Subject {
    digest: Digests,
}

#[derive(Debug, Deserialize)]
struct Digests {
    sha256: Option<String>,
}

/// Checks that this signatory signed a statement that says that the image with this digest (`sha256:…`) is good.
///
/// # Errors
/// They did not, or not of this image.
pub fn check(bundle: &[u8], signatory: &Signatory, digest: &str) -> Result<(), Flaw> {
    let bundle = read(bundle)?;
    let message = signed_bytes(&bundle.kind, &bundle.payload);
    let mut checked = Err(Flaw::Unreadable("the envelope has no signature".to_owned()));
    for signature in &bundle.signatures {
        let signed = keyless::Signed {
            message: &message,
            payload: Some(&bundle.payload),
            signature,
        };
        checked = signatory.signed(signed, || bundle.evidence());
        if checked.is_ok() {
            break;
        }
    }
    checked?;
    says(&bundle.kind, &bundle.payload, digest)
}

/// What an envelope holds.
pub(crate) struct Signed {
    /// The type of the content.
    pub(crate) kind: String,
    /// The content.
    pub(crate) payload: Vec<u8>,
    /// Signatures of both, whoever they are of.
    signatures: Vec<Vec<u8>>,
    material: serde_json::Value,
}

impl Signed {
    /// What is beside the signatures, if it is about a certificate.
    pub(crate) fn evidence(&self) -> Result<Option<Evidence>, keyless::Flaw> {
        if self.material.is_null() {
            return Ok(None);
        }
        let material = Material::deserialize(&self.material);
        let material = material.map_err(|e| keyless::Flaw::Unreadable("what is", e.to_string()))?;
        Ok(Evidence::from_material(material))
    }
}

/// Opens the envelope of a bundle.
pub(crate) fn read(bundle: &[u8]) -> Result<Signed, Flaw> {
    let unreadable = |e: serde_json::Error| Flaw::Unreadable(e.to_string());
    let bundle: Bundle = serde_json::from_slice(bundle).map_err(unreadable)?;
    let Some(envelope) = bundle.dsse_envelope else {
        return Err(Flaw::Unreadable(
            "the bundle has no envelope with a statement".to_owned(),
        ));
    };
    let payload = decoded("the payload", &envelope.payload)?;
    let signatures = envelope.signatures.iter().take(MAX_SIGNATURES);
    let signatures = signatures
        .map(|s| decoded("a signature", &s.sig))
        .collect::<Result<_, _>>()?;
    Ok(Signed {
        kind: envelope.payload_type,
        payload,
        signatures,
        material: bundle.verification_material,
    })
}

/// What is signed of an envelope: its type and its content, each with its length.
fn signed_bytes(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

pub(crate) fn says(kind: &str, payload: &[u8], digest: &str) -> Result<(), Flaw> {
    if kind != STATEMENT {
        return Err(Flaw::OtherThing(format!("something of the type {kind:?}")));
    }
    let statement: Statement = serde_json::from_slice(payload).map_err(|e| Flaw::Unreadable(e.to_string()))?;
    if !statement.kind.starts_with("https://in-toto.io/Statement/") {
        return Err(Flaw::OtherThing(format!(
            "a statement of the type {:?}",
            statement.kind
        )));
    }
    if statement.predicate_type != PREDICATE {
        return Err(Flaw::OtherThing(format!(
            "a statement about {:?}",
            statement.predicate_type
        )));
    }
    let wanted = digest.strip_prefix("sha256:");
    let about = |subject: &Subject| subject.digest.sha256.is_some() && subject.digest.sha256.as_deref() == wanted;
    if statement.subject.iter().any(about) {
        Ok(())
    } else {
        Err(Flaw::OtherThing("another image".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::*;
    use crate::Key;
    use crate::key::tests::{pair, sign};

    const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

    fn statement() -> Value {
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": DIGEST.trim_start_matches("sha256:")}, "annotations": {}}],
            "predicateType": PREDICATE,
            "predicate": {},
        })
    }

    /// A bundle with a statement, signed by a new key.
    fn signed(kind: &str, statement: &Value) -> (Key, Value) {
        let (pem, signer) = pair();
        let payload = serde_json::to_vec(statement).unwrap();
        let signature = sign(&signer, &signed_bytes(kind, &payload));
        let bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": "x"}},
            "dsseEnvelope": {
                "payload": STANDARD.encode(payload),
                "payloadType": kind,
                "signatures": [{"sig": STANDARD.encode(signature)}],
            },
        });
        (Key::from_pem(&pem).unwrap(), bundle)
    }

    fn checked(bundle: &Value, key: &Key, digest: &str) -> Result<(), Flaw> {
        check(
            &serde_json::to_vec(bundle).unwrap(),
            &Signatory::Key(key.clone()),
            digest,
        )
    }

    #[test]
    fn a_statement_counts_for_the_image_it_names() {
        let (key, bundle) = signed(STATEMENT, &statement());
        assert_eq!(checked(&bundle, &key, DIGEST), Ok(()));
        let other = DIGEST.replace('1', "2");
        assert!(matches!(checked(&bundle, &key, &other), Err(Flaw::OtherThing(_))));
        let stranger = Key::from_pem(&pair().0).unwrap();
        assert_eq!(checked(&bundle, &stranger, DIGEST), Err(Flaw::OtherKey));
        let mut changed = bundle;
        changed["dsseEnvelope"]["payloadType"] = json!("application/json");
        assert_eq!(checked(&changed, &key, DIGEST), Err(Flaw::OtherKey));
    }

    #[test]
    fn a_signed_statement_about_something_else_does_not_count() {
        for (path, value) in [
            ("/predicateType", json!("https://slsa.dev/provenance/v1")),
            ("/_type", json!("https://example.com/Statement/v1")),
            ("/subject", json!([])),
            ("/subject/0/digest", json!({"sha512": "00"})),
            ("/subject/0/digest/sha256", json!(null)),
        ] {
            let mut statement = statement();
            *statement.pointer_mut(path).unwrap() = value;
            let (key, bundle) = signed(STATEMENT, &statement);
            assert!(
                matches!(checked(&bundle, &key, DIGEST), Err(Flaw::OtherThing(_))),
                "{path}"
            );
        }
        let (key, bundle) = signed("application/json", &statement());
        assert!(matches!(checked(&bundle, &key, DIGEST), Err(Flaw::OtherThing(_))));
        // A digest that is none of the kind we know matches nothing, not even a subject without one.
        let mut nothing = statement();
        nothing["subject"][0]["digest"] = json!({});
        let (key, bundle) = signed(STATEMENT, &nothing);
        assert!(checked(&bundle, &key, "sha512:00").is_err());
    }

    #[test]
    fn a_bundle_without_a_signature_or_a_statement_is_refused() {
        let (key, bundle) = signed(STATEMENT, &statement());
        let mut without = bundle.clone();
        without["dsseEnvelope"]["signatures"] = json!([]);
        assert!(matches!(checked(&without, &key, DIGEST), Err(Flaw::Unreadable(_))));
        let message = json!({"messageSignature": {"signature": ""}});
        assert!(matches!(checked(&message, &key, DIGEST), Err(Flaw::Unreadable(_))));
        assert!(check(b"", &Signatory::Key(key), DIGEST).is_err());
    }
}
