//! Patches give what they give on the reference system, and are right where that is wrong.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use config::Config;
use config::patch::{Patch, apply};
use config::yaml::node::{Node, Value};

const BASE: &str = include_str!("vectors/patches/interfaces-merge/base.yaml");
const DOCUMENTS: &str = include_str!("vectors/patches/document-merge/base.yaml");

fn patched(base: &str, patches: &[&str]) -> Result<Config, String> {
    let patches: Result<Vec<Patch>, _> = patches.iter().map(|patch| Patch::load(patch.as_bytes())).collect();
    let base = Config::decode(base.as_bytes()).map_err(|error| error.to_string())?;
    apply(&base, &patches.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

fn at(config: &Config, path: &str) -> Option<serde_json::Value> {
    config
        .documents()
        .find(|document| document.is_main())?
        .root
        .find(path)
        .map(Into::into)
}

/// An absent value and an empty one are the same to the reference system.
fn without_empty(node: &Node) -> Node {
    Node::new(match &node.value {
        Value::List(items) => Value::List(items.iter().map(without_empty).collect()),
        Value::Map(map) => Value::Map(
            map.iter()
                .map(|e| (e.key.clone(), without_empty(&e.node)))
                .filter(|(_, node)| !node.is_empty())
                .collect(),
        ),
        value => value.clone(),
    })
}

#[test]
fn all_cases_of_the_reference_system_come_out_the_same() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/patches");
    let mut count = 0;
    for case in std::fs::read_dir(cases).unwrap() {
        let folder = case.unwrap().path();
        let read = |name: &str| std::fs::read_to_string(folder.join(name));
        let patches: Vec<String> = (1..).map_while(|i| read(&format!("patch{i}.yaml")).ok()).collect();
        let patches: Vec<&str> = patches.iter().map(String::as_str).collect();
        let got = patched(&read("base.yaml").unwrap(), &patches).unwrap();
        let want = Config::decode(read("want.yaml").unwrap().as_bytes()).unwrap();
        let meaning = |config: &Config| -> Vec<Node> { config.documents().map(|d| without_empty(&d.root)).collect() };
        assert_eq!(meaning(&got), meaning(&want), "{}", folder.display());
        count += 1;
    }
    assert_eq!(count, 10);
}

#[test]
fn an_item_of_a_nested_list_is_deleted() {
    let patch = "machine: {network: {interfaces: [{interface: eth0, vlans: [{vlanId: 10, $patch: delete}]}]}}";
    let config = patched(BASE, &[patch]).unwrap();
    let interface = &config.machine().unwrap().network.as_ref().unwrap().interfaces[0];
    assert!(interface.vlans.is_empty());
    assert_eq!(interface.dhcp, Some(true));
}

#[test]
fn an_item_of_a_list_without_keys_is_deleted_by_its_values() {
    let patch = "machine: {kubelet: {extraMounts: [{destination: /var/lib/a, $patch: delete}]}}";
    let config = patched(BASE, &[patch]).unwrap();
    assert!(
        config
            .machine()
            .unwrap()
            .kubelet
            .as_ref()
            .unwrap()
            .extra_mounts
            .is_empty()
    );
}

#[test]
fn a_document_is_deleted_and_one_that_is_not_there_is_an_error() {
    let patch = "apiVersion: v1alpha1\nkind: NetworkRuleConfig\nname: kubelet\n$patch: delete\n";
    let config = patched(DOCUMENTS, &[patch]).unwrap();
    assert!(config.find("NetworkRuleConfig", None).is_none());
    let error = patched(BASE, &[patch]).unwrap_err();
    assert_eq!(
        error,
        "apply patch: document 1 (NetworkRuleConfig \"kubelet\"): line 1: there is no such document to delete"
    );
}

#[test]
fn deleting_what_is_not_there_is_an_error_that_names_it() {
    for (patch, path) in [
        ("machine: {sysfs: {$patch: delete}}", "machine.sysfs"),
        ("machine: {nodeLabels: {z: {$patch: delete}}}", "machine.nodeLabels.z"),
        (
            "machine: {network: {interfaces: [{interface: eth9, $patch: delete}]}}",
            "machine.network.interfaces[0]",
        ),
        (
            "machine: {network: {interfaces: [{interface: eth0, vlans: [{vlanId: 9, $patch: delete}]}]}}",
            "vlans[0]",
        ),
        (
            "machine: {kubelet: {extraMounts: [{$patch: delete}]}}",
            "extraMounts[0]",
        ),
    ] {
        let error = patched(BASE, &[patch]).unwrap_err();
        assert!(
            error.contains(path) && error.contains("nothing here to delete"),
            "{error}"
        );
    }
}

#[test]
fn a_boolean_false_counts_as_given() {
    let config = patched(
        BASE,
        &["machine: {network: {interfaces: [{interface: eth0, dhcp: false}]}}"],
    )
    .unwrap();
    assert_eq!(at(&config, "machine.network.interfaces.0.dhcp"), Some(false.into()));
}

#[test]
fn an_empty_patch_keeps_every_byte() {
    for patch in ["", "---\n", "[]", "{}", "machine: {}", "# nothing\n"] {
        assert_eq!(patched(BASE, &[patch]).unwrap().encode(), BASE.as_bytes(), "{patch:?}");
    }
}

#[test]
fn patches_apply_in_order() {
    let config = patched(
        BASE,
        &["machine: {nodeLabels: {a: x}}", "machine: {nodeLabels: {a: y}}"],
    )
    .unwrap();
    assert_eq!(at(&config, "machine.nodeLabels.a"), Some("y".into()));
}

#[test]
fn arguments_of_components_merge_by_name() {
    let config = patched(BASE, &["machine: {kubelet: {extraArgs: {v: [3, 4], x: y}}}"]).unwrap();
    let args = &config.machine().unwrap().kubelet.as_ref().unwrap().extra_args;
    assert_eq!(args["v"].values(), ["3", "4"]);
    assert_eq!(args["feature-gates"].values(), ["A=true"]);
    assert_eq!(args["x"].values(), ["y"]);
}

#[test]
fn a_json_patch_is_refused_for_several_documents() {
    let patch = "[{op: add, path: /machine/type, value: worker}]";
    let error = patched(DOCUMENTS, &[patch]).unwrap_err();
    assert!(error.contains("use a strategic merge patch"), "{error}");
}

#[test]
fn a_json_patch_that_fails_says_which_path() {
    let error = patched(BASE, &["[{op: remove, path: /machine/nope}]"]).unwrap_err();
    assert!(error.contains("/machine/nope"), "{error}");
    let error = patched(BASE, &["[{op: add, path: /machine/nope, value: 1}]"]).unwrap_err();
    assert!(
        error.contains("machine.nope") && error.contains("no such field"),
        "{error}"
    );
    assert!(
        Patch::load(b"[{op: fly, path: /a}]")
            .unwrap_err()
            .to_string()
            .contains("operation 1 (line 1)")
    );
    assert!(Patch::load(b"[1, 2]").is_err());
}

#[test]
fn a_wrong_patch_is_refused_with_its_place() {
    let error = Patch::load(b"machine:\n  network:\n    hostnam: x\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("machine.network.hostnam (line 3)") && error.contains("did you mean hostname?"),
        "{error}"
    );
    let error = Patch::load(b"machine: {sysctls: {$patch: replace}}")
        .unwrap_err()
        .to_string();
    assert!(error.contains("the only one is delete"), "{error}");
    let error = Patch::load_named(b"machine: {hostnam: x}", "my.yaml")
        .unwrap_err()
        .to_string();
    assert!(error.contains("my.yaml"), "{error}");
}
