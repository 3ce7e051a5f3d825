//! The names of everything a cluster has on the machine. They follow from its own name and folder alone, so all of it
//! can be found again without any record.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Names of one cluster's things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    name: String,
    folder: PathBuf,
    hash: String,
}

impl Names {
    /// The names of cluster `name` with its folder in `state_dir` (an absolute path).
    pub fn of(state_dir: &Path, name: &str) -> Names {
        let folder = state_dir.join(name);
        let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
        // Eight digits leave room in the 15 bytes of a link's name.
        let hash = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Names {
            name: name.to_owned(),
            folder,
            hash,
        }
    }

    /// The cluster's folder: `STATE_DIR/NAME`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bridge.
    pub fn bridge(&self) -> String {
        format!("kl{}", self.hash)
    }

    /// The host's end of a node's cable, by the node's place in the plan.
    pub fn cable(&self, index: usize) -> String {
        format!("{}{index}", self.cable_prefix())
    }

    /// How the names of all cables begin.
    pub fn cable_prefix(&self) -> String {
        format!("kl{}-", self.hash)
    }

    /// The node's end of a cable while it is still on the host.
    pub fn far_end(&self, index: usize) -> String {
        format!("kp{}-{index}", self.hash)
    }

    /// The control group above those of the nodes.
    pub fn cgroup(&self) -> PathBuf {
        PathBuf::from(format!("/keelson-{}-{}", self.name, self.hash))
    }

    /// The table of packet filter rules.
    pub fn filter_table(&self) -> String {
        format!("keelson_{}", self.hash)
    }

    /// The state of the cluster.
    pub fn state_file(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    /// A node's folder.
    pub fn node_folder(&self, node: &str) -> PathBuf {
        self.folder.join(node)
    }

    /// What a node printed on its console.
    pub fn console_log(&self, node: &str) -> PathBuf {
        self.folder.join(format!("{node}.log"))
    }

    /// What a supervisor printed.
    pub fn supervisor_log(&self, who: &str) -> PathBuf {
        self.folder.join(format!("{who}.supervisor.log"))
    }

    /// What a supervisor reports about itself.
    pub fn run_file(&self, who: &str) -> PathBuf {
        self.folder.join(format!("{who}.run.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_a_link_and_differ_by_folder() {
        let one = Names::of(Path::new("/a"), "demo");
        let two = Names::of(Path::new("/b"), "demo");
        assert_ne!(one.bridge(), two.bridge());
        assert_eq!(one, Names::of(Path::new("/a"), "demo"));
        assert!(
            one.cable(999).len() <= 15 && one.far_end(999).len() <= 15,
            "{}",
            one.cable(999)
        );
        assert!(one.cable(3).starts_with(&one.cable_prefix()));
    }
}
