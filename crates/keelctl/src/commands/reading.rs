//! Reading files that a person names: whatever goes wrong, the message says as what the file was read, and what to do.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use anyhow::{Context as _, Error, Result, anyhow, bail};
use config::Config;
use config::patch::Patch;

/// As what a file is read.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What it should be, as sentences call it.
    name: &'static str,
    /// Where one comes from.
    origin: &'static str,
}

/// The files that commands read.
pub mod kind {
    use super::Kind;

    /// A machine configuration.
    pub const MACHINE_CONFIG: Kind = Kind {
        name: "machine configuration",
        origin: "`gen config` writes one, `get machineconfig -o yaml` shows that of a node",
    };
    /// A patch of a machine configuration.
    pub const PATCH: Kind = Kind {
        name: "patch of a machine configuration",
        origin: "without the @ the patch itself can be given",
    };
    /// As [`PATCH`], named by a flag that takes nothing but a file.
    pub const PATCH_FILE: Kind = Kind {
        name: "patch of a machine configuration",
        origin: "--patch takes the patch itself",
    };
    /// The secrets of a cluster.
    pub const SECRETS: Kind = Kind {
        name: "secrets bundle",
        origin: "`gen secrets` writes one",
    };
    /// A file of another distribution's folder of keys.
    pub const KUBERNETES_PKI: Kind = Kind {
        name: "file of Kubernetes' keys",
        origin: "--from-kubernetes-pki wants a folder as /etc/kubernetes/pki of a kubeadm control plane",
    };
    /// A client configuration.
    pub const CLIENT_CONFIG: Kind = Kind {
        name: "client configuration",
        origin: "`gen config` writes the file talosconfig, `config new` has a node make one",
    };
    /// A kubeconfig.
    pub const KUBECONFIG: Kind = Kind {
        name: "kubeconfig",
        origin: "name another file, or replace it with --merge=false --force",
    };
    /// A certificate.
    pub const CERTIFICATE: Kind = Kind {
        name: "certificate",
        origin: "`gen ca` and `gen crt` write one",
    };
    /// A private key.
    pub const KEY: Kind = Kind {
        name: "private key",
        origin: "`gen ca` and `gen key` write one",
    };
    /// A certificate signing request.
    pub const CSR: Kind = Kind {
        name: "certificate signing request",
        origin: "`gen csr` writes one",
    };
    /// A certificate that firmware is to trust.
    pub const UKI_CERTIFICATE: Kind = Kind {
        name: "certificate",
        origin: "`gen secureboot uki` writes one",
    };
    /// The key of such a certificate.
    pub const UKI_KEY: Kind = Kind {
        name: "private key",
        origin: "`gen secureboot uki` writes one",
    };
    /// Kubernetes manifests.
    pub const MANIFESTS: Kind = Kind {
        name: "file of Kubernetes manifests",
        origin: "`kubectl get -o yaml` writes one, `-` reads standard input",
    };
    /// Columns for control groups.
    pub const COLUMNS: Kind = Kind {
        name: "file of columns",
        origin: "--preset has some ready",
    };
    /// A snapshot of etcd.
    pub const SNAPSHOT: Kind = Kind {
        name: "snapshot of etcd",
        origin: "`etcd snapshot` saves one",
    };
    /// An image as one file.
    pub const IMAGE: Kind = Kind {
        name: "archive of an image",
        origin: "`docker save` writes one",
    };
}

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// It cannot be read.
pub fn bytes(path: &str, kind: Kind) -> Result<Vec<u8>> {
    if path == "-" {
        let mut bytes = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut bytes);
        read.with_context(|| format!("read the {} from standard input", kind.name))?;
        return Ok(bytes);
    }
    file(Path::new(path), kind)
}

/// Reads a file, whatever it is called.
///
/// # Errors
/// It cannot be read.
pub fn file(path: &Path, kind: Kind) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| failed(path, kind, error))
}

/// As [`bytes`], of something that is text.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn text(path: &str, kind: Kind) -> Result<String> {
    let bytes = bytes(path, kind)?;
    check_text(path, kind, &bytes)?;
    Ok(String::from_utf8(bytes)?)
}

