//! Where things are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository: this file is `crates/xtask/src/paths.rs` in it.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// One folder for every download and build product.
pub fn cache() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("KEELSON_CACHE").filter(|path| !path.is_empty()) {
        return std::path::absolute(PathBuf::from(path)).context("KEELSON_CACHE");
    }
    let home = std::env::var_os("HOME").context("neither KEELSON_CACHE nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cache/keelson"))
}

/// Where products go.
pub fn dist() -> PathBuf {
    repository().join("dist")
}

/// Where cargo keeps what it builds for us.
pub fn target(cache: &Path) -> PathBuf {
    cache.join("target")
}

/// The manifests of the distribution.
pub fn distro() -> PathBuf {
    repository().join("distro")
}

/// The time products carry.
pub fn epoch() -> Result<u64> {
    let text = std::env::var("SOURCE_DATE_EPOCH").ok();
    Ok(image::make::epoch(text.as_deref())?)
}
