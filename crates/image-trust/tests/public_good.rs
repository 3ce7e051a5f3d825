//! Signatures that were really made with the public good instance of sigstore count, by the trust root we have. Where
//! they are from: `data/README.md`.

// A test may panic; clippy's exception for tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image_trust::keyless::{Evidence, Flaw, Material, Signed, check};
use image_trust::{Identity, TrustRoot};
use serde_json::Value;

struct Sample {
    bundle: Value,
    root: Arc<TrustRoot>,
    subject: &'static str,
}

/// Who knows the signers of all samples.
const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// An entry that says when, of an envelope.
fn envelope() -> Sample {
    Sample {
        bundle: serde_json::from_str(include_str!("data/dsse.json")).unwrap(),
        root: TrustRoot::public_good(),
        subject: "https://github.com/prefix-dev/sigstore-example/.github/workflows/action.yaml@refs/heads/main",
    }
}

/// An older entry of an envelope.
fn in_toto() -> Sample {
    Sample {
        bundle: serde_json::from_str(include_str!("data/intoto.json")).unwrap(),
        root: TrustRoot::public_good(),
        subject: "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main",
    }
}

/// An entry that does not say when, and a timestamp, of the instance that is for tests.
fn timestamp() -> Sample {
    let root = TrustRoot::parse(include_str!("data/trusted_root_staging.json")).unwrap();
    Sample {
        bundle: serde_json::from_str(include_str!("data/timestamp-staging.json")).unwrap(),
        root: Arc::new(root),
        subject: "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/\
                  extremely-dangerous-oidc-beacon.yml@refs/heads/main",
    }
}

impl Sample {
    fn bytes(&self, path: &str) -> Vec<u8> {
        STANDARD
            .decode(self.bundle.pointer(path).unwrap().as_str().unwrap())
            .unwrap()
    }

    fn check(&self, subject: &str) -> Result<(), Flaw> {
        let material: Material = serde_json::from_value(self.bundle["verificationMaterial"].clone()).unwrap();
        let evidence = Evidence::from_material(material).unwrap();
        let identity = Identity::new(GITHUB, subject, "").unwrap();
        let payload = self.bytes("/dsseEnvelope/payload");
        let kind = self.bundle["dsseEnvelope"]["payloadType"].as_str().unwrap();
        let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
        let signed = Signed {
            message: &[head.as_bytes(), &payload].concat(),
            payload: Some(&payload),
            signature: &self.bytes("/dsseEnvelope/signatures/0/sig"),
        };
        check(signed, &evidence, &identity, &self.root)
    }
}

#[test]
fn what_was_really_signed_counts() {
    for sample in [envelope(), in_toto(), timestamp()] {
        assert_eq!(sample.check(sample.subject), Ok(()), "{}", sample.subject);
        let checked = sample.check("somebody else");
        assert!(matches!(checked, Err(Flaw::OtherSubject { .. })), "{checked:?}");
    }
}

#[test]
fn what_was_made_with_another_instance_does_not_count() {
    let mut sample = timestamp();
    sample.root = TrustRoot::public_good();
    let checked = sample.check(sample.subject);
    assert!(matches!(checked, Err(Flaw::StrangeLog(_))), "{checked:?}");
}

#[test]
fn a_timestamp_of_something_else_or_damaged_does_not_count() {
    let mut sample = timestamp();
    let path = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
    let good = sample.bytes(path);
    let mut put = |bytes: &[u8]| {
        *sample.bundle.pointer_mut(path).unwrap() = STANDARD.encode(bytes).into();
        sample.check(sample.subject)
    };
    // Every place would take seconds.
    let places: Vec<usize> = (0..good.len()).step_by(5).collect();
    let mut unnoticed = 0;
    for place in places.iter().copied() {
        let mut changed = good.clone();
        changed[place] ^= 0x20;
        match put(&changed) {
            // What is not signed may say anything: the status, versions, who it is by.
            Ok(()) => unnoticed += 1,
            Err(why) => assert!(matches!(why, Flaw::Timestamp(_)), "{place}: {why}"),
        }
    }
    assert!(
        unnoticed < places.len() / 4,
        "{unnoticed} of {} changes are not noticed",
        places.len()
    );
    assert_eq!(put(&good), Ok(()));
    sample.bundle["verificationMaterial"]["timestampVerificationData"] = Value::Null;
    assert_eq!(sample.check(sample.subject), Err(Flaw::NoTime));
}
