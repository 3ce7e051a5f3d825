//! This node as Kubernetes knows it: labels, annotations and taints of the configuration ([`Apply`]), its status, and the
//! announcements that other nodes read, the Kubernetes registry of discovery ([`Watch`]).

mod apply;
mod watch;

use std::time::Duration;

use anyhow::Context as _;
use k8s::Client;

pub use apply::Apply;
pub use watch::Watch;

use crate::clients;

/// The kubelet's own credentials: what a node may do to itself, it does as itself.
pub const KUBECONFIG: &str = "/etc/kubernetes/kubeconfig-kubelet";
/// Time between two tries while the API or the credentials are not there.
const RETRY: Duration = Duration::from_millis(500);
/// Annotations of the registry.
const NODE_ID: &str = "cluster.talos.dev/node-id";
const SELF_IPS: &str = "networking.talos.dev/self-ips";
const API_PORT: &str = "networking.talos.dev/api-server-port";
/// The label that makes a node a control plane.
pub const CONTROL_PLANE_LABEL: &str = "node-role.kubernetes.io/control-plane";

/// A client with the kubelet's credentials, once it has some.
///
/// # Errors
/// It has none yet.
pub fn kubelet_client() -> anyhow::Result<Client> {
    let bytes = std::fs::read(KUBECONFIG).context("the kubelet has no credentials yet")?;
    clients::kubernetes::from_kubeconfig(&bytes).context("use the kubelet's credentials")
}
