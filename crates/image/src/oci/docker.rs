//! The archive `docker load` takes: an OCI layout in a tar file, with Docker's own `manifest.json` beside it.

use std::fs::File;
use std::io::{self, Write};

use serde_json::json;

use super::Built;
use super::build::BuildError;
use super::layout::Layout;
use super::types::{Index, Manifest, REF_NAME};
use crate::digest::Digest;

/// Writes image `built` of `layout` under the name `reference`. Docker since 1.10 reads it, and so does every tool that
/// reads OCI layouts.
pub fn save(layout: &Layout, built: &Built, reference: &str, to: &mut dyn Write, epoch: u64) -> Result<(), BuildError> {
    let manifest: &Manifest = &built.manifest;
    let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let docker = json!([{
        "Config": path(&manifest.config.digest),
        "RepoTags": [reference],
        "Layers": manifest.layers.iter().map(|layer| path(&layer.digest)).collect::<Vec<_>>(),
    }]);
    let mut descriptor = built.descriptor.clone();
    descriptor.annotations.insert(REF_NAME.to_owned(), reference.to_owned());
    // What containerd's importer and newer Docker versions name the image by.
    descriptor
        .annotations
        .insert("io.containerd.image.name".to_owned(), reference.to_owned());
    let index = Index {
        manifests: vec![descriptor],
        ..Index::default()
    };

    let mut builder = tar::Builder::new(to);
    for folder in ["blobs/", "blobs/sha256/"] {
        let mut header = header(tar::EntryType::Directory, 0o755, 0, epoch);
        builder.append_data(&mut header, folder, io::empty())?;
    }
    let mut digests: Vec<&Digest> = manifest.layers.iter().map(|layer| &layer.digest).collect();
    digests.extend([&manifest.config.digest, &built.descriptor.digest]);
    digests.sort();
    digests.dedup();
    for digest in digests {
        let file = File::open(layout.blob_path(digest))?;
        let mut header = header(tar::EntryType::Regular, 0o644, file.metadata()?.len(), epoch);
        builder.append_data(&mut header, path(digest), file)?;
    }
    let documents = [
        ("index.json", serde_json::to_vec(&index)?),
        ("manifest.json", serde_json::to_vec(&docker)?),
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
    ];
    for (name, bytes) in documents {
        let mut header = header(tar::EntryType::Regular, 0o644, bytes.len() as u64, epoch);
        builder.append_data(&mut header, name, bytes.as_slice())?;
    }
    builder.into_inner()?.flush()?;
    Ok(())
}

fn header(kind: tar::EntryType, mode: u32, size: u64, epoch: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(epoch);
    header.set_size(size);
    header
}
