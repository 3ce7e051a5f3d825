//! flannel: a network of pods over VXLAN.

use serde_json::{Value, json};

use super::super::pods::NAMESPACE;
use super::{
    Flannel, Manifest, ManifestError, account_subject, cluster_role, cluster_role_binding, everywhere, is_ipv6,
    service_account,
};

const NAME: &str = "flannel";
/// The IANA port of VXLAN (RFC 7348); Linux' own default is an older one.
const VXLAN_PORT: u16 = 4789;

pub(super) fn manifest(flannel: &Flannel<'_>) -> Result<Manifest, ManifestError> {
    let rules = json!([
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
    ]);
    let mut objects = vec![
        service_account(NAME),
        cluster_role(NAME, &rules),
        cluster_role_binding(NAME, NAME, &account_subject(NAME)),
        config_map(flannel)?,
        daemon_set(flannel),
    ];
    if flannel.network_policies_image.is_some() {
        let policies = "kube-network-policies";
        let rules = json!([
            {"apiGroups": [""], "resources": ["pods", "namespaces", "nodes"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["list", "watch"]},
        ]);
        objects.splice(
            3..3,
            [
                cluster_role(policies, &rules),
                cluster_role_binding(policies, policies, &account_subject(NAME)),
            ],
        );
    }
    Ok(Manifest::new("05-flannel", objects))
}

/// Where containerd finds the configuration of the pod network.
pub const NETWORK_FILE: &str = "/etc/cni/net.d/10-flannel.conflist";

/// The configuration of the pod network.
pub fn network() -> String {
    let cni = json!({
        "name": "cbr0",
        "cniVersion": "1.0.0",
        "plugins": [
            {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    format!("{cni:#}")
}

fn config_map(flannel: &Flannel<'_>) -> Result<Value, ManifestError> {
    let mut net = json!({});
    for cidr in flannel.pod_cidrs {
        let ipv6 = is_ipv6(cidr).ok_or_else(|| ManifestError::PodCidr(cidr.clone()))?;
        net[if ipv6 { "IPv6Network" } else { "Network" }] = cidr.as_str().into();
    }
    let (ipv4, ipv6) = (net.get("Network").is_some(), net.get("IPv6Network").is_some());
    net["EnableIPv4"] = ipv4.into();
    net["EnableIPv6"] = ipv6.into();
    net["Backend"] = json!({"Type": "vxlan", "Port": VXLAN_PORT});
    Ok(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kube-flannel-cfg", "namespace": NAMESPACE, "labels": {"k8s-app": NAME, "tier": "node"}},
        "data": {"cni-conf.json": network(), "net-conf.json": format!("{net:#}")},
    }))
}

fn daemon_set(flannel: &Flannel<'_>) -> Value {
    let mut containers = vec![flanneld(flannel)];
    containers.extend(
        flannel
            .network_policies_image
            .map(|image| network_policies(image, flannel)),
    );
    let host = |name: &str, path: &str, kind: &str| json!({"name": name, "hostPath": {"path": path, "type": kind}});
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "kube-flannel", "namespace": NAMESPACE, "labels": {"k8s-app": NAME, "tier": "node"}},
        "spec": {
            "selector": {"matchLabels": {"k8s-app": NAME, "tier": "node"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": {"k8s-app": NAME, "tier": "node"}},
                "spec": {
                    "initContainers": [{
                        "name": "install-config",
                        "image": flannel.image,
                        "command": ["cp", "-f", "/etc/kube-flannel/cni-conf.json", NETWORK_FILE],
                        "volumeMounts": [
                            {"name": "cni", "mountPath": "/etc/cni/net.d"},
                            {"name": "flannel-cfg", "mountPath": "/etc/kube-flannel/"},
                        ],
                    }],
                    "containers": containers,
                    "hostNetwork": true,
                    "priorityClassName": "system-node-critical",
                    "serviceAccountName": NAME,
                    "tolerations": everywhere(),
                    "volumes": [
                        host("run", "/run/flannel", "DirectoryOrCreate"),
                        host("cni", "/etc/cni/net.d", "DirectoryOrCreate"),
                        {"name": "flannel-cfg", "configMap": {"name": "kube-flannel-cfg"}},
                        host("xtables-lock", "/run/xtables.lock", "FileOrCreate"),
                    ],
                },
            },
        },
    })
}

/// The service network needs this network first, so the API server is named.
fn server(flannel: &Flannel<'_>) -> [Value; 2] {
    [
        json!({"name": "KUBERNETES_SERVICE_HOST", "value": flannel.server_host}),
        json!({"name": "KUBERNETES_SERVICE_PORT", "value": flannel.server_port}),
    ]
}

fn flanneld(flannel: &Flannel<'_>) -> Value {
    let args: Vec<&str> = ["--ip-masq", "--kube-subnet-mgr"]
        .into_iter()
        .chain(flannel.extra_args.iter().map(String::as_str))
        .collect();
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let mut env = vec![
        json!({"name": "POD_NAME", "valueFrom": field("metadata.name")}),
        json!({"name": "POD_NAMESPACE", "valueFrom": field("metadata.namespace")}),
        json!({"name": "EVENT_QUEUE_DEPTH", "value": "5000"}),
        json!({"name": "CONT_WHEN_CACHE_NOT_READY", "value": "false"}),
    ];
    env.extend(server(flannel));
    json!({
        "name": "kube-flannel",
        "image": flannel.image,
        "command": ["/opt/bin/flanneld"],
        "args": args,
        "env": env,
        "resources": {"requests": {"cpu": "100m", "memory": "50Mi"}},
        "securityContext": {"privileged": false, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
        "volumeMounts": [
            {"name": "run", "mountPath": "/run/flannel"},
            {"name": "flannel-cfg", "mountPath": "/etc/kube-flannel/"},
            {"name": "xtables-lock", "mountPath": "/run/xtables.lock"},
        ],
    })
}

fn network_policies(image: &str, flannel: &Flannel<'_>) -> Value {
    let mut env = vec![json!({"name": "MY_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}})];
    env.extend(server(flannel));
    json!({
        "name": "kube-network-policies",
        "image": image,
        "args": ["/bin/netpol", "--hostname-override=$(MY_NODE_NAME)", "--v=2", "--nfqueue-id=98"],
        "env": env,
        "resources": {"requests": {"cpu": "100m", "memory": "50Mi"}},
        "securityContext": {"privileged": true, "capabilities": {"add": ["NET_ADMIN"]}},
    })
}
