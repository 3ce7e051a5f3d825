//! The distribution from its manifests: what `cargo xtask dist` and `keelctl image build` have in common.
//!
//! Our own programs come compiled (`cargo xtask dist` does that first); Go components are compiled here, Debian's files
//! are fetched, and all of it becomes the products of [`dist`].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::components::{Component, Distro, ManifestError};
use crate::debian::{Collection, DebianError, WhenGone};
use crate::dist::{self, DistError, ProductList};
use crate::go::{BuiltComponent, Go, GoError};
use crate::run::Tool;
use crate::sbom;

/// Our programs that are in the distribution.
pub const PROGRAMS: [&str; 6] = ["machined", "keelctl", "pause", "flannel", "cp", "testapp"];
/// Beside the programs: the crates that are linked into them, as JSON.
pub const CRATES: &str = "crates.json";
/// Debian packages that making the products needs, besides those of components.
const PACKAGES: [&str; 1] = ["squashfs-tools"];

/// Why there is no distribution.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The manifests.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A Go component.
    #[error(transparent)]
    Go(#[from] GoError),
    /// Debian's files.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// The products.
    #[error(transparent)]
    Dist(#[from] DistError),
    /// A component that is asked for by name does not exist.
    #[error("there is no component {0:?}")]
    NoComponent(String),
    /// The folder of programs is not one.
    #[error("there is no program {}: build our programs with `cargo xtask dist`, which leaves them in dist/programs", .0.display())]
    NoProgram(PathBuf),
    /// Which crates are inside of the programs is not known.
    #[error(
        "read {}, the list of crates inside of the programs: {cause} (`cargo xtask dist` writes it beside them)",
        path.display()
    )]
    NoCrates {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: io::Error,
    },
    /// `SOURCE_DATE_EPOCH` is wrong.
    #[error("SOURCE_DATE_EPOCH={0:?} is not a number of seconds")]
    Epoch(String),
}

/// Is told what is going on, from several threads.
pub trait Progress: Sync {
    /// A step begins.
    fn begin(&self, step: &str);
    /// It ended after `took`: as said, or with an error.
    fn end(&self, step: &str, outcome: Option<Outcome>, took: Duration);
    /// Something that the person who waits has to know.
    fn note(&self, text: &str);
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was nothing to do.
    Unchanged,
    /// It was done; some words about it, or none.
    Done(String),
}

/// What to build, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of manifests.
    pub distro: PathBuf,
    /// Downloads and what was built before.
    pub cache: PathBuf,
    /// Every time in the products.
    pub epoch: u64,
    /// What to do when a Debian package of the lock is gone.
    pub when_gone: WhenGone,
}

/// Our programs, and what is linked into them.
#[derive(Clone, Debug)]
pub struct Programs {
    /// By name.
    pub files: BTreeMap<String, PathBuf>,
    /// The crates inside.
    pub crates: Vec<sbom::Package>,
}

impl Programs {
    /// Those in `folder`, with the list of crates that `cargo xtask dist` left beside them.
    pub fn open(folder: &Path) -> Result<Programs, MakeError> {
        let files = find_programs(folder)?;
        let path = folder.join(CRATES);
        let read = || -> io::Result<Vec<sbom::Package>> { Ok(serde_json::from_slice(&fs::read(&path)?)?) };
        match read() {
            Ok(crates) => Ok(Programs { files, crates }),
            Err(cause) => Err(MakeError::NoCrates { path, cause }),
        }
    }
}

/// The programs in a folder. Clusters do without the discovery service, so it may be missing.
pub fn find_programs(folder: &Path) -> Result<BTreeMap<String, PathBuf>, MakeError> {
    let found = PROGRAMS.into_iter().map(|name| match folder.join(name) {
        path if path.is_file() => Ok((name.to_owned(), path)),
        path => Err(MakeError::NoProgram(path)),
    });
    let mut found: BTreeMap<String, PathBuf> = found.collect::<Result<_, _>>()?;
    let service = folder.join(dist::DISCOVERY);
    if service.is_file() {
        found.insert(dist::DISCOVERY.to_owned(), service);
    }
    Ok(found)
}

/// Our version, with its v.
pub fn version() -> String {
    format!("v{}", env!("CARGO_PKG_VERSION"))
}

/// The time products carry: what `SOURCE_DATE_EPOCH` says, if anything.
pub fn epoch(source_date_epoch: Option<&str>) -> Result<u64, MakeError> {
    source_date_epoch.map_or(Ok(dist::EPOCH), |text| {
        text.parse().map_err(|_| MakeError::Epoch(text.to_owned()))
    })
}

/// Debian packages that building this distribution needs and this machine lacks.
pub fn missing_packages(distro: &Distro) -> Vec<String> {
    let needed = PACKAGES.into_iter().map(str::to_owned).chain(distro.build_packages());
    needed.filter(|package| !is_installed(package)).collect()
}

/// Whether a Debian package is installed.
pub fn is_installed(package: &str) -> bool {
    let status = Tool::new("dpkg-query", "dpkg")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .output();
    status.is_ok_and(|text| text == b"installed")
}

/// What products are made of, built.
pub struct Parts {
    /// The manifests.
    pub distro: Distro,
    /// The Go toolchain.
    pub go: Go,
    components: Vec<BuiltComponent>,
    programs: Programs,
    debian: Collection,
    epoch: u64,
}

