//! Building the Go components, each once per set of inputs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache;
use crate::components::{Component, Distro, Toolchain};
use crate::digest::Digest;
use crate::licence;
use crate::run::{RunError, Tool, find};

/// In the folder of a built component: what is in it.
pub const RECORD: &str = "built.json";

/// Why a component cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum GoError {
    /// A tool failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    Io(String, io::Error),
    /// A download is not what it should be.
    #[error("{0}")]
    Bad(String),
}

/// A Go toolchain.
#[derive(Clone, Debug)]
pub struct Go {
    program: PathBuf,
    /// As `1.26.8`.
    pub version: String,
    module_cache: PathBuf,
    build_cache: PathBuf,
    settings: Vec<(String, String)>,
}

/// A program of a component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Binary {
    /// Where it is.
    pub path: PathBuf,
    /// Digest of its content.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
}

/// A module inside a component's programs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Module {
    /// Module path.
    pub path: String,
    /// Version.
    pub version: String,
    /// Checksum of `go.sum`, if known.
    pub sum: String,
    /// SPDX expression, or `NOASSERTION`.
    pub licence: String,
}

/// A built component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuiltComponent {
    /// Programs by name.
    pub binaries: BTreeMap<String, Binary>,
    /// Modules inside them, each once.
    pub modules: Vec<Module>,
}

impl Go {
    /// Finds a toolchain of at least the wanted version, or fetches one through the module proxy into `cache`.
    pub fn find_or_fetch(wanted: &Toolchain, cache: &Path) -> Result<Go, GoError> {
        let installed = [
            find("go"),
            Some("/usr/local/go/bin/go".into()),
            Some("/usr/lib/go/bin/go".into()),
        ];
        for program in installed.into_iter().flatten().filter(|program| program.is_file()) {
            if let Some(version) = version_of(&program).filter(|version| newer(version, &wanted.minimum)) {
                return Ok(Go::new(program, version, cache));
            }
        }
        let home = cache.join(format!("go-{}", wanted.version));
        let program = home.join("bin/go");
        if !program.is_file() {
            fetch(wanted, cache, &home)?;
        }
        let version =
            version_of(&program).ok_or_else(|| GoError::Bad(format!("{} does not run", program.display())))?;
        Ok(Go::new(program, version, cache))
    }

    fn new(program: PathBuf, version: String, cache: &Path) -> Go {
        // A person's own settings of where modules come from and are kept are respected.
        let names = [
            "GOPROXY",
            "GONOPROXY",
            "GOPRIVATE",
            "GOSUMDB",
            "GONOSUMDB",
            "GONOSUMCHECK",
            "GOINSECURE",
            "GOAUTH",
        ];
        let settings = names
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect();
        let folder =
            |name: &str, default: &str| std::env::var_os(name).map_or_else(|| cache.join(default), PathBuf::from);
        Go {
            program,
            version,
            module_cache: folder("GOMODCACHE", "go-mod"),
            build_cache: folder("GOCACHE", "go-build"),
            settings,
        }
    }

    /// The same toolchain with another folder for what it has compiled already.
    pub fn with_build_cache(mut self, folder: &Path) -> Go {
        self.build_cache = folder.to_owned();
        self
    }

