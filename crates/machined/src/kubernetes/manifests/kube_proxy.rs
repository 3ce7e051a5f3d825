//! kube-proxy: service addresses on every node.

use serde_json::{Value, json};

use super::super::flags::{ExtraArgs, FlagError, Flags};
use super::super::pods::NAMESPACE;
use super::{Manifest, account_subject, cluster_role_binding, everywhere, service_account};

/// What kube-proxy is made of.
#[derive(Clone, Debug, Default)]
pub struct Proxy<'a> {
    /// Image reference.
    pub image: &'a str,
    /// From [`args`].
    pub args: &'a [String],
}

/// Arguments: `mode` is nftables unless the user chose another. Connection tracking is left as it is: the limits are
/// the machine's affair, and in a container they cannot be set.
///
/// # Errors
/// An extra argument is refused.
pub fn args(mode: Option<&str>, pod_cidrs: &[String], extra: &ExtraArgs) -> Result<Vec<String>, FlagError> {
    let mut flags = Flags::new();
    flags.set_all([
        ("cluster-cidr", pod_cidrs.join(",")),
        ("conntrack-max-per-core", "0".to_owned()),
        ("hostname-override", "$(NODE_NAME)".to_owned()),
        ("kubeconfig", "/etc/kubernetes/kubeconfig".to_owned()),
        (
            "proxy-mode",
            mode.filter(|m| !m.is_empty()).unwrap_or("nftables").to_owned(),
        ),
    ]);
    flags.merge(extra, &config::arguments::PROXY)?;
    Ok(flags.render())
}

pub(super) fn manifest(proxy: &Proxy<'_>) -> Manifest {
    let name = "kube-proxy";
    Manifest::new(
        "10-kube-proxy",
        vec![
            service_account(name),
            cluster_role_binding("system:kube-proxy", "system:node-proxier", &account_subject(name)),
            daemon_set(name, proxy),
        ],
    )
}

fn daemon_set(name: &str, proxy: &Proxy<'_>) -> Value {
    let command: Vec<&str> = std::iter::once("/usr/local/bin/kube-proxy")
        .chain(proxy.args.iter().map(String::as_str))
        .collect();
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"k8s-app": name, "tier": "node"}},
        "spec": {
            "selector": {"matchLabels": {"k8s-app": name, "tier": "node"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": {"k8s-app": name, "tier": "node"}},
                "spec": {
                    "containers": [{
                        "name": name,
                        "image": proxy.image,
                        "command": command,
                        "env": [
                            {"name": "NODE_NAME", "valueFrom": field("spec.nodeName")},
                            {"name": "POD_IP", "valueFrom": field("status.podIP")},
                        ],
                        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
                        // It writes kernel parameters and packet filter rules.
                        "securityContext": {"privileged": true},
                        "volumeMounts": [
                            {"name": "kubeconfig", "mountPath": "/etc/kubernetes", "readOnly": true},
                            {"name": "xtables-lock", "mountPath": "/run/xtables.lock"},
                        ],
                    }],
                    "hostNetwork": true,
                    "priorityClassName": "system-node-critical",
                    "serviceAccountName": name,
                    "tolerations": everywhere(),
                    "volumes": [
                        {"name": "kubeconfig", "configMap": {"name": "kubeconfig-in-cluster"}},
                        {"name": "xtables-lock", "hostPath": {"path": "/run/xtables.lock", "type": "FileOrCreate"}},
                    ],
                },
            },
        },
    })
}
