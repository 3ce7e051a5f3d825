//! The Kubernetes version an image is of, which decides the API versions of configuration files.

use std::fmt;

/// Major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 1
    pub major: u32,
    /// 37
    pub minor: u32,
}

impl Version {
    /// For images whose tag says nothing: the newest rules apply.
    pub const NEWEST: Self = Self {
        major: 1,
        minor: u32::MAX,
    };

    /// A version.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Of `registry.k8s.io/kube-apiserver:v1.37.1@sha256:…`; the newest if the tag is no version.
    pub fn of_image(image: &str) -> Self {
        tag(image).and_then(Self::parse).unwrap_or(Self::NEWEST)
    }

    fn parse(tag: &str) -> Option<Self> {
        let mut parts = tag.strip_prefix('v').unwrap_or(tag).split(['.', '-', '+']);
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The tag of an image reference, without the digest.
pub fn tag(image: &str) -> Option<&str> {
    let name = image.split('@').next()?;
    let (_, tag) = name.rsplit_once(':')?;
    (!tag.contains('/')).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_decides() {
        assert_eq!(
            Version::of_image("registry.k8s.io/kube-apiserver:v1.37.1"),
            Version::new(1, 37)
        );
        assert_eq!(
            Version::of_image("localhost:5000/a:1.32.0-rc.1@sha256:ab"),
            Version::new(1, 32)
        );
        assert_eq!(Version::of_image("localhost:5000/a"), Version::NEWEST);
        assert_eq!(Version::of_image("a:latest"), Version::NEWEST);
        assert!(Version::new(1, 9) < Version::new(1, 10));
    }
}
