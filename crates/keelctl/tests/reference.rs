//! The reference in `docs/` is what the program says of itself.

#[test]
fn the_reference_is_up_to_date() {
    let rendered = keelctl::reference::render();
    reference_test::assert_up_to_date("cli.md", env!("CARGO_PKG_NAME"), &rendered);
}
