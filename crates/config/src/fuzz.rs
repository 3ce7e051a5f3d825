//! Entry points for fuzzing: each takes any bytes, must come back soon, and must not panic.
//!
//! `fuzz/` runs them with a coverage-guided fuzzer; the tests run them over a collection of nasty inputs.

use crate::patch::{Patch, apply};
use crate::{Config, Mode};

/// Decodes, and checks that what decodes survives the canonical layout, validation and redaction.
pub fn decode(bytes: &[u8]) {
    let Ok(config) = Config::decode(bytes) else { return };
    let text = config.encode_canonical();
    match Config::decode(text.as_bytes()) {
        Ok(again) => {
            assert!(again == config, "the canonical layout means something else:\n{text}");
            assert!(
                again.encode_canonical() == text,
                "the canonical layout is not stable:\n{text}"
            );
        }
        Err(error) => panic!("the canonical layout does not decode: {error}\n{text}"),
    }
    let _ = config.validate(Mode::Metal);
    let _ = config.without_effect(Mode::Container);
    let redacted = config.redacted("**REDACTED**");
    assert!(
        Config::decode(&redacted.encode()).is_ok(),
        "the redacted configuration does not decode"
    );
    crate::view::registries(&config);
    crate::view::api_server(&config);
    crate::view::kubespan(&config);
}

/// Reads a patch and applies it to a configuration; a zero byte separates the two. Without one a fixed configuration is
/// patched.
pub fn patch(bytes: &[u8]) {
    let (base, patch) = match bytes.iter().position(|b| *b == 0) {
        Some(zero) => (&bytes[..zero], &bytes[zero + 1..]),
        None => (BASE.as_bytes(), bytes),
    };
    let (Ok(base), Ok(patch)) = (Config::decode(base), Patch::load(patch)) else {
        return;
    };
    let before = base.encode();
    let result = apply(&base, &[patch]);
    assert!(base.encode() == before, "the input of a patch changed");
    if let Ok(patched) = result {
        decode(&patched.encode());
    }
}

/// Reads what a platform carries, and the configuration in it.
pub fn user_data(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(found) = crate::user_data::decode(&text) {
        decode(&found);
    }
}

/// Reads a secrets bundle.
pub fn secrets(bytes: &[u8]) {
    let _ = crate::secrets::SecretsBundle::load(bytes);
}

const BASE: &str = "version: v1alpha1
machine:
    type: worker
    network:
        interfaces:
            - interface: eth0
              vlans:
                - vlanId: 1
    sysctls:
        a.b: c
cluster:
    controlPlane:
        endpoint: https://a:6443
";
