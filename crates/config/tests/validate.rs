//! Validation: what is generated is valid, and what is wrong is reported with its place and remedy.
#![allow(clippy::unwrap_used)]

use config::patch::{Patch, apply};
use config::{Config, Mode};

const CONTROL_PLANE: &str = include_str!("vectors/v1.13/controlplane.yaml");
const WORKER: &str = include_str!("vectors/v1.13/worker.yaml");

fn errors(base: &str, patch: &str) -> Vec<String> {
    let base = Config::decode(base.as_bytes()).unwrap();
    let config = match Patch::load(patch.as_bytes()).and_then(|patch| apply(&base, &[patch])) {
        Ok(config) => config,
        Err(error) => return vec![error.to_string()],
    };
    match config.validate(Mode::Metal) {
        Ok(warnings) => warnings.iter().map(|warning| format!("warning: {warning}")).collect(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn generated_configurations_are_valid_in_every_mode() {
    for text in [
        CONTROL_PLANE,
        WORKER,
        include_str!("vectors/flags/controlplane.yaml"),
        include_str!("vectors/flags/worker.yaml"),
    ] {
        for mode in [Mode::Metal, Mode::Cloud, Mode::Container] {
            let config = Config::decode(text.as_bytes()).unwrap();
            assert_eq!(config.validate_strict(mode, true).map(|warnings| warnings.len()), Ok(0));
        }
    }
}

#[test]
fn older_configurations_are_valid_with_warnings() {
    for text in [
        include_str!("vectors/v1.6/controlplane.yaml"),
        include_str!("vectors/v1.6/worker.yaml"),
    ] {
        let warnings = Config::decode(text.as_bytes()).unwrap().validate(Mode::Metal).unwrap();
        assert!(warnings.iter().any(|warning| warning.path == "machine.features.rbac"));
    }
}

#[test]
fn an_address_without_prefix_length_is_shown_with_its_line_and_what_to_write() {
    let text = "version: v1alpha1\nmachine:\n  network:\n    interfaces:\n      - interface: eth0\n        addresses:\n          - 10.0.0.4/24\n          - 10.0.0.5\n";
    let problems = Config::decode(text.as_bytes())
        .unwrap()
        .validate(Mode::Container)
        .unwrap_err();
    let found = problems
        .iter()
        .find(|problem| problem.path.contains("addresses"))
        .unwrap();
    assert_eq!(
        found.to_string(),
        "document 1 (v1alpha1): machine.network.interfaces[0].addresses[1] (line 8): \"10.0.0.5\" has no prefix length (write \"10.0.0.5/24\")"
    );
}

/// A change that makes a valid configuration wrong, and words of the error.
#[test]
fn each_rule_reports_its_violation() {
    let cases = [
        (
            "cluster: {controlPlane: {endpoint: 'https://'}}",
            "cluster.controlPlane.endpoint",
        ),
        ("machine: {token: {$patch: delete}}", "machine.token"),
        ("machine: {ca: {key: ''}}", "machine.ca.key"),
        ("machine: {install: {disk: ''}}", "name the disk to install to"),
        (
            "cluster: {network: {podSubnets: [fd00::/108]}}",
            "same address families",
        ),
        (
            "cluster: {network: {podSubnets: [10.96.0.0/16]}}",
            "overlaps the pod network",
        ),
        (
            "cluster: {network: {podSubnets: [10.1.0.0/16, 10.2.0.0/16]}}",
            "several networks of one family",
        ),
        (
            "machine: {kubelet: {extraMounts: [{destination: /a}]}}",
            "machine.kubelet.extraMounts[0].source",
        ),
        ("machine: {network: {hostname: a_b}}", "is not a host name"),
        (
            "machine: {network: {interfaces: [{interface: bond0, bond: {interfaces: [eth0]}}, {interface: br0, bridge: {interfaces: [eth0]}}]}}",
            "already belongs to",
        ),
        (
            "machine: {network: {interfaces: [{interface: eth0, vlans: [{vlanId: 5000}]}]}}",
            "5000 is not a VLAN id",
        ),
        (
            "machine: {network: {interfaces: [{interface: eth0, routes: [{network: 0.0.0.0/0, gateway: 10.0.0.1}, {network: 0.0.0.0/0, gateway: 10.0.0.2}]}]}}",
            "default route with the same metric",
        ),
        (
            "machine: {network: {interfaces: [{mtu: 1400}]}}",
            "the link is not named",
        ),
        ("machine: {nodeLabels: {'a/b/c': d}}", "nodeLabels"),
        ("machine: {nodeTaints: {a: 'b:Sometimes'}}", "is not an effect"),
        ("machine: {sysctls: {somaxconn: '1'}}", "is not a kernel parameter"),
        (
            "cluster: {inlineManifests: [{name: x, contents: 'a: [b'}]}",
            "is not YAML",
        ),
        (
            "cluster: {inlineManifests: [{name: x, contents: ''}, {name: x, contents: ''}]}",
            "another manifest is named",
        ),
        (
            "cluster: {discovery: {enabled: false}}\n---\napiVersion: v1alpha1\nkind: KubeSpanConfig\nenabled: true",
            "needs discovery",
        ),
        (
            "cluster: {discovery: {registries: {service: {disabled: true}}}}",
            "has no registry",
        ),
        (
            "machine: {systemDiskEncryption: {state: {provider: luks2, keys: [{slot: 0, nodeID: {}}, {slot: 0, nodeID: {}}]}}}",
            "slot 0 too",
        ),
        (
            "machine: {systemDiskEncryption: {state: {provider: luks2, keys: [{slot: 0}]}}}",
            "one source",
        ),
        (
            "machine: {time: {servers: [a]}}\n---\napiVersion: v1alpha1\nkind: TimeSyncConfig\nenabled: true",
            "machine.time",
        ),
        (
            "machine: {network: {hostname: a}}",
            "set here and in the document HostnameConfig",
        ),
        (
            "machine: {registries: {mirrors: {docker.io: {endpoints: [nope]}}}}",
            "write http://nope",
        ),
        (
            "apiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: x\nendpoints: []",
            "there are no mirrors",
        ),
        (
            "apiVersion: v1alpha1\nkind: UserVolumeConfig\nname: a/b",
            "letters, digits and hyphens",
        ),
        (
            "apiVersion: v1alpha1\nkind: VolumeConfig\nname: DATA",
            "system volumes are STATE",
        ),
        (
            "apiVersion: v1alpha1\nkind: BondConfig\nname: bond0\nlinks: [eth0]",
            "bondMode",
        ),
        (
            "apiVersion: v1alpha1\nkind: NetworkRuleConfig\nname: x\nportSelector: {protocol: tcp}",
            "there are no ports",
        ),
        (
            "cluster: {serviceAccount: {key: {$patch: delete}}}",
            "cluster.serviceAccount.key",
        ),
    ];
    for (patch, wanted) in cases {
        let errors = errors(CONTROL_PLANE, patch);
        assert!(
            errors
                .iter()
                .any(|error| error.contains(wanted) && !error.starts_with("warning")),
            "{patch}\n{errors:#?}"
        );
    }
}

#[test]
fn a_worker_has_no_sections_of_control_planes() {
    let found = errors(WORKER, "cluster: {etcd: {image: x}}");
    assert!(found[0].contains("a worker must not have this section"), "{found:?}");
    let found = errors(WORKER, "cluster: {proxy: {disabled: true}}");
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("warning") && line.contains("is not used on a worker")),
        "{found:?}"
    );
}

#[test]
fn problems_are_collected_in_the_order_of_the_text() {
    let found = errors(
        CONTROL_PLANE,
        "machine: {token: '', install: {disk: ''}}\ncluster: {token: ''}",
    );
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].contains("machine.token") && found[2].contains("cluster.token"));
}

