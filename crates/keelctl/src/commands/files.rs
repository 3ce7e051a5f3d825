//! Writing files for commands.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use pki::clientconfig::ClientConfig;
use sys::files::{Access, write_atomic};

use crate::output::note;

/// Refuses to go on if the file exists, unless told to overwrite.
pub fn check_overwrite(path: &Path, force: bool) -> Result<()> {
    if !force && fs::symlink_metadata(path).is_ok() {
        bail!("file \"{}\" already exists, use --force to overwrite", path.display());
    }
    Ok(())
}

/// Writes a file so that either the old or the new content is there; `secret` makes it readable by its owner only.
/// Folders are made as needed. A symbolic link stays one: the file it points to is replaced.
pub fn write(path: &Path, bytes: &[u8], secret: bool) -> Result<()> {
    let what = || format!("write {}", path.display());
    if !path.is_file() && path.exists() {
        return fs::write(path, bytes).with_context(what); // a device or pipe, which must not be replaced
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).with_context(what)?;
    }
    let access = Access::UpToUmask(if secret { 0o600 } else { 0o644 });
    write_atomic(target, bytes, access).with_context(what)
}

/// Writes files, each with whether it is secret, and says so. What exists is looked for first: then none is written.
pub fn write_all(force: bool, all: &[(impl AsRef<Path>, &[u8], bool)]) -> Result<()> {
    for (path, ..) in all {
        check_overwrite(path.as_ref(), force)?;
    }
    for (path, bytes, secret) in all {
        write(path.as_ref(), bytes, *secret)?;
        note(&format!("Created {}", path.as_ref().display()));
    }
    Ok(())
}

/// Writes a client configuration, for its owner only.
pub fn write_client_config(path: &Path, config: &ClientConfig) -> Result<()> {
    write(path, config.encode()?.expose(), true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_client_configuration_is_private_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/config");
        for context in ["one", "two"] {
            let config = ClientConfig {
                context: context.to_owned(),
                ..ClientConfig::default()
            };
            write_client_config(&path, &config).unwrap();
            assert_eq!(ClientConfig::load(&path).unwrap(), config);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_symbolic_link_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&link, b"new", false).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[test]
    fn a_device_is_written_to_and_stays_a_device() {
        write(Path::new("/dev/null"), b"x", false).unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }
}
