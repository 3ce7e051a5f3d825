//! All products of a distribution, from its parts into one folder:
//!
//! | file | what |
//! |---|---|
//! | `rootfs.sqsh` | the node's root filesystem |
//! | `node.tar` | the same as an image that `docker load` takes |
//! | `images/` | an OCI layout with every image under its upstream name |
//! | `sbom.spdx.json` | the bill of materials |
//! | `keelctl`, `kubectl` | the clients |
//! | `programs/` | our programs and the list of crates inside, from which `keelctl image build` makes all of it again |
//! | `manifest.json` | digests of all of it |

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::components::{Distro, Image};
use crate::debian::{Collection, DebianError};
use crate::digest::Digest;
use crate::go::{Binary, BuiltComponent};
use crate::make::CRATES;
use crate::oci::{
    self, BuildError, Built, Compression, Descriptor, ImageConfig, ImageSpec, Index, Layout, LayoutError,
};
use crate::rootfs::{self, RootfsError};
use crate::run::RunError;
use crate::sbom;
use crate::tree::Tree;
use crate::{cache, licence, squashfs};

/// The time everything in a build carries unless `SOURCE_DATE_EPOCH` says another: 2026-01-01.
pub const EPOCH: u64 = 1_767_225_600;
/// The node image's name; the tag is our version.
pub const NODE_IMAGE: &str = "ghcr.io/keelson/node";

/// Why a product cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DistError {
    /// Root filesystem.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// A file of a Debian package.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// An image.
    #[error(transparent)]
    Image(#[from] BuildError),
    /// A layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A tool.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file.
    #[error("{0}: {1}")]
    Io(String, io::Error),
    /// A part is missing.
    #[error("image {0}: there is no program {1:?}")]
    Missing(String, String),
}

/// What products are made of.
pub struct Inputs<'a> {
    /// The manifests.
    pub distro: &'a Distro,
    /// Built Go components.
    pub components: &'a [BuiltComponent],
    /// Our own programs by name: `machined`, `keelctl`, `pause`, `flannel`, `cp`, `testapp`, and perhaps
    /// `keelson-discovery`.
    pub programs: &'a BTreeMap<String, PathBuf>,
    /// Debian's files.
    pub debian: &'a Collection,
    /// Crates inside our programs.
    pub crates: &'a [sbom::Package],
    /// Our version, with its v.
    pub version: &'a str,
    /// Every time in the products.
    pub epoch: u64,
    /// Where intermediate products are kept.
    pub cache: &'a Path,
    /// Where products go.
    pub out: &'a Path,
}

/// `manifest.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProductList {
    /// Our version.
    pub version: String,
    /// Digest of each file.
    pub files: BTreeMap<String, Digest>,
    /// Manifest digest of each image.
    pub images: BTreeMap<String, Digest>,
    /// Debian packages whose locked version could no longer be had, and the version that is inside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_as_locked: BTreeMap<String, String>,
}

fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> DistError {
    let text = format!("{doing} {}", path.display());
    move |e| DistError::Io(text, e)
}

/// The discovery service's program.
pub const DISCOVERY: &str = "keelson-discovery";

/// Programs of Go components: each as `component/program`, and by its own name alone where no other component has one of
/// that name.
fn by_name(distro: &Distro, built: &[BuiltComponent]) -> BTreeMap<String, Binary> {
    let with_name = |name: &String| built.iter().filter(|c| c.binaries.contains_key(name)).count();
    let mut binaries = BTreeMap::new();
    for (component, built) in distro.components.iter().zip(built) {
        for (name, binary) in &built.binaries {
            binaries.insert(format!("{}/{name}", component.name), binary.clone());
            if with_name(name) == 1 {
                binaries.insert(name.clone(), binary.clone());
            }
        }
    }
    binaries
}

