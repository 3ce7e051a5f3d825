//! Properties that hold for any configuration and patch made of known fields.
#![allow(clippy::unwrap_used)]

use config::document::by_kind;
use config::model::KINDS;
use config::patch::{Patch, apply};
use config::schema::types::Described as _;
use config::schema::{FieldSchema, Format, Shape, Struct};
use config::yaml::emit;
use config::yaml::node::{Map, Node, Value};
use config::{Config, v1alpha1};
use proptest::prelude::*;

/// Strings with everything that is hard to write in YAML.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9-]{0,8}",
        "[ -~]{0,12}",
        "(yes|no|true|null|~|1|0x1f|1e3|12:30|2001-12-14|<<|- a|a: b|#c|'|\"|\\*a|&a)",
        "[a-z \n\t]{0,12}",
        any::<String>().prop_map(|text| text.chars().filter(|c| *c != '\0').take(8).collect()),
    ]
}

fn formatted(format: Format) -> BoxedStrategy<Node> {
    match format {
        Format::OneOf(words) => proptest::sample::select(words).prop_map(Node::text).boxed(),
        Format::Url(schemes) => proptest::sample::select(schemes)
            .prop_map(|s| Node::text(format!("{s}://host:1")))
            .boxed(),
        Format::Mac | Format::HexBytes => Just(Node::text("00:1b:21:aa:bb:cc")).boxed(),
        Format::Endpoint => Just(Node::text("10.0.0.1:51820")).boxed(),
        Format::Address => Just(Node::text("10.0.0.1")).boxed(),
        Format::Prefix => Just(Node::text("10.0.0.0/8")).boxed(),
        Format::Duration => Just(Node::text("1m30s")).boxed(),
        Format::Size => Just(Node::text("10GiB")).boxed(),
        Format::Any => text().prop_map(Node::text).boxed(),
    }
}

fn free() -> BoxedStrategy<Node> {
    let leaf = prop_oneof![
        text().prop_map(Node::text),
        any::<bool>().prop_map(|b| Node::new(Value::Bool(b))),
        any::<i64>().prop_map(|i| Node::new(Value::Integer(i.into()))),
        (-1e6..1e6f64).prop_map(|f| Node::new(Value::Float(f))),
        Just(Node::default()),
    ];
    let tree = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Node::list),
            proptest::collection::vec(("[a-zA-Z./-]{1,6}", inner), 0..3).prop_map(Node::map),
        ]
    });
    // A field that is nothing is no field.
    tree.prop_filter("nothing", |node| !node.is_null()).boxed()
}

fn value(shape: &'static Shape, format: Format) -> BoxedStrategy<Node> {
    match shape {
        Shape::Text | Shape::Secret => formatted(format),
        Shape::Bytes { .. } => Just(Node::text("aGVsbG8=")).boxed(),
        Shape::Bool => any::<bool>().prop_map(|b| Node::new(Value::Bool(b))).boxed(),
        Shape::Integer => any::<i64>().prop_map(|i| Node::new(Value::Integer(i.into()))).boxed(),
        Shape::Duration => formatted(Format::Duration),
        Shape::Address => formatted(Format::Address),
        Shape::Prefix => formatted(Format::Prefix),
        Shape::Mode => (0..0o7777u32).prop_map(|mode| Node::new(Value::Octal(mode))).boxed(),
        Shape::Ports => (0..65535i128).prop_map(|port| Node::new(Value::Integer(port))).boxed(),
        Shape::OneOrMany => prop_oneof![
            text().prop_map(Node::text),
            proptest::collection::vec(text().prop_map(Node::text), 0..3).prop_map(Node::list),
        ]
        .boxed(),
        Shape::Free => free(),
        Shape::List(item) => proptest::collection::vec(value(item, format), 0..3)
            .prop_map(Node::list)
            .boxed(),
        Shape::Map(inner) => proptest::collection::btree_map(text(), value(inner, format), 0..3)
            .prop_map(Node::map)
            .boxed(),
        Shape::Struct(schema) => structure(schema),
    }
}

/// A few fields of a struct.
fn structure(schema: &'static Struct) -> BoxedStrategy<Node> {
    if schema.fields.is_empty() {
        return Just(Node::new(Value::Map(Map::default()))).boxed();
    }
    let field = proptest::sample::select((0..schema.fields.len()).collect::<Vec<_>>());
    proptest::collection::btree_set(field, 0..4)
        .prop_flat_map(|fields| {
            let entry = |i: usize| {
                let field: &'static FieldSchema = &schema.fields[i];
                value(&field.shape, field.format).prop_map(|node| (field.name, node))
            };
            fields.into_iter().map(entry).collect::<Vec<_>>().prop_map(Node::map)
        })
        .boxed()
}

fn main_document() -> impl Strategy<Value = Node> {
    structure(v1alpha1::Config::STRUCT).prop_map(|mut node| {
        node.set(&["version"], Node::text("v1alpha1"));
        node
    })
}