/// A document with these rules.
fn image_rules(rules: &str) -> String {
    format!("apiVersion: v1alpha1\nkind: ImageVerificationConfig\nrules:\n{rules}")
}

#[test]
fn rules_about_images_say_one_thing_each() {
    let key = pki::PrivateKey::generate(pki::KeyKind::EcdsaP256).unwrap();
    let pem = key.public_key_pem().unwrap().replace('\n', "\n      ");
    let good = format!(
        "- {{image: ghcr.io/me/*, skip: true}}\n- image: ghcr.io/*\n  publicKey:\n    certificate: |\n      {pem}\n\
         - {{image: '*', deny: true}}\n"
    );
    let keyless = "- {image: 'a.b/*', keyless: {issuer: 'https://i', subject: a}}\n\
                   - {image: 'c.d/*', keyless: {issuer: 'https://i', subjectRegex: '^a[.]b$'}}\n";
    assert_eq!(errors(WORKER, &image_rules(&(good + keyless))), Vec::<String>::new());
    for (rule, path, message) in [
        ("{image: 'a.b/*'}", "rules[0]", "says nothing"),
        ("{image: 'a.b/*', skip: false}", "rules[0]", "says nothing"),
        (
            "{image: 'a.b/*', skip: true, deny: true}",
            "rules[0].deny",
            "skip is given too",
        ),
        ("{deny: true}", "rules[0].image", "is missing"),
        ("{image: 'a.b/[', deny: true}", "rules[0].image", "is not a pattern"),
        (
            "{image: 'a.b/*', publicKey: {certificate: nothing}}",
            "rules[0].publicKey.certificate",
            "PEM",
        ),
        (
            "{image: 'a.b/*', publicKey: {}}",
            "rules[0].publicKey.certificate",
            "is missing",
        ),
        (
            "{image: 'a.b/*', keyless: {issuer: 'https://i', subject: a, subjectRegex: b}}",
            "subjectRegex",
            "given too",
        ),
        (
            "{image: 'a.b/*', keyless: {issuer: 'https://i', subjectRegex: '('}}",
            "rules[0].keyless.subjectRegex",
            "not a regular",
        ),
        (
            "{image: 'a.b/*', keyless: {issuer: 'https://i'}}",
            "rules[0].keyless",
            "nobody is named",
        ),
        (
            "{image: 'a.b/*', keyless: {issuer: somebody, subject: a}}",
            "rules[0].keyless.issuer",
            "somebody",
        ),
        (
            "{image: 'a.b/*', keyless: {subject: a}}",
            "rules[0].keyless.issuer",
            "is missing",
        ),
    ] {
        let told = errors(WORKER, &image_rules(&format!("- {rule}\n")));
        assert!(
            told.iter().any(|t| t.contains(path) && t.contains(message)),
            "{rule}: {told:?}"
        );
    }
}

