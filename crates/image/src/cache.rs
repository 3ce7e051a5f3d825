//! What builds keep for the next one, and for how long: the cache of a machine that builds all day must not fill its disk.
//!
//! A build touches what it uses ([`touch`]), and what was used last is kept longest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::go;
use crate::oci::{Descriptor, Layout};

/// What nobody used for so long is removed.
const KEEP: Duration = Duration::from_secs(3 * 24 * 3600);
/// Products of one kind that are kept: of the last build, and of a few before it or of other branches. Each takes 50 MB.
const PRODUCTS: usize = 4;
/// Bytes of layers that are kept: four times what one build needs.
const LAYERS: u64 = 2 << 30;

/// Remembers that a file was of use now. Nothing but the order in which files are removed depends on it.
pub fn touch(path: &Path) {
    let file = fs::File::options().write(true).open(path);
    let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
}

/// Removes what is not worth keeping after a build that succeeded: of products, layers and compiled components.
pub fn tidy(cache: &Path, layers: &Layout) {
    tidy_products(&cache.join("products"));
    tidy_layers(layers, LAYERS);
    tidy_components(&cache.join("components"));
}

/// A file or folder, and when it was last of use.
struct Kept {
    path: PathBuf,
    used: SystemTime,
}

impl Kept {
    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

fn is_old(used: SystemTime) -> bool {
    used.elapsed().is_ok_and(|age| age > KEEP)
}

/// What is in a folder, what was used last first.
fn newest_first(folder: &Path) -> Vec<Kept> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let kept = entries.filter_map(|entry| {
        let used = entry.metadata().and_then(|meta| meta.modified()).ok()?;
        let path = entry.path();
        Some(Kept { path, used })
    });
    let mut kept: Vec<Kept> = kept.collect();
    kept.sort_by_key(|kept| std::cmp::Reverse(kept.used));
    kept
}

/// Products are `KEY-KIND`.
fn tidy_products(folder: &Path) {
    let mut of_kind: BTreeMap<String, usize> = BTreeMap::new();
    for product in newest_first(folder) {
        let name = product.name();
        let kind = name.rsplit('-').next().unwrap_or_default().to_owned();
        let before = of_kind.entry(kind).or_default();
        *before += 1;
        if *before > PRODUCTS || is_old(product.used) {
            let _ = fs::remove_file(&product.path);
        }
    }
}

/// What is remembered of a layer; there is more.
#[derive(Deserialize)]
struct Layer {
    descriptor: Descriptor,
}

/// Keeps `limit` bytes of layers: their records, and the blobs that those name.
fn tidy_layers(store: &Layout, limit: u64) {
    let (mut wanted, mut unwanted, mut bytes) = (BTreeSet::new(), BTreeSet::new(), 0);
    for record in newest_first(&store.root().join("layers")) {
        let layer = fs::read(&record.path).ok();
        let layer = layer.and_then(|text| serde_json::from_slice::<Layer>(&text).ok());
        let blob = layer.as_ref().map(|layer| layer.descriptor.digest.hex().to_owned());
        // Two records may name one blob.
        if blob.as_ref().is_some_and(|blob| !wanted.contains(blob)) {
            bytes += layer.map_or(0, |layer| layer.descriptor.size);
        }
        if bytes > limit || is_old(record.used) {
            let _ = fs::remove_file(&record.path);
            unwanted.extend(blob);
        } else {
            wanted.extend(blob);
        }
    }
    for blob in newest_first(&store.root().join("blobs/sha256")) {
        let name = blob.name();
        // Another build may be about to write the record of one that has none.
        if !wanted.contains(&name) && (unwanted.contains(&name) || is_old(blob.used)) {
            let _ = fs::remove_file(&blob.path);
        }
    }
}

/// Builds of a component replace each other; here go those of components that are no more.
fn tidy_components(folder: &Path) {
    for component in newest_first(folder) {
        let record = fs::metadata(component.path.join(go::RECORD));
        if record.and_then(|meta| meta.modified()).is_ok_and(is_old) {
            let _ = fs::remove_dir_all(&component.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a file that was last used `hours` ago.
    fn write(path: &Path, hours: u64, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        let used = SystemTime::now() - Duration::from_secs(hours * 3600);
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(used)
            .unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = newest_first(folder).iter().map(Kept::name).collect();
        names.sort();
        names
    }

    #[test]
    fn of_each_kind_of_product_those_used_last_are_kept_and_none_that_is_old() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..7 {
            write(&dir.path().join(format!("{number}-node.tar")), number, "");
            write(&dir.path().join(format!("{number}-12-rootfs.sqsh")), 71 + number, "");
        }
        touch(&dir.path().join("6-node.tar"));
        tidy_products(dir.path());
        let wanted = [
            "0-12-rootfs.sqsh",
            "0-node.tar",
            "1-node.tar",
            "2-node.tar",
            "6-node.tar",
        ];
        assert_eq!(names(dir.path()), wanted);
    }

    #[test]
    fn layers_are_kept_until_they_are_too_many_and_what_a_build_is_writing_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Layout::create(dir.path()).unwrap();
        let (records, blobs) = (dir.path().join("layers"), dir.path().join("blobs/sha256"));
        // The third record names the blob of the second.
        for (record, blob, hours) in [
            ("a", 'a', 0),
            ("b", 'b', 1),
            ("b2", 'b', 2),
            ("c", 'c', 3),
            ("old", 'd', 90),
        ] {
            let blob = String::from(blob).repeat(64);
            let text = format!(
                r#"{{"descriptor": {{"mediaType": "x", "digest": "sha256:{blob}", "size": 10}}, "diff_id": "sha256:{blob}"}}"#
            );
            write(&records.join(record), hours, &text);
            write(&blobs.join(blob), 100, "");
        }
        write(&blobs.join("e".repeat(64)), 1, "");
        tidy_layers(&store, 25);
        assert_eq!(names(&records), ["a", "b", "b2"]);
        assert_eq!(names(&blobs), ["a", "b", "e"].map(|blob| blob.repeat(64)));
    }

    #[test]
    fn a_component_that_nobody_asks_for_any_more_goes_and_one_that_is_being_built_stays() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("gone-1").join(go::RECORD), 90, "");
        write(&dir.path().join("used-1").join(go::RECORD), 1, "");
        write(&dir.path().join("being-built/program"), 90, "");
        tidy_components(dir.path());
        assert_eq!(names(dir.path()), ["being-built", "used-1"]);
    }
}
