//! What the virtual machine of an end-to-end test is made of: Debian's kernel and a shell, out of their packages without
//! installing them, and QEMU.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::debian::{self, Package};
use image::run::Tool;

use crate::host;
use crate::ui::Ui;

/// Names the folder to the tests.
pub const VARIABLE: &str = "KEELSON_VM";
/// What runs the machine, and what makes its disk.
const INSTALLED: [&str; 2] = ["e2fsprogs", "qemu-system-x86"];
/// The package that needs the newest kernel for virtual machines.
const NEWEST_KERNEL: &str = "linux-image-cloud-amd64";
/// A shell with everything else that a small system needs, in one static program.
const SHELL: &str = "busybox-static";

/// `vm`: prepares it and says how the test finds it.
pub fn run(ui: &Ui) -> Result<()> {
    let folder = parts(ui, &crate::paths::cache()?)?;
    ui.say(&format!(
        "for `cargo test --workspace --test e2e -- vm`: {VARIABLE}={}",
        folder.display()
    ));
    Ok(())
}

/// A folder with `kernel`, `modules` and `busybox`.
fn parts(ui: &Ui, cache: &Path) -> Result<PathBuf> {
    host::install(ui, &INSTALLED.map(str::to_owned))?;
    ui.step("virtual machine for tests", || {
        let kernel = newest_kernel()?;
        let packages = debian::of_mirrors(&[SHELL.to_owned(), kernel.clone()], &cache.join("debian"))?;
        let of = |name: &str| -> Result<&Package> {
            let package = packages.iter().find(|package| package.name == name);
            package.with_context(|| format!("the package {name} was not fetched"))
        };
        let (shell, version) = (
            of(SHELL)?.dir.join("bin/busybox"),
            kernel.trim_start_matches("linux-image-"),
        );
        let kernel = &of(&kernel)?.dir;
        // Which module needs which: a package's own list is made when it is installed.
        Tool::new(&shell.to_string_lossy(), SHELL)
            .args(["depmod", "-b"])
            .arg(kernel)
            .arg(version)
            .output()?;
        let folder = cache.join("vm");
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        link(&folder.join("busybox"), &shell)?;
        link(
            &folder.join("kernel"),
            &kernel.join("boot").join(format!("vmlinuz-{version}")),
        )?;
        link(&folder.join("modules"), &kernel.join("lib/modules").join(version))?;
        Ok((folder, Some(version.to_owned())))
    })
}

/// The name of the package with it.
fn newest_kernel() -> Result<String> {
    let ask = || Tool::new("apt-cache", "apt").args(["depends", NEWEST_KERNEL]).output();
    let named = |text: Vec<u8>| {
        let text = String::from_utf8_lossy(&text).into_owned();
        let needs = text.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        needs.map(str::to_owned)
    };
    if let Some(name) = ask().ok().and_then(named) {
        return Ok(name);
    }
    // A machine whose lists of packages were never fetched.
    Tool::new("apt-get", "apt").args(["update", "-q"]).output()?;
    named(ask()?).with_context(|| format!("apt does not know {NEWEST_KERNEL}"))
}

/// Makes a link, or makes it anew: what one of an earlier version leads to may be gone.
fn link(place: &Path, to: &Path) -> Result<()> {
    match fs::remove_file(place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove {}", place.display()));
        }
        _ => {}
    }
    anyhow::ensure!(to.exists(), "the package has no {}", to.display());
    symlink(to, place).with_context(|| format!("make the link {}", place.display()))
}
