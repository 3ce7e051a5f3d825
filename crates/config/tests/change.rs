//! Redaction, differences, and what they take to apply.
#![allow(clippy::unwrap_used)]

use config::change::{apply_impact, changes, diff};
use config::patch::{Patch, apply};
use config::{Config, Mode};

const CONTROL_PLANE: &str = include_str!("vectors/v1.13/controlplane.yaml");

fn base() -> Config {
    Config::decode(CONTROL_PLANE.as_bytes()).unwrap()
}

fn patched(patch: &str) -> Config {
    apply(&base(), &[Patch::load(patch.as_bytes()).unwrap()]).unwrap()
}

#[test]
fn redaction_leaves_no_secret_and_a_configuration_that_loads() {
    let auth = "apiVersion: v1alpha1\nkind: RegistryAuthConfig\nname: ghcr.io\nusername: me\npassword: hunter2\n";
    let wireguard = "apiVersion: v1alpha1\nkind: WireguardConfig\nname: wg0\nprivateKey: abcdefgh\n";
    let config = patched(&format!("{auth}---\n{wireguard}"));
    let redacted = config.redacted("**REDACTED**");
    let text = String::from_utf8(redacted.encode()).unwrap();
    let again = Config::decode(text.as_bytes()).unwrap();
    assert_eq!(again, redacted);
    for secret in [
        "naotm3dw14hd01pw",
        "19o0ceraxdq6pg0q",
        "hunter2",
        "abcdefgh",
        "YpZCT07nREhL6anCktYLwM8LY598ghU2jcAf6m69diM",
    ] {
        assert!(config.encode_canonical().contains(secret));
        assert!(!text.contains(secret), "{secret}");
    }
    let machine = again.machine().unwrap();
    assert_eq!(machine.ca.as_ref().unwrap().key.expose(), b"**REDACTED**");
    assert_eq!(
        machine.ca.as_ref().unwrap().crt,
        config.machine().unwrap().ca.as_ref().unwrap().crt
    );
    assert!(text.contains("username: me") && text.contains("token: '**REDACTED**'"));
}

#[test]
fn every_secret_is_listed_as_it_stands_and_decoded() {
    let auth = "apiVersion: v1alpha1\nkind: RegistryAuthConfig\nname: ghcr.io\nusername: me\npassword: hunter2\n";
    let config = patched(auth);
    let found = config.secrets();
    let has = |text: &[u8]| found.iter().any(|secret| secret.expose() == text);
    let machine = config.machine().unwrap();
    assert!(has(b"hunter2") && !has(b"me"));
    assert!(has(machine.token.as_ref().unwrap().expose()));
    assert!(has(machine.ca.as_ref().unwrap().key.expose()), "a key, decoded");
    assert!(!has(&machine.ca.as_ref().unwrap().crt), "a certificate is no secret");
    let text = config.encode_canonical();
    assert!(
        found
            .iter()
            .filter(|secret| text.contains(secret.expose_str().unwrap()))
            .count()
            >= 5
    );
}

#[test]
fn what_needs_a_reboot_is_told_from_what_does_not() {
    let impact = |patch: &str| apply_impact(&base(), &patched(patch));
    for patch in [
        "debug: true",
        "cluster: {proxy: {disabled: true}}",
        "machine: {nodeLabels: {a: b}, sysctls: {net.core.somaxconn: '1'}, kubelet: {image: x}}",
        "machine: {features: {hostDNS: {enabled: false}}}",
        "apiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: docker.io\nendpoints: [{url: 'http://a'}]",
        "apiVersion: v1alpha1\nkind: HostnameConfig\n$patch: delete",
        "apiVersion: v1alpha1\nkind: KubeSpanEndpoints\nextraAnnouncedEndpoints: ['1.2.3.4:5']",
    ] {
        let impact = impact(patch);
        assert!(!impact.needs_reboot() && !impact.is_empty(), "{patch}: {impact:?}");
    }
    assert_eq!(
        impact("machine: {env: {a: b}, nodeLabels: {c: d}}").reboot,
        ["machine.env.a"]
    );
    assert_eq!(
        impact("machine: {features: {diskQuotaSupport: false}}").reboot,
        ["machine.features.diskQuotaSupport"]
    );
    assert_eq!(
        impact("machine: {files: [{path: /var/a, content: b}]}").reboot,
        ["machine.files"]
    );
    // Whom signatures are traced back to is no file that is written.
    let trusted = impact("machine: {files: [{path: /etc/sigstore/trusted_root.json, content: b}]}");
    assert!(!trusted.needs_reboot() && !trusted.is_empty(), "{trusted:?}");
    assert!(impact("machine: {}").is_empty());
}

#[test]
fn an_empty_value_is_no_change() {
    assert!(changes(&base(), &patched("machine: {sysctls: {}, certSANs: []}")).is_empty());
}

#[test]
fn the_difference_is_a_unified_diff() {
    let text = diff(&base(), &patched("machine: {install: {wipe: true}}"));
    assert!(text.starts_with("--- a\n+++ b\n@@ "), "{text}");
    assert!(text.contains("\n-        wipe: false\n+        wipe: true\n"), "{text}");
    assert_eq!(diff(&base(), &base()), "");
}

#[test]
fn a_generated_configuration_has_nothing_to_report_in_a_container() {
    assert_eq!(base().without_effect(Mode::Container), Vec::<String>::new());
}
