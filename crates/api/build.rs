//! Compiles the contract: descriptor set, Rust types, and which messages are entries and replies (see `src/reply.rs`).

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use heck::{ToSnakeCase, ToUpperCamelCase};
use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut files = Vec::new();
    proto_files(Path::new("proto"), &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&files)?;
    let mut set = compiler.file_descriptor_set();

    let mut bare = set.clone();
    bare.file.iter_mut().for_each(|file| file.source_code_info = None);
    fs::write(out.join("descriptors.bin"), bare.encode_to_vec())?;

    if env::var_os("CARGO_FEATURE_DEFINITIONS").is_none() {
        set.file.retain(|file| !is_definition(file.package()));
    }
    fs::write(out.join("replies.rs"), replies(&set)?)?;
    tonic_prost_build::configure()
        .btree_map(".")
        // A call that a server does not write answers `Unimplemented`.
        .generate_default_stubs(true)
        .include_file("api.rs")
        .compile_fds(set)?;
    Ok(())
}

fn is_definition(package: &str) -> bool {
    ["talos.resource.", "resource.", "google.api."]
        .iter()
        .any(|prefix| package.starts_with(prefix))
}

fn proto_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            proto_files(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

/// `reply!` for every message that is a list of entries, `entry!` for every message that names its node.
fn replies(set: &FileDescriptorSet) -> Result<String, Box<dyn Error>> {
    let mut out = String::new();
    for file in &set.file {
        let module = file.package().split('.').map(ToSnakeCase::to_snake_case);
        let module = module.collect::<Vec<_>>().join("::");
        for message in &file.message_type {
            let name = message.name().to_upper_camel_case();
            if let Some(entry) = field_type(message, "messages") {
                let entry = entry.rsplit('.').next().unwrap_or_default().to_upper_camel_case();
                writeln!(out, "reply!({module}::{name}, {module}::{entry});")?;
            }
            if field_type(message, "metadata") == Some(".common.Metadata") {
                writeln!(out, "entry!({module}::{name});")?;
            }
        }
    }
    Ok(out)
}

fn field_type<'a>(message: &'a DescriptorProto, field: &str) -> Option<&'a str> {
    let field = message.field.iter().find(|f| f.name() == field && f.number() == 1)?;
    field.type_name.as_deref()
}
