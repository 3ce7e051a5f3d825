//! Entry point for fuzzing: it takes any bytes, must come back soon, and must not panic.

use std::collections::BTreeMap;

use crate::keyless::{Evidence, examine};
use crate::{Pattern, TrustRoot, bundle, pattern, simple};

/// A digest that the seeds name.
const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";
/// Another.
const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000002";

/// What is beside images in registries, as if the right key had signed it; and a pattern.
pub fn signature(bytes: &[u8]) {
    let both = simple::says(bytes, DIGEST).is_ok() && simple::says(bytes, OTHER).is_ok();
    assert!(!both, "a document counts for two images");
    if let Ok(signed) = bundle::read(bytes) {
        let _ = bundle::says(&signed.kind, &signed.payload, DIGEST);
        if let Ok(Some(evidence)) = signed.evidence() {
            examine(&evidence, &TrustRoot::public_good());
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        pattern::never(text);
        if let Ok(pattern) = Pattern::parse(text) {
            pattern.matches("registry.k8s.io/coredns/coredns");
        }
    }
}

/// What is beside a keyless signature in annotations (JSON here), and a trust root.
pub fn keyless(bytes: &[u8]) {
    if let Ok(annotations) = serde_json::from_slice::<BTreeMap<String, String>>(bytes) {
        let evidence = Evidence::from_annotations(|name| annotations.get(name).map(String::as_str));
        if let Ok(Some(evidence)) = evidence {
            examine(&evidence, &TrustRoot::public_good());
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = TrustRoot::parse(text);
    }
    // Without what is around them, so that changes come deeper: a certificate, a timestamp, an entry.
    let evidence = Evidence {
        certificate: bytes.to_owned(),
        timestamps: vec![bytes.to_owned()],
        entries: vec![crate::keyless::Entry {
            log: Vec::new(),
            index: 0,
            integrated: 0,
            body: bytes.to_owned(),
            promise: None,
            proof: None,
        }],
        ..Evidence::default()
    };
    examine(&evidence, &TrustRoot::public_good());
}
