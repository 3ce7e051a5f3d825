//! `dist`: everything a cluster is made of, from sources to `dist/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use image::components::{Component, Distro};
use image::debian::Collection;
use image::go::{BuiltComponent, Go};
use image::{dist, sbom};

use crate::graph;
use crate::host;
use crate::paths;
use crate::ui::Ui;

/// What the command line says.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// Build only these components, and no products.
    pub only: Vec<String>,
    /// Where our programs are, when they are not to be built.
    pub programs: Option<PathBuf>,
    /// Build again, elsewhere and from nothing, and compare.
    pub verify: bool,
}

impl Options {
    /// Reads the arguments of `dist`.
    pub fn parse(args: &[String]) -> Result<Options> {
        let mut options = Options::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--programs" => options.programs = Some(value()?.into()),
                "--verify" => options.verify = true,
                other => bail!("dist: unknown argument {other:?}"),
            }
        }
        Ok(options)
    }
}

/// Debian packages that building Rust and images, and running local clusters, needs.
const PACKAGES: [&str; 6] = [
    "ca-certificates",
    "gcc",
    "iproute2",
    "libc6-dev",
    "nftables",
    "squashfs-tools",
];
/// Needed too when no Go toolchain is installed.
const FETCH_PACKAGES: [&str; 2] = ["curl", "unzip"];
/// The crates whose programs are in the distribution, and those programs.
const CRATES: [&str; 3] = ["machined", "guest", "keelctl"];
const PROGRAMS: [&str; 6] = ["machined", "keelctl", "pause", "flannel", "cp", "testapp"];
/// The discovery service is built by itself, with the profile of services.
const SERVICE_CRATE: &str = "discovery";
const SERVICE: &str = "keelson-discovery";
const SERVICE_PROFILE: &str = "service";
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What products are made of, built.
pub struct Parts {
    /// The manifests.
    pub distro: Distro,
    /// The Go toolchain.
    pub go: Go,
    components: Vec<BuiltComponent>,
    programs: BTreeMap<String, PathBuf>,
    debian: Collection,
    crates: Vec<sbom::Package>,
}

/// Builds; gives the folder of products.
pub fn run(ui: &Ui, options: &Options) -> Result<PathBuf> {
    let out = paths::dist();
    if let Some(parts) = parts(ui, options)? {
        ui.step("products", || {
            let list = parts.products(ui, &paths::cache()?, &out)?;
            let note = format!("{} images in {}", list.images.len(), out.display());
            Ok(((), Some(note)))
        })?;
        if options.verify {
            crate::reproduce::run(ui, &parts, &out)?;
        }
    }
    ui.total("built");
    Ok(out)
}

/// Installs, downloads and compiles. None when only some components were asked for.
fn parts(ui: &Ui, options: &Options) -> Result<Option<Parts>> {
    let cache = paths::cache()?;
    std::fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    let version = paths::version();
    let distro = Distro::load(&paths::repository().join("distro"), &version)?;
    ui.say(&format!("building Keelson {version} (cache {})", cache.display()));

    let mut packages: Vec<String> = PACKAGES.iter().map(|name| (*name).to_owned()).collect();
    packages.extend(distro.build_packages());
    if image::run::find("go").is_none() && !Path::new("/usr/local/go/bin/go").is_file() {
        packages.extend(FETCH_PACKAGES.iter().map(|name| (*name).to_owned()));
    }
    host::install(ui, &packages)?;

    // Go's downloads and Rust's compiling do not wait for each other.
    let (built, programs) = std::thread::scope(|scope| {
        let go = scope.spawn(|| build_components(ui, &distro, &cache, &options.only));
        let programs = match &options.programs {
            _ if !options.only.is_empty() => Ok(BTreeMap::new()),
            Some(folder) => find_given_programs(ui, folder),
            None => build_programs(ui, &paths::target(&cache)),
        };
        let failed = |_| Err(anyhow::anyhow!("the thread that builds Go components failed"));
        (go.join().unwrap_or_else(failed), programs)
    });
    let (go, components) = built?;
    if !options.only.is_empty() {
        return Ok(None);
    }
    let programs = programs?;
    let debian = ui.step("Debian files", || {
        let collection = Collection::load(&distro.debian, &cache.join("debian"))?;
        let count = format!("{} packages", collection.packages.len());
        Ok((collection, Some(count)))
    })?;
    let crates = ui.step("licences of crates", || {
        let roots = [&CRATES[..], &[SERVICE_CRATE]].concat();
        Ok((graph::linked_into(&roots)?, Some(String::new())))
    })?;
    let parts = Parts {
        distro,
        go,
        components,
        programs,
        debian,
        crates,
    };
    Ok(Some(parts))
}

