//! The mount table, from `/proc/PID/mountinfo` (proc(5)).

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Context, Result};

/// One mount of the current mount namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountInfo {
    /// Number of the mount.
    pub id: u32,
    /// Number of the mount it is mounted on.
    pub parent: u32,
    /// `major:minor` of the file system.
    pub device: String,
    /// The folder of the file system that is shown.
    pub root: PathBuf,
    /// Where it is mounted.
    pub target: PathBuf,
    /// Options of the mount (`ro`, `nosuid`…).
    pub options: Vec<String>,
    /// `shared:N`, `master:N`…; empty for a private mount.
    pub propagation: Vec<String>,
    /// The kind of file system.
    pub kind: String,
    /// The device or name it was mounted from.
    pub source: String,
    /// Options of the file system.
    pub super_options: Vec<String>,
}

/// All mounts of the current mount namespace, in the order they were made.
pub fn list() -> Result<Vec<MountInfo>> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").doing(|| "read /proc/self/mountinfo")?;
    Ok(parse(&text))
}

/// The mount at exactly `target`; of several on top of each other, the uppermost.
pub fn at(target: impl AsRef<Path>) -> Result<Option<MountInfo>> {
    let target = target.as_ref();
    Ok(list()?.into_iter().rev().find(|mount| mount.target == target))
}

/// Reads the text of a mountinfo file; lines it cannot read are left out.
pub fn parse(text: &str) -> Vec<MountInfo> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<MountInfo> {
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ');
    let mut mount = MountInfo {
        id: front.next()?.parse().ok()?,
        parent: front.next()?.parse().ok()?,
        device: front.next()?.to_owned(),
        root: unescape(front.next()?).into(),
        target: unescape(front.next()?).into(),
        options: commas(front.next()?),
        propagation: front.filter(|field| !field.is_empty()).map(str::to_owned).collect(),
        ..MountInfo::default()
    };
    let mut back = back.splitn(3, ' ');
    mount.kind = back.next()?.to_owned();
    mount.source = unescape(back.next()?);
    mount.super_options = commas(back.next().unwrap_or_default());
    Some(mount)
}

fn commas(text: &str) -> Vec<String> {
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Space, tab, newline and backslash are written as `\` and three octal digits.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(value) if byte == b'\\' => {
                out.push(value);
                rest = &tail[3..];
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_read() {
        let text =
            "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\nbad\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 1);
        let mount = &mounts[0];
        assert_eq!((mount.id, mount.parent, mount.device.as_str()), (36, 35, "98:0"));
        assert_eq!(mount.target, PathBuf::from("/mnt 2"));
        assert_eq!(mount.propagation, ["master:1", "shared:2"]);
        assert_eq!((mount.kind.as_str(), mount.source.as_str()), ("ext3", "/dev/root"));
        assert_eq!(mount.super_options, ["rw", "errors=continue"]);
    }

    #[test]
    fn proc_is_mounted_here() {
        assert_eq!(at("/proc").unwrap().unwrap().kind, "proc");
    }
}
