//! Versions of Kubernetes, and which of them an upgrade may lead to.

use std::fmt;
use std::str::FromStr;

/// A version, ordered as versions are: a pre-release comes before its release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 1
    pub major: u32,
    /// 37
    pub minor: u32,
    /// 1
    pub patch: u32,
    /// False for a pre-release.
    release: bool,
    /// `rc.1`; empty for a release.
    pre: Box<str>,
}

/// Text that is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version of Kubernetes (write it as 1.37.1)")]
pub struct NoVersion(String);

impl Version {
    /// The version that the tag of an image names; none if it names none.
    pub fn of_image(image: &str) -> Option<Self> {
        let name = image.split('@').next()?;
        let (_, tag) = name.rsplit_once(':')?;
        tag.parse().ok()
    }
}

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let bad = || NoVersion(text.to_owned());
        let plain = text.strip_prefix('v').unwrap_or(text);
        let plain = plain.split('+').next().unwrap_or_default();
        let (numbers, pre) = plain.split_once('-').unwrap_or((plain, ""));
        let numbers: Vec<u32> = numbers
            .split('.')
            .map(|number| number.parse().map_err(|_| bad()))
            .collect::<Result<_, _>>()?;
        match numbers[..] {
            [major, minor, patch] => Ok(Self {
                major,
                minor,
                patch,
                release: pre.is_empty(),
                pre: pre.into(),
            }),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)?;
        if self.release {
            Ok(())
        } else {
            write!(f, "-{}", self.pre)
        }
    }
}

/// Why there is no way from one version to another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Minor versions are left out.
    #[error(
        "{from} -> {to} leaves out a minor version, and Kubernetes is upgraded one minor version at a time: go to \
         {next}.x first (--to {next}.0, or its newest patch release)"
    )]
    Skips {
        /// What runs.
        from: Version,
        /// What was asked for.
        to: Version,
        /// The minor version to go to.
        next: String,
    },
    /// To an older minor version.
    #[error(
        "{from} -> {to} goes back a minor version, which Kubernetes does not support: what the newer API server stored, the \
         older one may not be able to read. To go back, restore a snapshot of etcd from before (`bootstrap --recover-from`)"
    )]
    Back {
        /// What runs.
        from: Version,
        /// What was asked for.
        to: Version,
    },
    /// To another major version.
    #[error("{from} -> {to}: there is no way to another major version")]
    Major {
        /// What runs.
        from: Version,
        /// What was asked for.
        to: Version,
    },
    /// The operating system of a node is too old, or too new.
    #[error(
        "node {node}: its operating system ({system}) runs Kubernetes {major}.{oldest} to {major}.{newest}, and not {to}: upgrade the \
         operating system first",
        major = to.major
    )]
    System {
        /// Name of the node.
        node: String,
        /// Its version.
        system: String,
        /// Oldest minor version it runs.
        oldest: u32,
        /// Newest minor version it runs.
        newest: u32,
        /// What was asked for.
        to: Version,
    },
}

/// Whether Kubernetes may go from one version to another in one upgrade. Patch releases of a minor version may be taken in
/// any order.
///
/// # Errors
/// Why not.
pub fn check_path(from: &Version, to: &Version) -> Result<(), PathError> {
    let (from, to) = (from.clone(), to.clone());
    if from.major != to.major {
        return Err(PathError::Major { from, to });
    }
    if to.minor < from.minor {
        return Err(PathError::Back { from, to });
    }
    if to.minor > from.minor + 1 {
        let next = format!("{}.{}", from.major, from.minor + 1);
        return Err(PathError::Skips { from, to, next });
    }
    Ok(())
}

/// Minor version of the operating system that this program is of.
const OWN_SYSTEM: u32 = 13;
/// The oldest and newest minor version of Kubernetes that it runs.
const OWN_RANGE: (u32, u32) = (31, 37);
/// Releases of the operating system since 1.6 run six minor versions of Kubernetes; the newest has this number more than
/// the release.
const NEWEST_ABOVE: u32 = 23;
/// How many minor versions of Kubernetes a release runs beside the newest.
const OLDER: u32 = 5;

/// Whether a node's operating system (`v1.13.0`) runs a version of Kubernetes. One that this program does not know is
/// taken to.
///
/// # Errors
/// It does not.
pub fn check_system(node: &str, system: &str, to: &Version) -> Result<(), PathError> {
    let Ok(version) = system.parse::<Version>() else {
        return Ok(());
    };
    let (oldest, newest) = match version.minor {
        OWN_SYSTEM => OWN_RANGE,
        minor if minor < OWN_SYSTEM => (minor + NEWEST_ABOVE - OLDER, minor + NEWEST_ABOVE),
        _ => return Ok(()),
    };
    if (oldest..=newest).contains(&to.minor) {
        return Ok(());
    }
    Err(PathError::System {
        node: node.to_owned(),
        system: system.to_owned(),
        oldest,
        newest,
        to: to.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_read_from_tags_and_ordered() {
        let of = |image| Version::of_image(image);
        assert_eq!(of("registry.k8s.io/kube-apiserver:v1.37.1"), Some(version("1.37.1")));
        assert_eq!(
            of("localhost:5000/a:1.36.0-rc.1@sha256:ab"),
            Some(version("1.36.0-rc.1"))
        );
        assert_eq!(of("localhost:5000/a"), None);
        assert_eq!(of("a:latest"), None);
        assert!(version("1.9.0") < version("v1.10.0"));
        assert!(version("1.37.0-rc.1") < version("1.37.0"));
        assert_eq!(version("1.36.4+build").to_string(), "v1.36.4");
        for wrong in ["1.37", "1.37.x", "", "latest"] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_minor_version_at_a_time_and_never_back() {
        let check = |from: &str, to: &str| check_path(&version(from), &version(to));
        for (from, to) in [
            ("1.36.4", "1.37.1"),
            ("1.37.0", "1.37.1"),
            ("1.37.1", "1.37.1"),
            ("1.37.1", "1.37.0"),
        ] {
            assert_eq!(check(from, to), Ok(()), "{from} {to}");
        }
        let skips = check("1.35.2", "1.37.1").unwrap_err().to_string();
        assert!(skips.contains("1.36.x first"), "{skips}");
        let back = check("1.37.1", "1.36.4").unwrap_err().to_string();
        assert!(back.contains("goes back") && back.contains("snapshot"), "{back}");
        assert!(check("1.37.1", "2.0.0").is_err());
    }

    #[test]
    fn an_operating_system_that_is_too_old_is_named() {
        let to = version("1.37.1");
        assert_eq!(check_system("cp-1", "v1.13.0", &to), Ok(()));
        assert_eq!(check_system("cp-1", "v1.14.0", &to), Ok(()));
        let old = check_system("cp-1", "v1.12.3", &to).unwrap_err().to_string();
        assert!(old.contains("cp-1") && old.contains("1.30 to 1.35"), "{old}");
        assert!(check_system("cp-1", "v1.13.0", &version("1.38.0")).is_err());
    }

    #[test]
    fn new_clusters_have_a_version_that_the_system_runs() {
        let newest = version(config::images::KUBERNETES_VERSION);
        assert_eq!(newest.minor, OWN_RANGE.1);
        assert_eq!(version(crate::defaults::VERSION).minor, OWN_SYSTEM);
    }
}
