//! `docs/api.md` is what the contract says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use api::roles::allowed;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto};
use reference_test::anchor;

/// Numbers of protobuf's `descriptor.proto` in the paths of comments.
const MESSAGE: i32 = 4;
const ENUM: i32 = 5;
const SERVICE: i32 = 6;
const MEMBER: i32 = 2;
const NESTED: i32 = 3;

const HEAD: &str = "# Reference of the API

<!-- Written by `UPDATE_DOCS=1 cargo test -p api --test reference`. -->

Every service, call and message of a node's API, from the contract itself. The machine API listens on port 50000, with
mutual TLS; a call needs a certificate with one of the roles it names. `stream` stands before what comes or goes piece by
piece. Which calls a node in a container answers, and with what, is in
[compatibility](compatibility.md#calls-of-the-machine-api); what a resource says is in
[resources](resources.md).
";

#[test]
fn the_reference_is_up_to_date() {
    reference_test::assert_up_to_date("api.md", env!("CARGO_PKG_NAME"), &render());
}

#[test]
fn every_call_and_every_link_is_there() {
    let text = render();
    for method in api::method::all() {
        let name = method.path.rsplit('/').next().unwrap();
        let row = text.lines().find(|line| line.starts_with(&format!("| `{name}` | ")));
        let row = row.unwrap_or_else(|| panic!("{} is missing", method.path));
        assert!(!row.ends_with("|  |"), "it is not said what {} does", method.path);
    }
    reference_test::assert_links_lead_somewhere(&text);
}

fn render() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut compiler = protox::Compiler::new([&root]).unwrap();
    compiler.include_source_info(true);
    compiler.open_files(&files).unwrap();
    let set = compiler.file_descriptor_set();
    let files: Vec<&FileDescriptorProto> = set.file.iter().filter(|file| !is_resource(file.package())).collect();
    let mut out = HEAD.to_owned();
    for file in files.iter().filter(|file| !file.service.is_empty()) {
        services(file, &mut out);
    }
    out.push_str("\n## Messages\n");
    for file in &files {
        let comments = Comments::of(file);
        for (index, message) in (0..).zip(&file.message_type) {
            show_message(file.package(), message, &comments, &[MESSAGE, index], &mut out);
        }
        for (index, found) in (0..).zip(&file.enum_type) {
            show_enum(file.package(), found, &comments, &[ENUM, index], &mut out);
        }
    }
    out
}

/// The specs of resources have a reference of their own; the descriptions of HTTP are for gateways.
fn is_resource(package: &str) -> bool {
    ["talos.resource.", "resource.", "google."]
        .iter()
        .any(|prefix| package.starts_with(prefix))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
}

/// The comments of a file, by where they stand.
struct Comments(HashMap<Vec<i32>, String>);

impl Comments {
    fn of(file: &FileDescriptorProto) -> Self {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let text = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let leading = locations.filter(|location| location.leading_comments.is_some());
        Self(leading.map(|l| (l.path.clone(), text(l.leading_comments()))).collect())
    }

    fn at(&self, path: &[i32]) -> &str {
        self.0.get(path).map(String::as_str).unwrap_or_default()
    }
}

fn services(file: &FileDescriptorProto, out: &mut String) {
    let comments = Comments::of(file);
    for (index, service) in (0..).zip(&file.service) {
        let name = format!("{}.{}", file.package(), service.name());
        writeln!(out, "\n## {name}\n").unwrap();
        paragraph(comments.at(&[SERVICE, index]), out);
        out.push_str("| Call | Takes | Answers | Roles | |\n|---|---|---|---|---|\n");
        for (number, method) in (0..).zip(&service.method) {
            let roles = allowed(&format!("/{name}/{}", method.name()));
            let roles: Vec<String> = roles.iter().map(|role| format!("`{role}`")).collect();
            writeln!(
                out,
                "| `{}` | {}{} | {}{} | {} | {} |",
                method.name(),
                stream(method.client_streaming()),
                reference(method.input_type()),
                stream(method.server_streaming()),
                reference(method.output_type()),
                roles.join(" "),
                comments.at(&[SERVICE, index, MEMBER, number])
            )
            .unwrap();
        }
    }
}

fn stream(is_stream: bool) -> &'static str {
    if is_stream { "stream " } else { "" }
}

fn paragraph(text: &str, out: &mut String) {
    if !text.is_empty() {
        writeln!(out, "{text}\n").unwrap();
    }
}

/// A message's name, linked to where it is explained; protobuf's own are known.
fn reference(name: &str) -> String {
    let name = name.trim_start_matches('.');
    if is_resource(name) {
        format!("`{name}`")
    } else {
        format!("[`{name}`](#{})", anchor(name))
    }
}

fn show_message(scope: &str, message: &DescriptorProto, comments: &Comments, path: &[i32], out: &mut String) {
    if message
        .options
        .as_ref()
        .is_some_and(prost_types::MessageOptions::map_entry)
    {
        return;
    }
    let name = format!("{scope}.{}", message.name());
    writeln!(out, "\n### {name}\n").unwrap();
    paragraph(comments.at(path), out);
    if message.field.is_empty() {
        out.push_str("No fields.\n");
    } else {
        out.push_str("| Field | Number | Type | |\n|---|---|---|---|\n");
    }
    for (index, field) in (0..).zip(&message.field) {
        let at = [path, &[MEMBER, index]].concat();
        let (kind, number) = (kind(field, message), field.number());
        writeln!(out, "| `{}` | {number} | {kind} | {} |", field.name(), comments.at(&at)).unwrap();
    }
    for (index, nested) in (0..).zip(&message.nested_type) {
        show_message(&name, nested, comments, &[path, &[NESTED, index]].concat(), out);
    }
    for (index, nested) in (0..).zip(&message.enum_type) {
        show_enum(&name, nested, comments, &[path, &[MESSAGE, index]].concat(), out);
    }
}

fn show_enum(scope: &str, found: &EnumDescriptorProto, comments: &Comments, path: &[i32], out: &mut String) {
    writeln!(out, "\n### {scope}.{}\n", found.name()).unwrap();
    paragraph(comments.at(path), out);
    out.push_str("| Value | Number | |\n|---|---|---|\n");
    for (index, value) in (0..).zip(&found.value) {
        let at = [path, &[MEMBER, index]].concat();
        writeln!(
            out,
            "| `{}` | {} | {} |",
            value.name(),
            value.number(),
            comments.at(&at)
        )
        .unwrap();
    }
}

fn kind(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    let entry = message
        .nested_type
        .iter()
        .find(|nested| field.type_name().rsplit('.').next() == Some(nested.name()));
    let map = entry.filter(|entry| {
        entry
            .options
            .as_ref()
            .is_some_and(prost_types::MessageOptions::map_entry)
    });
    if let Some([key, value]) = map.map(|entry| entry.field.as_slice()) {
        return format!("map of {} by {}", single(value), single(key));
    }
    let one = single(field);
    if field.label() == Label::Repeated {
        format!("list of {one}")
    } else {
        one
    }
}

fn single(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum | Type::Group => reference(field.type_name()),
        other => other.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    }
}
