//! Which images there are: the layouts' indexes, read again when they change.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::digest::Digest;
use crate::oci::{Descriptor, Index, Layout, LayoutError, REF_NAME};
use crate::reference::is_registry;

/// Layouts in order of preference.
pub(crate) struct Catalog {
    layouts: Vec<Cached>,
}

struct Cached {
    layout: Layout,
    index: Mutex<Option<(Stamp, Arc<Index>)>>,
}

type Stamp = Option<(SystemTime, u64, u64)>;

/// A repository as a client names it: path, and the upstream registry if it said so.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    pub(crate) path: String,
    pub(crate) namespace: Option<String>,
}

impl Repository {
    /// The name images are stored under.
    pub(crate) fn full_name(&self) -> String {
        match &self.namespace {
            Some(namespace) if !self.path.starts_with(&format!("{namespace}/")) => format!("{namespace}/{}", self.path),
            _ => self.path.clone(),
        }
    }

    /// Whether `name` (registry and repository of an image) is what the client means.
    fn matches(&self, name: &str) -> bool {
        if name == self.full_name() {
            return true;
        }
        let names_registry = self.namespace.is_some() || self.path.split('/').next().is_some_and(is_registry);
        !names_registry
            && name
                .split_once('/')
                .is_some_and(|(_, repository)| repository == self.path)
    }
}

impl Catalog {
    pub(crate) fn new(layouts: Vec<Layout>) -> Catalog {
        let cached = |layout| Cached {
            layout,
            index: Mutex::new(None),
        };
        Catalog {
            layouts: layouts.into_iter().map(cached).collect(),
        }
    }

    /// The manifest a tag names, and the layout it is in.
    pub(crate) fn by_tag(&self, repository: &Repository, tag: &str) -> Result<Option<Descriptor>, LayoutError> {
        for cached in &self.layouts {
            for manifest in &cached.index()?.manifests {
                let Some((name, named_tag)) = split(manifest) else {
                    continue;
                };
                if named_tag == tag && repository.matches(name) {
                    return Ok(Some(manifest.clone()));
                }
            }
        }
        Ok(None)
    }

    /// The media type of a manifest that an index lists, by digest.
    pub(crate) fn media_type(&self, digest: &Digest) -> Option<String> {
        self.layouts.iter().find_map(|cached| {
            let index = cached.index().ok()?;
            let found = index.manifests.iter().find(|d| d.digest == *digest)?;
            Some(found.media_type.clone())
        })
    }

    /// Where a blob is.
    pub(crate) fn blob(&self, digest: &Digest) -> Option<std::path::PathBuf> {
        self.layouts
            .iter()
            .map(|cached| cached.layout.blob_path(digest))
            .find(|path| path.is_file())
    }

    /// A repository's tags, sorted.
    pub(crate) fn tags(&self, repository: &Repository) -> Result<BTreeSet<String>, LayoutError> {
        let mut tags = BTreeSet::new();
        for cached in &self.layouts {
            for manifest in &cached.index()?.manifests {
                if let Some((name, tag)) = split(manifest).filter(|(name, _)| repository.matches(name)) {
                    debug_assert!(!name.is_empty());
                    tags.insert(tag.to_owned());
                }
            }
        }
        Ok(tags)
    }

    /// All repositories, sorted.
    pub(crate) fn repositories(&self) -> Result<BTreeSet<String>, LayoutError> {
        let mut names = BTreeSet::new();
        for cached in &self.layouts {
            names.extend(
                cached
                    .index()?
                    .manifests
                    .iter()
                    .filter_map(split)
                    .map(|(name, _)| name.to_owned()),
            );
        }
        Ok(names)
    }
}

impl Cached {
    fn index(&self) -> Result<Arc<Index>, LayoutError> {
        use std::os::unix::fs::MetadataExt;
        let stamp: Stamp = std::fs::metadata(self.layout.index_path())
            .ok()
            .and_then(|meta| Some((meta.modified().ok()?, meta.len(), meta.ino())));
        let mut cached = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, index)) = cached.as_ref()
            && *seen == stamp
        {
            return Ok(index.clone());
        }
        let index = Arc::new(self.layout.index()?);
        *cached = Some((stamp, index.clone()));
        Ok(index)
    }
}

/// Splits the name of an image in an index into repository and tag.
fn split(manifest: &Descriptor) -> Option<(&str, &str)> {
    let name = manifest.annotations.get(REF_NAME)?;
    name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))
}
