//! install-conf
fn main() {}
