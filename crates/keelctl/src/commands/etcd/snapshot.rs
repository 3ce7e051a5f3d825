//! `etcd snapshot`.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use api::proto::machine::EtcdSnapshotRequest;
use etcd_snapshot::{Checksum, Description, Snapshot};

use crate::output::print;
use crate::session::{Session, failed};

/// Saves a snapshot: received beside its place, synced, checked, and only then put there.
pub async fn save(session: &Session, path: &Path) -> Result<()> {
    let target = session.single("etcd snapshot")?;
    let mut partial = Partial::create(path)?;
    let told = |status| failed(&status).context("error reading the snapshot");
    let response = target.client.machine().etcd_snapshot(EtcdSnapshotRequest {}).await;
    let mut pieces = response.map_err(told)?.into_inner();
    while let Some(piece) = pieces.message().await.map_err(told)? {
        partial.write(&piece.bytes)?;
    }
    let (bytes, description) = partial.finish(path)?;
    Ok(print(&format!(
        "etcd snapshot saved to \"{}\" ({bytes} bytes)\nsnapshot info: {description}\n",
        path.display()
    ))?)
}

/// What has arrived; removed unless it becomes the snapshot.
struct Partial {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Partial {
    fn create(target: &Path) -> Result<Self> {
        if target.is_dir() {
            bail!("{} is a folder: name a file for the snapshot", target.display());
        }
        let mut path = target.as_os_str().to_owned();
        path.push(format!(".{}.part", std::process::id()));
        let path = PathBuf::from(path);
        // All secrets of the cluster are in it.
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("create {}", path.display()))?;
        Ok(Self { path, file, bytes: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .with_context(|| format!("write {}", self.path.display()))
    }

    /// Checks what arrived and puts it in its place.
    fn finish(self, target: &Path) -> Result<(u64, Description)> {
        self.file
            .sync_all()
            .with_context(|| format!("sync {}", self.path.display()))?;
        let description =
            check(&self.path).context("what arrived is no whole snapshot, nothing was saved: try again")?;
        std::fs::rename(&self.path, target).with_context(|| format!("save {}", target.display()))?;
        let folder = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .with_context(|| format!("sync {}", folder.display()))?;
        Ok((self.bytes, description))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already when it was renamed.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn check(path: &Path) -> Result<Description> {
    let snapshot = Snapshot::open(path)?;
    match snapshot.checksum()? {
        Checksum::Right => Ok(snapshot.describe()?),
        Checksum::Wrong => bail!("its SHA-256 is wrong"),
        Checksum::Absent => bail!("its SHA-256 is missing"),
    }
}