/// Makes every product. `step` is told what is about to be made, and answers by making a note of it.
pub fn build(inputs: &Inputs<'_>, step: &mut dyn FnMut(&str)) -> Result<ProductList, DistError> {
    fs::create_dir_all(inputs.out).map_err(failed("create", inputs.out))?;
    let store = Layout::create(inputs.cache.join("oci"))?;
    let binaries = by_name(inputs.distro, inputs.components);
    let mut list = ProductList {
        version: inputs.version.to_owned(),
        not_as_locked: inputs.debian.replaced.clone(),
        ..ProductList::default()
    };

    step("root filesystem");
    let parts = rootfs::Parts {
        components: &binaries,
        programs: inputs.programs,
        debian: inputs.debian,
        version: inputs.version,
    };
    let layers = rootfs::layers(&parts)?;
    let mut whole = layers[0].clone();
    whole.merge(&layers[1]);
    let key = format!("{}-{}", &whole.id().hex()[..24], inputs.epoch);
    let squash = |path: &Path| Ok(squashfs::write(&whole, path, inputs.epoch)?);
    list.files
        .insert("rootfs.sqsh".into(), product(inputs, "rootfs.sqsh", &key, squash)?);

    step("node image");
    let config = ImageConfig {
        entrypoint: vec!["/sbin/init".into()],
        env: vec!["PLATFORM=container".into()],
        ..ImageConfig::default()
    };
    let spec = ImageSpec {
        config,
        layers: layers.to_vec(),
        compression: Compression::Gzip,
        epoch: inputs.epoch,
    };
    let node = oci::build(&store, &spec)?;
    let reference = format!("{NODE_IMAGE}:{}", inputs.version);
    let save = |path: &Path| {
        let mut file = io::BufWriter::new(fs::File::create(path).map_err(failed("create", path))?);
        Ok(oci::save_docker(&store, &node, &reference, &mut file, inputs.epoch)?)
    };
    list.files.insert(
        "node.tar".into(),
        product(inputs, "node.tar", &node.descriptor.digest.hex()[..24], save)?,
    );

    step("images");
    list.images = images(inputs, &store, &binaries, &node, &reference)?;

    step("bill of materials");
    let text = sbom::document(inputs.version, inputs.epoch, &contents(inputs)?);
    put(&inputs.out.join("sbom.spdx.json"), &text)?;
    list.files.insert("sbom.spdx.json".into(), Digest::of(&text));

    step("programs");
    programs(inputs, &binaries, &mut list)?;
    let text = serde_json::to_vec_pretty(&list).map_err(|e| DistError::Io("write manifest.json".into(), e.into()))?;
    put(&inputs.out.join("manifest.json"), &text)?;
    cache::tidy(inputs.cache, &store);
    Ok(list)
}

/// The clients for people, and our programs for `keelctl image build`.
fn programs(inputs: &Inputs<'_>, binaries: &BTreeMap<String, Binary>, list: &mut ProductList) -> Result<(), DistError> {
    let folder = inputs.out.join("programs");
    fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
    let missing = |name: &str| DistError::Missing("dist".into(), name.into());
    let kubectl = &binaries.get("kubectl").ok_or_else(|| missing("kubectl"))?.path;
    list.files
        .insert("kubectl".into(), copy(kubectl, &inputs.out.join("kubectl"))?);
    for (name, path) in inputs.programs {
        let digest = copy(path, &folder.join(name))?;
        list.files.insert(format!("programs/{name}"), digest);
    }
    let keelctl = list.files.get("programs/keelctl").cloned();
    list.files
        .insert("keelctl".into(), keelctl.ok_or_else(|| missing("keelctl"))?);
    place(&folder.join("keelctl"), &inputs.out.join("keelctl"))?;
    if let Some(digest) = list.files.get(&format!("programs/{DISCOVERY}")).cloned() {
        list.files.insert(DISCOVERY.into(), digest);
        place(&folder.join(DISCOVERY), &inputs.out.join(DISCOVERY))?;
    }
    let crates = serde_json::to_vec_pretty(inputs.crates).map_err(|e| DistError::Io("list crates".into(), e.into()))?;
    put(&folder.join(CRATES), &crates)?;
    list.files.insert(format!("programs/{CRATES}"), Digest::of(&crates));
    Ok(())
}

