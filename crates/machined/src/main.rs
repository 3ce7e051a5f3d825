//! machined
fn main() {}
