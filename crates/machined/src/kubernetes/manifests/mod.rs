//! Bootstrap manifests: what a new cluster gets from its control plane.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::pki::BootstrapToken;
use super::pods::NAMESPACE;

mod access;
pub mod coredns;
mod extra;
mod flannel;
mod kube_proxy;

pub use extra::{ManifestError, extra_id, inline_id, parse};
pub use flannel::{NETWORK_FILE as FLANNEL_NETWORK_FILE, network as flannel_network};
pub use kube_proxy::{Proxy, args as proxy_args};

/// Some objects that belong together; sorted by id they are in the order to be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// `10-kube-proxy`
    pub id: String,
    /// In the order to be applied.
    pub objects: Vec<Value>,
}

impl Manifest {
    fn new(id: &str, objects: Vec<Value>) -> Self {
        Self {
            id: id.to_owned(),
            objects,
        }
    }
}

/// What the bootstrap manifests are made of. A part that is `None` is left out.
#[derive(Clone, Debug, Default)]
pub struct Input<'a> {
    /// Where nodes and their agents find the API server: the local balancer, or the cluster's endpoint.
    pub server: &'a str,
    /// The kubelets' token.
    pub token: Option<&'a BootstrapToken>,
    /// Without it kube-proxy is not deployed.
    pub proxy: Option<Proxy<'a>>,
    /// Without it CoreDNS is not deployed.
    pub coredns: Option<coredns::CoreDns<'a>>,
    /// Without it flannel is not deployed (another network plugin is).
    pub flannel: Option<Flannel<'a>>,
    /// Pods may get access to the machine API.
    pub machine_api_access: bool,
}

/// What flannel is made of.
#[derive(Clone, Debug, Default)]
pub struct Flannel<'a> {
    /// Image reference.
    pub image: &'a str,
    /// Pod subnets, of one or both families.
    pub pod_cidrs: &'a [String],
    /// More arguments of flanneld.
    pub extra_args: &'a [String],
    /// Host of the API server, as flannel has no service network yet.
    pub server_host: &'a str,
    /// Its port.
    pub server_port: &'a str,
    /// Image of the agent that enforces network policies, if they are to be.
    pub network_policies_image: Option<&'a str>,
}

/// All manifests, sorted by id.
///
/// # Errors
/// The bootstrap token is not text, or a pod subnet cannot be read.
pub fn bootstrap(input: &Input<'_>) -> Result<Vec<Manifest>, ManifestError> {
    let mut manifests = access::manifests(input)?;
    if let Some(flannel) = &input.flannel {
        manifests.push(flannel::manifest(flannel)?);
    }
    if let Some(proxy) = &input.proxy {
        manifests.push(kube_proxy::manifest(proxy));
    }
    if let Some(coredns) = &input.coredns {
        manifests.extend(coredns::manifests(coredns));
    }
    manifests.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(manifests)
}

/// Objects in the order in which an API server accepts them: namespaces and definitions before what needs them.
pub fn in_order(objects: &mut [Value]) {
    objects.sort_by_key(|object| match object["kind"].as_str().unwrap_or_default() {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        _ => 2,
    });
}

fn service_account(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}})
}

fn cluster_role(name: &str, rules: &Value) -> Value {
    json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
}

fn cluster_role_binding(name: &str, role: &str, subject: &Value) -> Value {
    json!({
        "apiVersion": RBAC,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    })
}

fn account_subject(name: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE})
}

fn group_subject(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name})
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// An agent of every node runs there whatever taints the node has.
fn everywhere() -> Value {
    json!([{"effect": "NoSchedule", "operator": "Exists"}, {"effect": "NoExecute", "operator": "Exists"}])
}

fn is_ipv6(cidr: &str) -> Option<bool> {
    Some(cidr.split('/').next()?.parse::<IpAddr>().ok()?.is_ipv6())
}

#[cfg(test)]
mod tests;
