//! The distribution's manifests: `components.toml`, `debian.toml` with `debian.lock`, `images.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::debian::DebianError;
use crate::debian::lock::Lock;

/// Beside `debian.toml`.
const LOCK: &str = "debian.lock";

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It could not be read.
    #[error("read {}: {cause}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It says something wrong.
    #[error("{}: {message}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// The Go toolchain everything is built with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toolchain {
    /// Oldest version that can build every component.
    pub minimum: String,
    /// The version fetched when there is none.
    pub version: String,
    /// SHA-256 of the module proxy's archive of that version.
    pub sha256: String,
}

/// A Go module and the programs built from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Folder in `distro/go`, and the name in image references.
    pub name: String,
    /// Go module path.
    pub module: String,
    /// Its version.
    pub version: String,
    /// SPDX licence expression.
    pub licence: String,
    /// Extra linker flags.
    #[serde(default)]
    pub ldflags: String,
    /// Build tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether C code takes part; such programs are linked statically.
    #[serde(default)]
    pub cgo: bool,
    /// Debian packages the build needs.
    #[serde(default)]
    pub debian: Vec<String>,
    /// Program name to Go package.
    pub binaries: BTreeMap<String, String>,
}

impl Component {
    /// The linker flags with the version filled in.
    pub fn linker_flags(&self) -> String {
        let mut parts = self.version.trim_start_matches('v').split('.');
        let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let filled = self
            .ldflags
            .replace("{version}", &self.version)
            .replace("{major}", major)
            .replace("{minor}", minor);
        let fixed = if self.cgo {
            "-s -w -buildid= -linkmode external -extldflags -static"
        } else {
            "-s -w -buildid="
        };
        format!("{fixed} {filled}").trim_end().to_owned()
    }
}

/// Files of Debian packages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebianSet {
    /// Paths, `*` for a part of a name.
    pub files: Vec<String>,
    /// Symbolic links to add.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
}

/// `debian.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debian {
    /// Packages to take files from.
    pub packages: Vec<String>,
    /// Named lists of files.
    pub sets: BTreeMap<String, DebianSet>,
}

/// An image to build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Full reference, with `{component}` for versions.
    pub reference: String,
    /// Path in the image to program name.
    #[serde(default)]
    pub binaries: BTreeMap<String, String>,
    /// Sets of Debian files.
    #[serde(default)]
    pub sets: Vec<String>,
    /// First words of the command.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Its arguments.
    #[serde(default)]
    pub cmd: Vec<String>,
    /// Environment, `NAME=value`.
    #[serde(default)]
    pub env: Vec<String>,
    /// `user[:group]`.
    #[serde(default)]
    pub user: String,
    /// Nothing but the binaries.
    #[serde(default)]
    pub bare: bool,
}

