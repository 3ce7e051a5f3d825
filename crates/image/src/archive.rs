//! Images in archives: an OCI layout in a tar file, or what `docker save` writes.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::digest::Digest;
use crate::oci::{
    Descriptor, ImageDocument, Index, Layout, LayoutError, Manifest, REF_NAME, architecture, is_ours, media_type,
};
use crate::reference::ImageRef;

/// The annotation by which Docker and containerd name an image in full.
const FULL_NAME: &str = "io.containerd.image.name";
/// Largest manifest, index or configuration read.
const MAX_DOCUMENT: u64 = 4 << 20;
/// Most files in an archive: an image has at most 127 layers, and a folder and two documents for each in old archives.
const MAX_FILES: usize = 1024;

/// An image of an archive, unpacked to a layout.
#[derive(Debug)]
pub struct Archived {
    /// Its name in full.
    pub name: String,
    /// What the name stands for: a manifest, or an index of several platforms.
    pub target: Descriptor,
    /// The manifest for this machine's platform.
    pub manifest: Manifest,
    /// Its descriptor.
    pub descriptor: Descriptor,
    /// The configuration.
    pub document: ImageDocument,
    /// Where the blobs are.
    pub layout: Layout,
}

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is no archive of an image.
    #[error("the archive holds no image: {0}")]
    None(String),
    /// Something in it is not what it should be.
    #[error("the archive is not usable: {0}")]
    Bad(String),
    /// It is larger than what is taken.
    #[error("the archive is larger than {0} bytes")]
    TooLarge(u64),
    /// It cannot be read.
    #[error("read the archive: {0}")]
    Read(io::Error),
    /// The folder it is unpacked to does not work.
    #[error("unpack the archive: {0}")]
    Write(io::Error),
    /// The layout does not work.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// One image in Docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Unpacks an archive below `folder`, which must be empty, and finds its image. `limit` bounds its bytes.
///
/// # Errors
/// It is no archive of one image for this machine, or the folder cannot be written.
pub fn read(archive: impl Read, folder: &Path, limit: u64) -> Result<Archived, ArchiveError> {
    let files = files(archive, folder, limit)?;
    if files.contains(Path::new("index.json")) {
        of_layout(folder, &files)
    } else if files.contains(Path::new("manifest.json")) {
        of_docker(folder)
    } else {
        let text = "neither index.json nor manifest.json is in it (`docker save` and `skopeo copy … oci-archive:` make archives)";
        Err(ArchiveError::None(text.into()))
    }
}

/// Writes every file of the archive below the folder. Links and devices are none of an image's archive.
fn files(archive: impl Read, folder: &Path, limit: u64) -> Result<BTreeSet<PathBuf>, ArchiveError> {
    let mut left = limit;
    let mut files = BTreeSet::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(ArchiveError::Read)? {
        let mut entry = entry.map_err(ArchiveError::Read)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = plain(&entry.path().map_err(ArchiveError::Read)?)?;
        left = left.checked_sub(entry.size()).ok_or(ArchiveError::TooLarge(limit))?;
        if files.len() == MAX_FILES {
            return Err(ArchiveError::Bad(format!("it has more than {MAX_FILES} files")));
        }
        let place = folder.join(&path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(ArchiveError::Write)?;
        }
        if files.contains(&path) {
            return Err(ArchiveError::Bad(format!("{} is in it twice", path.display())));
        }
        let mut file = fs::File::create_new(&place).map_err(ArchiveError::Write)?;
        let copied = io::copy(&mut entry, &mut file).map_err(ArchiveError::Read)?;
        if copied != entry.size() {
            return Err(ArchiveError::Bad("it ends in the middle of a file".into()));
        }
        files.insert(path);
    }
    Ok(files)
}

/// A path that stays in its folder.
fn plain(path: &Path) -> Result<PathBuf, ArchiveError> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let parts = parts.map(|part| match part {
        Component::Normal(name) => Ok(name),
        _ => Err(ArchiveError::Bad(format!(
            "{} is no path of an archive",
            path.display()
        ))),
    });
    parts.collect()
}

