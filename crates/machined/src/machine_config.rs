//! The machine configuration on this node: where it is kept, where it comes from, and its parsed form.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::Context;
use config::Config;
use node_resources::config::MachineConfig;

use crate::logs::lock;

/// A text and what it says.
type Parsed = (String, Arc<Config>);

/// The parsed form of a configuration resource. Every derivation asks for it, so the last one is remembered.
pub fn parsed(resource: &MachineConfig) -> Result<Arc<Config>, config::DecodeErrors> {
    static LAST: OnceLock<Mutex<Option<Parsed>>> = OnceLock::new();
    let mut last = lock(LAST.get_or_init(Mutex::default));
    if let Some((text, config)) = last.as_ref()
        && *text == resource.0
    {
        return Ok(config.clone());
    }
    let config = Arc::new(Config::decode(resource.0.as_bytes())?);
    *last = Some((resource.0.clone(), config.clone()));
    Ok(config)
}

/// The configuration on disk: the one in effect, and the one for the next boot.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// The configuration kept in a folder (`/system/state` on a node).
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    fn current(&self) -> PathBuf {
        self.directory.join("config.yaml")
    }

    fn staged(&self) -> PathBuf {
        self.directory.join("config.staged.yaml")
    }

    /// The configuration to boot with: a staged one takes effect now.
    ///
    /// # Errors
    /// The disk cannot be read or written.
    pub fn load(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let (current, staged) = (self.current(), self.staged());
        if staged.exists() {
            std::fs::rename(&staged, &current).with_context(|| format!("make {} current", staged.display()))?;
        }
        match std::fs::read(&current) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", current.display())),
        }
    }

    /// Keeps a configuration, in effect from now on. Old or new after a power cut, never a mix.
    ///
    /// # Errors
    /// The disk cannot be written; the old configuration is then still there.
    pub fn save(&self, bytes: &[u8]) -> anyhow::Result<()> {
        write(&self.current(), bytes)
    }

    /// Keeps a configuration for the next boot.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn stage(&self, bytes: &[u8]) -> anyhow::Result<()> {
        write(&self.staged(), bytes)
    }
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    sys::files::write_atomic(path, bytes, 0o600)
        .with_context(|| format!("store the machine configuration in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_configuration_takes_effect_at_the_next_load() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        assert_eq!(store.load().unwrap(), None);
        store.save(b"one").unwrap();
        store.stage(b"two").unwrap();
        assert_eq!(store.load().unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(store.load().unwrap().as_deref(), Some(&b"two"[..]));
    }
}
