//! The flat layout of an image cache: the files of a registry, by the names under which it is asked for them.
//!
//! | file | what |
//! |---|---|
//! | `blob/sha256-HEX` | configurations and layers |
//! | `manifests/REGISTRY/REPOSITORY/reference/TAG` | the manifest that a tag names |
//! | `manifests/REGISTRY/REPOSITORY/digest/sha256-HEX` | the same, and those of its variants, by digest |
//!
//! Digests have a `-` and no colon, so that a FAT file system can hold them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::oci::{Descriptor, Layout, LayoutError, REF_NAME, media_type};
use crate::reference::ImageRef;

const BLOBS: &str = "blob";
const MANIFESTS: &str = "manifests";
const BY_TAG: &str = "reference";
const BY_DIGEST: &str = "digest";

/// Whether a folder is laid out so.
pub fn is_flat(folder: &Path) -> bool {
    folder.join(BLOBS).is_dir() && folder.join(MANIFESTS).is_dir()
}

/// Adds every image of a layout to a flat one. Blobs are shared where the file system can do that.
///
/// # Errors
/// A file cannot be read or written, or a name in the layout is none.
pub fn add(from: &Layout, flat: &Path) -> Result<(), LayoutError> {
    make(&flat.join(BLOBS))?;
    make(&flat.join(MANIFESTS))?;
    for image in from.index()?.manifests {
        let name = image.annotations.get(REF_NAME).map(String::as_str).unwrap_or_default();
        let name: ImageRef = name
            .parse()
            .map_err(|error| bad("add to the flat layout from", from.root(), error))?;
        let folder = flat.join(MANIFESTS).join(&name.registry).join(&name.repository);
        if let Some(tag) = &name.tag {
            link(&from.blob_path(&image.digest), &folder.join(BY_TAG).join(tag))?;
        }
        manifest(from, &image.digest, &folder, &flat.join(BLOBS))?;
    }
    Ok(())
}

/// Adds a manifest with what it names: its variants that are there, or its blobs.
fn manifest(from: &Layout, digest: &Digest, folder: &Path, blobs: &Path) -> Result<(), LayoutError> {
    let path = from.blob_path(digest);
    link(&path, &folder.join(BY_DIGEST).join(file_name(digest)))?;
    let value: serde_json::Value =
        serde_json::from_slice(&from.read(digest)?).map_err(|error| bad("read", &path, error))?;
    let named = |list: &str| value[list].as_array().cloned().unwrap_or_default();
    let digest_of = |descriptor: &serde_json::Value| {
        let digest = descriptor["digest"].as_str().unwrap_or_default().parse::<Digest>();
        digest.map_err(|error| bad("read", &path, error))
    };
    for variant in named("manifests") {
        let digest = digest_of(&variant)?;
        // Of those for other platforms there are only the digests.
        if from.blob_path(&digest).exists() {
            manifest(from, &digest, folder, blobs)?;
        }
    }
    let config = value.get("config").cloned();
    for blob in config.into_iter().chain(named("layers")) {
        let digest = digest_of(&blob)?;
        link(&from.blob_path(&digest), &blobs.join(file_name(&digest)))?;
    }
    Ok(())
}

/// Makes a layout of symbolic links to the files of a flat one, which registries can serve.
///
/// # Errors
/// A file cannot be read, or a link not be made.
pub fn open(flat: &Path, layout: &Path) -> Result<Layout, LayoutError> {
    let flat = fs::canonicalize(flat).map_err(|source| failed("open", flat, source))?;
    let layout = Layout::create(layout)?;
    for blob in entries(&flat.join(BLOBS))? {
        if let Some(digest) = digest_of_file(&blob) {
            point(&layout, &blob, &digest)?;
        }
    }
    images(&flat.join(MANIFESTS), "", &layout)?;
    Ok(layout)
}

