//! `docs/resources.md` is what the resource types say of themselves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;

use resource::{Definition, Field, Store};

const HEAD: &str = "# Reference of resources

<!-- Written by `UPDATE_DOCS=1 cargo test -p machined --test reference`. -->

Everything a node knows and wants is a resource: `keelctl get TYPE [ID]` shows it, `--watch` follows it, `--history` tells
what changed it. A type can be named in full, by its plural with any part of what follows, by its singular, its initials or
another name it has. Columns are what the table of `get` shows after namespace, type, id and version; `get -o yaml` shows
all fields. A *sensitive* type needs the role `os:admin`. Types that no controller makes anything of on a node in a
container are listed too, as clients know them.
";

#[test]
fn the_reference_is_up_to_date() {
    reference_test::assert_up_to_date("resources.md", env!("CARGO_PKG_NAME"), &render());
}

#[test]
fn every_type_says_what_it_is() {
    let silent: Vec<String> = definitions()
        .into_iter()
        .filter(|definition| definition.description.is_empty())
        .map(|definition| definition.ty)
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}

fn definitions() -> Vec<Definition> {
    let store = Store::default();
    node_resources::register(&store);
    let mut all: Vec<Definition> = store.definitions().iter().map(|known| (**known).clone()).collect();
    all.sort_by_cached_key(|definition| (area(definition), definition.ty.clone()));
    all
}

/// What follows the plural: `cluster.talos.dev`.
fn area(definition: &Definition) -> String {
    let (_, area) = definition.ty.split_once('.').unwrap();
    area.to_owned()
}

fn render() -> String {
    let mut out = HEAD.to_owned();
    let mut last = String::new();
    for definition in definitions() {
        let area = area(&definition);
        if area != last {
            writeln!(out, "\n## {area}").unwrap();
            last = area;
        }
        show(&definition, &mut out);
    }
    out
}

fn show(definition: &Definition, out: &mut String) {
    writeln!(out, "\n### {}\n\n{}\n", definition.ty, definition.description).unwrap();
    let names: Vec<String> = definition.aliases.iter().map(|name| format!("`{name}`")).collect();
    let sensitive = if definition.sensitive { "; sensitive" } else { "" };
    let writable = if definition.writable {
        "; clients may write it"
    } else {
        ""
    };
    writeln!(
        out,
        "Namespace `{}`; names {}{sensitive}{writable}.",
        definition.default_namespace,
        names.join(", ")
    )
    .unwrap();
    let columns = definition
        .columns
        .iter()
        .map(|column| format!("{} `{}`", column.name, column.json_path));
    let columns: Vec<String> = columns.collect();
    if !columns.is_empty() {
        writeln!(out, "Columns: {}.", columns.join(", ")).unwrap();
    }
    if !definition.fields.is_empty() {
        out.push_str("\n| Field | Type | |\n|---|---|---|\n");
    }
    for Field {
        name,
        kind,
        description,
    } in definition.fields
    {
        writeln!(out, "| `{name}` | {} | {description} |", words(kind)).unwrap();
    }
}

/// A Rust type in words.
fn words(kind: &str) -> String {
    let inside = |outer: &str| kind.strip_prefix(outer)?.strip_prefix('<')?.strip_suffix('>');
    if let Some(inner) = inside("Option").or_else(|| inside("Box")) {
        return words(inner);
    }
    if let Some(inner) = inside("Vec").or_else(|| inside("BTreeSet")) {
        return format!("list of {}", words(inner));
    }
    let pair = inside("BTreeMap").or_else(|| inside("OrderedMap"));
    if let Some((key, value)) = pair.and_then(|pair| pair.split_once(',')) {
        return format!("map of {} by {}", words(value), words(key));
    }
    let last = kind.rsplit("::").next().unwrap_or(kind);
    match last {
        "String" => "text".to_owned(),
        "bool" => "true or false".to_owned(),
        "IpAddr" | "Ipv4Addr" => "IP address".to_owned(),
        "Prefix" => "IP network".to_owned(),
        "SocketAddr" => "address and port".to_owned(),
        "f32" | "f64" => "number".to_owned(),
        number if number.starts_with(['u', 'i']) && number[1..].parse::<u8>().is_ok() => "whole number".to_owned(),
        "usize" | "isize" => "whole number".to_owned(),
        "Time" => "time".to_owned(),
        "Duration" => "duration".to_owned(),
        "Secret" => "secret".to_owned(),
        other => other.to_owned(),
    }
}