    fn tool(&self) -> Tool {
        let mut tool = Tool::new(&self.program.to_string_lossy(), "golang-go");
        for (name, value) in &self.settings {
            tool = tool.env(name, value);
        }
        tool.env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "")
            .env("GOWORK", "off")
            .env("GOAMD64", "v1")
            .env("GOMODCACHE", &self.module_cache)
            .env("GOCACHE", &self.build_cache)
    }

    /// Builds a component, or gives what an earlier build from the same inputs left. Says whether it was built now.
    pub fn build(
        &self,
        distro: &Distro,
        component: &Component,
        cache: &Path,
    ) -> Result<(BuiltComponent, bool), GoError> {
        let pin = distro.dir.join("go").join(&component.name);
        let key = self.key(&pin, component)?;
        let components = cache.join("components");
        let home = components.join(format!("{}-{}", component.name, &key.hex()[..16]));
        let record = home.join(RECORD);
        if let Some(built) = read_record(&record) {
            cache::touch(&record);
            return Ok((built, false));
        }
        let failed = |e| GoError::Io(format!("prepare {}", home.display()), e);
        fs::create_dir_all(&components).map_err(failed)?;
        // Beside its place: other builds use what is there, or make the same now.
        let work = cache::work(cache).map_err(failed)?;
        self.compile(&pin, component, work.path())?;
        let mut binaries = BTreeMap::new();
        let mut modules = BTreeMap::new();
        for name in component.binaries.keys() {
            let made = work.path().join(name);
            let (digest, size) =
                Digest::of_file(&made).map_err(|e| GoError::Io(format!("read {}", made.display()), e))?;
            for module in self.modules(&made)? {
                modules.insert((module.path.clone(), module.version.clone()), module);
            }
            let path = home.join(name);
            binaries.insert(name.clone(), Binary { path, digest, size });
        }
        for module in modules.values_mut() {
            module.licence = if module.path == component.module {
                component.licence.clone()
            } else {
                licence::of_folder(&self.module_folder(module))
            };
        }
        let built = BuiltComponent {
            binaries,
            modules: modules.into_values().collect(),
        };
        let text = serde_json::to_vec_pretty(&built).map_err(|e| GoError::Io("describe".into(), e.into()))?;
        fs::write(work.path().join(RECORD), text).map_err(failed)?;
        cache::finish(work.path(), &home, || read_record(&record).is_some()).map_err(failed)?;
        self.forget_older(component, &home);
        Ok((built, true))
    }

    /// Everything a build's result depends on.
    fn key(&self, pin: &Path, component: &Component) -> Result<Digest, GoError> {
        let mut text = format!("go {}\n", self.version);
        for name in ["go.mod", "go.sum"] {
            let path = pin.join(name);
            let content = fs::read_to_string(&path).map_err(|e| GoError::Io(format!("read {}", path.display()), e))?;
            text.push_str(&content);
        }
        text.push_str(&serde_json::to_string(component).map_err(|e| GoError::Io("describe".into(), e.into()))?);
        text.push_str(&component.linker_flags());
        if component.cgo {
            // The C library and libseccomp are linked in.
            for package in &component.debian {
                let args = ["-W", "-f", "${Package} ${Version}\n", package.as_str()];
                let version = Tool::new("dpkg-query", "dpkg").args(args).output()?;
                text.push_str(&String::from_utf8_lossy(&version));
            }
        }
        Ok(Digest::of(text.as_bytes()))
    }

    fn compile(&self, pin: &Path, component: &Component, home: &Path) -> Result<(), GoError> {
        let tags = component.tags.join(",");
        let flags = component.linker_flags();
        let base = || {
            let tool = self
                .tool()
                .dir(pin)
                .env("CGO_ENABLED", if component.cgo { "1" } else { "0" });
            tool.args([
                "build",
                "-mod=readonly",
                "-trimpath",
                "-buildvcs=false",
                "-tags",
                &tags,
                "-ldflags",
                &flags,
            ])
        };
        // One call for all shares the linking between processors, but names programs after their packages.
        let same_names = component
            .binaries
            .iter()
            .all(|(name, package)| package.rsplit('/').next() == Some(name.as_str()));
        if same_names {
            let folder = format!("{}/", home.display());
            base()
                .arg("-o")
                .arg(folder)
                .args(component.binaries.values())
                .output()?;
        } else {
            for (name, package) in &component.binaries {
                base().arg("-o").arg(home.join(name)).arg(package).output()?;
            }
        }
        Ok(())
    }

    /// The modules a program says it was built from.
    fn modules(&self, program: &Path) -> Result<Vec<Module>, GoError> {
        let output = self.tool().args(["version", "-m"]).arg(program).output()?;
        Ok(parse_modules(&String::from_utf8_lossy(&output)))
    }

    fn module_folder(&self, module: &Module) -> PathBuf {
        // The module cache writes capital letters as '!' and the small one.
        let escaped = module.path.chars().fold(String::new(), |mut out, c| {
            if c.is_ascii_uppercase() {
                out.push('!');
            }
            out.push(c.to_ascii_lowercase());
            out
        });
        self.module_cache.join(format!("{escaped}@{}", module.version))
    }

    /// Removes results of other inputs, but not those that a build beside this one may be using.
    fn forget_older(&self, component: &Component, keep: &Path) {
        let Some(parent) = keep.parent() else { return };
        let prefix = format!("{}-", component.name);
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let suffix = name.strip_prefix(&prefix).unwrap_or_default();
            let is_other = suffix.len() == 16 && suffix.bytes().all(|b| b.is_ascii_hexdigit()) && entry.path() != keep;
            if is_other && !cache::is_busy(&entry.path().join(RECORD)) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn read_record(path: &Path) -> Option<BuiltComponent> {
    let built: BuiltComponent = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let whole = |binary: &Binary| fs::metadata(&binary.path).is_ok_and(|meta| meta.len() == binary.size);
    built.binaries.values().all(whole).then_some(built)
}

/// Reads `go version -m`: lines `dep path version sum`, `=> path version sum` for replacements, `mod` for the main one.
fn parse_modules(text: &str) -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let module = |path: &str, version: &str, sum: Option<&&str>| Module {
            path: path.to_owned(),
            version: version.to_owned(),
            sum: sum.map(|sum| (*sum).to_owned()).unwrap_or_default(),
            licence: String::new(),
        };
        match words.as_slice() {
            // Our own pin module has no version.
            ["mod" | "dep", path, version, rest @ ..] if *version != "(devel)" => {
                modules.push(module(path, version, rest.first()));
            }
            ["=>", path, version, rest @ ..] => {
                modules.pop();
                modules.push(module(path, version, rest.first()));
            }
            _ => {}
        }
    }
    modules
}

