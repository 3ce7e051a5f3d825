//! Keyless signatures of a little sigstore: which count, and why others do not.

// A test may panic; clippy's exception for tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use image_trust::keyless::{self, Signer};
use image_trust::{Flaw, Identity, Signatory, TrustRoot, bundle, simple};
use jiff::SignedDuration;
use serde_json::{Value, json};
use test_sigstore::{LIFETIME, Name, Signing, Sigstore};

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";
const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000002";
const ISSUER: &str = "https://issuer.example";
const ME: &str = "me@example.com";
const STATEMENT: &str = "application/vnd.in-toto+json";

fn document(digest: &str) -> Vec<u8> {
    let document = json!({"critical": {
        "identity": {"docker-reference": "ghcr.io/me/app"},
        "image": {"docker-manifest-digest": digest},
        "type": simple::TYPE,
    }, "optional": null});
    document.to_string().into_bytes()
}

fn statement(digest: &str) -> Vec<u8> {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": digest.trim_start_matches("sha256:")}}],
        "predicateType": bundle::PREDICATE,
    });
    statement.to_string().into_bytes()
}

fn identity(issuer: &str, subject: &str, regex: &str, root: &Value) -> Signatory {
    let root = TrustRoot::parse(&root.to_string()).unwrap();
    Signatory::Identity(Identity::new(issuer, subject, regex).unwrap(), Arc::new(root))
}

/// Me, by this trust root.
fn me(root: &Value) -> Signatory {
    identity(ISSUER, ME, "", root)
}

fn annotated(annotations: &BTreeMap<String, String>, signatory: &Signatory) -> Result<(), Flaw> {
    simple::check(&document(DIGEST), annotations, signatory, DIGEST)
}

fn bundled(bundle: &Value, signatory: &Signatory) -> Result<(), Flaw> {
    bundle::check(bundle.to_string().as_bytes(), signatory, DIGEST)
}

/// Signs the image in both forms, and gives what is said of each, which must be the same.
fn both(sigstore: &Sigstore, signing: &Signing, signatory: &Signatory) -> Result<(), Flaw> {
    let annotations = sigstore.annotations(signing, &document(DIGEST)).unwrap();
    let bundle = sigstore.bundle(signing, STATEMENT, &statement(DIGEST)).unwrap();
    let checked = annotated(&annotations, signatory);
    assert_eq!(checked, bundled(&bundle, signatory));
    checked
}

fn said(checked: Result<(), Flaw>) -> String {
    checked.unwrap_err().to_string()
}

fn changed(value: &Value, path: &str, to: Value) -> Value {
    let mut value = value.clone();
    *value.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = to;
    value
}

#[test]
fn a_signature_counts_by_whom_the_rule_names() {
    let sigstore = Sigstore::new().unwrap();
    let root = sigstore.trusted_root().unwrap();
    let now = Signing::now(ISSUER, ME);
    assert_eq!(both(&sigstore, &now, &me(&root)), Ok(()));
    // A certificate that expired meanwhile was good when it was used.
    let long_ago = Signing {
        certified: now.certified - SignedDuration::from_hours(9_000),
        logged: now.certified - SignedDuration::from_hours(9_000) + LIFETIME,
        ..now.clone()
    };
    assert_eq!(both(&sigstore, &long_ago, &me(&root)), Ok(()));
    for (name, regex) in [
        (Name::Email(ME.to_owned()), "^.*@example[.]com$"),
        (
            Name::Uri("https://github.com/me/app/.github/workflows/release.yaml@refs/tags/v1".to_owned()),
            "^https://github[.]com/me/app/[.]github/workflows/release[.]yaml@refs/tags/v[0-9]+$",
        ),
        (Name::Other("me!example.com".to_owned()), "me!example"),
    ] {
        let signing = Signing { name, ..now.clone() };
        assert_eq!(
            both(&sigstore, &signing, &identity(ISSUER, "", regex, &root)),
            Ok(()),
            "{regex}"
        );
    }
}

#[test]
fn somebody_else_is_named_when_they_signed() {
    let sigstore = Sigstore::new().unwrap();
    let root = sigstore.trusted_root().unwrap();
    let signing = Signing::now(ISSUER, ME);
    let other = identity("https://other.example", ME, "", &root);
    assert_eq!(
        said(both(&sigstore, &signing, &other)),
        "it is signed by \"me@example.com\" (issuer \"https://issuer.example\"), and the issuer must be \
         \"https://other.example\""
    );
    // A name is compared whole, an expression may match a part.
    for (subject, regex, wanted) in [
        ("me@example.co", "", "be \"me@example.co\""),
        ("you@example.com", "", "be \"you@example.com\""),
        ("", "^you@", "match \"^you@\""),
    ] {
        let checked = both(&sigstore, &signing, &identity(ISSUER, subject, regex, &root));
        let signer = Signer {
            issuer: ISSUER.to_owned(),
            names: vec![ME.to_owned()],
        };
        let wanted = wanted.to_owned();
        assert_eq!(checked, Err(keyless::Flaw::OtherSubject { signer, wanted }.into()));
    }
}