/// A copy of its own: what is running from dist/ must not change when the next build writes its output.
fn copy(from: &Path, to: &Path) -> Result<Digest, DistError> {
    let (digest, _) = Digest::of_file(from).map_err(failed("read", from))?;
    if Digest::of_file(to).map_or(true, |(there, _)| there != digest) {
        let partial = to.with_extension("partial");
        let _ = fs::remove_file(&partial);
        fs::copy(from, &partial).map_err(failed("copy", from))?;
        fs::rename(&partial, to).map_err(failed("write", to))?;
    }
    Ok(digest)
}

/// Makes a file once per key and puts it into the folder of products.
fn product(
    inputs: &Inputs<'_>,
    name: &str,
    key: &str,
    make: impl FnOnce(&Path) -> Result<(), DistError>,
) -> Result<Digest, DistError> {
    let folder = inputs.cache.join("products");
    fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
    let kept = folder.join(format!("{key}-{name}"));
    if !kept.is_file() {
        let work = cache::work(inputs.cache).map_err(failed("prepare", &kept))?;
        let partial = work.path().join(name);
        make(&partial)?;
        fs::rename(&partial, &kept).map_err(failed("finish", &kept))?;
    }
    cache::touch(&kept);
    let (digest, _) = Digest::of_file(&kept).map_err(failed("read", &kept))?;
    place(&kept, &inputs.out.join(name))?;
    Ok(digest)
}

/// Puts a file at a place: linked where it can be, copied where it cannot. What had it open keeps the old one.
fn place(from: &Path, to: &Path) -> Result<(), DistError> {
    use std::os::unix::fs::MetadataExt;
    let same = |a: &Path, b: &Path| Some((fs::metadata(a).ok()?, fs::metadata(b).ok()?));
    if same(from, to).is_some_and(|(a, b)| a.ino() == b.ino() && a.dev() == b.dev()) {
        return Ok(());
    }
    let partial = to.with_extension("partial");
    let _ = fs::remove_file(&partial);
    if fs::hard_link(from, &partial).is_err() {
        fs::copy(from, &partial).map_err(failed("copy", from))?;
    }
    fs::rename(&partial, to).map_err(failed("write", to))
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), DistError> {
    let partial = path.with_extension("partial");
    fs::write(&partial, bytes).map_err(failed("write", &partial))?;
    fs::rename(&partial, path).map_err(failed("write", path))
}

