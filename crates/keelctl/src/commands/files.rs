//! Reading and writing files for commands.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Reads a file, or standard input for `-`.
pub fn read(path: &str) -> Result<Vec<u8>> {
    if path == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .context("read standard input")?;
        return Ok(bytes);
    }
    fs::read(path).with_context(|| format!("read {path}"))
}

/// Refuses to go on if the file exists, unless told to overwrite.
pub fn check_overwrite(path: &Path, force: bool) -> Result<()> {
    if !force && fs::symlink_metadata(path).is_ok() {
        bail!("file \"{}\" already exists, use --force to overwrite", path.display());
    }
    Ok(())
}

/// Writes a file so that either the old or the new content is there; `secret` makes it readable by its owner only.
pub fn write(path: &Path, bytes: &[u8], secret: bool) -> Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        if !path.is_file() && path.exists() {
            return fs::write(path, bytes); // a device or pipe, which must not be replaced
        }
        fs::create_dir_all(folder)?;
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = folder.join(name);
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(if secret { 0o600 } else { 0o644 })
            .open(&temporary)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary); // a part of a secret has no use; the first error is the one to report
        }
        written
    };
    write().with_context(|| format!("write {}", path.display()))
}
