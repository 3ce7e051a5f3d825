//! Entry points for fuzzing: each takes any bytes, must come back soon, and must not panic.

use std::fs;

use crate::ImageRef;
use crate::archive;
use crate::oci::{ImageDocument, Index, Manifest, media_type};
use crate::unpack::{Unpacker, layer};

/// What a fuzzed layer may unpack to.
const LAYER: u64 = 4 << 20;

/// The JSON documents a registry answers with.
pub fn documents(bytes: &[u8]) {
    if let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) {
        let _ = manifest.layer_bytes();
    }
    let _ = serde_json::from_slice::<ImageDocument>(bytes);
    let _ = serde_json::from_slice::<Index>(bytes);
}

/// The name of an image: what is read is written and read again.
pub fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(image) = text.parse::<ImageRef>() else { return };
    let again = image.to_string().parse::<ImageRef>();
    assert!(again.is_ok_and(|again| again == image), "{image} reads differently");
}

/// An archive of an image. Whatever is in it, it is unpacked inside of its folder.
pub fn archived(bytes: &[u8]) {
    let Ok(place) = tempfile::tempdir() else { return };
    let folder = place.path().join("image");
    if fs::create_dir(&folder).is_err() {
        return;
    }
    let _ = archive::read(bytes, &folder, LAYER);
    let beside = fs::read_dir(place.path()).map_or(0, Iterator::count);
    assert!(beside == 1, "the archive left its folder");
}

/// A layer: the first byte is its compression, the rest what was downloaded. Whatever it does, it does inside of its
/// folder.
pub fn unpack(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let kinds = [media_type::LAYER, media_type::LAYER_GZIP, media_type::LAYER_ZSTD];
    let kind = kinds[usize::from(*kind) % kinds.len()];
    let Ok(place) = tempfile::tempdir() else { return };
    let (root, outside) = (place.path().join("root"), place.path().join("outside"));
    if fs::create_dir(&root).is_err() || fs::write(&outside, "whole").is_err() {
        return;
    }
    let Ok(unpacker) = Unpacker::new(&root) else { return };
    let _ = layer(&unpacker.limit(LAYER), bytes, kind, None);
    let whole = fs::read(&outside).is_ok_and(|content| content == b"whole");
    let beside = fs::read_dir(place.path()).map_or(0, Iterator::count);
    assert!(whole && beside == 2, "the layer left its folder");
}
