//! The authorities of a rotation, and the file that keeps them until it is over.
//!
//! The key of a new authority is made here, and control planes get it half way. What was begun can go on only with the
//! same one, so it is written down before anything is changed.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};
use config::authority::{Which, same};
use pki::{Authority, CertAndKey, cert_info};
use serde::{Deserialize, Serialize};

use crate::commands::files;

/// An authority and its successor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replacement {
    /// The certificate of the old one, PEM.
    #[serde(with = "pki::base64_bytes")]
    pub old: Vec<u8>,
    /// The new one.
    pub new: CertAndKey,
}

/// What is being replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rotation {
    machine: Option<Replacement>,
    kubernetes: Option<Replacement>,
}

impl Rotation {
    /// Beside the client configuration that is written.
    pub fn path(output: &str) -> PathBuf {
        PathBuf::from(format!("{output}.rotation"))
    }

    /// What was begun and did not end; nothing if there is no file.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(text) => {
                let what = || format!("read {}, which an earlier rotation left", path.display());
                Ok(Some(serde_json::from_slice(&text).with_context(what)?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    /// Writes it down, for its owner only.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = pki::Secret::new(serde_json::to_vec_pretty(self)?);
        files::write(path, text.expose(), true)
    }

    /// Removes the file: nothing is left to go on with.
    pub fn remove(path: &Path) -> Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}, which holds the new authorities", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// The replacement of an authority.
    pub fn of(&self, which: Which) -> Option<&Replacement> {
        match which {
            Which::Machine => self.machine.as_ref(),
            Which::Kubernetes => self.kubernetes.as_ref(),
        }
    }

    /// Takes what the nodes issue with now: what was begun goes on if it is about them, else a successor is made.
    ///
    /// # Errors
    /// The nodes do not agree, or what was begun is about other authorities.
    pub fn prepare(&mut self, which: Which, issuing: &[(String, Vec<u8>)], now: SystemTime) -> Result<()> {
        let (_, first) = issuing.first().context("there is no control plane")?;
        if let Some(begun) = self.of(which) {
            for (node, crt) in issuing {
                ensure!(
                    same(crt, &begun.old) || same(crt, &begun.new.crt),
                    "{node}: its {which} authority ({}) is neither the old nor the new one of the rotation that was \
                     begun (is the file of another cluster, or of a rotation that ended elsewhere? remove it then)",
                    short(crt)
                );
            }
            return Ok(());
        }
        if let Some((node, crt)) = issuing.iter().find(|(_, crt)| !same(crt, first)) {
            bail!(
                "{node} has another {which} authority ({}) than {} ({}): a rotation was begun and did not end. Go on with \
                 it where its file is (--output), or give all nodes the same authority with `patch`",
                short(crt),
                issuing[0].0,
                short(first)
            );
        }
        let made = match which {
            Which::Machine => Authority::new_os(now),
            Which::Kubernetes => Authority::new_kubernetes(now),
        };
        let replacement = Some(Replacement {
            old: first.clone(),
            new: made.context("make a new authority")?.pair().clone(),
        });
        match which {
            Which::Machine => self.machine = replacement,
            Which::Kubernetes => self.kubernetes = replacement,
        }
        Ok(())
    }
}

/// The beginning of an authority's fingerprint, to tell it from others.
pub fn short(crt: &[u8]) -> String {
    match cert_info(crt) {
        Ok(info) => info.fingerprint.chars().take(12).collect(),
        Err(_) => "unreadable".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> Vec<u8> {
        Authority::new_os(SystemTime::now()).unwrap().certificate().to_vec()
    }

    fn nodes(crts: &[&Vec<u8>]) -> Vec<(String, Vec<u8>)> {
        let node = |(i, crt): (usize, &&Vec<u8>)| (format!("10.0.0.{i}"), (*crt).clone());
        crts.iter().enumerate().map(node).collect()
    }

    #[test]
    fn what_was_begun_goes_on_with_the_same_authority() {
        let (old, now) = (authority(), SystemTime::now());
        let folder = tempfile::tempdir().unwrap();
        let path = Rotation::path(folder.path().join("talosconfig").to_str().unwrap());
        assert_eq!(Rotation::load(&path).unwrap(), None);
        let mut rotation = Rotation::default();
        rotation.prepare(Which::Machine, &nodes(&[&old, &old]), now).unwrap();
        rotation.save(&path).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "others can read the key");

        let mut again = Rotation::load(&path).unwrap().unwrap();
        let new = rotation.of(Which::Machine).unwrap().new.crt.clone();
        again.prepare(Which::Machine, &nodes(&[&new, &old]), now).unwrap();
        assert_eq!(again, rotation);
        let refused = again.prepare(Which::Machine, &nodes(&[&authority()]), now).unwrap_err();
        assert!(refused.to_string().contains("neither the old nor the new"), "{refused}");
    }

    #[test]
    fn nodes_that_do_not_agree_are_no_place_to_begin() {
        let mut rotation = Rotation::default();
        let refused = rotation.prepare(Which::Machine, &nodes(&[&authority(), &authority()]), SystemTime::now());
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("10.0.0.1") && refused.contains("did not end"),
            "{refused}"
        );
        assert_eq!(rotation, Rotation::default());
    }
}
