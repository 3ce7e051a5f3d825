//! Kubernetes on this node.

mod control_plane;
mod kubelet;
mod manifests;
mod nodes;

pub use control_plane::*;
pub use kubelet::*;
pub use manifests::*;
pub use nodes::*;
