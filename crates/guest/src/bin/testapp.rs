//! testapp
fn main() {}
