//! Writing a squashfs image with Debian's squashfs-tools.

use std::path::Path;

use crate::run::{RunError, Tool};
use crate::tree::Tree;

/// 128 KiB is what the kernel's decompressor handles with least waste when pages are read here and there.
const BLOCK: &str = "131072";
/// Above this zstd gains a few percent and takes several times as long.
const LEVEL: &str = "15";

/// Writes `tree` as a squashfs image (zstd) to `path`. The bytes depend on the tree and `epoch` only.
pub fn write(tree: &Tree, path: &Path, epoch: u64) -> Result<(), RunError> {
    let epoch_text = epoch.to_string();
    let _ = std::fs::remove_file(path);
    let tool = Tool::new("sqfstar", "squashfs-tools")
        .args(["-comp", "zstd", "-Xcompression-level", LEVEL, "-b", BLOCK])
        .args([
            "-reproducible",
            "-no-xattrs",
            "-all-root",
            "-root-mode",
            "0755",
            "-quiet",
            "-no-progress",
        ])
        .args([
            "-mkfs-time",
            &epoch_text,
            "-all-time",
            &epoch_text,
            "-root-time",
            &epoch_text,
        ])
        .arg(path);
    tool.feed(|input| tree.write_tar(input, epoch)).map(|_| ())
}