fn of_layout(folder: &Path, files: &BTreeSet<PathBuf>) -> Result<Archived, ArchiveError> {
    let layout = Layout::at(folder);
    let index: Index = document(&folder.join("index.json"))?;
    let [target] = &index.manifests[..] else {
        let text = format!(
            "it has {} images, and one can be imported at a time",
            index.manifests.len()
        );
        return Err(ArchiveError::Bad(text));
    };
    let saved: Option<String> = if files.contains(Path::new("manifest.json")) {
        let saved: Vec<Saved> = document(&folder.join("manifest.json"))?;
        saved.into_iter().next().and_then(first_tag)
    } else {
        None
    };
    let annotation = |name: &str| target.annotations.get(name).cloned();
    // The usual annotation is often no more than a tag.
    let reference = annotation(REF_NAME).filter(|name| name.contains('/') || name.contains(':'));
    let name = annotation(FULL_NAME).or(reference).or(saved);
    finish(layout, target.clone(), name)
}

fn first_tag(saved: Saved) -> Option<String> {
    saved.repo_tags.unwrap_or_default().into_iter().next()
}

/// Archives of Docker before version 25: the layers are bare, and there is no manifest to give them digests.
fn of_docker(folder: &Path) -> Result<Archived, ArchiveError> {
    let saved: Vec<Saved> = document(&folder.join("manifest.json"))?;
    let count = saved.len();
    let Ok([saved]) = <[Saved; 1]>::try_from(saved) else {
        let text = format!("it has {count} images, and one can be imported at a time");
        return Err(ArchiveError::Bad(text));
    };
    let layout = Layout::create(folder.join("layout"))?;
    let adopt = |name: &str, media_type: &str| -> Result<Descriptor, ArchiveError> {
        let path = folder.join(plain(Path::new(name))?);
        let missing = |e: io::Error| ArchiveError::Bad(format!("{name}: {e}"));
        let (digest, size) = Digest::of_file(&path).map_err(missing)?;
        let place = layout.blob_path(&digest);
        // The same layer may be there several times under one name.
        fs::copy(&path, place).map_err(ArchiveError::Write)?;
        Ok(Descriptor::new(media_type, digest, size))
    };
    let config = adopt(&saved.config, media_type::CONFIG)?;
    let layers = saved.layers.iter().map(|layer| adopt(layer, media_type::LAYER));
    let manifest = Manifest {
        schema_version: 2,
        media_type: media_type::MANIFEST.to_owned(),
        config,
        layers: layers.collect::<Result<_, _>>()?,
    };
    let bytes = serde_json::to_vec(&manifest).map_err(|e| ArchiveError::Bad(e.to_string()))?;
    layout.put(&bytes)?;
    finish(layout, Descriptor::of(media_type::MANIFEST, &bytes), first_tag(saved))
}

/// Reads what a name stands for, down to the configuration; every document has its digest.
fn finish(layout: Layout, target: Descriptor, name: Option<String>) -> Result<Archived, ArchiveError> {
    let mut descriptor = target.clone();
    if [media_type::INDEX, media_type::DOCKER_LIST].contains(&descriptor.media_type.as_str()) {
        let index: Index = blob(&layout, &descriptor)?;
        let ours = index.manifests.into_iter().find(is_ours);
        descriptor = ours.ok_or_else(|| ArchiveError::None(format!("there is none for linux/{}", architecture())))?;
    }
    let manifest: Manifest = blob(&layout, &descriptor)?;
    let document: ImageDocument = blob(&layout, &manifest.config)?;
    if document.rootfs.diff_ids.len() != manifest.layers.len() {
        let text = "the image's layers and its configuration disagree";
        return Err(ArchiveError::Bad(text.into()));
    }
    // An image that was saved by its id has no name.
    let name = name.unwrap_or_else(|| format!("localhost/import:{}", &descriptor.digest.hex()[..12]));
    let name: ImageRef = name
        .parse()
        .map_err(|e| ArchiveError::Bad(format!("the name of its image: {e}")))?;
    Ok(Archived {
        name: name.to_string(),
        target,
        manifest,
        descriptor,
        document,
        layout,
    })
}

fn blob<T: for<'a> Deserialize<'a>>(layout: &Layout, descriptor: &Descriptor) -> Result<T, ArchiveError> {
    let bytes = limited(&layout.blob_path(&descriptor.digest))?;
    let got = Digest::of(&bytes);
    if got != descriptor.digest {
        let want = &descriptor.digest;
        return Err(ArchiveError::Bad(format!("a document has digest {got}, not {want}")));
    }
    serde_json::from_slice(&bytes).map_err(|e| ArchiveError::Bad(format!("{}: {e}", descriptor.digest)))
}

fn document<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, ArchiveError> {
    serde_json::from_slice(&limited(path)?).map_err(|e| ArchiveError::Bad(format!("{}: {e}", path.display())))
}

