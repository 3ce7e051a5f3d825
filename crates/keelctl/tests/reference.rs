//! The reference in `docs/` is what the program says of itself.
#![allow(clippy::unwrap_used)]

#[test]
fn the_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let rendered = keelctl::reference::render();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &rendered).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == rendered,
        "run UPDATE_DOCS=1 cargo test -p keelctl --test reference"
    );
}
