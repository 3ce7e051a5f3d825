//! `dist`: everything a cluster is made of, from sources to `dist/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use image::components::Distro;
use image::debian::WhenGone;
use image::make::{self, Parts, Programs};

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
    /// Fail when a Debian package of the lock can no longer be had.
    pub locked: bool,
    /// Only write `debian.lock` anew.
    pub update_debian: bool,
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
                "--locked" => options.locked = true,
                "--update-debian" => options.update_debian = true,
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
/// The crates whose programs are in the distribution.
const CRATES: [&str; 3] = ["machined", "guest", "keelctl"];
/// The discovery service is built by itself, with the profile of services.
const SERVICE_CRATE: &str = "discovery";
const SERVICE_PROFILE: &str = "service";
/// What programs are compiled for, and the folder below cargo's where they are.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds; gives the folder of products.
pub fn run(ui: &Ui, options: &Options) -> Result<PathBuf> {
    let out = paths::dist();
    if options.update_debian {
        update_debian(ui)?;
        return Ok(out);
    }
    let cache = paths::cache()?;
    std::fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    ui.say(&format!(
        "building Keelson {} (cache {})",
        make::version(),
        cache.display()
    ));
    let distro = Distro::load(&paths::distro(), &make::version())?;
    host::install(ui, &packages(&distro))?;
    if !options.only.is_empty() {
        make::components(&distro, &cache, &options.only, ui)?;
        ui.total("built");
        return Ok(out);
    }
    let parts = parts(ui, &cache, options)?;
    let list = parts.products(&cache, &out, ui)?;
    ui.say(&format!("    {} images in {}", list.images.len(), out.display()));
    if options.verify {
        crate::reproduce::run(ui, &parts, &out, options.programs.is_none())?;
    }
    ui.total("built");
    Ok(out)
}

/// Takes what Debian's mirrors have now.
fn update_debian(ui: &Ui) -> Result<()> {
    let now = std::time::UNIX_EPOCH.elapsed().context("read the clock")?.as_secs();
    ui.step("asking the mirrors", || {
        let path = image::components::renew_lock(&paths::distro(), now)?;
        Ok((
            (),
            Some(format!("wrote {}: `git diff` shows what changed", path.display())),
        ))
    })
}

/// Debian packages this machine must have.
fn packages(distro: &Distro) -> Vec<String> {
    let mut packages: Vec<String> = PACKAGES.iter().map(|name| (*name).to_owned()).collect();
    packages.extend(distro.build_packages());
    if image::run::find("go").is_none() && !Path::new("/usr/local/go/bin/go").is_file() {
        packages.extend(FETCH_PACKAGES.iter().map(|name| (*name).to_owned()));
    }
    packages
}

fn parts(ui: &Ui, cache: &Path, options: &Options) -> Result<Parts> {
    let settings = make::Settings {
        distro: paths::distro(),
        cache: cache.to_owned(),
        epoch: paths::epoch()?,
        when_gone: if options.locked {
            WhenGone::Fail
        } else {
            WhenGone::Replace
        },
    };
    make::parts(&settings, ui, || {
        let files = match &options.programs {
            Some(folder) => find_given_programs(ui, folder)?,
            None => build_programs(ui, &paths::target(cache))?,
        };
        let crates = graph::linked_into(&[&CRATES[..], &[SERVICE_CRATE]].concat())?;
        Ok(Programs { files, crates })
    })
}

/// Programs of some Go components by name, built or as an earlier build left them.
pub fn go_programs(ui: &Ui, components: &[String]) -> Result<BTreeMap<String, PathBuf>> {
    let distro = Distro::load(&paths::distro(), &make::version())?;
    let (_, built) = make::components(&distro, &paths::cache()?, components, ui)?;
    let binaries = built.into_iter().flat_map(|component| component.binaries);
    Ok(binaries.map(|(name, binary)| (name, binary.path)).collect())
}

fn build_programs(ui: &Ui, target: &Path) -> Result<BTreeMap<String, PathBuf>> {
    // Side by side: minutes of the first build have work for one core only.
    std::thread::scope(|scope| {
        let service = scope.spawn(|| {
            ui.step("the discovery service", || {
                host::quiet(&mut reproducible_build(SERVICE_PROFILE, &[SERVICE_CRATE], target)?)?;
                Ok(((), Some(String::new())))
            })
        });
        let programs = ui.step("machined, keelctl and the programs in images", || {
            // The programs in images by themselves: what is built together shares features of its dependencies, and
            // then the bytes of a program depend on its company.
            compile(&["machined", "keelctl"], target)?;
            compile(&["guest"], target)?;
            Ok(((), Some(String::new())))
        });
        let service = service.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        programs.and(service)
    })?;
    let mut programs = make::find_programs(&release(target))?;
    let service = built(target, SERVICE_PROFILE).join(image::dist::DISCOVERY);
    programs.insert(image::dist::DISCOVERY.to_owned(), service);
    Ok(programs)
}

/// Programs built elsewhere.
fn find_given_programs(ui: &Ui, folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let programs = make::find_programs(folder)?;
    if !programs.contains_key(image::dist::DISCOVERY) {
        ui.say(&format!(
            "  · there is no {} in {}: dist goes without",
            image::dist::DISCOVERY,
            folder.display()
        ));
    }
    Ok(programs)
}

/// Compiles crates for the distribution, so that their bytes do not depend on where that is done.
pub fn compile(crates: &[&str], target: &Path) -> Result<()> {
    host::quiet(&mut release_build(crates, target)?).map(|_| ())
}

/// Compiles an example of a crate.
pub fn compile_example(krate: &str, example: &str, target: &Path) -> Result<PathBuf> {
    // By itself: in the company of the programs all their dependencies had other features, and were compiled anew.
    let mut cargo = release_build(&[krate], target)?;
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
    // The path of the checkout is not among them: cargo names the files of a workspace relative to it, and with it a
    // checkout elsewhere would compile everything again.
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        format!(
            "--remap-path-prefix={}=/cargo",
            home.context("neither CARGO_HOME nor HOME is set")?
        ),
        // What build scripts generate is there.
        format!("--remap-path-prefix={}=/target", target.display()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_dist_are_read() {
        let args = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let options = Options::parse(&args("--only runc,cni --programs /x --verify --locked")).unwrap();
        assert_eq!(options.only, ["runc", "cni"]);
        assert_eq!(options.programs, Some("/x".into()));
        assert!(options.verify && options.locked && !options.update_debian);
        assert!(Options::parse(&args("--fast")).is_err());
        assert!(Options::parse(&args("--only")).is_err());
    }

    #[test]
    fn every_image_that_generated_configurations_name_is_built() {
        let distro = Distro::load(&paths::distro(), &make::version()).unwrap();
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
