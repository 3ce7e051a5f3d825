//! `machine.files`: files below `/var` that the configuration asks for, written when the node starts.
//!
//! A file that the configuration stops asking for stays: it may hold what a program added. Parts of containerd's
//! configuration are no files of their own, see [`super::containerd`], and neither is whom keyless signatures are traced back
//! to, see [`super::image_rules`].

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use config::view::{FileOperation, MachineFile};
use node_resources::config::MachineConfig;
use node_resources::keelson::MachineFileStatus;
use resource::{Context, One, Outcome, Outputs, Reconcile};

use crate::machine_config::parsed;

/// The only folder whose contents outlast a restart and may be written.
const WRITABLE: &str = "/var";
/// Time between two tries of files that could not be written.
const RETRY: Duration = Duration::from_secs(30);
/// Longest file that is appended to: it is read whole.
const MOST: u64 = 16 << 20;

/// Writes the files of the configuration.
pub struct MachineFiles {
    /// Prepended to every path: `/` on a node, a folder in tests.
    root: PathBuf,
    /// What was written: it is not written again when another part of the configuration changes.
    written: Vec<MachineFile>,
}

impl MachineFiles {
    /// Files below a root.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            written: Vec::new(),
        }
    }

    fn write(&self, file: &MachineFile) -> anyhow::Result<()> {
        let path = self.root.join(permitted(&file.path)?);
        // A link in the way would lead out of the folder.
        let parent = path.parent().context("it has no folder")?;
        std::fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
        let (real, base) = (parent.canonicalize()?, self.root.canonicalize()?.join("var"));
        ensure!(
            real.starts_with(&base),
            "{} is a link to {}, which is outside of {WRITABLE}",
            parent.display(),
            real.display()
        );
        let current = match std::fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => bail!("there is something that is no file"),
            Ok(found) if found.len() > MOST && file.operation == FileOperation::Append => {
                bail!("it is larger than {MOST} bytes")
            }
            Ok(_) => Some(std::fs::read(&path).context("read it")?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).context("look at it"),
        };
        let contents = contents(file.operation, current.as_deref(), file.content.as_bytes())?;
        if current.as_deref() != Some(&contents) {
            sys::files::write_atomic(&path, &contents, file.mode)?;
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(file.mode);
        std::fs::set_permissions(&path, mode).context("set its permissions")
    }
}

/// A path that may be written, without its first slash.
fn permitted(path: &str) -> anyhow::Result<&Path> {
    let inside = path.strip_prefix(WRITABLE).is_some_and(|rest| rest.starts_with('/'));
    ensure!(
        inside,
        "only files below {WRITABLE} can be written: the rest of the system is read-only"
    );
    let path = Path::new(path.trim_start_matches('/'));
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    ensure!(plain, "a path with \"..\" is not followed");
    Ok(path)
}

/// What a file shall hold. Appending twice is appending once: the folder outlasts a restart, and the node appends at
/// every start.
fn contents(operation: FileOperation, current: Option<&[u8]>, content: &[u8]) -> anyhow::Result<Vec<u8>> {
    match (operation, current) {
        (FileOperation::Overwrite, None) => bail!("it is not there to be overwritten (op: create makes it)"),
        (FileOperation::Create | FileOperation::Overwrite, _) | (FileOperation::Append, None) => Ok(content.to_vec()),
        (FileOperation::Append, Some(current)) => {
            let mut joined = current.to_vec();
            let there = content.is_empty() || current.windows(content.len()).any(|window| window == content);
            if !there {
                if !current.is_empty() && !current.ends_with(b"\n") {
                    joined.push(b'\n');
                }
                joined.extend_from_slice(content);
            }
            Ok(joined)
        }
    }
}

impl Reconcile for MachineFiles {
    type Inputs = (One<MachineConfig>,);
    type Outputs = Outputs<MachineFileStatus>;

    async fn reconcile(&mut self, (config,): Self::Inputs, _: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        let files = config::view::machine_files(&*parsed(&config)?);
        let files: Vec<MachineFile> = files
            .into_iter()
            .filter(|file| !super::containerd::is_customization(&file.path) && file.path != config::view::TRUST_ROOT)
            .collect();
        if files == self.written {
            return Ok(Outcome::unchanged());
        }
        let mut statuses: BTreeMap<String, MachineFileStatus> = BTreeMap::new();
        for file in &files {
            let status = match self.write(file) {
                Ok(()) => MachineFileStatus {
                    ready: true,
                    error: String::new(),
                },
                Err(error) => {
                    tracing::warn!("machine.files: {}: {error:#}", file.path);
                    MachineFileStatus {
                        ready: false,
                        error: format!("{error:#}"),
                    }
                }
            };
            // A file may be made and appended to; one failure of it is what counts.
            let seen = statuses.entry(file.path.clone()).or_insert_with(|| status.clone());
            if !status.ready {
                *seen = status;
            }
        }
        let ready = statuses.values().all(|status| status.ready);
        let outcome = Outcome::done(statuses.into_iter().collect());
        if ready {
            self.written = files;
            Ok(outcome)
        } else {
            Ok(outcome.requeue(RETRY))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn file(path: &str, operation: FileOperation, content: &str) -> MachineFile {
        MachineFile {
            path: path.to_owned(),
            operation,
            content: content.to_owned(),
            mode: 0o640,
        }
    }

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("var")).unwrap();
        root
    }

    #[test]
    fn files_are_made_overwritten_and_appended_to() {
        let root = root();
        let files = MachineFiles::new(root.path());
        let read = || std::fs::read_to_string(root.path().join("var/lib/a/b")).unwrap();
        let missing = files.write(&file("/var/lib/a/b", FileOperation::Overwrite, "x"));
        assert!(missing.unwrap_err().to_string().contains("op: create"));
        files
            .write(&file("/var/lib/a/b", FileOperation::Create, "one"))
            .unwrap();
        assert_eq!(read(), "one");
        files
            .write(&file("/var/lib/a/b", FileOperation::Append, "two\n"))
            .unwrap();
        files
            .write(&file("/var/lib/a/b", FileOperation::Append, "two\n"))
            .unwrap();
        assert_eq!(read(), "one\ntwo\n");
        files
            .write(&file("/var/lib/a/b", FileOperation::Overwrite, "three"))
            .unwrap();
        assert_eq!(read(), "three");
        let mode = std::fs::metadata(root.path().join("var/lib/a/b")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o640);
    }

    #[test]
    fn nothing_outside_of_var_is_written() {
        let root = root();
        let files = MachineFiles::new(root.path());
        std::fs::create_dir(root.path().join("secret")).unwrap();
        symlink(root.path().join("secret"), root.path().join("var/link")).unwrap();
        symlink("../secret/file", root.path().join("var/file")).unwrap();
        for path in [
            "/etc/passwd",
            "/var",
            "/variable/x",
            "/var/../secret/x",
            "/var/link/x",
            "/var/file",
        ] {
            assert!(files.write(&file(path, FileOperation::Create, "x")).is_err(), "{path}");
        }
        assert_eq!(std::fs::read_dir(root.path().join("secret")).unwrap().count(), 0);
    }
}
