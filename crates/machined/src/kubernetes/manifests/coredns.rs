//! CoreDNS: names of services.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::super::pods::NAMESPACE;
use super::{Manifest, account_subject, cluster_role, cluster_role_binding, service_account};

const NAME: &str = "coredns";

/// What CoreDNS is made of.
#[derive(Clone, Debug, Default)]
pub struct CoreDns<'a> {
    /// Image reference.
    pub image: &'a str,
    /// `cluster.local`
    pub domain: &'a str,
    /// Addresses of its service, one per family.
    pub service_ips: &'a [IpAddr],
    /// The node's own DNS, for names outside; without it the pod's resolver configuration decides, which is the node's.
    pub host_dns: Option<IpAddr>,
}

pub(super) fn manifests(coredns: &CoreDns<'_>) -> [Manifest; 2] {
    let rules = json!([
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]);
    let objects = vec![
        service_account(NAME),
        cluster_role("system:coredns", &rules),
        cluster_role_binding("system:coredns", "system:coredns", &account_subject(NAME)),
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "data": {"Corefile": corefile(coredns)},
        }),
        deployment(coredns),
    ];
    [
        Manifest::new("11-core-dns", objects),
        Manifest::new("11-core-dns-svc", vec![service(coredns)]),
    ]
}

fn corefile(coredns: &CoreDns<'_>) -> String {
    let domain = coredns.domain;
    let upstream = coredns
        .host_dns
        .map_or_else(|| "/etc/resolv.conf".to_owned(), |ip| ip.to_string());
    format!(
        ".:53 {{
    errors
    health {{
        lameduck 5s
    }}
    ready
    log . {{
        class error
    }}
    prometheus :9153
    kubernetes {domain} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    forward . {upstream} {{
        max_concurrent 1000
    }}
    cache 30 {{
        disable success {domain}
        disable denial {domain}
    }}
    loop
    reload
    loadbalance
}}
"
    )
}

fn service(coredns: &CoreDns<'_>) -> Value {
    let families: Vec<&str> = coredns
        .service_ips
        .iter()
        .map(|ip| if ip.is_ipv6() { "IPv6" } else { "IPv4" })
        .collect();
    let mut service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": NAMESPACE,
            "annotations": {"prometheus.io/port": "9153", "prometheus.io/scrape": "true"},
            "labels": {
                "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "selector": {"k8s-app": "kube-dns"},
            "ipFamilies": families,
            "ipFamilyPolicy": if families.len() > 1 { "RequireDualStack" } else { "SingleStack" },
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": "dns-tcp"},
                {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": "metrics"},
            ],
        },
    });
    if let Some(first) = coredns.service_ips.first() {
        service["spec"]["clusterIP"] = first.to_string().into();
        service["spec"]["clusterIPs"] = coredns.service_ips.iter().map(IpAddr::to_string).collect();
    }
    service
}

fn deployment(coredns: &CoreDns<'_>) -> Value {
    let control_plane = "node-role.kubernetes.io/control-plane";
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"},
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"k8s-app": "kube-dns"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": {"k8s-app": "kube-dns"}},
                "spec": {
                    "affinity": {
                        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
                            "weight": 100,
                            "podAffinityTerm": {
                                "labelSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                                "topologyKey": "kubernetes.io/hostname",
                            },
                        }]},
                    },
                    "containers": [container(coredns)],
                    // The node's resolver configuration, not the cluster's, or it would ask itself.
                    "dnsPolicy": "Default",
                    "priorityClassName": "system-cluster-critical",
                    "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                    "serviceAccountName": NAME,
                    "tolerations": [
                        {"effect": "NoSchedule", "key": control_plane, "operator": "Exists"},
                        {"effect": "NoSchedule", "key": "node.cloudprovider.kubernetes.io/uninitialized", "operator": "Exists"},
                    ],
                    "volumes": [{
                        "name": "config-volume",
                        "configMap": {"name": NAME, "items": [{"key": "Corefile", "path": "Corefile"}]},
                    }],
                },
            },
        },
    })
}

fn container(coredns: &CoreDns<'_>) -> Value {
    json!({
        "name": NAME,
        "image": coredns.image,
        "args": ["-conf", "/etc/coredns/Corefile"],
        // 95 % of the limit below.
        "env": [{"name": "GOMEMLIMIT", "value": "161MiB"}],
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9153, "protocol": "TCP"},
        ],
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": 8080, "scheme": "HTTP"},
            "initialDelaySeconds": 60, "timeoutSeconds": 5, "successThreshold": 1, "failureThreshold": 5,
        },
        // Often: a first look that comes a moment too early delays the names of a new cluster until the next.
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": 8181, "scheme": "HTTP"},
            "periodSeconds": 1, "failureThreshold": 15,
        },
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        },
        "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns", "readOnly": true}],
    })
}