/// Everything `distro/` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Distro {
    /// Its folder.
    pub dir: PathBuf,
    /// The Go toolchain.
    pub toolchain: Toolchain,
    /// Go components.
    pub components: Vec<Component>,
    /// Debian files.
    pub debian: Debian,
    /// Which versions of its packages.
    pub lock: Lock,
    /// Images, references filled in.
    pub images: Vec<Image>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ComponentsFile {
    toolchain: Toolchain,
    component: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImagesFile {
    image: Vec<Image>,
}

impl Distro {
    /// Reads the manifests in `dir`; `release` is our own version, with its v.
    pub fn load(dir: &Path, release: &str) -> Result<Distro, ManifestError> {
        let components: ComponentsFile = read(&dir.join("components.toml"))?;
        let debian: Debian = read(&dir.join("debian.toml"))?;
        let lock = lock(dir, &debian)?;
        let images_path = dir.join("images.toml");
        let mut images: ImagesFile = read(&images_path)?;
        for image in &mut images.image {
            for component in &components.component {
                image.reference = image
                    .reference
                    .replace(&format!("{{{}}}", component.name), &component.version);
            }
            image.reference = image.reference.replace("{release}", release);
            let bad = |message: String| ManifestError::Content {
                path: images_path.clone(),
                message,
            };
            image
                .reference
                .parse::<crate::ImageRef>()
                .map_err(|e| bad(e.to_string()))?;
            if let Some(set) = image.sets.iter().find(|set| !debian.sets.contains_key(*set)) {
                return Err(bad(format!(
                    "{}: there is no set {set:?} in debian.toml",
                    image.reference
                )));
            }
        }
        Ok(Distro {
            dir: dir.to_owned(),
            toolchain: components.toolchain,
            components: components.component,
            debian,
            lock,
            images: images.image,
        })
    }

    /// Debian packages that building the components needs, each once.
    pub fn build_packages(&self) -> Vec<String> {
        let mut packages: Vec<String> = self.components.iter().flat_map(|c| c.debian.clone()).collect();
        packages.sort();
        packages.dedup();
        packages
    }
}

/// Reads `debian.lock`, which must fit to `debian.toml`.
fn lock(dir: &Path, debian: &Debian) -> Result<Lock, ManifestError> {
    let path = dir.join(LOCK);
    let lock: Lock = read(&path)?;
    match lock.differs_from(&debian.packages) {
        None => Ok(lock),
        Some(difference) => Err(ManifestError::Content {
            path,
            message: format!("{difference}: renew it with `cargo xtask dist --update-debian`"),
        }),
    }
}

/// Asks the mirrors of this machine what they have of the packages in `debian.toml`, and writes `debian.lock`. Gives its
/// path.
pub fn renew_lock(dir: &Path, epoch: u64) -> Result<PathBuf, RenewError> {
    let debian: Debian = read(&dir.join("debian.toml"))?;
    let path = dir.join(LOCK);
    let text = Lock::of_mirrors(&debian.packages, epoch)?.encode();
    std::fs::write(&path, text).map_err(|cause| RenewError::Write {
        path: path.clone(),
        cause,
    })?;
    Ok(path)
}

/// A lock that cannot be renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// `debian.toml` cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// apt does not know.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// It cannot be written.
    #[error("write {}: {cause}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ManifestError> {
    let text = std::fs::read_to_string(path).map_err(|cause| ManifestError::Read {
        path: path.to_owned(),
        cause,
    })?;
    toml::from_str(&text).map_err(|e| ManifestError::Content {
        path: path.to_owned(),
        message: e.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distro() -> Distro {
        Distro::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../distro"), "v1.13.0").unwrap()
    }

    #[test]
    fn the_manifests_of_this_repository_are_complete() {
        let distro = distro();
        let images: Vec<&str> = distro.images.iter().map(|image| image.reference.as_str()).collect();
        assert!(images.contains(&"registry.k8s.io/kube-apiserver:v1.37.1"), "{images:?}");
        assert!(images.iter().all(|image| !image.contains('{')), "{images:?}");
        for component in &distro.components {
            let pin = distro.dir.join("go").join(&component.name);
            let text = std::fs::read_to_string(pin.join("go.mod")).unwrap();
            let require = format!("{} {}", component.module, component.version);
            assert!(text.contains(&require), "{} does not require {require}", pin.display());
            assert!(!text.contains("\ntoolchain "), "{} names a toolchain", pin.display());
            assert!(pin.join("go.sum").is_file());
        }
    }

    #[test]
    fn images_name_programs_of_one_component_each() {
        let distro = distro();
        let components = |name: &str| {
            let has = |c: &&Component| match name.split_once('/') {
                Some((component, program)) => c.name == component && c.binaries.contains_key(program),
                None => c.binaries.contains_key(name),
            };
            distro.components.iter().filter(has).count()
        };
        for image in &distro.images {
            for program in image.binaries.values() {
                let own = crate::make::PROGRAMS.contains(&program.as_str());
                assert_eq!(components(program), usize::from(!own), "{}: {program}", image.reference);
            }
        }
    }

    #[test]
    fn there_are_a_minor_version_and_a_patch_release_to_upgrade_from() {
        let distro = distro();
        let numbers = |name: &str| -> Vec<u32> {
            let component = distro.components.iter().find(|c| c.name == name).unwrap();
            let version = component.version.trim_start_matches('v');
            version.split('.').map(|number| number.parse().unwrap()).collect()
        };
        let newest = numbers("kubernetes");
        assert_eq!(numbers("kubernetes-previous")[1] + 1, newest[1]);
        assert_eq!(numbers("kubernetes-patch"), [newest[0], newest[1], newest[2] - 1]);
    }

    #[test]
    fn the_version_is_linked_into_kubernetes() {
        let kubernetes = distro()
            .components
            .into_iter()
            .find(|c| c.name == "kubernetes")
            .unwrap();
        let flags = kubernetes.linker_flags();
        assert!(
            flags.contains("gitVersion=v1.37.1") && flags.contains("gitMinor=37"),
            "{flags}"
        );
    }
}
