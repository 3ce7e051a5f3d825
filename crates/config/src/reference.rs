//! The reference of all documents and fields, as Markdown, made from the schema.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::effect::{field_has_effect, kind_has_effect};
use crate::model::{KINDS, v1alpha1};
use crate::schema::types::Described as _;
use crate::schema::{FieldSchema, Format, Merge, Shape, Struct};
use crate::validate::Mode;

/// Renders `docs/configuration.md`.
pub fn render() -> String {
    let mut out = String::from(INTRODUCTION);
    let mut seen = BTreeSet::new();
    out.push_str(
        "\n## The main document\n\nIt begins with `version: v1alpha1` and has no `kind`. A stream has at most one.\n",
    );
    tree(&mut out, v1alpha1::Config::STRUCT, "", &mut seen);
    out.push_str("\n## Documents\n\n| kind | for | effect in containers |\n|---|---|---|\n");
    for schema in KINDS {
        let Some(kind) = &schema.kind else { continue };
        let effect = if kind_has_effect(kind.kind, Mode::Container) {
            "yes"
        } else {
            "not yet"
        };
        let name = kind.kind;
        let _ = writeln!(
            out,
            "| [{name}](#{}) | {} | {effect} |",
            name.to_lowercase(),
            line(schema.doc)
        );
    }
    for schema in KINDS {
        tree(&mut out, schema, "", &mut seen);
    }
    out
}

const INTRODUCTION: &str = "# Machine configuration

This page is made from the schema in `crates/config`; do not edit it. `cargo test -p config` says when it is out of date,
and `UPDATE_DOCS=1 cargo test -p config --test reference` writes it anew.

A configuration is a stream of YAML documents separated by `---`. Unknown fields, values of the wrong type and keys that
stand twice are refused, with document, path, line and what would be right. A thing is configured in one place: in the
main document, or in the document that replaces the field.

In patches scalars replace, maps merge and lists append; fields with another rule say so below. `$patch: delete` deletes
the key, list item or document it stands in.

**not yet**: known and kept, but without effect in this release when the machine is a container.
";

/// A struct, and after it those it has that were not shown yet.
fn tree(out: &mut String, schema: &'static Struct, path: &str, seen: &mut BTreeSet<&'static str>) {
    if !seen.insert(schema.name) {
        return;
    }
    let _ = write!(out, "\n### {}\n\n{}\n", title(schema), paragraph(schema.doc));
    if let Some(kind) = &schema.kind {
        let named = if kind.named {
            " Several may exist, told apart by `name`."
        } else {
            " At most one may exist."
        };
        let since = kind
            .since
            .map(|since| format!(" From API version {since} on."))
            .unwrap_or_default();
        let _ = writeln!(out, "\n`apiVersion: v1alpha1`, `kind: {}`.{named}{since}", kind.kind);
    }
    if !path.is_empty() {
        let _ = writeln!(out, "\nAt `{path}`.");
    }
    if schema.fields.is_empty() {
        out.push_str("\nIt has no fields: write `{}`.\n");
    } else {
        out.push_str("\n| field | type | meaning |\n|---|---|---|\n");
    }
    for field in schema.fields {
        let place = match (&schema.kind, path) {
            (Some(kind), _) => format!("{}.{}", kind.kind, field.name),
            (None, "") => field.name.to_owned(),
            // The path of a struct within a document begins with its kind.
            (None, path) => format!("{}.{}", path.replace(": ", "."), field.name),
        };
        let effect = !field_has_effect(&place, Mode::Container);
        let _ = writeln!(
            out,
            "| `{}` | {} | {} |",
            field.name,
            shape(&field.shape),
            meaning(field, effect)
        );
    }
    for field in schema.fields {
        if let Some(inner) = field.shape.inner_struct() {
            let suffix = match field.shape {
                Shape::List(_) => "[]",
                Shape::Map(_) => ".*",
                _ => "",
            };
            let base = if path.is_empty() {
                String::new()
            } else {
                format!("{path}.")
            };
            let kind = schema
                .kind
                .as_ref()
                .map(|kind| format!("{}: ", kind.kind))
                .unwrap_or_default();
            tree(out, inner, &format!("{kind}{base}{}{suffix}", field.name), seen);
        }
    }
}

fn title(schema: &Struct) -> &'static str {
    schema.kind.as_ref().map_or(schema.name, |kind| kind.kind)
}

fn anchor(schema: &Struct) -> String {
    title(schema).to_lowercase().replace('.', "")
}

fn shape(shape: &Shape) -> String {
    match shape {
        Shape::Text => "string".into(),
        Shape::Secret => "string (secret)".into(),
        Shape::Bytes { secret: false } => "base64".into(),
        Shape::Bytes { secret: true } => "base64 (secret)".into(),
        Shape::Bool => "boolean".into(),
        Shape::Integer => "whole number".into(),
        Shape::Duration => "duration".into(),
        Shape::Address => "IP address".into(),
        Shape::Prefix => "IP network".into(),
        Shape::Mode => "octal number".into(),
        Shape::Ports => "port or range".into(),
        Shape::OneOrMany => "string or list".into(),
        Shape::Free => "any".into(),
        Shape::List(item) => format!("list of {}", self::shape(item)),
        Shape::Map(value) => format!("map to {}", self::shape(value)),
        Shape::Struct(inner) => format!("[{}](#{})", title(inner), anchor(inner)),
    }
}

fn meaning(field: &FieldSchema, without_effect: bool) -> String {
    let mut parts = vec![line(field.doc)];
    if field.required {
        parts.push("**Required.**".into());
    }
    for format in [field.format, field.check] {
        match format {
            Format::OneOf(words) => {
                parts.push(format!(
                    "One of {}.",
                    words
                        .iter()
                        .map(|word| format!("`{word}`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ));
            }
            Format::Url(schemes) => {
                parts.push(format!(
                    "A URL: {}.",
                    schemes
                        .iter()
                        .map(|s| format!("`{s}://…`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ));
            }
            Format::Size => parts.push("A size such as `10GiB` or `25%`.".into()),
            Format::Prefix => parts.push("With prefix length, such as `10.0.0.5/24`.".into()),
            _ => {}
        }
    }
    match field.merge {
        Merge::ByKey(keys) => parts.push(format!("Patches merge items with equal `{}`.", keys.join("` or `"))),
        Merge::Replace if !field.doc.contains("patch replaces") => parts.push("A patch replaces it whole.".into()),
        _ => {}
    }
    if let Some(since) = field.since {
        parts.push(format!("From API version {since} on."));
    }
    if let Some(instead) = field.deprecated {
        parts.push(format!("*Deprecated: {instead}.*"));
    }
    if without_effect {
        parts.push("**not yet**".into());
    }
    parts.join(" ")
}

fn line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn paragraph(doc: &str) -> String {
    doc.lines()
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}