impl Parts {
    /// Makes the products, with intermediate ones in `cache`.
    pub fn products(&self, ui: &Ui, cache: &Path, out: &Path) -> Result<dist::ProductList> {
        let version = paths::version();
        let inputs = dist::Inputs {
            distro: &self.distro,
            components: &self.components,
            programs: &self.programs,
            debian: &self.debian,
            crates: &self.crates,
            version: &version,
            epoch: paths::epoch()?,
            cache,
            out,
        };
        let mut last: Option<(String, Instant)> = None;
        let mut note = |name: &str| {
            if let Some((name, began)) = last.replace((name.to_owned(), Instant::now())) {
                ui.say(&format!("    {name}  {}", crate::ui::duration(began.elapsed())));
            }
        };
        Ok(dist::build(&inputs, &mut note)?)
    }

    /// A component and its built programs.
    pub fn component(&self, name: &str) -> Option<(&Component, &BuiltComponent)> {
        let both = self.distro.components.iter().zip(&self.components);
        both.into_iter().find(|(component, _)| component.name == name)
    }

    /// One of our programs.
    pub fn program(&self, name: &str) -> Option<&PathBuf> {
        self.programs.get(name)
    }
}

fn build_components(ui: &Ui, distro: &Distro, cache: &Path, only: &[String]) -> Result<(Go, Vec<BuiltComponent>)> {
    let go = ui.step("Go toolchain", || {
        let go = Go::find_or_fetch(&distro.toolchain, cache)?;
        let version = format!("go {}", go.version);
        Ok((go, Some(version)))
    })?;
    let known = |name: &str| distro.components.iter().any(|component| component.name == name);
    if let Some(name) = only.iter().find(|name| !known(name)) {
        bail!("--only: there is no component {name:?}");
    }
    let mut built = Vec::new();
    for component in distro
        .components
        .iter()
        .filter(|c| only.is_empty() || only.contains(&c.name))
    {
        built.push(ui.step(&format!("{} {}", component.name, component.version), || {
            let (built, fresh) = go.build(distro, component, cache)?;
            Ok((built, fresh.then(String::new)))
        })?);
    }
    Ok((go, built))
}

/// Programs of some Go components by name, built or as an earlier build left them.
pub fn go_programs(ui: &Ui, components: &[String]) -> Result<BTreeMap<String, PathBuf>> {
    let distro = Distro::load(&paths::repository().join("distro"), &paths::version())?;
    let (_, built) = build_components(ui, &distro, &paths::cache()?, components)?;
    let binaries = built.into_iter().flat_map(|component| component.binaries);
    Ok(binaries.map(|(name, binary)| (name, binary.path)).collect())
}

fn build_programs(ui: &Ui, target: &Path) -> Result<BTreeMap<String, PathBuf>> {
    ui.step("machined, keelctl and the programs in images", || {
        // The programs in images by themselves: what is built together shares features of its dependencies, and then
        // the bytes of a program depend on its company.
        compile(&["machined", "keelctl"], target)?;
        compile(&["guest"], target)?;
        Ok(((), Some(String::new())))
    })?;
    ui.step("the discovery service", || {
        host::quiet(&mut reproducible_build(SERVICE_PROFILE, &[SERVICE_CRATE], target)?)?;
        Ok(((), Some(String::new())))
    })?;
    let mut programs = find_programs(&release(target))?;
    programs.insert(SERVICE.to_owned(), built(target, SERVICE_PROFILE).join(SERVICE));
    Ok(programs)
}

