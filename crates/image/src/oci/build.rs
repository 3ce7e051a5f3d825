//! Building images from trees. Layers are kept by what is in them, so an unchanged layer is never compressed twice.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::layout::{Layout, LayoutError};
use super::types::{Descriptor, History, ImageConfig, ImageDocument, Manifest, RootFs, media_type};
use crate::digest::{Digest, HashWriter};
use crate::tree::Tree;

/// Why an image cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The layout failed.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A file could not be read or written.
    #[error("build image: {0}")]
    Io(io::Error),
    /// A document could not be written.
    #[error("build image: {0}")]
    Json(serde_json::Error),
}

impl From<io::Error> for BuildError {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

impl From<serde_json::Error> for BuildError {
    fn from(cause: serde_json::Error) -> Self {
        Self::Json(cause)
    }
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// What every client takes.
    Gzip,
    /// What containerd and our own client unpack fastest.
    Zstd,
}

/// gzip's own default.
const GZIP_LEVEL: u32 = 6;
/// zstd's own default: 650 MB of binaries in a few seconds.
const ZSTD_LEVEL: i32 = 3;
/// With workers the output depends on the level only, not on how many there are.
const ZSTD_WORKERS: u32 = 2;

/// An image to build.
#[derive(Clone, Debug)]
pub struct ImageSpec {
    /// How a container of it starts.
    pub config: ImageConfig,
    /// Layers, lowest first.
    pub layers: Vec<Tree>,
    /// Compression of the layers.
    pub compression: Compression,
    /// Every time in it, seconds since 1970.
    pub epoch: u64,
}

/// A built image; its blobs are in the layout it was built into.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// The manifest's descriptor.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// Whether anything was compressed now.
    pub fresh: bool,
}

/// What is remembered of a layer.
#[derive(Serialize, Deserialize)]
struct Layer {
    descriptor: Descriptor,
    diff_id: Digest,
}

/// Builds an image into `layout`, which also remembers layers in a folder `layers` beside the blobs.
pub fn build(layout: &Layout, spec: &ImageSpec) -> Result<Built, BuildError> {
    let mut layers = Vec::new();
    let mut fresh = false;
    for tree in spec.layers.iter().filter(|tree| !tree.is_empty()) {
        let (layer, now) = layer(layout, tree, spec.compression, spec.epoch)?;
        fresh |= now;
        layers.push(layer);
    }
    let created = rfc3339(spec.epoch);
    let history = History {
        created: created.clone(),
        created_by: "keelson".to_owned(),
    };
    let document = ImageDocument {
        created,
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        config: spec.config.clone(),
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: layers.iter().map(|l| l.diff_id.clone()).collect(),
        },
        history: vec![history; layers.len()],
    };
    let config = serde_json::to_vec(&document)?;
    layout.put(&config)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: media_type::MANIFEST.to_owned(),
        config: Descriptor::of(media_type::CONFIG, &config),
        layers: layers.into_iter().map(|layer| layer.descriptor).collect(),
    };
    let bytes = serde_json::to_vec(&manifest)?;
    layout.put(&bytes)?;
    Ok(Built {
        descriptor: Descriptor::of(media_type::MANIFEST, &bytes),
        manifest,
        fresh,
    })
}

fn layer(layout: &Layout, tree: &Tree, compression: Compression, epoch: u64) -> Result<(Layer, bool), BuildError> {
    let folder = layout.root().join("layers");
    fs::create_dir_all(&folder)?;
    let (suffix, kind) = match compression {
        Compression::Gzip => (format!("gzip{GZIP_LEVEL}"), media_type::LAYER_GZIP),
        Compression::Zstd => (format!("zstd{ZSTD_LEVEL}"), media_type::LAYER_ZSTD),
    };
    let record = folder.join(format!("{}-{epoch}-{suffix}.json", tree.id().hex()));
    if let Some(layer) = known(layout, &record) {
        crate::cache::touch(&record);
        return Ok((layer, false));
    }
    let mut diff_id = None;
    let (digest, size) = layout.put_with::<BuildError>(|to| {
        diff_id = Some(match compression {
            Compression::Gzip => {
                // The header's time and name are left out.
                let mut encoder = flate2::GzBuilder::new().write(to, flate2::Compression::new(GZIP_LEVEL));
                let digest = archive(tree, &mut encoder, epoch)?;
                encoder.finish()?;
                digest
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(to, ZSTD_LEVEL)?;
                encoder.multithread(ZSTD_WORKERS)?;
                let digest = archive(tree, &mut encoder, epoch)?;
                encoder.finish()?;
                digest
            }
        });
        Ok(())
    })?;
    let diff_id = diff_id.ok_or_else(|| io::Error::other("the layer was not written"))?;
    let layer = Layer {
        descriptor: Descriptor::new(kind, digest, size),
        diff_id,
    };
    fs::write(&record, serde_json::to_vec(&layer)?)?;
    Ok((layer, true))
}

fn known(layout: &Layout, record: &PathBuf) -> Option<Layer> {
    let layer: Layer = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
    let blob = fs::metadata(layout.blob_path(&layer.descriptor.digest)).ok()?;
    (blob.len() == layer.descriptor.size).then_some(layer)
}

fn archive(tree: &Tree, to: &mut dyn Write, epoch: u64) -> io::Result<Digest> {
    let mut hashing = HashWriter::new(to);
    tree.write_tar(&mut hashing, epoch)?;
    Ok(hashing.finish().1)
}

/// Seconds since 1970 as RFC 3339 in UTC.
pub fn rfc3339(epoch: u64) -> String {
    let (days, seconds) = ((epoch / 86_400) as i64, epoch % 86_400);
    // Days to civil date, Howard Hinnant's algorithm ("chrono-Compatible Low-Level Date Algorithms").
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_767_225_599), "2025-12-31T23:59:59Z");
    }

    #[test]
    fn two_builds_of_the_same_tree_are_byte_identical_and_unpack_to_it() {
        let mut tree = Tree::default();
        tree.bytes("bin/app", 0o755, vec![7u8; 300_000]);
        tree.link("app", "bin/app");
        for compression in [Compression::Gzip, Compression::Zstd] {
            let spec = ImageSpec {
                config: ImageConfig::default(),
                layers: vec![tree.clone()],
                compression,
                epoch: 1_000,
            };
            let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let first = build(&Layout::create(one.path()).unwrap(), &spec).unwrap();
            let second = build(&Layout::create(two.path()).unwrap(), &spec).unwrap();
            assert_eq!(first, second);
            let again = build(&Layout::at(one.path()), &spec).unwrap();
            assert!(!again.fresh && again.descriptor == first.descriptor);

            let root = tempfile::tempdir().unwrap();
            let layer = &first.manifest.layers[0];
            let blob = fs::File::open(Layout::at(one.path()).blob_path(&layer.digest)).unwrap();
            let to = crate::unpack::Unpacker::new(root.path()).unwrap();
            crate::unpack::layer(&to, blob, &layer.media_type, None).unwrap();
            assert_eq!(fs::read(root.path().join("app")).unwrap().len(), 300_000);
        }
    }
}
