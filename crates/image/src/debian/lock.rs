//! `debian.lock`: which version of each package, and the digest of its file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DebianError, Package};
use crate::digest::Digest;
use crate::oci::rfc3339;
use crate::run::Tool;

/// Debian's archive of everything it ever published; not reachable from everywhere.
pub const SNAPSHOTS: &str = "snapshot.debian.org";
/// First lines of the file.
const HEAD: &str = "\
# The Debian packages whose files are in the distribution. Written by `cargo xtask dist --update-debian`: it takes what
# the mirrors have. Look at what changed, build and test before committing it.
";

/// `debian.lock`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// When the mirrors had all of it, as snapshots are named: `20260102T030405Z`.
    pub time: String,
    /// The packages, by name.
    #[serde(rename = "package")]
    pub packages: Vec<Locked>,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Its name.
    pub name: String,
    /// Its version, with epoch.
    pub version: String,
    /// SHA-256 of the .deb, in hexadecimal.
    pub sha256: String,
    /// Name of the .deb as apt writes it, where a colon is `%3a`.
    pub file: String,
    /// Where it is below a mirror.
    pub path: String,
}

impl Lock {
    /// Asks apt what the mirrors have now; `epoch` is the time now in seconds.
    pub fn of_mirrors(names: &[String], epoch: u64) -> Result<Lock, DebianError> {
        Tool::new("apt-get", "apt").args(["update", "-q"]).output()?;
        let output = Tool::new("apt-get", "apt")
            .args(["download", "--print-uris"])
            .args(names)
            .output()?;
        let time: String = rfc3339(epoch).chars().filter(|c| !"-:".contains(*c)).collect();
        let text = String::from_utf8_lossy(&output);
        let packages = text.lines().filter(|line| line.starts_with('\'')).map(parse_line);
        let mut packages = packages.collect::<Result<Vec<_>, _>>()?;
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        let lock = Lock { time, packages };
        match lock.differs_from(names) {
            Some(difference) => Err(DebianError::Apt(difference)),
            None => Ok(lock),
        }
    }

    /// What is wrong when these are the names of debian.toml.
    pub fn differs_from(&self, names: &[String]) -> Option<String> {
        let locked: Vec<&str> = self.packages.iter().map(|package| package.name.as_str()).collect();
        let missing: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| !locked.contains(name))
            .collect();
        let extra: Vec<&str> = locked
            .iter()
            .copied()
            .filter(|name| !names.iter().any(|n| n == name))
            .collect();
        let told = |what: &str, names: &[&str]| (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")));
        let parts = [told("it lacks", &missing), told("debian.toml does not have", &extra)];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
        (!text.is_empty()).then_some(text)
    }

    /// The file.
    pub fn encode(&self) -> String {
        let mut text = format!("{HEAD}time = \"{}\"\n", self.time);
        for Locked {
            name,
            version,
            sha256,
            file,
            path,
        } in &self.packages
        {
            text.push_str(&format!(
                "\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsha256 = \"{sha256}\"\nfile = \"{file}\"\npath = \"{path}\"\n"
            ));
        }
        text
    }

    /// Packages that are another version than locked.
    pub fn replaced_by(&self, packages: &[Package]) -> BTreeMap<String, String> {
        let locked = |package: &&Package| {
            let is = |locked: &Locked| locked.name == package.name && locked.sha256 == package.digest.hex();
            !self.packages.iter().any(is)
        };
        let replaced = packages.iter().filter(locked);
        replaced
            .map(|package| (package.name.clone(), package.version.clone()))
            .collect()
    }

    /// A name for what is cached for this lock.
    pub(super) fn id(&self) -> String {
        Digest::of(self.encode().as_bytes()).hex()[..16].to_owned()
    }

    /// Where the file of a package may be, given the mirrors of this machine.
    pub(super) fn places(&self, package: &Locked, mirrors: &[String]) -> Vec<String> {
        let snapshots =
            ["debian", "debian-security"].map(|archive| format!("http://{SNAPSHOTS}/archive/{archive}/{}", self.time));
        let sites = mirrors.iter().cloned().chain(snapshots);
        sites
            .map(|site| format!("{}/{}", site.trim_end_matches('/'), package.path))
            .collect()
    }
}

/// Reads `'URI' FILE SIZE SHA256:DIGEST`.
fn parse_line(line: &str) -> Result<Locked, DebianError> {
    let odd = || DebianError::Apt(format!("{line:?} is not the place of a package with its SHA-256"));
    let mut words = line.split_whitespace();
    let mut next = || words.next().ok_or_else(odd);
    let (uri, file, _size, sum) = (next()?, next()?, next()?, next()?);
    let sha256 = sum.strip_prefix("SHA256:").ok_or_else(odd)?;
    let path = uri.trim_matches('\'').split_once("/pool/").ok_or_else(odd)?.1;
    let mut parts = file.trim_end_matches(".deb").split('_');
    let mut part = || parts.next().map(|part| part.replace("%3a", ":")).ok_or_else(odd);
    Ok(Locked {
        name: part()?,
        version: part()?,
        sha256: sha256.to_owned(),
        file: file.to_owned(),
        path: format!("pool/{path}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "'http://mirror/debian/pool/main/c/conntrack-tools/conntrack_1.4.7-1%2bb2_amd64.deb' \
                        conntrack_1%3a1.4.7-1+b2_amd64.deb 34564 SHA256:0011";

    #[test]
    fn what_apt_says_is_locked_and_read_again() {
        let package = parse_line(LINE).unwrap();
        assert_eq!(
            (package.name.as_str(), package.version.as_str()),
            ("conntrack", "1:1.4.7-1+b2")
        );
        assert_eq!(
            package.path,
            "pool/main/c/conntrack-tools/conntrack_1.4.7-1%2bb2_amd64.deb"
        );
        let lock = Lock {
            time: "20260102T030405Z".into(),
            packages: vec![package],
        };
        assert_eq!(toml::from_str::<Lock>(&lock.encode()).unwrap(), lock);
        let places = lock.places(&lock.packages[0], &["http://mirror/debian/".to_owned()]);
        assert_eq!(places[0], format!("http://mirror/debian/{}", lock.packages[0].path));
        assert!(places[1].starts_with("http://snapshot.debian.org/archive/debian/20260102T030405Z/pool/"));
        assert!(parse_line("'http://mirror/x' y 1 MD5Sum:0").is_err());
    }

    #[test]
    fn a_lock_that_does_not_fit_says_what_differs() {
        let lock = Lock {
            time: String::new(),
            packages: vec![parse_line(LINE).unwrap()],
        };
        assert_eq!(lock.differs_from(&["conntrack".into()]), None);
        let difference = lock.differs_from(&["mount".into()]).unwrap();
        assert_eq!(difference, "it lacks mount; debian.toml does not have conntrack");
    }
}
