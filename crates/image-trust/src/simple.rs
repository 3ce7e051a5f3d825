//! Signatures as an image of their own beside the signed one, under a tag made of its digest. Each layer is what was
//! signed: a JSON document that names the digest ("simple signing"); the signature is an annotation of the layer.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::keyless::{Evidence, Signed};
use crate::{Flaw, Signatory, decoded};

/// Media type of a layer that was signed.
pub const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation with the signature, base64.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What the signed document says it is.
pub const TYPE: &str = "cosign container image signature";

/// The tag under which signatures of an image are kept; `digest` is `sha256:…`.
pub fn tag(digest: &str) -> String {
    format!("{}.sig", digest.replace(':', "-"))
}

/// What was signed, as far as we look at it. The name of the image is in it too, and not looked at: the same image is
/// as good under another name, and mirrors have it under others.
#[derive(Debug, Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Debug, Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// Checks that this signatory signed a document that says that the image with this digest is good. The signature, and
/// what is beside it, are in the layer's annotations.
///
/// # Errors
/// They did not, or not of this image.
pub fn check(
    payload: &[u8],
    annotations: &BTreeMap<String, String>,
    signatory: &Signatory,
    digest: &str,
) -> Result<(), Flaw> {
    let get = |name: &str| annotations.get(name).map(String::as_str);
    let signature = decoded("the annotation", get(SIGNATURE).unwrap_or_default())?;
    // What is in a document that nobody signed is of no interest.
    let signed = Signed {
        message: payload,
        payload: None,
        signature: &signature,
    };
    signatory.signed(signed, || Evidence::from_annotations(get))?;
    says(payload, digest)
}

pub(crate) fn says(payload: &[u8], digest: &str) -> Result<(), Flaw> {
    let payload: Payload = serde_json::from_slice(payload).map_err(|e| Flaw::Unreadable(e.to_string()))?;
    let critical = payload.critical;
    if critical.kind != TYPE && critical.kind != crate::bundle::PREDICATE {
        return Err(Flaw::OtherThing(format!("something of the type {:?}", critical.kind)));
    }
    if critical.image.digest != digest {
        return Err(Flaw::OtherThing(format!("the image {:?}", critical.image.digest)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;
    use crate::Key;
    use crate::key::tests::{pair, sign};

    fn checked(payload: &[u8], signature: &str, key: &Key, digest: &str) -> Result<(), Flaw> {
        let annotations = BTreeMap::from([(SIGNATURE.to_owned(), signature.to_owned())]);
        check(payload, &annotations, &Signatory::Key(key.clone()), digest)
    }

    const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

    fn payload(digest: &str) -> String {
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"ghcr.io/me/app"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"{TYPE}"}},"optional":null}}"#
        )
    }

    #[test]
    fn a_signature_counts_for_the_image_it_names() {
        let (pem, signer) = pair();
        let key = Key::from_pem(&pem).unwrap();
        let document = payload(DIGEST);
        let signature = STANDARD.encode(sign(&signer, document.as_bytes()));
        assert_eq!(checked(document.as_bytes(), &signature, &key, DIGEST), Ok(()));
        let other = DIGEST.replace('1', "2");
        assert!(matches!(
            checked(document.as_bytes(), &signature, &key, &other),
            Err(Flaw::OtherThing(_))
        ));
        let changed = payload(&other);
        assert_eq!(
            checked(changed.as_bytes(), &signature, &key, &other),
            Err(Flaw::OtherKey)
        );
        let stranger = Key::from_pem(&pair().0).unwrap();
        assert_eq!(
            checked(document.as_bytes(), &signature, &stranger, DIGEST),
            Err(Flaw::OtherKey)
        );
        assert!(matches!(
            checked(document.as_bytes(), "?", &key, DIGEST),
            Err(Flaw::Unreadable(_))
        ));
    }

    #[test]
    fn a_signed_document_of_another_kind_does_not_count() {
        for text in [
            payload(DIGEST).replace(TYPE, "atomic container signature"),
            payload(DIGEST).replace("critical", "optional"),
            payload(DIGEST).replace("docker-manifest-digest", "digest"),
            format!("[{}]", payload(DIGEST)),
            // The same key twice: whichever is meant, it is not clear.
            payload(DIGEST).replace("\"type\":", "\"image\":{\"docker-manifest-digest\":\"x\"},\"type\":"),
            String::new(),
        ] {
            let (pem, signer) = pair();
            let signature = STANDARD.encode(sign(&signer, text.as_bytes()));
            let checked = checked(text.as_bytes(), &signature, &Key::from_pem(&pem).unwrap(), DIGEST);
            assert!(checked.is_err(), "{text}");
        }
    }

    #[test]
    fn the_tag_of_signatures_is_made_of_the_digest() {
        assert_eq!(tag("sha256:ab"), "sha256-ab.sig");
    }

    proptest! {
        #[test]
        fn only_the_digest_that_is_named_is_meant(hex in "[0-9a-f]{64}") {
            let digest = format!("sha256:{hex}");
            prop_assert_eq!(says(payload(&digest).as_bytes(), DIGEST).is_ok(), digest == DIGEST);
            prop_assert!(says(payload(&digest).as_bytes(), &digest).is_ok());
        }
    }
}
