//! Folders of the node, and who may see them.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;
use sys::mount::Propagation;

/// Folders, and the bits of who may enter them: secrets are root's alone.
const FOLDERS: &[(&str, u32)] = &[
    ("/system/run", 0o755),
    ("/system/run/machined", 0o755),
    ("/system/run/apid", 0o755),
    ("/system/run/trustd", 0o755),
    ("/system/run/roots", 0o755),
    ("/system/etc", 0o755),
    ("/system/etc/cri", 0o700),
    ("/system/resolved", 0o755),
    ("/system/secrets", 0o755),
    ("/system/secrets/kubelet", 0o700),
    ("/system/config", 0o755),
    ("/system/state", 0o700),
    ("/var/log", 0o755),
    ("/var/log/pods", 0o755),
    ("/var/log/containers", 0o755),
    ("/var/log/audit", 0o755),
    ("/var/log/audit/kube", 0o700),
    ("/var/lib", 0o755),
    ("/var/lib/containerd", 0o700),
    ("/var/lib/kubelet", 0o755),
    ("/var/lib/kubelet/seccomp/profiles", 0o755),
    ("/var/lib/etcd", 0o700),
    ("/var/lib/keelson/images", 0o755),
    ("/var/lib/cni", 0o755),
    ("/var/mnt", 0o755),
    ("/etc/cni/net.d", 0o755),
    ("/etc/kubernetes/pki", 0o755),
    ("/etc/kubernetes/manifests", 0o755),
    ("/usr/libexec/kubernetes/kubelet-plugins/volume/exec", 0o755),
    ("/opt/cni/bin", 0o755),
];

/// Files the container brings and the node writes through.
const FILES: [&str; 2] = ["/etc/hosts", "/etc/resolv.conf"];

/// Makes the folders, makes the container's files writable, and lets mounts that pods make travel.
///
/// # Errors
/// A path that should be writable is not.
pub fn prepare() -> anyhow::Result<()> {
    for (path, mode) in FOLDERS {
        let what = || format!("make {path} (is it a writable mount of the container?)");
        if !Path::new(path).is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(*mode)
                .create(path)
                .with_context(what)?;
        }
        std::fs::set_permissions(path, Permissions::from_mode(*mode)).with_context(what)?;
    }
    // Audit logs are the API server's own to write.
    std::os::unix::fs::chown("/var/log/audit/kube", Some(65534), Some(65534))
        .context("hand over /var/log/audit/kube")?;
    FILES.iter().try_for_each(|path| open_for_writing(Path::new(path)))?;
    sys::mount::set_propagation("/", Propagation::Shared, true).context("make mounts shared")?;
    Ok(())
}

/// Docker mounts these files read-only where the container's root is.
fn open_for_writing(path: &Path) -> anyhow::Result<()> {
    let mount = sys::mount::at(path).context("look for the container's files")?;
    match mount {
        Some(mount) if mount.options.iter().any(|option| option == "ro") => Ok(sys::mount::set_writable(path)?),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sys::caps::{CapabilitySet, has};

    #[test]
    fn a_file_that_is_mounted_read_only_can_be_written_afterwards() {
        if !has(CapabilitySet::SYS_ADMIN) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("given"), folder.path().join("hosts"));
        std::fs::write(&source, "given").unwrap();
        std::fs::write(&target, "").unwrap();
        sys::mount::bind(&source, &target, false, true).unwrap();
        let refused = std::fs::write(&target, "ours");
        let opened = open_for_writing(&target).and_then(|()| Ok(std::fs::write(&target, "ours")?));
        sys::mount::detach(&target).unwrap();
        assert!(refused.is_err(), "the mount was not read-only");
        opened.unwrap();
        assert_eq!(std::fs::read_to_string(&source).unwrap(), "ours");
    }
}
