//! Entry point for fuzzing: it takes any bytes, must come back soon, and must not panic.

use crate::{Pattern, bundle, pattern, simple};

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
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        pattern::never(text);
        if let Ok(pattern) = Pattern::parse(text) {
            pattern.matches("registry.k8s.io/coredns/coredns");
        }
    }
}
