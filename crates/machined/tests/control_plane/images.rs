//! The distribution's images, unpacked: the programs under test are those that nodes run.

use std::path::{Path, PathBuf};
use std::process::Command;

use image::oci::{Layout, Manifest, REF_NAME};
use image::unpack::{self, Unpacker};

const NAMES: [&str; 7] = [
    "registry.k8s.io/etcd",
    "registry.k8s.io/kube-apiserver",
    "registry.k8s.io/kube-controller-manager",
    "registry.k8s.io/kube-scheduler",
    "registry.k8s.io/kube-proxy",
    "ghcr.io/siderolabs/kubelet",
    "ghcr.io/siderolabs/flannel",
];

/// The folder that `cargo xtask dist` makes.
fn layout() -> Layout {
    let dist = std::env::var_os("KEELSON_DIST").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist"),
        PathBuf::from,
    );
    Layout::at(dist.join("images"))
}

/// The whole references of the images; which one is missing otherwise.
pub fn references() -> Result<Vec<String>, String> {
    let layout = layout();
    let index = layout
        .index()
        .map_err(|e| format!("{}: {e}", layout.root().display()))?;
    NAMES
        .iter()
        .map(|name| {
            let references = index.manifests.iter().filter_map(|m| m.annotations.get(REF_NAME));
            let found = references
                .into_iter()
                .find(|r| r.strip_prefix(name).is_some_and(|tag| tag.starts_with(':')));
            found
                .cloned()
                .ok_or_else(|| format!("{}: there is no image {name}", layout.root().display()))
        })
        .collect()
}

/// Images unpacked below a folder.
pub struct Images {
    folder: PathBuf,
    references: Vec<String>,
    mounts: Vec<PathBuf>,
}

impl Drop for Images {
    fn drop(&mut self) {
        for mount in &self.mounts {
            let _ = Command::new("umount").arg("--lazy").arg(mount).status();
        }
    }
}

impl Images {
    pub fn unpack(folder: &Path) -> Self {
        let (layout, references) = (layout(), references().unwrap());
        for reference in &references {
            let descriptor = layout.find(reference).unwrap().unwrap();
            let manifest: Manifest = serde_json::from_slice(&layout.read(&descriptor.digest).unwrap()).unwrap();
            let root = folder.join(short(reference));
            std::fs::create_dir_all(&root).unwrap();
            let unpacker = Unpacker::new(&root).unwrap();
            for layer in &manifest.layers {
                let blob = std::fs::File::open(layout.blob_path(&layer.digest)).unwrap();
                unpack::layer(&unpacker, blob, &layer.media_type, None).unwrap();
            }
        }
        Self {
            folder: folder.to_owned(),
            references,
            mounts: Vec::new(),
        }
    }

    /// The whole reference of an image.
    pub fn reference(&self, name: &str) -> &str {
        self.references.iter().find(|r| short(r) == name).unwrap()
    }

    /// A program of the image of the same name. It is static, so it runs as it lies there.
    pub fn program(&self, name: &str) -> PathBuf {
        self.root(name).join("usr/local/bin").join(name)
    }

    /// The root of an image.
    pub fn root(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A program in its image as root, with the kernel's file systems: for those that need other files beside them.
    ///
    /// Nothing of the host is bound in there: the folder is removed after the test with everything in it, and devices
    /// that are made for it may be.
    pub fn confined(&mut self, name: &str, program: &str) -> Command {
        let root = self.root(name);
        let run = |program: &str, args: &[&str], target: &Path| {
            assert!(
                Command::new(program).args(args).arg(target).status().unwrap().success(),
                "{program} {target:?}"
            );
        };
        if !root.join("dev").exists() {
            for folder in ["dev", "proc", "sys"] {
                std::fs::create_dir_all(root.join(folder)).unwrap();
            }
            assert!(
                Command::new("mknod")
                    .arg("-m666")
                    .arg(root.join("dev/null"))
                    .args(["c", "1", "3"])
                    .status()
                    .unwrap()
                    .success()
            );
            for (kind, folder, options) in [("proc", "proc", "rw"), ("sysfs", "sys", "ro")] {
                run("mount", &["-t", kind, "-o", options, kind], &root.join(folder));
                self.mounts.push(root.join(folder));
            }
        }
        let mut command = Command::new("chroot");
        command
            .arg(root)
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }
}

fn short(reference: &str) -> &str {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    name.split(':').next().unwrap_or(name)
}
