//! Building again, elsewhere and from nothing: the bytes must be the same.
//!
//! Every product is made again, by `keelctl image build` and without what was kept of making them. Of what is compiled,
//! a small Go component (with C, so that the linker is looked at too) and our small programs stand for the rest, which
//! would take as long as the first build.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use image::Digest;
use image::make::Parts;

use crate::ui::Ui;
use crate::{dist, host};

/// Not a product: `cargo xtask bench` leaves it there.
const MEASUREMENTS: &str = "bench.json";
const GO_COMPONENT: &str = "runc";
const CRATE: &str = "guest";
const PROGRAMS: [&str; 3] = ["pause", "flannel", "cp"];
/// Holds the digest of the products that came out the same last, in the cache.
const RECORD: &str = "verified";

/// Fails with the names of what came out differently. Our programs are compared if they were `compiled` here. Products
/// that have come out the same already are not made once more.
pub fn run(ui: &Ui, parts: &Parts, out: &Path, compiled: bool) -> Result<()> {
    let cache = crate::paths::cache()?;
    let (work, record) = (cache.join("verify"), cache.join(RECORD));
    let _ = std::fs::remove_dir_all(&work);
    let result = ui.step("the same again, from nothing", || {
        let mark = mark(out, compiled)?;
        if std::fs::read_to_string(&record).is_ok_and(|last| last == mark) {
            return Ok(((), None));
        }
        if compiled {
            // Generated sources, and our own. With what is in them, not the folders alone: those may have names, as
            // /src, that programs hold anyway.
            let sources = [
                crate::paths::target(&cache).join(dist::TARGET),
                crate::paths::repository().join("crates"),
            ];
            names_no_place(parts.programs(), &sources)?;
        }
        let mut different = products(out, &work)?;
        different.extend(go_component(parts, &work)?);
        if compiled {
            different.extend(programs(parts, &work)?);
        }
        if !different.is_empty() {
            bail!(
                "not reproducible: {} came out differently (see {})",
                different.join(", "),
                work.display()
            );
        }
        std::fs::write(&record, &mark).with_context(|| format!("write {}", record.display()))?;
        Ok(((), Some("byte-identical".to_owned())))
    });
    if result.is_ok() {
        let _ = std::fs::remove_dir_all(&work);
    }
    result
}

/// What tells these products from all others: the digests of them all, and whether our programs are looked at.
fn mark(out: &Path, compiled: bool) -> Result<String> {
    let mut all = format!("compiled {compiled}\n");
    for name in compared(out)? {
        let path = out.join(&name);
        let (digest, _) = Digest::of_file(&path).with_context(|| format!("read {}", path.display()))?;
        all.push_str(&format!("{digest} {name}\n"));
    }
    Ok(Digest::of(all.as_bytes()).to_string())
}

/// Every product, by relative path.
fn compared(out: &Path) -> Result<Vec<String>> {
    let mut names = files(out)?;
    names.retain(|name| name != MEASUREMENTS);
    Ok(names)
}

/// Fails if one of our programs names something in a folder of this machine: elsewhere it would name another.
fn names_no_place<'a>(programs: impl Iterator<Item = (&'a String, &'a PathBuf)>, folders: &[PathBuf]) -> Result<()> {
    for (name, path) in programs {
        let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        for folder in folders {
            let inside = [folder.as_os_str().as_encoded_bytes(), b"/"].concat();
            if memchr::memmem::find(&bytes, &inside).is_some() {
                bail!(
                    "not reproducible: the program {name} ({}) names {}",
                    path.display(),
                    folder.display()
                );
            }
        }
    }
    Ok(())
}

fn products(out: &Path, work: &Path) -> Result<Vec<String>> {
    let again = work.join("dist");
    let cache = work.join("cache");
    std::fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    // What was compiled and downloaded is the same input; images and file systems are made anew.
    let all = crate::paths::cache()?;
    for entry in std::fs::read_dir(&all).with_context(|| format!("read {}", all.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == "components" || name == "debian" || name.starts_with("go-") {
            std::os::unix::fs::symlink(all.join(&name), cache.join(&name))
                .with_context(|| format!("link {name} into {}", cache.display()))?;
        }
    }
    let mut keelctl = Command::new(out.join("keelctl"));
    keelctl.args(["image", "build", "--distro"]).arg(crate::paths::distro());
    keelctl.arg("--programs").arg(out.join("programs"));
    keelctl.arg("--cache").arg(&cache).arg("--output").arg(&again);
    host::quiet(&mut keelctl)?;
    let mut names: BTreeSet<String> = files(&again)?.into_iter().collect();
    names.extend(compared(out)?);
    let mut different = Vec::new();
    for name in names {
        if !same(&out.join(&name), &again.join(&name)).unwrap_or(false) {
            different.push(name);
        }
    }
    Ok(different)
}

/// Every file below a folder, by relative path.
fn files(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path.strip_prefix(folder)?.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn go_component(parts: &Parts, work: &Path) -> Result<Vec<String>> {
    let (component, first) = parts.component(GO_COMPONENT).context("the component is not built")?;
    let go = parts.go.clone().with_build_cache(&work.join("go-build"));
    let (second, _) = go.build(&parts.distro, component, &work.join("go"))?;
    let digests = |built: &image::go::BuiltComponent| -> Vec<Digest> {
        built.binaries.values().map(|binary| binary.digest.clone()).collect()
    };
    let same = digests(first) == digests(&second);
    Ok(if same {
        Vec::new()
    } else {
        vec![format!("component {GO_COMPONENT}")]
    })
}

fn programs(parts: &Parts, work: &Path) -> Result<Vec<String>> {
    let target = work.join("target");
    dist::compile(&[CRATE], &target)?;
    let mut different = Vec::new();
    for name in PROGRAMS {
        let first = parts
            .program(name)
            .with_context(|| format!("program {name} is not built"))?;
        if !same(first, &dist::release(&target).join(name))? {
            different.push(format!("program {name}"));
        }
    }
    Ok(different)
}

fn same(one: &Path, two: &Path) -> Result<bool> {
    let digest = |path: &Path| Digest::of_file(path).with_context(|| format!("read {}", path.display()));
    Ok(digest(one)?.0 == digest(two)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_names_a_folder_of_this_machine_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (name, path) = ("machined".to_owned(), folder.path().join("machined"));
        let check = |content: &str| {
            std::fs::write(&path, content).unwrap();
            names_no_place(std::iter::once((&name, &path)), &["/home/me/keelson/crates".into()])
        };
        check("\0/cargo/registry/src/a.rs\0").unwrap();
        check("\0/home/me/keelson/crates-of-others/a.rs\0").unwrap();
        let refusal = check("\0/home/me/keelson/crates/a.rs\0").unwrap_err().to_string();
        assert!(
            refusal.contains("machined") && refusal.contains("/home/me/keelson"),
            "{refusal}"
        );
    }

    #[test]
    fn products_have_the_mark_of_their_names_and_contents() {
        let out = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| std::fs::write(out.path().join(name), content).unwrap();
        write("keelctl", "one");
        let first = mark(out.path(), true).unwrap();
        write(MEASUREMENTS, "{}");
        assert_eq!(mark(out.path(), true).unwrap(), first);
        assert_ne!(mark(out.path(), false).unwrap(), first);
        write("keelctl", "two");
        let second = mark(out.path(), true).unwrap();
        assert_ne!(second, first);
        write("kubectl", "");
        assert_ne!(mark(out.path(), true).unwrap(), second);
    }
}