#[test]
fn who_keyless_signatures_are_traced_back_to_is_a_document_of_sigstore() {
    let file = |op: &str, content: &str| {
        let content = content.replace('\'', "''");
        format!("machine: {{files: [{{path: /etc/sigstore/trusted_root.json, op: {op}, content: '{content}'}}]}}")
    };
    let good = image_trust::TrustRoot::public_good_document();
    assert_eq!(errors(WORKER, &file("create", good)), Vec::<String>::new());
    for (op, content, path, message) in [
        ("create", "{}", "machine.files[0].content", "no trusted_root.json"),
        ("append", good, "machine.files[0].op", "nothing is appended"),
    ] {
        let told = errors(WORKER, &file(op, content));
        assert!(
            matches!(told.as_slice(), [one] if one.contains(path) && one.contains(message)),
            "{told:?}"
        );
    }
}

#[test]
fn rules_about_images_that_surprise_are_warned_of() {
    for (rule, message) in [
        ("{image: nginx, deny: true}", "matches no image"),
        (
            "{image: 'a.b/*', keyless: {issuer: 'https://i', subjectRegex: 'me@a[.]b$'}}",
            "may match any part of a name",
        ),
    ] {
        let told = errors(WORKER, &image_rules(&format!("- {rule}\n")));
        assert!(
            matches!(told.as_slice(), [one] if one.starts_with("warning: ") && one.contains(message)),
            "{told:?}"
        );
    }
    let auth = "---\napiVersion: v1alpha1\nkind: RegistryAuthConfig\nname: a.b\nidentityToken: t\n";
    let told = errors(WORKER, &(image_rules("- {image: 'a.b/*', skip: true}\n") + auth));
    assert!(told.iter().any(|t| t.contains("identityToken")), "{told:?}");
}
