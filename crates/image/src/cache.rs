//! What builds keep for the next one, and for how long: the cache of a machine that builds all day must not fill its disk.
//!
//! A build touches what it uses ([`touch`]), and what was used last is kept longest. Builds that share a cache work each in
//! a folder of its own ([`work`]) and put whole results where others look for them ([`finish`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use tempfile::TempDir;

use crate::go;
use crate::oci::{Descriptor, Layout};

/// What nobody used for so long is removed.
const KEEP: Duration = Duration::from_secs(3 * 24 * 3600);
/// Packages of Debian that nobody used for so long are removed: they are small, and mirrors drop what was replaced.
const KEEP_PACKAGES: Duration = Duration::from_secs(30 * 24 * 3600);
/// A build that used something so recently may still be reading it.
const BUSY: Duration = Duration::from_secs(3600);
/// How folders of unfinished work begin.
const UNFINISHED: &str = "unfinished-";
/// Products of one kind that are kept: of the last build, and of a few before it or of other branches. Each takes 50 MB.
const PRODUCTS: usize = 4;
/// Bytes of layers that are kept: four times what one build needs.
const LAYERS: u64 = 2 << 30;

/// Remembers that a file was of use now. Nothing but the order in which files are removed depends on it.
pub fn touch(path: &Path) {
    let _ = fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Whether a build that goes on beside this one may be reading a file or folder.
pub fn is_busy(path: &Path) -> bool {
    let used = fs::metadata(path).and_then(|meta| meta.modified());
    // What is from the future was used now, by somebody with another clock.
    used.is_ok_and(|used| used.elapsed().map_or(true, |age| age < BUSY))
}

/// A folder for work that is not finished; removed with the value.
///
/// # Errors
/// It cannot be made.
pub fn work(cache: &Path) -> io::Result<TempDir> {
    fs::create_dir_all(cache)?;
    let mode = fs::Permissions::from_mode(0o755);
    tempfile::Builder::new()
        .prefix(UNFINISHED)
        .permissions(mode)
        .tempdir_in(cache)
}

/// Moves finished work where it belongs. What another build put there meanwhile stays if it is `whole`; what is broken goes.
///
/// # Errors
/// It cannot be moved.
pub fn finish(work: &Path, place: &Path, whole: impl Fn() -> bool) -> io::Result<()> {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty};
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match fs::rename(work, place) {
        Err(_) if whole() => Ok(()),
        Err(error) if matches!(error.kind(), AlreadyExists | DirectoryNotEmpty) => {
            // In one step, so that who looks finds the one or the other; what was there goes with the work.
            Ok(renameat_with(CWD, work, CWD, place, RenameFlags::EXCHANGE)?)
        }
        other => other,
    }
}

/// Removes what is not worth keeping after a build that succeeded: of products, layers, compiled components and Debian's
/// packages.
pub fn tidy(cache: &Path, layers: &Layout) {
    tidy_unfinished(cache);
    tidy_packages(&cache.join("debian"));
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
    is_older(used, KEEP)
}

fn is_older(used: SystemTime, than: Duration) -> bool {
    used.elapsed().is_ok_and(|age| age > than)
}

/// What builds left that were killed.
fn tidy_unfinished(cache: &Path) {
    let left = newest_first(cache).into_iter();
    for folder in left.filter(|kept| kept.name().starts_with(UNFINISHED) && is_old(kept.used)) {
        let _ = fs::remove_dir_all(&folder.path);
    }
}

/// Packages, what is remembered about them, and in `unpacked` their files, which can be had again from the packages.
fn tidy_packages(folder: &Path) {
    tidy_unfinished(folder);
    let unpacked = newest_first(&folder.join("unpacked")).into_iter();
    for package in unpacked.filter(|kept| is_old(kept.used)) {
        let _ = fs::remove_dir_all(&package.path);
    }
    for kept in newest_first(folder) {
        if is_older(kept.used, KEEP_PACKAGES) {
            // Folders stay: this removes files only.
            let _ = fs::remove_file(&kept.path);
        }
    }
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
        age(path, hours);
    }

    /// Makes a file or folder one that was last used `hours` ago.
    fn age(path: &Path, hours: u64) {
        let used = SystemTime::now() - Duration::from_secs(hours * 3600);
        fs::File::open(path).unwrap().set_modified(used).unwrap();
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

    #[test]
    fn packages_and_their_files_go_when_nobody_used_them_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let day = 24;
        write(&dir.path().join("used_1_all.deb"), day, "");
        write(&dir.path().join("unused_1_all.deb"), 10 * day, "");
        write(&dir.path().join("replaced_1_all.deb"), 31 * day, "");
        write(&dir.path().join("successors-1.json"), 31 * day, "");
        let unpacked = dir.path().join("unpacked");
        for (name, days) in [("used_1_all-aa", 1), ("unused_1_all-bb", 10)] {
            write(&unpacked.join(name).join("usr/file"), 100 * day, "");
            age(&unpacked.join(name), days * day);
        }
        age(&unpacked, 100 * day);
        tidy_packages(dir.path());
        assert_eq!(names(dir.path()), ["unpacked", "unused_1_all.deb", "used_1_all.deb"]);
        assert_eq!(names(&unpacked), ["used_1_all-aa"]);
        assert!(unpacked.join("used_1_all-aa/usr/file").is_file());
    }

    #[test]
    fn a_folder_that_is_touched_is_busy_and_unfinished_work_of_long_ago_goes() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["unfinished-now", "unfinished-before", "component"] {
            write(&dir.path().join(name).join("file"), 90, "");
            age(&dir.path().join(name), 90);
        }
        assert!(!is_busy(&dir.path().join("unfinished-now")));
        touch(&dir.path().join("unfinished-now"));
        assert!(is_busy(&dir.path().join("unfinished-now")));
        tidy_unfinished(dir.path());
        assert_eq!(names(dir.path()), ["component", "unfinished-now"]);
    }

    #[test]
    fn who_finishes_second_leaves_what_is_whole_and_replaces_what_is_broken() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("place");
        let said = || fs::read_to_string(place.join("file")).unwrap();
        for (whole, text) in [(false, "first"), (true, "second"), (false, "third")] {
            let work = work(dir.path()).unwrap();
            fs::write(work.path().join("file"), text).unwrap();
            finish(work.path(), &place, || whole).unwrap();
            let wanted = if text == "second" { "first" } else { text };
            assert_eq!(said(), wanted);
        }
        assert_eq!(names(dir.path()), ["place"]);
        let mode = fs::metadata(&place).unwrap().permissions().mode();
        assert_eq!(mode & 0o700, 0o700);
    }
}