/// Builds every image and lays the layout out.
fn images(
    inputs: &Inputs<'_>,
    store: &Layout,
    binaries: &BTreeMap<String, Binary>,
    node: &Built,
    node_reference: &str,
) -> Result<BTreeMap<String, Digest>, DistError> {
    let mut built = vec![(node_reference.to_owned(), node.clone())];
    for image in &inputs.distro.images {
        let spec = image_spec(inputs, image, binaries)?;
        built.push((image.reference.clone(), oci::build(store, &spec)?));
    }
    let layout = Layout::create(inputs.out.join("images"))?;
    let mut index = Index::default();
    let mut wanted = BTreeSet::new();
    for (reference, image) in &built {
        let mut descriptor: Descriptor = image.descriptor.clone();
        descriptor
            .annotations
            .insert(oci::REF_NAME.to_owned(), reference.clone());
        descriptor.platform = Some(oci::Platform {
            architecture: "amd64".into(),
            os: "linux".into(),
        });
        index.manifests.push(descriptor);
        let layers = image.manifest.layers.iter().map(|layer| &layer.digest);
        for digest in layers.chain([&image.descriptor.digest, &image.manifest.config.digest]) {
            place(&store.blob_path(digest), &layout.blob_path(digest))?;
            wanted.insert(digest.hex().to_owned());
        }
    }
    layout.write_index(&index)?;
    // Blobs of older builds go only now, when the new index is there.
    let blobs = layout.root().join("blobs/sha256");
    for entry in fs::read_dir(&blobs).map_err(failed("read", &blobs))?.flatten() {
        if !wanted.contains(entry.file_name().to_string_lossy().as_ref()) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(built
        .into_iter()
        .map(|(reference, image)| (reference, image.descriptor.digest))
        .collect())
}

/// An image: what many images share first, so that a node fetches and unpacks it once, then its own programs.
fn image_spec(inputs: &Inputs<'_>, image: &Image, binaries: &BTreeMap<String, Binary>) -> Result<ImageSpec, DistError> {
    let mut layers = Vec::new();
    if !image.bare {
        let mut base = Tree::default();
        rootfs::merge_usr(&mut base);
        base.dir("tmp", 0o1777);
        base.dir("var", 0o755);
        base.link("var/run", "/run");
        base.dir("run", 0o755);
        base.bytes("etc/passwd", 0o644, rootfs::PASSWD);
        base.bytes("etc/group", 0o644, rootfs::GROUP);
        base.bytes("etc/nsswitch.conf", 0o644, rootfs::NSSWITCH);
        base.bytes("etc/ssl/certs/ca-certificates.crt", 0o644, inputs.debian.ca_bundle()?);
        layers.push(base);
    }
    // One layer per set: images that share a set share the layer.
    for set in &image.sets {
        let mut tree = Tree::default();
        rootfs::merge_usr(&mut tree);
        tree.merge(&inputs.debian.pick([set.as_str()])?.tree);
        layers.push(tree);
    }
    let mut own = Tree::default();
    if !image.bare {
        rootfs::merge_usr(&mut own);
    }
    for (path, name) in &image.binaries {
        if let Some(binary) = binaries.get(name) {
            own.known_file(path, 0o755, &binary.path, binary.digest.clone(), binary.size);
        } else if let Some(program) = inputs.programs.get(name) {
            own.file(path, 0o755, program).map_err(failed("read", program))?;
        } else {
            return Err(DistError::Missing(image.reference.clone(), name.clone()));
        }
    }
    layers.push(own);
    for layer in &layers {
        rootfs::check(layer)?;
    }
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
    let config = ImageConfig {
        entrypoint: image.entrypoint.clone(),
        cmd: image.cmd.clone(),
        env: std::iter::once(path).chain(image.env.clone()).collect(),
        user: image.user.clone(),
        working_dir: "/".into(),
        ..ImageConfig::default()
    };
    Ok(ImageSpec {
        config,
        layers,
        compression: Compression::Zstd,
        epoch: inputs.epoch,
    })
}

/// Everything inside the products.
fn contents(inputs: &Inputs<'_>) -> Result<Vec<sbom::Package>, DistError> {
    let mut packages = inputs.crates.to_vec();
    for module in inputs.components.iter().flat_map(|component| &component.modules) {
        packages.push(sbom::Package {
            kind: sbom::Kind::Go,
            name: module.path.clone(),
            version: module.version.clone(),
            licence: module.licence.clone(),
        });
    }
    let sets: BTreeSet<&str> = inputs
        .distro
        .images
        .iter()
        .flat_map(|i| i.sets.iter().map(String::as_str))
        .chain(rootfs::SETS)
        .collect();
    let mut used = inputs.debian.pick(sets)?.packages;
    used.insert("ca-certificates".into());
    for package in inputs
        .debian
        .packages
        .iter()
        .filter(|package| used.contains(&package.name))
    {
        let copyright = inputs.debian.copyright(&package.name);
        packages.push(sbom::Package {
            kind: sbom::Kind::Debian,
            name: package.name.clone(),
            version: package.version.clone(),
            licence: copyright.map_or_else(|| licence::UNKNOWN.into(), |text| licence::of_debian_copyright(&text)),
        });
    }
    Ok(packages)
}