fn version_of(program: &Path) -> Option<String> {
    let tool = Tool::new(&program.to_string_lossy(), "golang-go").env("GOTOOLCHAIN", "local");
    let output = String::from_utf8(tool.arg("version").output().ok()?).ok()?;
    Some(output.split_whitespace().nth(2)?.trim_start_matches("go").to_owned())
}

/// Whether version `a` is `b` or later, by numbers.
fn newer(a: &str, b: &str) -> bool {
    let numbers = |text: &str| {
        text.split('.')
            .map(|part| part.parse().unwrap_or(0))
            .collect::<Vec<u32>>()
    };
    numbers(a) >= numbers(b)
}

/// Fetches the toolchain the way `go` itself does: as module golang.org/toolchain through the proxy.
fn fetch(wanted: &Toolchain, cache: &Path, home: &Path) -> Result<(), GoError> {
    let setting = std::env::var("GOPROXY").unwrap_or_default();
    let proxy = setting
        .split([',', '|'])
        .map(str::trim)
        .find(|proxy| proxy.starts_with("http"));
    // The default of the go command itself.
    let proxy = proxy.unwrap_or("https://proxy.golang.org").trim_end_matches('/');
    let module = format!("golang.org/toolchain@v0.0.1-go{}.linux-amd64", wanted.version);
    let url = format!(
        "{proxy}/golang.org/toolchain/@v/v0.0.1-go{}.linux-amd64.zip",
        wanted.version
    );
    let failed = |e| GoError::Io(format!("unpack Go into {}", home.display()), e);
    let work = cache::work(cache).map_err(failed)?;
    let archive = work.path().join("go.zip");
    Tool::new("curl", "curl")
        .args(["-fsSL", "--retry", "3", "-o"])
        .arg(&archive)
        .arg(&url)
        .output()?;
    let (digest, _) = Digest::of_file(&archive).map_err(failed)?;
    if digest.hex() != wanted.sha256 {
        return Err(GoError::Bad(format!(
            "{url} has SHA-256 {}, not {}",
            digest.hex(),
            wanted.sha256
        )));
    }
    Tool::new("unzip", "unzip")
        .arg("-q")
        .arg(&archive)
        .arg("-d")
        .arg(work.path())
        .output()?;
    let unpacked = work.path().join(module);
    // A module archive has no modes.
    for folder in ["bin", "pkg/tool/linux_amd64"] {
        for entry in fs::read_dir(unpacked.join(folder)).into_iter().flatten().flatten() {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755)).map_err(failed)?;
        }
    }
    cache::finish(&unpacked, home, || home.join("bin/go").is_file()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "downloads 70 MB"]
    fn a_toolchain_is_fetched_when_none_is_new_enough() {
        let dir = tempfile::tempdir().unwrap();
        let distro = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../distro");
        let distro = Distro::load(&distro, "v0").unwrap();
        let wanted = Toolchain {
            minimum: "99.0".into(),
            ..distro.toolchain
        };
        let go = Go::find_or_fetch(&wanted, dir.path()).unwrap();
        assert_eq!(go.version, wanted.version);
        assert!(go.program.starts_with(dir.path()));
    }

    /// Stands in for Go: writes what it is told to build, when two of it are at it.
    fn stand_in(folder: &Path) -> Go {
        let script = format!(
            "#!/bin/sh\nset -e\n[ $1 != version ] || exit 0\nmkdir {0}/begun.$$\n\
             while [ $(ls -d {0}/begun.* | wc -l) -lt 2 ]; do sleep 0.05; done\n\
             while [ \"$1\" != -o ]; do shift; done\nfolder=$2; shift 2\n\
             for package; do echo whole >$folder$(basename $package); done\n",
            folder.display()
        );
        let (text, program) = (folder.join("text"), folder.join("go"));
        fs::write(&text, script).unwrap();
        // By another process: who forks here while the file is open for writing keeps it from being run.
        let args = ["-m", "755"];
        let install = Tool::new("install", "coreutils").args(args);
        install.arg(&text).arg(&program).output().unwrap();
        Go::new(program, "1.99.0".to_owned(), folder)
    }

    #[test]
    fn two_builds_of_one_component_at_once_do_not_disturb_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let (go, cache) = (stand_in(dir.path()), dir.path().join("cache"));
        let distro = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../distro");
        let distro = Distro::load(&distro, "v0").unwrap();
        let named_after_packages = |component: &&Component| {
            let mut binaries = component.binaries.iter();
            !component.cgo && binaries.all(|(name, package)| package.rsplit('/').next() == Some(name.as_str()))
        };
        let component = distro.components.iter().find(named_after_packages).unwrap();
        let build = || go.build(&distro, component, &cache).unwrap();
        let (first, second) = std::thread::scope(|scope| {
            let other = scope.spawn(build);
            (build(), other.join().unwrap())
        });
        assert!(first.1 && second.1);
        for binary in first.0.binaries.values().chain(second.0.binaries.values()) {
            assert_eq!(fs::read_to_string(&binary.path).unwrap(), "whole\n");
        }
        let (kept, anew) = build();
        assert!(!anew);
        assert_eq!(kept.binaries.len(), component.binaries.len());
        // Nothing is left of the one that came second.
        let left: Vec<_> = fs::read_dir(&cache)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["components"]);
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(newer("1.26.8", "1.26.6") && newer("1.27", "1.26.6") && newer("1.26.10", "1.26.9"));
        assert!(!newer("1.19.8", "1.26.6"));
    }

    #[test]
    fn replaced_modules_are_listed_as_what_was_built() {
        let text = "x: go1.26.8\n\tpath\tk8s.io/a\n\tmod\tkeelson.dev/x\t(devel)\t\n\tdep\tk8s.io/api\tv0.0.0\n\t=>\tk8s.io/api\tv0.37.1\th1:abc=\n\tdep\tb.io/c\tv1.0.0\th1:x=\n\tbuild\t-trimpath=true\n";
        let modules = parse_modules(text);
        assert_eq!(modules.len(), 2);
        assert_eq!(
            (modules[0].path.as_str(), modules[0].version.as_str()),
            ("k8s.io/api", "v0.37.1")
        );
        assert_eq!(modules[1].sum, "h1:x=");
    }
}
