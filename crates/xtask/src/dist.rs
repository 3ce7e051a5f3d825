//! `dist`: everything a cluster is made of, from sources to `dist/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use image::components::Distro;
use image::debian::Collection;
use image::go::{BuiltComponent, Go};
use image::{dist, sbom};

use crate::host;
use crate::paths;
use crate::policy;
use crate::ui::Ui;

/// What the command line says.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// Build only these components, and no products.
    pub only: Vec<String>,
    /// Where our programs are, when they are not to be built.
    pub programs: Option<PathBuf>,
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
                other => bail!("dist: unknown argument {other:?}"),
            }
        }
        Ok(options)
    }
}

/// Debian packages that building Rust and images needs.
const PACKAGES: [&str; 4] = ["ca-certificates", "gcc", "libc6-dev", "squashfs-tools"];
/// Needed too when no Go toolchain is installed.
const FETCH_PACKAGES: [&str; 2] = ["curl", "unzip"];
/// The crates whose programs are in the distribution, and those programs.
const CRATES: [&str; 3] = ["machined", "guest", "keelctl"];
const PROGRAMS: [&str; 6] = ["machined", "keelctl", "pause", "flannel", "cp", "testapp"];

/// Builds; gives the folder of products.
pub fn run(ui: &Ui, options: &Options) -> Result<PathBuf> {
    let cache = paths::cache()?;
    std::fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    let version = paths::version();
    let distro = Distro::load(&paths::repository().join("distro"), &version)?;
    let out = paths::dist();
    ui.heading(&format!("building Keelson {version} (cache {})", cache.display()));

    let mut packages: Vec<String> = PACKAGES.iter().map(|name| (*name).to_owned()).collect();
    packages.extend(distro.build_packages());
    if image::run::find("go").is_none() && !Path::new("/usr/local/go/bin/go").is_file() {
        packages.extend(FETCH_PACKAGES.iter().map(|name| (*name).to_owned()));
    }
    host::install(ui, &packages)?;

    // Go's downloads and Rust's compiling do not wait for each other.
    let (components, programs) = std::thread::scope(|scope| {
        let go = scope.spawn(|| build_components(ui, &distro, &cache, &options.only));
        let programs = match &options.programs {
            _ if !options.only.is_empty() => Ok(BTreeMap::new()),
            Some(folder) => find_programs(folder),
            None => build_programs(ui, &cache),
        };
        let components = go
            .join()
            .unwrap_or_else(|_| bail!("the thread that builds Go components failed"));
        (components, programs)
    });
    let components = components?;
    if !options.only.is_empty() {
        return Ok(out);
    }
    let programs = programs?;
    let debian = ui.step("Debian files", || {
        let collection = Collection::load(&distro.debian, &cache.join("debian"))?;
        let count = format!("{} packages", collection.packages.len());
        Ok((collection, Some(count)))
    })?;
    let crates = ui.step("licences of crates", || Ok((crates_inside()?, Some(String::new()))))?;
    ui.step("products", || {
        let inputs = dist::Inputs {
            distro: &distro,
            components: &components,
            programs: &programs,
            debian: &debian,
            crates: &crates,
            version: &version,
            epoch: paths::epoch()?,
            cache: &cache,
            out: &out,
        };
        let mut last: Option<(String, std::time::Instant)> = None;
        let mut note = |name: &str| {
            if let Some((name, began)) = last.replace((name.to_owned(), std::time::Instant::now())) {
                ui.say(&format!("    {name}  {}", crate::ui::duration(began.elapsed())));
            }
        };
        let list = dist::build(&inputs, &mut note)?;
        Ok(((), Some(format!("{} images in {}", list.images.len(), out.display()))))
    })?;
    ui.total("built");
    Ok(out)
}

fn build_components(ui: &Ui, distro: &Distro, cache: &Path, only: &[String]) -> Result<Vec<BuiltComponent>> {
    let go = ui.step("Go toolchain", || {
        let go = Go::find_or_fetch(&distro.toolchain, cache)?;
        let version = format!("go {}", go.version);
        Ok((go, Some(version)))
    })?;
    if let Some(name) = only
        .iter()
        .find(|name| !distro.components.iter().any(|c| c.name == **name))
    {
        bail!("--only: there is no component {name:?}");
    }
    let wanted = distro
        .components
        .iter()
        .filter(|c| only.is_empty() || only.contains(&c.name));
    let build = |component: &image::components::Component| {
        ui.step(&format!("{} {}", component.name, component.version), || {
            let (built, fresh) = go.build(distro, component, cache)?;
            Ok((built, fresh.then(String::new)))
        })
    };
    wanted.map(build).collect()
}

/// Builds our programs so that their bytes do not depend on where they were built.
fn build_programs(ui: &Ui, cache: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let target = paths::target(cache);
    ui.step("machined, keelctl and the programs in images", || {
        let home =
            std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))?;
        let flags = [
            "-Ctarget-feature=+crt-static".to_owned(),
            format!("--remap-path-prefix={home}=/cargo"),
            format!("--remap-path-prefix={}=/keelson", paths::repository().display()),
        ];
        let mut cargo = host::cargo();
        cargo.args(["build", "--release", "--locked", "--target", TARGET]);
        for name in CRATES {
            cargo.args(["-p", name]);
        }
        cargo
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        host::quiet(&mut cargo)?;
        Ok(((), Some(String::new())))
    })?;
    find_programs(&target.join(TARGET).join("release"))
}

const TARGET: &str = "x86_64-unknown-linux-gnu";

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

/// Every crate linked into our programs.
fn crates_inside() -> Result<Vec<sbom::Package>> {
    let graph = policy::Graph::load()?;
    let inside = graph.linked_into(&CRATES);
    let package = |krate: &policy::Crate| sbom::Package {
        kind: sbom::Kind::Cargo,
        name: krate.name.clone(),
        version: krate.version.clone(),
        licence: krate.licence.clone(),
    };
    Ok(inside.into_iter().map(package).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_dist_are_read() {
        let args = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let options = Options::parse(&args("--only runc,cni --programs /x")).unwrap();
        assert_eq!(
            options,
            Options {
                only: vec!["runc".into(), "cni".into()],
                programs: Some("/x".into())
            }
        );
        assert!(Options::parse(&args("--fast")).is_err());
        assert!(Options::parse(&args("--only")).is_err());
    }
}