/// Refuses what is no text, and so nothing that a node, or a reader of YAML, can make sense of.
///
/// # Errors
/// It is no text.
pub fn check_text(path: &str, kind: Kind, bytes: &[u8]) -> Result<()> {
    if std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0) {
        return Ok(());
    }
    let Kind { name, origin } = kind;
    match bytes {
        [0x1f, 0x8b, ..] => bail!("{path} is compressed, not a {name}: decompress it first (gunzip)"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => bail!("{path} is a {name} in UTF-16: save it as UTF-8"),
        _ => bail!("{path} is not text (UTF-8), so it is no {name}: name another file; {origin}"),
    }
}

/// Reads a machine configuration.
///
/// # Errors
/// It cannot be read, or is wrong.
pub fn machine_config(path: &str) -> Result<Config> {
    let text = text(path, kind::MACHINE_CONFIG)?;
    Config::decode(text.as_bytes()).with_context(|| format!("read the machine configuration {path}"))
}

/// Opens a file that is read piece by piece.
///
/// # Errors
/// It cannot be read.
pub fn open(path: &Path, kind: Kind) -> Result<File> {
    let file = File::open(path).map_err(|error| failed(path, kind, error))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(failed(path, kind, ErrorKind::IsADirectory.into())),
        _ => Ok(file),
    }
}

/// Patches as they stand on a command line: `@file`, or the patch itself.
///
/// # Errors
/// A file cannot be read, or a patch is wrong.
pub fn patches(arguments: &[String]) -> Result<Vec<Patch>> {
    let patch = |argument: &String| match argument.strip_prefix('@') {
        Some(path) => Ok(Patch::load_named(text(path, kind::PATCH)?.as_bytes(), path)?),
        None => Ok(Patch::load(argument.as_bytes())?),
    };
    arguments.iter().map(patch).collect()
}

/// Why a file could not be read, and what to do.
pub fn failed(path: &Path, Kind { name, origin }: Kind, error: io::Error) -> Error {
    let shown = path.display();
    match error.kind() {
        ErrorKind::NotFound => {
            let place = match std::env::current_dir() {
                Ok(folder) if path.is_relative() => format!(" in {}", folder.display()),
                _ => String::new(),
            };
            anyhow!("there is no {name} {shown}{place}: check the name; {origin}")
        }
        ErrorKind::PermissionDenied => anyhow!(
            "this user may not read the {name} {shown}: let its owner run the command, or change who may read it (chmod)"
        ),
        ErrorKind::IsADirectory => anyhow!("{shown} is a folder, not a {name}: name a file in it"),
        _ => Error::new(error).context(format!("read the {name} {shown}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<T>(outcome: Result<T>) -> String {
        match outcome {
            Ok(_) => panic!("it was read"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn what_cannot_be_read_says_as_what_it_was_read_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let missing = told(bytes(&at("none.yaml"), kind::SECRETS));
        assert!(missing.starts_with("there is no secrets bundle /"), "{missing}");
        assert!(
            missing.ends_with("none.yaml: check the name; `gen secrets` writes one"),
            "{missing}"
        );
        let relative = told(bytes("none-of-this-name", kind::SECRETS));
        let here = std::env::current_dir().unwrap();
        assert!(
            relative.contains(&format!("none-of-this-name in {}:", here.display())),
            "{relative}"
        );
        for outcome in [
            bytes(&at(""), kind::CSR).map(drop),
            open(folder.path(), kind::CSR).map(drop),
        ] {
            let told = told(outcome);
            assert!(
                told.ends_with("is a folder, not a certificate signing request: name a file in it"),
                "{told}"
            );
        }
        let denied = failed(Path::new("key"), kind::KEY, ErrorKind::PermissionDenied.into()).to_string();
        assert!(
            denied.contains("may not read the private key key") && denied.contains("chmod"),
            "{denied}"
        );
        let other = failed(Path::new("key"), kind::KEY, io::Error::other("the disk is gone"));
        assert_eq!(format!("{other:#}"), "read the private key key: the disk is gone");
    }

    #[test]
    fn what_is_no_text_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file").display().to_string();
        for (bytes, word) in [
            (&b"\x1f\x8b\x08\x00"[..], "decompress it first"),
            (b"\xff\xfea\x00", "save it as UTF-8"),
            (
                b"\x7fELF\x02\x01\x01\x00",
                "is not text (UTF-8), so it is no machine configuration",
            ),
            (b"version: \xc3\x28", "`gen config` writes one"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let told = told(text(&path, kind::MACHINE_CONFIG));
            assert!(told.contains(word) && told.contains(&path), "{told}");
        }
        std::fs::write(&path, "grüße").unwrap();
        assert_eq!(text(&path, kind::MACHINE_CONFIG).unwrap(), "grüße");
    }
}
