//! Our types against what was captured from a live system (`samples/`, with throw-away keys).

use std::path::Path;

use resource::{DynResource, Store};

fn store() -> Store {
    let store = Store::default();
    super::register(&store);
    store
}

/// The captured documents of a file: type, namespace, id, and the text from `spec:` on.
fn documents(text: &str) -> Vec<(String, String, String, String)> {
    let field = |head: &str, name: &str| {
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix(&format!("    {name}: ")));
        line.unwrap_or_default().trim_matches('\'').to_owned()
    };
    let split = text
        .split("---\n")
        .filter_map(|document| document.find("spec:").map(|at| document.split_at(at)));
    split
        .map(|(head, spec)| {
            (
                field(head, "type"),
                field(head, "namespace"),
                field(head, "id"),
                spec.to_owned(),
            )
        })
        .collect()
}

fn samples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/samples");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read_to_string(entry.path()).unwrap(),
            )
        })
        .filter(|(name, _)| name != "resource-definitions.yaml")
        .collect();
    found.sort();
    found
}

#[test]
fn every_sample_is_read_and_written_again_as_it_was() {
    let store = store();
    let mut problems = Vec::new();
    let mut seen = 0;
    for (file, text) in samples() {
        for (ty, namespace, id, spec) in documents(&text) {
            let value: serde_json::Value = resource::yaml::from_str(&spec).unwrap();
            let yaml = resource::yaml::emit(&value["spec"]);
            seen += 1;
            match store.force_dyn(&ty, &namespace, &id, &yaml) {
                Ok(row) => {
                    let yaml = row.yaml();
                    let ours = &yaml[yaml.find("spec:").unwrap()..];
                    if ours != spec {
                        problems.push(format!("{file} {id}\n--- captured\n{spec}--- ours\n{ours}"));
                    }
                }
                Err(error) => problems.push(format!("{file} {id}: {error}")),
            }
        }
    }
    assert!(seen > 250, "{seen}");
    assert!(
        problems.is_empty(),
        "{} of {seen} differ:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn our_definitions_are_the_captured_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/samples");
    let captured = std::fs::read_to_string(folder.join("resource-definitions.yaml")).unwrap();
    let store = store();
    let mut problems = Vec::new();
    for (_, _, id, spec) in documents(&captured) {
        match store.get_dyn("ResourceDefinitions.meta.cosi.dev", "meta", &id) {
            Ok(row) => {
                let yaml = row.yaml();
                let ours = &yaml[yaml.find("spec:").unwrap()..];
                if ours != spec {
                    problems.push(format!("{id}\n--- captured\n{spec}--- ours\n{ours}"));
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn proto(store: &Store, ty: &str, yaml: &str) -> Vec<u8> {
    store
        .force_dyn(ty, "any", "id", yaml)
        .as_ref()
        .map(DynResource::proto)
        .unwrap()
}

#[test]
fn specs_are_the_published_messages_on_the_wire() {
    let store = store();
    assert_eq!(
        proto(&store, "MachineTypes.config.talos.dev", "controlplane"),
        [0x08, 2]
    );
    assert_eq!(proto(&store, "MachineConfigs.config.talos.dev", "abc"), b"\x0a\x03abc");
    let address = "{address: 10.5.0.2/24, linkName: eth0, family: inet4, scope: link, flags: permanent}";
    assert_eq!(
        proto(&store, "AddressStatuses.net.talos.dev", address),
        [
            &[0x0a, 8, 0x0a, 4, 10, 5, 0, 2, 0x10, 24, 0x3a, 4][..],
            b"eth0",
            &[0x40, 2, 0x48, 253, 1, 0x50, 128, 1]
        ]
        .concat()
    );
    let root = "{etcdCA: {crt: YWJj, key: ZGU=}}";
    assert_eq!(
        proto(&store, "EtcdRootSecrets.secrets.talos.dev", root),
        b"\x0a\x09\x0a\x03abc\x12\x02de"
    );
    let manifest = "[{kind: A}, {kind: B}]";
    assert_eq!(
        proto(&store, "Manifests.kubernetes.talos.dev", manifest),
        b"\x0a\x0f\x0a\x0d\x0a\x0b\x0a\x04kind\x12\x03\x1a\x01A\x0a\x0f\x0a\x0d\x0a\x0b\x0a\x04kind\x12\x03\x1a\x01B"
    );
}