/// Compiles and fetches; `programs` runs meanwhile, because Go's downloads and Rust's compiling do not wait for each
/// other.
pub fn parts<E: From<MakeError>>(
    settings: &Settings,
    progress: &dyn Progress,
    programs: impl FnOnce() -> Result<Programs, E>,
) -> Result<Parts, E> {
    let distro = Distro::load(&settings.distro, &version()).map_err(MakeError::from)?;
    let (built, programs) = std::thread::scope(|scope| {
        let go = scope.spawn(|| components(&distro, &settings.cache, &[], progress));
        let programs = programs();
        let built = go.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (built, programs)
    });
    let (go, components) = built?;
    let programs = programs?;
    let debian = step(progress, "Debian files", || {
        let cache = settings.cache.join("debian");
        let debian = Collection::load(&distro.debian, &distro.lock, settings.when_gone, &cache)?;
        let count = format!("{} packages", debian.packages.len());
        Ok((debian, Outcome::Done(count)))
    })?;
    for (name, version) in &debian.replaced {
        progress.note(&format!(
            "debian.lock: the locked version of {name} can no longer be had, {version} is in the products instead \
             (renew the lock: cargo xtask dist --update-debian)"
        ));
    }
    Ok(Parts {
        distro,
        go,
        components,
        programs,
        debian,
        epoch: settings.epoch,
    })
}

/// Builds Go components, all or only some, each once per set of inputs.
pub fn components(
    distro: &Distro,
    cache: &Path,
    only: &[String],
    progress: &dyn Progress,
) -> Result<(Go, Vec<BuiltComponent>), MakeError> {
    let known = |name: &&String| distro.components.iter().any(|component| component.name == **name);
    if let Some(name) = only.iter().find(|name| !known(name)) {
        return Err(MakeError::NoComponent(name.clone()));
    }
    let go = step(progress, "Go toolchain", || {
        let go = Go::find_or_fetch(&distro.toolchain, cache)?;
        let version = format!("go {}", go.version);
        Ok((go, Outcome::Done(version)))
    })?;
    let wanted = |component: &&Component| only.is_empty() || only.contains(&component.name);
    let build = |component: &Component| {
        step(progress, &format!("{} {}", component.name, component.version), || {
            let (built, fresh) = go.build(distro, component, cache)?;
            let outcome = if fresh {
                Outcome::Done(String::new())
            } else {
                Outcome::Unchanged
            };
            Ok((built, outcome))
        })
    };
    let built = distro.components.iter().filter(wanted).map(build);
    let built = built.collect::<Result<Vec<_>, _>>()?;
    Ok((go, built))
}

impl Parts {
    /// Makes the products in `out`, with intermediate ones in `cache`.
    pub fn products(&self, cache: &Path, out: &Path, progress: &dyn Progress) -> Result<ProductList, MakeError> {
        let inputs = dist::Inputs {
            distro: &self.distro,
            components: &self.components,
            programs: &self.programs.files,
            debian: &self.debian,
            crates: &self.programs.crates,
            version: &version(),
            epoch: self.epoch,
            cache,
            out,
        };
        let mut running: Option<(String, Instant)> = None;
        let end = |running: &mut Option<(String, Instant)>, outcome: Option<Outcome>| {
            if let Some((name, began)) = running.take() {
                progress.end(&name, outcome, began.elapsed());
            }
        };
        let made = dist::build(&inputs, &mut |name| {
            end(&mut running, Some(Outcome::Done(String::new())));
            progress.begin(name);
            running = Some((name.to_owned(), Instant::now()));
        });
        end(&mut running, made.is_ok().then(|| Outcome::Done(String::new())));
        Ok(made?)
    }

    /// A component and its built programs.
    pub fn component(&self, name: &str) -> Option<(&Component, &BuiltComponent)> {
        let both = self.distro.components.iter().zip(&self.components);
        both.into_iter().find(|(component, _)| component.name == name)
    }

    /// One of our programs.
    pub fn program(&self, name: &str) -> Option<&PathBuf> {
        self.programs.files.get(name)
    }

    /// All our programs, by name.
    pub fn programs(&self) -> impl Iterator<Item = (&String, &PathBuf)> {
        self.programs.files.iter()
    }
}

fn step<T>(
    progress: &dyn Progress,
    name: &str,
    work: impl FnOnce() -> Result<(T, Outcome), MakeError>,
) -> Result<T, MakeError> {
    progress.begin(name);
    let began = Instant::now();
    let (result, outcome) = match work() {
        Ok((made, outcome)) => (Ok(made), Some(outcome)),
        Err(error) => (Err(error), None),
    };
    progress.end(name, outcome, began.elapsed());
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_programs_or_their_crates_says_where_they_come_from() {
        let dir = tempfile::tempdir().unwrap();
        let error = Programs::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("machined") && error.contains("cargo xtask dist"),
            "{error}"
        );
        for name in PROGRAMS {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let error = Programs::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("crates.json"), "{error}");
        fs::write(dir.path().join(CRATES), "[]").unwrap();
        assert_eq!(Programs::open(dir.path()).unwrap().files.len(), PROGRAMS.len());
    }

    #[test]
    fn the_time_of_products_is_fixed_or_as_said() {
        assert_eq!(epoch(None).unwrap(), dist::EPOCH);
        assert_eq!(epoch(Some("12")).unwrap(), 12);
        assert!(epoch(Some("today")).unwrap_err().to_string().contains("\"today\""));
    }
}