fn limited(path: &Path) -> Result<Vec<u8>, ArchiveError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let missing = |e: io::Error| ArchiveError::Bad(format!("{name}: {e}"));
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(missing)?;
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(missing)?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(ArchiveError::Bad(format!("{name} is larger than {MAX_DOCUMENT} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            // As it is: some of these names are ones that no honest writer makes.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, bytes.as_slice()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn config(layer: &[u8]) -> Vec<u8> {
        let diff = Digest::of(layer);
        let text =
            format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff}"]}}}}"#);
        text.into_bytes()
    }

    fn read_into(bytes: &[u8], limit: u64) -> Result<Archived, ArchiveError> {
        read(bytes, tempfile::tempdir().unwrap().path(), limit)
    }

    fn layout(annotations: &str) -> Vec<u8> {
        let layer = b"layer".to_vec();
        let config = config(&layer);
        let manifest = Manifest {
            schema_version: 2,
            media_type: media_type::MANIFEST.into(),
            config: Descriptor::of(media_type::CONFIG, &config),
            layers: vec![Descriptor::of(media_type::LAYER, &layer)],
        };
        let manifest = serde_json::to_vec(&manifest).unwrap();
        let (digest, size) = (Digest::of(&manifest), manifest.len());
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{digest}","size":{size},"annotations":{annotations}}}]}}"#,
            media_type::MANIFEST
        );
        let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
        tar(&[
            ("index.json", index.into_bytes()),
            (&blob(&manifest), manifest.clone()),
            (&blob(&config), config.clone()),
            (&blob(&layer), layer),
        ])
    }

    #[test]
    fn a_layout_in_an_archive_is_an_image_with_its_name() {
        let named = |annotations: &str| read_into(&layout(annotations), 1 << 20).unwrap();
        let full =
            named(r#"{"io.containerd.image.name":"docker.io/library/a:1","org.opencontainers.image.ref.name":"1"}"#);
        assert_eq!(full.name, "docker.io/library/a:1");
        assert_eq!(full.manifest.layers.len(), 1);
        assert_eq!(full.target, full.descriptor);
        assert_eq!(
            named(r#"{"org.opencontainers.image.ref.name":"example.org/b:2"}"#).name,
            "example.org/b:2"
        );
        let nameless = named(r#"{"org.opencontainers.image.ref.name":"latest"}"#);
        assert_eq!(
            nameless.name,
            format!("localhost/import:{}", &nameless.descriptor.digest.hex()[..12])
        );
    }

    #[test]
    fn an_archive_of_an_older_docker_gets_a_manifest() {
        let layer = b"layer".to_vec();
        let saved = r#"[{"Config":"abc.json","RepoTags":["a:1"],"Layers":["l/layer.tar"]}]"#;
        let archive = tar(&[
            ("abc.json", config(&layer)),
            ("l/layer.tar", layer.clone()),
            ("manifest.json", saved.into()),
        ]);
        let folder = tempfile::tempdir().unwrap();
        let image = read(archive.as_slice(), folder.path(), 1 << 20).unwrap();
        assert_eq!(image.name, "docker.io/library/a:1");
        assert_eq!(image.layout.read(&image.manifest.layers[0].digest).unwrap(), layer);
        assert_eq!(
            image.layout.read(&image.descriptor.digest).unwrap().len() as u64,
            image.descriptor.size
        );
    }

    #[test]
    fn what_is_no_archive_of_an_image_is_refused() {
        let refused = |bytes: &[u8], limit: u64, words: &str| {
            let error = read_into(bytes, limit).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        refused(&tar(&[("note", b"x".to_vec())]), 1 << 20, "neither index.json nor");
        refused(
            &tar(&[("../index.json", b"{}".to_vec())]),
            1 << 20,
            "no path of an archive",
        );
        refused(&layout("{}"), 100, "larger than 100 bytes");
        refused(b"no archive at all", 1 << 20, "read the archive");
        let two = br#"[{"Config":"a","Layers":[]},{"Config":"b","Layers":[]}]"#;
        refused(&tar(&[("manifest.json", two.to_vec())]), 1 << 20, "2 images");
        let digest = Digest::of(b"something else");
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"{digest}","size":2}}]}}"#);
        let name = format!("blobs/sha256/{}", digest.hex());
        let wrong = tar(&[("index.json", index.into_bytes()), (&name, b"{}".to_vec())]);
        refused(&wrong, 1 << 20, "a document has digest");
    }
}
