//! The fuzz entry points come back, without a panic and soon, from everything nasty we could think of.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use config::{Config, fuzz};

fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |open: &str, n: usize| open.repeat(n).into_bytes();
    let laughs = {
        let mut text = String::from("a0: &a0 [lol]\n");
        for i in 1..60 {
            text.push_str(&format!("a{i}: &a{i} [*a{p}, *a{p}, *a{p}, *a{p}]\n", p = i - 1));
        }
        text
    };
    let block_deep: String = (0..3000).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    let many_keys: String = (0..200_000).map(|i| format!("k{i}: v\n")).collect();
    vec![
        ("empty", vec![]),
        ("only a comment", b"# hello\n".to_vec()),
        ("only separators", b"---\n---\n...\n---\n".to_vec()),
        ("null", b"~".to_vec()),
        ("a word", b"hello".to_vec()),
        ("a list", b"- a\n- b\n".to_vec()),
        ("binary", (0..=255).cycle().take(4096).collect()),
        ("zeros", vec![0; 1 << 20]),
        ("gzip", vec![0x1f, 0x8b, 8, 0, 0, 0]),
        ("utf-16", b"\xff\xfev\0e\0r\0".to_vec()),
        ("broken utf-8", b"version: \xc3\x28".to_vec()),
        ("50 MB of spaces", vec![b' '; 50_000_000]),
        ("8 MB of one word", vec![b'a'; 8_000_000]),
        ("8 MB of list items", b"- a\n".repeat(2_000_000)),
        ("many empty documents", b"---\n".repeat(200_000)),
        ("many documents", b"apiVersion: v1alpha1\nkind: HostnameConfig\n---\n".repeat(50_000)),
        ("deep flow lists", nested("[", 200_000)),
        ("deep flow maps", nested("{a: ", 200_000)),
        ("deep dashes", nested("- ", 200_000)),
        ("deep question marks", nested("? ", 200_000)),
        ("deep blocks", block_deep.into_bytes()),
        ("many anchors", nested("&a ", 100_000)),
        ("a cycle", b"version: v1alpha1\nmachine: &m\n  network: *m\n".to_vec()),
        ("a cycle through a list", b"&a [*a]".to_vec()),
        ("an unknown alias", b"a: *b".to_vec()),
        ("a billion laughs", laughs.into_bytes()),
        ("many keys", many_keys.into_bytes()),
        ("duplicate keys", b"version: v1alpha1\nversion: v1alpha1\n".to_vec()),
        ("two main documents", b"version: v1alpha1\n---\nversion: v1alpha1\n".to_vec()),
        ("wrong types", b"version: v1alpha1\nmachine: [1]\ncluster: x\ndebug: {}\n".to_vec()),
        ("unknown kind", b"apiVersion: v1alpha1\nkind: Nope\n".to_vec()),
        ("kubernetes object", b"apiVersion: v1\nkind: Pod\n".to_vec()),
        ("a key that is a map", b"{a: b}: c".to_vec()),
        ("tags", b"version: !foo aGk=\nmachine: !foo {}\n".to_vec()),
        ("directives", b"%YAML 9.9\n%TAG ! x\n---\na: b\n".to_vec()),
        ("merge keys", b"version: v1alpha1\nmachine: &m {type: worker, <<: {token: a}}\n".to_vec()),
        ("merge of a scalar", b"<<: 1".to_vec()),
        ("huge numbers", b"version: v1alpha1\ncluster: {controlPlane: {localAPIServerPort: 99999999999999999999999999999999999999999999999}}\n".to_vec()),
        ("negative mode", b"version: v1alpha1\nmachine: {files: [{permissions: -1}]}\n".to_vec()),
        ("control characters", b"version: v1alpha1\nmachine: {type: \"\\x00\\x1b[31m\"}\n".to_vec()),
        ("tabs", b"version: v1alpha1\n\tmachine:\n".to_vec()),
        ("nan", b"version: v1alpha1\nmachine: {pods: [{a: .nan, b: -.inf, c: 1e400, d: 0x, e: 0b2, f: 1_0}]}\n".to_vec()),
        ("odd strings", "version: v1alpha1\nmachine: {pods: [{a: \"\\u2028\\ufeff\", b: ' x ', c: \"a\\r\\nb\", d: \"\\n\\n\", e: \"- a\", f: \"a\\n\\n\"}]}\n".as_bytes().to_vec()),
        ("odd keys", b"version: v1alpha1\nmachine: {nodeLabels: {\"\": a, '- ': b, ? [x] : c}}\n".to_vec()),
        ("long line", [b"version: v1alpha1\nmachine: {token: ".as_slice(), &[b'a'; 1 << 20], b"}\n"].concat()),
        ("patch directives", b"machine: {$patch: delete, sysctls: {$patch: 1}}".to_vec()),
        ("patch of nothing", b"machine: {nodeLabels: {x: {$patch: delete}}}".to_vec()),
        ("json patch", b"[{op: replace, path: /machine, value: 1}]".to_vec()),
        ("json patch far away", b"[{op: add, path: /machine/network/interfaces/99999999999, value: 1}]".to_vec()),
        ("json patch to the root", b"[{op: replace, path: '', value: []}, {op: copy, from: '', path: /machine}]".to_vec()),
    ]
}

#[test]
fn every_entry_point_survives_the_corpus() {
    for (name, input) in corpus() {
        let begin = Instant::now();
        fuzz::decode(&input);
        fuzz::patch(&input);
        fuzz::secrets(&input);
        fuzz::user_data(&input);
        let took = begin.elapsed();
        // An unoptimised build on a busy machine; the point is that nothing is quadratic or worse.
        assert!(took < Duration::from_secs(60), "{name} took {took:?}");
    }
}

#[test]
fn nothing_of_the_corpus_that_is_not_a_configuration_decodes() {
    for (name, input) in corpus() {
        if let Ok(config) = Config::decode(&input) {
            assert!(
                matches!(name, "merge keys" | "nan" | "odd strings" | "long line"),
                "{name}: {config:?}"
            );
        }
    }
}
