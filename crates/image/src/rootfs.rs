//! The node's root filesystem: one static program of ours, containerd and runc, network plugins, the few tools the
//! kernel's interfaces need, and the places where everything else is mounted. No shell, no package manager, nobody to
//! log in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::debian::{Collection, DebianError};
use crate::go::Binary;
use crate::tree::{Entry, Tree};

/// What a root filesystem is made of.
pub struct Parts<'a> {
    /// Programs of the Go components by name.
    pub components: &'a BTreeMap<String, Binary>,
    /// Our programs by name: `machined`, `flannel`.
    pub programs: &'a BTreeMap<String, PathBuf>,
    /// Debian's files.
    pub debian: &'a Collection,
    /// Our version, with its v.
    pub version: &'a str,
}

/// Why it cannot be assembled.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// A part is missing.
    #[error("assemble the root filesystem: there is no program {0:?}")]
    Missing(String),
    /// A Debian file is missing.
    #[error("assemble the root filesystem: {0}")]
    Debian(DebianError),
    /// A file could not be read.
    #[error("assemble the root filesystem: {0}")]
    Io(std::io::Error),
    /// Something got in that must not be in a node.
    #[error("assemble the root filesystem: {0} must not be in it")]
    Forbidden(String),
}

impl From<DebianError> for RootfsError {
    fn from(cause: DebianError) -> Self {
        Self::Debian(cause)
    }
}

impl From<std::io::Error> for RootfsError {
    fn from(cause: std::io::Error) -> Self {
        Self::Io(cause)
    }
}

/// Debian sets in the node.
pub const SETS: [&str; 3] = ["mount", "iptables", "nft"];
/// Roles of our program beside init; each is a link to it.
const ROLES: [&str; 3] = ["machined", "apid", "trustd"];
/// Where containerd finds who judges images before it pulls them: every file in the folder is asked.
const VERIFIER: &str = "usr/lib/image-verifiers/image-verifier";
/// Plugins are where a volume over /opt cannot hide them; links to them are where Kubernetes looks.
const CNI_FOLDER: &str = "usr/lib/cni";
const CNI_LINKS: &str = "opt/cni/bin";
const CNI_PLUGINS: [&str; 4] = ["bridge", "host-local", "loopback", "portmap"];