/// Programs built elsewhere. Clusters do without the discovery service, so it may be missing.
fn find_given_programs(ui: &Ui, folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut programs = find_programs(folder)?;
    let service = folder.join(SERVICE);
    if service.is_file() {
        programs.insert(SERVICE.to_owned(), service);
    } else {
        ui.say(&format!(
            "  · there is no {SERVICE} in {}: dist goes without",
            folder.display()
        ));
    }
    Ok(programs)
}

/// Compiles crates for the distribution, so that their bytes do not depend on where that is done.
pub fn compile(crates: &[&str], target: &Path) -> Result<()> {
    host::quiet(&mut release_build(crates, target)?).map(|_| ())
}

/// Compiles an example against what [`compile`] left of the crates it is built with.
pub fn compile_example(krate: &str, example: &str, target: &Path) -> Result<PathBuf> {
    // The same crates together have the same features, so nothing is compiled twice.
    let mut cargo = release_build(&[&CRATES[..], &[krate]].concat(), target)?;
    host::quiet(cargo.args(["--example", example]))?;
    Ok(release(target).join("examples").join(example))
}

/// Compiles the discovery service and the program that puts load on it; gives the folder of programs.
pub fn compile_discovery(target: &Path) -> Result<PathBuf> {
    let mut cargo = reproducible_build(SERVICE_PROFILE, &[SERVICE_CRATE], target)?;
    host::quiet(cargo.args(["--bins", "--example", "discovery_load"]))?;
    Ok(built(target, SERVICE_PROFILE))
}

fn release_build(crates: &[&str], target: &Path) -> Result<Command> {
    reproducible_build("release", crates, target)
}

fn reproducible_build(profile: &str, crates: &[&str], target: &Path) -> Result<Command> {
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        format!(
            "--remap-path-prefix={}=/cargo",
            home.context("neither CARGO_HOME nor HOME is set")?
        ),
        format!("--remap-path-prefix={}=/keelson", paths::repository().display()),
    ];
    let mut cargo = host::cargo();
    cargo.args(["build", "--profile", profile, "--locked", "--target", TARGET]);
    for name in crates {
        cargo.args(["-p", name]);
    }
    cargo.env("CARGO_TARGET_DIR", target);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    if let Some((commit, date)) = commit() {
        cargo.env("KEELSON_COMMIT", commit).env("KEELSON_BUILT", date);
    }
    Ok(cargo)
}

/// The commit that is built and its date, which is the same for everybody who builds it. None outside of a repository.
fn commit() -> Option<(String, String)> {
    let git = |args: &[&str]| {
        let output = Command::new("git")
            .current_dir(paths::repository())
            .args(args)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let mut commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    if !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() {
        commit.push_str("-dirty");
    }
    Some((commit, git(&["show", "--no-patch", "--format=%cI", "HEAD"])?))
}

/// Where cargo puts programs below a target folder.
pub fn release(target: &Path) -> PathBuf {
    built(target, "release")
}

fn built(target: &Path, profile: &str) -> PathBuf {
    target.join(TARGET).join(profile)
}

fn find_programs(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut programs = BTreeMap::new();
    for name in PROGRAMS {
        let path = folder.join(name);
        if !path.is_file() {
            bail!("there is no program {}", path.display());
        }
        programs.insert(name.to_owned(), path);
    }
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_dist_are_read() {
        let args = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let options = Options::parse(&args("--only runc,cni --programs /x --verify")).unwrap();
        assert_eq!(options.only, ["runc", "cni"]);
        assert_eq!(options.programs, Some("/x".into()));
        assert!(options.verify);
        assert!(Options::parse(&args("--fast")).is_err());
        assert!(Options::parse(&args("--only")).is_err());
    }

    #[test]
    fn every_image_that_generated_configurations_name_is_built() {
        let distro = Distro::load(&paths::repository().join("distro"), &paths::version()).unwrap();
        // The installer is for machines with disks, which this release does not build for yet.
        for wanted in config::images::ALL
            .iter()
            .filter(|image| **image != config::images::INSTALLER)
        {
            assert!(
                distro.images.iter().any(|image| image.reference == *wanted),
                "images.toml has no {wanted}"
            );
        }
    }
}
