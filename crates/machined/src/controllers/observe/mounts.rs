//! The node's mounts.

use node_resources::runtime::MountStatus;
use resource::{Context, Outcome, Outputs, Reconcile};
use sys::mount::MountInfo;

use super::LOOK_AGAIN;

/// Below these, mounts are of pods, containers and services: they come and go with them, and are listed there.
const OTHERS: [&str; 6] = [
    "/run/containerd/",
    "/run/netns/",
    "/var/run/netns/",
    "/var/lib/containerd/",
    "/var/lib/kubelet/",
    "/system/run/roots/",
];

/// Reports mounts.
pub struct Mounts {
    list: fn() -> sys::Result<Vec<MountInfo>>,
}

impl Mounts {
    /// The mounts that `list` tells of.
    pub fn new(list: fn() -> sys::Result<Vec<MountInfo>>) -> Self {
        Self { list }
    }
}

impl Reconcile for Mounts {
    type Inputs = ();
    type Outputs = Outputs<MountStatus>;

    async fn reconcile(&mut self, (): (), _: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        Ok(Outcome::done(statuses(&(self.list)()?)).requeue(LOOK_AGAIN))
    }
}

/// The mounts by where they are; of several on top of each other, the uppermost.
fn statuses(mounts: &[MountInfo]) -> Outputs<MountStatus> {
    let mut statuses = Outputs::none();
    for mount in mounts {
        let target = mount.target.to_string_lossy();
        if OTHERS.iter().any(|prefix| target.starts_with(prefix)) {
            continue;
        }
        let status = MountStatus {
            source: mount.source.clone(),
            target: target.clone().into_owned(),
            filesystem_type: mount.kind.clone(),
            options: mount.options.clone(),
            ..MountStatus::default()
        };
        statuses.insert(target, status);
    }
    statuses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_mounts_are_listed_and_those_of_pods_are_not() {
        let text = "1 0 7:0 / / ro - squashfs /dev/loop0 ro\n2 1 0:5 / /var rw,nosuid - tmpfs tmpfs rw\n\
            3 2 0:6 / /var/lib/kubelet/pods/a rw - tmpfs tmpfs rw\n4 1 0:7 / /var rw - ext4 /dev/vda1 rw\n";
        let statuses = statuses(&sys::mount::parse(text));
        assert_eq!(statuses.iter().map(|(id, _)| id).collect::<Vec<_>>(), ["/", "/var"]);
        let expected = MountStatus {
            source: "/dev/vda1".into(),
            target: "/var".into(),
            filesystem_type: "ext4".into(),
            options: vec!["rw".into()],
            ..MountStatus::default()
        };
        assert_eq!(statuses.get("/var"), Some(&expected));
    }
}
