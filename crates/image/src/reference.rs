//! Image references: `registry/repository:tag@digest`.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;

/// A complete image reference; short Docker names are completed (`nginx` is `docker.io/library/nginx:latest`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageRef {
    /// Host and optional port.
    pub registry: String,
    /// Path inside the registry.
    pub repository: String,
    /// Tag, if named.
    pub tag: Option<String>,
    /// Digest, if named; it wins over the tag.
    pub digest: Option<Digest>,
}

/// A text that is no image reference.
#[derive(Debug, thiserror::Error)]
#[error("image reference {text:?}: {reason}")]
pub struct BadReference {
    text: String,
    reason: String,
}

/// Longest repository name the distribution specification's implementations take.
const MAX_REPOSITORY: usize = 255;

impl ImageRef {
    /// What to ask a registry for: the digest if there is one, else the tag.
    pub fn selector(&self) -> &str {
        self.digest
            .as_ref()
            .map(Digest::as_str)
            .or(self.tag.as_deref())
            .unwrap_or("latest")
    }

    /// Registry and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

/// Whether `name` is a repository name as the distribution specification has it.
pub fn is_repository(name: &str) -> bool {
    name.len() <= MAX_REPOSITORY
        && name.split('/').all(|part| {
            let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let bytes = part.as_bytes();
            edge(bytes.first())
                && edge(bytes.last())
                && bytes
                    .iter()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(b))
        })
}

/// Whether `tag` is a tag.
pub fn is_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    tag.len() <= 128
        && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Whether the first part of a name is a registry host and not a part of a Docker Hub name.
pub fn is_registry(part: &str) -> bool {
    let host = part
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'[');
    part == "localhost" || (host && (part.contains('.') || part.contains(':')))
}

impl FromStr for ImageRef {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, BadReference> {
        let bad = |reason: &str| BadReference {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|e| bad(&format!("{e}")))?)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((first, repository)) if is_registry(first) => (first.to_owned(), repository.to_owned()),
            Some(_) => ("docker.io".to_owned(), name.to_owned()),
            None => ("docker.io".to_owned(), format!("library/{name}")),
        };
        if !registry
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
        {
            return Err(bad("the registry is not a host name"));
        }
        if !is_repository(&repository) {
            return Err(bad(
                "the repository may have lower-case letters, digits, '.', '_' and '-' between slashes",
            ));
        }
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(bad("the tag is not one"));
        }
        let tag = if tag.is_none() && digest.is_none() {
            Some("latest".to_owned())
        } else {
            tag
        };
        Ok(ImageRef {
            registry,
            repository,
            tag,
            digest,
        })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_names_are_completed() {
        for (short, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("me/app:1", "docker.io/me/app:1"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("10.5.0.1:5000/x:y", "10.5.0.1:5000/x:y"),
        ] {
            assert_eq!(short.parse::<ImageRef>().unwrap().to_string(), full);
        }
    }

    #[test]
    fn names_that_could_leave_a_folder_are_refused() {
        for bad in [
            "",
            "a/../b",
            "registry.k8s.io/",
            "a:b:c",
            "A",
            "x@sha256:1",
            "a/b:-x",
            "h.io//x",
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad}");
        }
    }
}
