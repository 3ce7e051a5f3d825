//! What differs between two configurations, and what it takes to get from one to the other.

use crate::schema::check::join;
use crate::view::MachineFile;
use crate::yaml::node::{Map, Node, Value};
use crate::{Config, Document};

/// What applying a configuration over another needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// Changed fields that take effect at once.
    pub immediate: Vec<String>,
    /// Changed fields that take effect after a reboot.
    pub reboot: Vec<String>,
}

impl Impact {
    /// True if nothing differs.
    pub fn is_empty(&self) -> bool {
        self.immediate.is_empty() && self.reboot.is_empty()
    }

    /// True if something takes effect only after a reboot.
    pub fn needs_reboot(&self) -> bool {
        !self.reboot.is_empty()
    }
}

/// Fields of the machine section that take effect at once. The cluster section and all other documents do too.
const IMMEDIATE: &[&str] = &[
    "ca",
    "acceptedCAs",
    "certSANs",
    "time",
    "install",
    "network",
    "sysfs",
    "sysctls",
    "logging",
    "controlPlane",
    "kubelet",
    "kernel",
    "registries",
    "pods",
    "seccompProfiles",
    "nodeLabels",
    "nodeAnnotations",
    "nodeTaints",
];

/// Fields of `machine.features` that take effect at once.
const IMMEDIATE_FEATURES: &[&str] = &[
    "kubernetesTalosAPIAccess",
    "kubePrism",
    "hostDNS",
    "imageCache",
    "nodeAddressSortAlgorithm",
];

/// Files that are written when the node starts.
fn written(config: &Config) -> Vec<MachineFile> {
    let mut files = crate::view::machine_files(config);
    files.retain(|file| file.path != crate::view::TRUST_ROOT);
    files
}

/// What applying `new` over `old` needs.
pub fn apply_impact(old: &Config, new: &Config) -> Impact {
    let mut impact = Impact::default();
    for path in changes(old, new) {
        let mut steps = path.split(['.', '[']);
        let first = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
        let at_once = match first {
            ("debug" | "cluster", _) => true,
            // One of them is none, and is looked at whenever it changes.
            ("machine", "files") => written(old) == written(new),
            ("machine", "features") => IMMEDIATE_FEATURES.contains(&steps.next().unwrap_or_default()),
            ("machine", field) => IMMEDIATE.contains(&field),
            (other, _) => other.contains(' ') || other.ends_with("Config") || crate::document::by_kind(other).is_some(),
        };
        if at_once {
            impact.immediate.push(path);
        } else {
            impact.reboot.push(path);
        }
    }
    impact
}

/// Paths of everything that differs. Fields of the main document are named by their path, other documents by their kind
/// and name.
pub fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut paths = Vec::new();
    let main = |config: &Config| -> Node {
        let document = config.documents().find(|document| document.is_main());
        document.map(|document| document.root.clone()).unwrap_or_default()
    };
    compare(&main(old), &main(new), "", &mut paths);
    let other = |config: &'_ Config| -> Vec<Document> {
        config
            .documents()
            .filter(|document| !document.is_main())
            .cloned()
            .collect()
    };
    let (before, after) = (other(old), other(new));
    let label = |document: &Document| match document.name() {
        Some(name) => format!("{} {name}", document.kind()),
        None => document.kind().to_owned(),
    };
    for document in &after {
        if !before.contains(document) {
            paths.push(label(document));
        }
    }
    for document in &before {
        if !after
            .iter()
            .any(|new| new.kind() == document.kind() && new.name() == document.name())
        {
            paths.push(label(document));
        }
    }
    paths
}

fn compare(old: &Node, new: &Node, path: &str, paths: &mut Vec<String>) {
    static EMPTY: Map = Map::new();
    match (&old.value, &new.value) {
        (Value::Null, Value::Map(_)) | (Value::Map(_), Value::Null) | (Value::Map(_), Value::Map(_)) => {
            let (old, new) = (old.as_map().unwrap_or(&EMPTY), new.as_map().unwrap_or(&EMPTY));
            for entry in old {
                let path = join(path, &entry.key);
                compare(
                    &entry.node,
                    new.get(&entry.key).unwrap_or(&Node::default()),
                    &path,
                    paths,
                );
            }
            for entry in new.iter().filter(|entry| old.get(&entry.key).is_none()) {
                compare(&Node::default(), &entry.node, &join(path, &entry.key), paths);
            }
        }
        // Absent and empty mean the same.
        _ if old == new || old.is_empty() && new.is_empty() => {}
        _ => paths.push(path.to_owned()),
    }
}

/// A unified diff of two configurations in their canonical layout, with three lines around each change; empty if they
/// are the same. Secrets are in it: take [`Config::redacted`] of both first to show it.
pub fn diff(old: &Config, new: &Config) -> String {
    let (old, new) = (old.encode_canonical(), new.encode_canonical());
    if old == new {
        return String::new();
    }
    similar::TextDiff::from_lines(old.as_str(), new.as_str())
        .unified_diff()
        .context_radius(3)
        .header("a", "b")
        .to_string()
}
