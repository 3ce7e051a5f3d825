//! Everything that reads formats from outside, as one list of functions that take any bytes, come back soon and do not
//! panic.
//!
//! `cargo xtask fuzz` runs them with a coverage-guided fuzzer (the program is in `fuzz/`, outside of the workspace). The
//! test of this crate runs the same functions over `seeds/`: real inputs, inputs that once broke something, and
//! variations of both.

mod certificates;
mod discovery;

/// A function to fuzz.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and its folder in `seeds/`.
    pub name: &'static str,
    /// Which format from whom.
    pub about: &'static str,
    /// Reads any bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 17] = [
    target("config", "machine configurations, from clients", config::fuzz::decode),
    target("patch", "patches of configurations, from clients", config::fuzz::patch),
    target("secrets", "bundles of secrets, from clients", config::fuzz::secrets),
    target("userdata", "USERDATA, from platforms", config::fuzz::user_data),
    target("request", "certificate requests, from nodes", certificates::request),
    target("dns", "DNS messages, from pods and servers", dns::fuzz::message),
    target("resolv", "hosts and resolv.conf, from the machine", dns::fuzz::system),
    target(
        "manifest",
        "manifests and configurations of images, from registries",
        image::fuzz::documents,
    ),
    target(
        "reference",
        "names of images, from configurations",
        image::fuzz::reference,
    ),
    target(
        "signature",
        "signatures of images, from registries",
        image_trust::fuzz::signature,
    ),
    target(
        "keyless",
        "what is beside keyless signatures, from registries",
        image_trust::fuzz::keyless,
    ),
    target("layer", "layers of images, from registries", image::fuzz::unpack),
    target("archive", "archives of images, from clients", image::fuzz::archived),
    target(
        "snapshot",
        "snapshots of etcd, from clients",
        etcd_snapshot::fuzz::database,
    ),
    target(
        "journal",
        "the discovery service's journal, from its disk",
        discovery::journal,
    ),
    target(
        "record",
        "records in the discovery service's journal",
        discovery::record,
    ),
    target("sealed", "affiliates, from discovery services", discovery::sealed),
];

const fn target(name: &'static str, about: &'static str, run: fn(&[u8])) -> Target {
    Target { name, about, run }
}

/// The target of that name.
pub fn find(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