#[test]
fn a_certificate_counts_while_it_is_good() {
    let sigstore = Sigstore::new().unwrap();
    let root = sigstore.trusted_root().unwrap();
    let signing = Signing::now(ISSUER, ME);
    let second = SignedDuration::from_secs(1);
    for logged in [
        signing.certified + LIFETIME + second,
        signing.certified - second - second,
    ] {
        let checked = both(
            &sigstore,
            &Signing {
                logged,
                ..signing.clone()
            },
            &me(&root),
        );
        assert!(
            matches!(checked, Err(Flaw::Keyless(keyless::Flaw::NotThen { at, .. })) if at.as_second() == logged.as_second()),
            "{checked:?}"
        );
    }
}

#[test]
fn a_certificate_for_something_else_does_not_count() {
    let sigstore = Sigstore::new().unwrap();
    let root = sigstore.trusted_root().unwrap();
    let server = Signing {
        purpose: 1,
        ..Signing::now(ISSUER, ME)
    };
    assert_eq!(
        both(&sigstore, &server, &me(&root)),
        Err(keyless::Flaw::OtherUse.into())
    );
}

#[test]
fn strangers_prove_nothing() {
    let (sigstore, stranger) = (Sigstore::new().unwrap(), Sigstore::new().unwrap());
    let (root, other) = (sigstore.trusted_root().unwrap(), stranger.trusted_root().unwrap());
    let signing = Signing::now(ISSUER, ME);
    let with = |path: &str| me(&changed(&root, path, other.pointer(path).unwrap().clone()));
    for (path, why) in [
        ("/certificateAuthorities", "not by an authority that is trusted"),
        ("/tlogs", "which is not trusted"),
        (
            "/tlogs/0/publicKey/rawBytes",
            "the signed entry timestamp is not the log's",
        ),
        ("/ctlogs", "the logs that signed it are not trusted"),
        ("/ctlogs/0/publicKey/rawBytes", "the log signed something else"),
    ] {
        let said = said(both(&sigstore, &signing, &with(path)));
        assert!(said.contains(why), "{path}: {said}");
    }
    // Whose certificates need not be in a log has no such log.
    assert_eq!(
        both(&sigstore, &signing, &me(&changed(&root, "/ctlogs", json!([])))),
        Ok(())
    );
    let said = said(both(
        &sigstore,
        &signing,
        &Signatory::Identity(Identity::new(ISSUER, ME, "").unwrap(), TrustRoot::public_good()),
    ));
    assert!(said.contains("which is not trusted"), "{said}");
}

#[test]
fn authorities_and_logs_are_trusted_for_a_time() {
    let sigstore = Sigstore::new().unwrap();
    let root = sigstore.trusted_root().unwrap();
    let signing = Signing::now(ISSUER, ME);
    let ended = json!({"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"});
    for (path, why) in [
        ("/certificateAuthorities/0/validFor", "none was trusted at that time"),
        ("/tlogs/0/publicKey/validFor", "the transparency log was not trusted at"),
        (
            "/ctlogs/0/publicKey/validFor",
            "the logs that signed it are not trusted",
        ),
    ] {
        let said = said(both(&sigstore, &signing, &me(&changed(&root, path, ended.clone()))));
        assert!(said.contains(why), "{path}: {said}");
    }
}

#[test]
fn an_entry_must_be_about_this_signature_and_in_the_log() {
    let sigstore = Sigstore::new().unwrap();
    let root = sigstore.trusted_root().unwrap();
    let signing = Signing::now(ISSUER, ME);
    let signed = || sigstore.annotations(&signing, &document(DIGEST)).unwrap();
    let (mut first, second) = (signed(), signed());
    let of_other = sigstore.annotations(&signing, &document(OTHER)).unwrap();
    let entry = keyless::annotation::BUNDLE;
    for (from, why) in [(&second, "about another signature"), (&of_other, "about other content")] {
        first.insert(entry.to_owned(), from[entry].clone());
        let said = said(annotated(&first, &me(&root)));
        assert!(said.contains(why), "{said}");
    }
    // The time is part of what the log signed.
    let bundle: Value = serde_json::from_str(&signed()[entry]).unwrap();
    let mut forged = signed();
    let earlier = json!(signing.logged.as_second() - 1);
    let earlier = changed(
        &serde_json::from_str(&forged[entry]).unwrap(),
        "/Payload/integratedTime",
        earlier,
    );
    forged.insert(entry.to_owned(), earlier.to_string());
    assert!(said(annotated(&forged, &me(&root))).contains("signed entry timestamp is not the log's"));
    forged.insert(
        entry.to_owned(),
        bundle.to_string().replace("\"body\":\"", "\"body\":\"?"),
    );
    assert!(said(annotated(&forged, &me(&root))).contains("cannot be read"));
    forged.remove(entry);
    assert_eq!(annotated(&forged, &me(&root)), Err(keyless::Flaw::NoEntry.into()));
    // With a key of one's own there is no certificate.
    forged.remove(keyless::annotation::CERTIFICATE);
    assert_eq!(annotated(&forged, &me(&root)), Err(keyless::Flaw::NoCertificate.into()));
    // And the certificate of another signature is not this one's.
    let mut mixed = signed();
    let certificate = keyless::annotation::CERTIFICATE;
    mixed.insert(certificate.to_owned(), second[certificate].clone());
    assert_eq!(annotated(&mixed, &me(&root)), Err(keyless::Flaw::OtherKey.into()));
}

