//! One static binary, several processes: which one is decided by the name it is called by.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A sandbox is set up by this binary, executed once more, before anything else of it runs.
    sys::sandbox::run_if_requested();
    // Each of these lives as long as the node, mostly idle: threads with memory of their own would keep what they freed.
    sys::memory::use_one_arena();
    let name = std::env::args().next().unwrap_or_default();
    match Path::new(&name).file_name().and_then(|n| n.to_str()) {
        Some("apid") => machined::gates::apid::main(),
        Some("trustd") => machined::gates::trustd::main(),
        Some("image-verifier") => machined::verifier::main(),
        _ => machined::boot::main(),
    }
}
