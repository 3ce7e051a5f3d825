//! keelctl
fn main() {}