#[test]
fn a_good_signature_of_something_else_does_not_count() {
    let sigstore = Sigstore::new().unwrap();
    let root = sigstore.trusted_root().unwrap();
    let signing = Signing::now(ISSUER, ME);
    let annotations = sigstore.annotations(&signing, &document(OTHER)).unwrap();
    let checked = simple::check(&document(OTHER), &annotations, &me(&root), DIGEST);
    assert_eq!(checked, Err(Flaw::OtherThing(format!("the image {OTHER:?}"))));
    assert_eq!(annotated(&annotations, &me(&root)), Err(keyless::Flaw::OtherKey.into()));
    let bundle = sigstore.bundle(&signing, STATEMENT, &statement(OTHER)).unwrap();
    assert_eq!(
        bundled(&bundle, &me(&root)),
        Err(Flaw::OtherThing("another image".to_owned()))
    );
}

#[test]
fn every_proof_of_a_bundle_must_be_right_and_one_must_say_when() {
    let sigstore = Sigstore::new().unwrap();
    let root = sigstore.trusted_root().unwrap();
    let signing = Signing::now(ISSUER, ME);
    let bundle = sigstore.bundle(&signing, STATEMENT, &statement(DIGEST)).unwrap();
    let other = sigstore.bundle(&signing, STATEMENT, &statement(DIGEST)).unwrap();
    let entry = "/verificationMaterial/tlogEntries/0";
    let at = |rest: &str| format!("{entry}{rest}");
    let without = |rest: &str| changed(&bundle, &at(rest), Value::Null);
    let with = |rest: &str| changed(&bundle, &at(rest), other.pointer(&at(rest)).unwrap().clone());
    assert_eq!(bundled(&without("/inclusionProof"), &me(&root)), Ok(()));
    // Older bundles have proofs without one, which prove nothing and do no harm.
    assert_eq!(bundled(&without("/inclusionProof/checkpoint"), &me(&root)), Ok(()));
    let neither = changed(&without("/inclusionProof"), &at("/inclusionPromise"), Value::Null);
    for (bundle, why) in [
        (with("/inclusionProof"), "does not lead to the checkpoint"),
        (with("/inclusionProof/checkpoint"), "does not lead to the checkpoint"),
        (
            changed(&bundle, &at("/inclusionProof/logIndex"), json!("1")),
            "does not lead to the checkpoint",
        ),
        (
            changed(&bundle, &at("/inclusionProof/hashes"), json!([])),
            "does not lead to the checkpoint",
        ),
        (
            changed(&bundle, &at("/inclusionProof/checkpoint/envelope"), json!("")),
            "no signed note",
        ),
        (
            changed(
                &bundle,
                &at("/inclusionProof/checkpoint/envelope"),
                json!("a\n3\nb\n\n— a AAAAAAAA\n"),
            ),
            "the checkpoint is not signed by the log",
        ),
        (with("/inclusionPromise"), "signed entry timestamp is not the log's"),
        (without("/inclusionPromise"), "nothing that is trusted says when"),
        (neither, "neither a signed entry timestamp nor an inclusion proof"),
        (with("/canonicalizedBody"), "about another signature"),
        (
            changed(&bundle, "/verificationMaterial/tlogEntries", json!([])),
            "no entry of a transparency log",
        ),
        (
            changed(&bundle, "/verificationMaterial", json!({"publicKey": {"hint": "x"}})),
            "no certificate",
        ),
        (
            changed(&bundle, &at("/logId/keyId"), json!("AAAA")),
            "log 000000, which is not trusted",
        ),
    ] {
        let said = said(bundled(&bundle, &me(&root)));
        assert!(said.contains(why), "{why}: {said}");
    }
}

#[test]
fn an_identity_names_an_issuer_and_one_subject() {
    assert!(Identity::new("", "a", "").is_err());
    assert!(Identity::new("https://i", "", "").is_err());
    assert!(Identity::new("https://i", "a", "b").is_err());
    assert!(
        Identity::new("https://i", "", "(")
            .unwrap_err()
            .to_string()
            .contains("not a regular expression")
    );
}
