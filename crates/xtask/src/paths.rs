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

/// Our version, with its v: that of the machine API this project implements.
pub fn version() -> String {
    format!("v{}", env!("CARGO_PKG_VERSION"))
}

/// The time products carry.
pub fn epoch() -> Result<u64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH={text:?} is not a number of seconds")),
        Err(_) => Ok(image::dist::EPOCH),
    }
}
