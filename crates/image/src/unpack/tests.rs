use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

enum Piece<'a> {
    File(&'a str, &'a str, u32),
    Dir(&'a str),
    Link(&'a str, &'a str),
    Hard(&'a str, &'a str),
}
use Piece::*;

fn archive(pieces: &[Piece<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for piece in pieces {
        let mut header = tar::Header::new_ustar();
        header.set_mtime(1_000_000_000);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mode(0o755);
        let (path, data, kind, target) = match *piece {
            File(path, data, mode) => {
                header.set_mode(mode);
                (path, data, tar::EntryType::Regular, None)
            }
            Dir(path) => (path, "", tar::EntryType::Directory, None),
            Link(path, target) => (path, "", tar::EntryType::Symlink, Some(target)),
            Hard(path, target) => (path, "", tar::EntryType::Link, Some(target)),
        };
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        // Written raw: the library refuses the very names these tests are about.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        if let Some(target) = target {
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        }
        header.set_cksum();
        builder.append(&header, data.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn apply(dir: &Path, pieces: &[Piece<'_>]) -> Result<(), UnpackError> {
    layer(
        &Unpacker::new(dir).unwrap(),
        archive(pieces).as_slice(),
        media_type::LAYER,
        None,
    )
}

#[test]
fn whiteouts_remove_what_lower_layers_had() {
    let dir = tempfile::tempdir().unwrap();
    apply(
        dir.path(),
        &[
            Dir("a"),
            File("a/one", "1", 0o644),
            File("a/two", "2", 0o644),
            Dir("b"),
            File("b/x", "", 0o644),
        ],
    )
    .unwrap();
    apply(
        dir.path(),
        &[
            File("a/.wh.one", "", 0o644),
            File("b/.wh..wh..opq", "", 0o644),
            File("b/y", "y", 0o600),
        ],
    )
    .unwrap();
    assert!(!dir.path().join("a/one").exists());
    assert!(dir.path().join("a/two").exists());
    assert!(!dir.path().join("b/x").exists());
    assert_eq!(
        fs::metadata(dir.path().join("b/y")).unwrap().permissions().mode() & 0o7777,
        0o600
    );
}

#[test]
fn no_entry_reaches_outside_the_folder() {
    let outer = tempfile::tempdir().unwrap();
    let (dir, outside) = (outer.path().join("root"), outer.path().join("outside"));
    fs::create_dir(&dir).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("keep"), "kept").unwrap();
    let target = outside.to_str().unwrap();

    assert!(apply(&dir, &[File("../outside/new", "x", 0o644)]).is_err());
    // A link out of the folder, then a file through it: the link's target is looked up inside the folder.
    let _ = apply(&dir, &[Link("door", target), File("door/new", "x", 0o644)]);
    let _ = apply(
        &dir,
        &[
            Link("up", "../outside"),
            File("up/new", "x", 0o644),
            File("up/.wh.keep", "", 0o644),
        ],
    );
    let _ = apply(&dir, &[Hard("stolen", "../outside/keep"), Hard("stolen2", "up/keep")]);
    assert!(!outside.join("new").exists());
    assert_eq!(fs::read_to_string(outside.join("keep")).unwrap(), "kept");
    assert!(!dir.join("stolen").exists() && !dir.join("stolen2").exists());
}

#[test]
fn a_link_in_the_way_is_replaced_and_not_written_through() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("root");
    fs::create_dir(&dir).unwrap();
    fs::write(outer.path().join("victim"), "kept").unwrap();
    symlink(outer.path().join("victim"), dir.join("file")).unwrap();
    apply(&dir, &[File("file", "new", 0o644)]).unwrap();
    assert_eq!(fs::read_to_string(outer.path().join("victim")).unwrap(), "kept");
    assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "new");
}

#[test]
fn links_inside_the_image_are_followed_and_missing_folders_made() {
    let dir = tempfile::tempdir().unwrap();
    let pieces = [
        Dir("usr"),
        Dir("usr/bin"),
        Link("bin", "usr/bin"),
        Dir("bin"),
        File("bin/tool", "t", 0o755),
        File("x/y/z", "", 0o644),
    ];
    apply(dir.path(), &pieces).unwrap();
    assert!(dir.path().join("usr/bin/tool").is_file());
    assert!(dir.path().join("bin").is_symlink());
    assert!(dir.path().join("x/y/z").is_file());
}

#[test]
fn content_other_than_announced_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = archive(&[File("a", "1", 0o644)]);
    let to = Unpacker::new(dir.path()).unwrap();
    assert!(layer(&to, bytes.as_slice(), media_type::LAYER, Some(&Digest::of(&bytes))).is_ok());
    let other = Digest::of(b"other");
    let error = layer(&to, bytes.as_slice(), media_type::LAYER, Some(&other)).unwrap_err();
    assert!(matches!(error, UnpackError::Mismatch { .. }));
    assert!(matches!(
        layer(&to, bytes.as_slice(), "text/plain", None),
        Err(UnpackError::MediaType(_))
    ));
}

#[test]
fn a_layer_that_stands_for_more_than_is_allowed_is_refused() {
    let unpack = |layer: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        let unpacker = Unpacker::new(dir.path()).unwrap().limit(10);
        super::layer(&unpacker, layer, media_type::LAYER, None)
    };
    let ten = archive(&[
        File("a", "12345", 0o644),
        File("b", "67890", 0o644),
        File("c", "", 0o644),
    ]);
    unpack(&ten).unwrap();
    let eleven = archive(&[File("a", "12345", 0o644), File("b", "678901", 0o644)]);
    let error = unpack(&eleven).unwrap_err().to_string();
    assert!(error.contains("unpack b: the image unpacks to more"), "{error}");

    // A file with a hole: eight GiB in a kibibyte.
    let mut header = tar::Header::new_gnu();
    header.set_path("hole").unwrap();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(0);
    header.as_gnu_mut().unwrap().realsize.copy_from_slice(b"077777777777");
    header.as_gnu_mut().unwrap().sparse[0]
        .offset
        .copy_from_slice(b"077777777777");
    header.as_gnu_mut().unwrap().sparse[0]
        .numbytes
        .copy_from_slice(b"000000000000");
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, &[][..]).unwrap();
    let error = unpack(&builder.into_inner().unwrap()).unwrap_err().to_string();
    assert!(error.contains("unpack hole: the image unpacks to more"), "{error}");
}