fn other_document() -> impl Strategy<Value = Node> {
    proptest::sample::select(
        KINDS
            .iter()
            .map(|schema| schema.kind.as_ref().unwrap().kind)
            .collect::<Vec<_>>(),
    )
    .prop_flat_map(|kind| structure(by_kind(kind).unwrap()).prop_map(move |node| (kind, node)))
    .prop_map(|(kind, mut node)| {
        node.set(&["apiVersion"], Node::text("v1alpha1"));
        node.set(&["kind"], Node::text(kind));
        if by_kind(kind).unwrap().kind.as_ref().unwrap().named {
            node.set(&["name"], Node::text("one"));
        }
        node
    })
}

fn stream() -> impl Strategy<Value = String> {
    (main_document(), proptest::option::of(other_document())).prop_map(|(main, other)| {
        let other = other.map(|other| format!("---\n{}", emit::document(&other)));
        emit::document(&main) + &other.unwrap_or_default()
    })
}

const SEEDS: [&str; 4] = [
    include_str!("vectors/patches/document-merge/base.yaml"),
    include_str!("vectors/patches/interfaces-merge/patch1.yaml"),
    include_str!("vectors/patches/json-patch/patch1.yaml"),
    include_str!("vectors/patches/delete-key/patch1.yaml"),
];

const DICTIONARY: [&str; 24] = [
    "",
    " ",
    "\n",
    "\n  ",
    ":",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "&a ",
    "*a",
    "<<: ",
    "|\n",
    ">-\n",
    "---\n",
    "$patch: delete",
    "!!str ",
    "~",
    "\u{2028}",
];

fn decode(text: &str) -> Config {
    Config::decode(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

proptest! {
    #[test]
    fn decoding_what_was_encoded_gives_the_same(text in stream()) {
        let config = decode(&text);
        let canonical = config.encode_canonical();
        let again = decode(&canonical);
        prop_assert!(again == config, "{}\n{}", text, canonical);
        prop_assert_eq!(again.encode_canonical(), canonical);
    }

    #[test]
    fn typed_values_written_back_are_those_that_were_read(text in stream()) {
        let config = decode(&text);
        for document in config.documents().filter(|document| !document.is_main()) {
            // Reading the typed form of any kind never fails, and nothing is lost for the kinds checked here.
            if let Some(typed) = document.typed::<config::model::link::BondConfig>() {
                prop_assert_eq!(config::Document::of(&typed).typed::<config::model::link::BondConfig>(), Some(typed));
            }
        }
    }

    #[test]
    fn an_empty_patch_changes_nothing(text in stream()) {
        let config = decode(&text);
        for patch in ["", "{}", "[]", "version: v1alpha1"] {
            let patch = Patch::load(patch.as_bytes()).unwrap();
            if let Ok(patched) = apply(&config, &[patch]) {
                prop_assert_eq!(patched.encode(), config.encode());
            }
        }
    }

    #[test]
    fn patches_apply_in_order(text in stream(), first in main_document(), second in main_document()) {
        let config = decode(&text);
        let load = |node: &Node| Patch::load(emit::document(node).as_bytes()).unwrap();
        let (first, second) = (load(&first), load(&second));
        let together = apply(&config, &[first.clone(), second.clone()]);
        let one_by_one = apply(&config, &[first]).and_then(|config| apply(&config, &[second]));
        match (together, one_by_one) {
            (Ok(a), Ok(b)) => prop_assert!(a == b),
            (a, b) => prop_assert_eq!(a.is_err(), b.is_err()),
        }
    }

    #[test]
    fn a_refused_patch_leaves_the_input_as_it_was(text in stream(), good in main_document()) {
        let config = decode(&text);
        let before = config.encode();
        let good = Patch::load(emit::document(&good).as_bytes()).unwrap();
        let bad = Patch::load(b"apiVersion: v1alpha1\nkind: DummyLinkConfig\nname: nowhere\n$patch: delete\n").unwrap();
        prop_assert!(apply(&config, &[good, bad]).is_err());
        prop_assert_eq!(config.encode(), before);
    }

    #[test]
    fn redaction_and_validation_never_fail_to_come_back(text in stream()) {
        config::fuzz::decode(text.as_bytes());
    }

    #[test]
    fn nothing_made_of_printable_text_panics(text in "[ -~\n]{0,200}") {
        config::fuzz::decode(text.as_bytes());
        config::fuzz::patch(text.as_bytes());
    }

    #[test]
    fn damaged_configurations_and_patches_never_panic(
        which in 0..SEEDS.len(),
        edits in proptest::collection::vec((any::<u16>(), 0..12usize, 0..DICTIONARY.len()), 1..6),
    ) {
        let mut bytes = SEEDS[which].as_bytes().to_vec();
        for (at, cut, word) in edits {
            let at = usize::from(at) % (bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, DICTIONARY[word].bytes());
        }
        config::fuzz::decode(&bytes);
        config::fuzz::patch(&bytes);
    }
}