/// Folders that exist to be mounted on or written to, with their modes.
const FOLDERS: [(&str, u32); 31] = [
    ("dev", 0o755),
    ("proc", 0o555),
    ("sys", 0o555),
    ("run", 0o755),
    ("tmp", 0o1777),
    ("root", 0o700),
    ("boot", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("system", 0o755),
    ("system/state", 0o700),
    ("system/run", 0o755),
    ("system/etc", 0o755),
    ("system/var", 0o755),
    ("var", 0o755),
    ("opt", 0o755),
    ("etc/cni", 0o755),
    ("etc/cni/net.d", 0o755),
    ("etc/cri", 0o755),
    ("etc/cri/conf.d", 0o755),
    ("etc/cri/conf.d/hosts", 0o755),
    ("etc/kubernetes", 0o755),
    ("etc/kubernetes/manifests", 0o755),
    ("etc/ssl/certs", 0o755),
    ("etc/ssl/private", 0o700),
    ("usr/lib/modules", 0o755),
    ("usr/lib/firmware", 0o755),
    ("usr/lib/udev", 0o755),
    ("usr/local", 0o755),
    ("usr/libexec/kubernetes", 0o755),
    ("usr/share/spdx", 0o755),
];

/// Users that own something: our confined services, etcd, and the kernel's nobody.
pub const PASSWD: &str = "\
root:x:0:0:root:/root:/sbin/nologin
apid:x:50:50:apid:/:/sbin/nologin
trustd:x:51:51:trustd:/:/sbin/nologin
etcd:x:60:60:etcd:/var/lib/etcd:/sbin/nologin
nobody:x:65534:65534:nobody:/:/sbin/nologin
";
/// Their groups.
pub const GROUP: &str = "\
root:x:0:
apid:x:50:
trustd:x:51:
etcd:x:60:
nogroup:x:65534:
";
/// Names are looked up in files, then by DNS.
pub const NSSWITCH: &str = "\
passwd: files
group: files
hosts: files dns
networks: files
services: files
";

/// The parts of a root filesystem as layers: what changes with Debian and the components, and what changes with our
/// own program.
pub fn layers(parts: &Parts<'_>) -> Result<[Tree; 2], RootfsError> {
    let mut base = Tree::default();
    merge_usr(&mut base);
    for (path, mode) in FOLDERS {
        base.dir(path, mode);
    }
    let mut etc = |path: &str, text: &str| base.bytes(&format!("etc/{path}"), 0o644, text);
    etc(
        "hosts",
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
    );
    // Filled in by mounts over them; they must exist because the root filesystem is read-only.
    etc("resolv.conf", "");
    etc("hostname", "");
    etc("machine-id", "");
    etc("extensions.yaml", "");
    etc("passwd", PASSWD);
    etc("group", GROUP);
    etc("nsswitch.conf", NSSWITCH);
    base.bytes("etc/ssl/certs/ca-certificates.crt", 0o644, parts.debian.ca_bundle()?);
    base.merge(&parts.debian.pick(SETS)?.tree);
    for name in ["containerd", "containerd-shim-runc-v2", "runc"] {
        component(&mut base, parts, &format!("usr/bin/{name}"), name)?;
    }
    for name in CNI_PLUGINS {
        component(&mut base, parts, &format!("{CNI_FOLDER}/{name}"), name)?;
        base.link(&format!("{CNI_LINKS}/{name}"), &format!("/{CNI_FOLDER}/{name}"));
    }

    let mut own = Tree::default();
    merge_usr(&mut own);
    program(&mut own, parts, "usr/sbin/init", "machined")?;
    for role in ROLES {
        own.link(&format!("usr/bin/{role}"), "../sbin/init");
    }
    own.link(VERIFIER, "/usr/sbin/init");
    program(&mut own, parts, &format!("{CNI_FOLDER}/flannel"), "flannel")?;
    own.link(&format!("{CNI_LINKS}/flannel"), &format!("/{CNI_FOLDER}/flannel"));
    let release = format!(
        "NAME=\"Keelson\"\nID=keelson\nVERSION_ID={version}\nPRETTY_NAME=\"Keelson ({version})\"\n",
        version = parts.version
    );
    own.bytes("usr/lib/os-release", 0o644, release);
    own.link("etc/os-release", "../usr/lib/os-release");
    for tree in [&base, &own] {
        check(tree)?;
    }
    Ok([base, own])
}

/// The whole root filesystem.
pub fn tree(parts: &Parts<'_>) -> Result<Tree, RootfsError> {
    let [mut base, own] = layers(parts)?;
    base.merge(&own);
    Ok(base)
}

/// /bin, /sbin, /lib and /lib64 are links into /usr.
pub fn merge_usr(tree: &mut Tree) {
    for name in ["bin", "sbin", "lib", "lib64"] {
        tree.dir(&format!("usr/{name}"), 0o755);
        tree.link(name, &format!("usr/{name}"));
    }
}

fn component(tree: &mut Tree, parts: &Parts<'_>, path: &str, name: &str) -> Result<(), RootfsError> {
    let binary = parts
        .components
        .get(name)
        .ok_or_else(|| RootfsError::Missing(name.to_owned()))?;
    tree.known_file(path, 0o755, &binary.path, binary.digest.clone(), binary.size);
    Ok(())
}

fn program(tree: &mut Tree, parts: &Parts<'_>, path: &str, name: &str) -> Result<(), RootfsError> {
    let file = parts
        .programs
        .get(name)
        .ok_or_else(|| RootfsError::Missing(name.to_owned()))?;
    Ok(tree.file(path, 0o755, file)?)
}

/// Programs that would make a node something a person can log in to or change.
const FORBIDDEN: [&str; 18] = [
    "sh", "bash", "dash", "ash", "zsh", "busybox", "toybox", "perl", "python3", "dpkg", "apt", "apt-get", "rpm", "apk",
    "sudo", "su", "login", "sshd",
];

/// Refuses shells, package managers and set-user-ID files.
pub fn check(tree: &Tree) -> Result<(), RootfsError> {
    for (path, entry) in tree.iter() {
        let name = path.rsplit('/').next().unwrap_or(path);
        let in_bin = path.split('/').any(|part| part == "bin" || part == "sbin");
        if in_bin && FORBIDDEN.contains(&name) {
            return Err(RootfsError::Forbidden(format!("/{path}")));
        }
        if matches!(entry, Entry::File { mode, .. } if mode & 0o6000 != 0) {
            return Err(RootfsError::Forbidden(format!("/{path} (set-user-ID)")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_cannot_get_into_a_node() {
        let mut tree = Tree::default();
        merge_usr(&mut tree);
        assert!(check(&tree).is_ok());
        tree.bytes("bin/sh", 0o755, "");
        assert!(check(&tree).unwrap_err().to_string().contains("/usr/bin/sh"));
    }
}