/// Takes over the manifests in a folder, which belong to the repository `name`, and in those below it.
fn images(folder: &Path, name: &str, layout: &Layout) -> Result<(), LayoutError> {
    for entry in entries(folder)? {
        let part = entry.file_name().unwrap_or_default().to_string_lossy();
        let below = if name.is_empty() {
            part.to_string()
        } else {
            format!("{name}/{part}")
        };
        if entry.is_dir() {
            images(&entry, &below, layout)?;
            continue;
        }
        let bytes = fs::read(&entry).map_err(|source| failed("read", &entry, source))?;
        let digest = Digest::of(&bytes);
        point(layout, &entry, &digest)?;
        if let Some(repository) = name.strip_suffix(BY_TAG).and_then(|name| name.strip_suffix('/')) {
            let value: serde_json::Value =
                serde_json::from_slice(&bytes).map_err(|error| bad("read", &entry, error))?;
            let usual = if value.get("manifests").is_some() {
                media_type::INDEX
            } else {
                media_type::MANIFEST
            };
            let kind = value["mediaType"].as_str().unwrap_or(usual);
            layout.tag(&format!("{repository}:{part}"), &Descriptor::of(kind, &bytes))?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, LayoutError> {
    let read = || -> io::Result<Vec<PathBuf>> { fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    let mut entries = read().map_err(|source| failed("read", folder, source))?;
    entries.sort();
    Ok(entries)
}

fn file_name(digest: &Digest) -> String {
    format!("sha256-{}", digest.hex())
}

fn digest_of_file(path: &Path) -> Option<Digest> {
    let hex = path.file_name()?.to_str()?.strip_prefix("sha256-")?;
    format!("sha256:{hex}").parse().ok()
}

fn point(layout: &Layout, to: &Path, digest: &Digest) -> Result<(), LayoutError> {
    let link = layout.blob_path(digest);
    match std::os::unix::fs::symlink(to, &link) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(failed("link", &link, source)),
        _ => Ok(()),
    }
}

/// Puts a file at another place too, instead of what is there.
fn link(from: &Path, to: &Path) -> Result<(), LayoutError> {
    if let Some(folder) = to.parent() {
        make(folder)?;
    }
    let put = || {
        match fs::remove_file(to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop))
    };
    put().map_err(|source| failed("write", to, source))
}

fn make(folder: &Path) -> Result<(), LayoutError> {
    fs::create_dir_all(folder).map_err(|source| failed("create", folder, source))
}

fn failed(doing: &'static str, path: &Path, cause: io::Error) -> LayoutError {
    let path = path.to_owned();
    LayoutError::Io { doing, path, cause }
}

fn bad(doing: &'static str, path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> LayoutError {
    failed(doing, path, io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "registry.example/team/app";

    /// A layout with an index of two platforms, of which one variant is there.
    fn layout(root: &Path) -> (Layout, Digest) {
        let layout = Layout::create(root).unwrap();
        let blob = layout.put(b"layer").unwrap();
        let missing = Digest::of(b"missing");
        let text = format!(
            r#"{{"schemaVersion": 2, "mediaType": "{kind}", "config": {{"digest": "{blob}"}}, "layers": [{{"digest": "{blob}"}}]}}"#,
            kind = media_type::MANIFEST
        );
        let variant = layout.put(text.as_bytes()).unwrap();
        let text =
            format!(r#"{{"schemaVersion": 2, "manifests": [{{"digest": "{variant}"}}, {{"digest": "{missing}"}}]}}"#);
        layout.put(text.as_bytes()).unwrap();
        layout
            .tag(
                &format!("{NAME}:v1"),
                &Descriptor::of(media_type::INDEX, text.as_bytes()),
            )
            .unwrap();
        (layout, variant)
    }

    #[test]
    fn a_flat_layout_has_what_the_layout_has_under_the_names_of_a_registry() {
        let dir = tempfile::tempdir().unwrap();
        let (from, variant) = layout(&dir.path().join("oci"));
        let flat = dir.path().join("flat");
        add(&from, &flat).unwrap();
        // Again changes nothing.
        add(&from, &flat).unwrap();
        assert!(is_flat(&flat) && !is_flat(from.root()));
        let manifests = flat.join(MANIFESTS).join(NAME);
        let root = from.index().unwrap().manifests[0].digest.clone();
        let read = |path: PathBuf| fs::read(path).unwrap();
        assert_eq!(read(manifests.join("reference/v1")), from.read(&root).unwrap());
        for digest in [&root, &variant] {
            assert_eq!(
                read(manifests.join("digest").join(file_name(digest))),
                from.read(digest).unwrap()
            );
        }
        assert_eq!(entries(&manifests.join("digest")).unwrap().len(), 2);
        assert_eq!(read(flat.join("blob").join(file_name(&Digest::of(b"layer")))), b"layer");
    }

    #[test]
    fn a_flat_layout_opens_as_the_layout_it_was_made_of() {
        let dir = tempfile::tempdir().unwrap();
        let (from, variant) = layout(&dir.path().join("oci"));
        add(&from, &dir.path().join("flat")).unwrap();
        let opened = open(&dir.path().join("flat"), &dir.path().join("again")).unwrap();
        assert_eq!(opened.index().unwrap(), from.index().unwrap());
        for digest in [
            &variant,
            &Digest::of(b"layer"),
            &from.index().unwrap().manifests[0].digest,
        ] {
            assert_eq!(opened.read(digest).unwrap(), from.read(digest).unwrap());
        }
    }
}
