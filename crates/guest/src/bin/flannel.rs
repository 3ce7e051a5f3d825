//! flannel
fn main() {}
