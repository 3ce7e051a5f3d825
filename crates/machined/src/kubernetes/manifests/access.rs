//! Who may do what: tokens, certificate approval, nodes.

use serde_json::{Value, json};

use super::super::pods::NAMESPACE;
use super::{Input, Manifest, ManifestError, RBAC, cluster_role, cluster_role_binding, group_subject};

/// Kubelets that have only the token.
const BOOTSTRAPPERS: &str = "system:bootstrappers:nodes";
/// Kubelets that have joined.
const NODES: &str = "system:nodes";

pub(super) fn manifests(input: &Input<'_>) -> Result<Vec<Manifest>, ManifestError> {
    let mut manifests = Vec::new();
    if let Some(token) = input.token {
        let secret = token.secret.expose_str().map_err(|_| ManifestError::Token)?;
        manifests.push(Manifest::new(
            "00-kubelet-bootstrapping-token",
            vec![bootstrap_token(&token.id, secret)],
        ));
    }
    let approve = "system:certificates.k8s.io:certificatesigningrequests";
    for (id, name, group, role) in [
        (
            "01-csr-node-bootstrap",
            "system-bootstrap-node-bootstrapper",
            BOOTSTRAPPERS,
            "system:node-bootstrapper".to_owned(),
        ),
        (
            "01-csr-approver-role-binding",
            "system-bootstrap-approve-node-client-csr",
            BOOTSTRAPPERS,
            format!("{approve}:nodeclient"),
        ),
        (
            "01-csr-renewal-role-binding",
            "system-bootstrap-node-renewal",
            NODES,
            format!("{approve}:selfnodeclient"),
        ),
    ] {
        manifests.push(Manifest::new(
            id,
            vec![cluster_role_binding(name, &role, &group_subject(group))],
        ));
    }
    manifests.push(Manifest::new(
        "11-kube-config-in-cluster",
        vec![in_cluster_kubeconfig(input.server)],
    ));
    manifests.push(Manifest::new("11-talos-node-rbac-template", node_rbac()));
    if input.machine_api_access {
        manifests.push(Manifest::new("12-talos-api-service", machine_api()));
    }
    Ok(manifests)
}

fn bootstrap_token(id: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": format!("bootstrap-token-{id}"), "namespace": NAMESPACE},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "token-id": id,
            "token-secret": secret,
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": BOOTSTRAPPERS,
        },
    })
}

/// For agents on the host network that cannot use the service address yet: they trust the cluster's authority and are
/// their service account.
fn in_cluster_kubeconfig(server: &str) -> Value {
    let account = "/var/run/secrets/kubernetes.io/serviceaccount";
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": server, "certificate-authority": format!("{account}/ca.crt")}}],
        "users": [{"name": "service-account", "user": {"tokenFile": format!("{account}/token")}}],
        "contexts": [{"name": "service-account", "context": {"cluster": "local", "user": "service-account"}}],
        "current-context": "service-account",
    });
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kubeconfig-in-cluster", "namespace": NAMESPACE},
        "data": {"kubeconfig": format!("{kubeconfig:#}")},
    })
}

/// Nodes see each other (members can be found through Kubernetes), and the API server may ask kubelets, also should
/// its certificate no longer be of a group that may do everything.
fn node_rbac() -> Vec<Value> {
    let name = "system:talos-nodes";
    let rules = json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}]);
    let api_server = json!({
        "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "apiserver-kubelet-client",
    });
    vec![
        cluster_role(name, &rules),
        cluster_role_binding(name, name, &group_subject(NODES)),
        cluster_role_binding(
            "system:apiserver-kubelet-client",
            "system:kubelet-api-admin",
            &api_server,
        ),
    ]
}

/// The service that pods find the machine API at (its endpoints are kept by the node), and the kind that asks for
/// access.
fn machine_api() -> Vec<Value> {
    let role = "talos.dev:serviceaccounts-view";
    vec![
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "talos", "namespace": "default", "labels": {"component": "apid", "provider": "talos"}},
            "spec": {"ports": [{"name": "apid", "port": 50000, "protocol": "TCP", "targetPort": 50000}]},
        }),
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "serviceaccounts.talos.dev"},
            "spec": {
                "group": "talos.dev",
                "names": {
                    "kind": "ServiceAccount", "plural": "serviceaccounts", "singular": "serviceaccount",
                    "shortNames": ["tsa"],
                },
                "scope": "Namespaced",
                "versions": [{
                    "name": "v1alpha1",
                    "served": true,
                    "storage": true,
                    "schema": {"openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"roles": {"type": "array", "items": {"type": "string"}}}},
                            "status": {"type": "object", "properties": {"failureReason": {"type": "string"}}},
                        },
                    }},
                    "subresources": {"status": {}},
                }],
            },
        }),
        json!({
            "apiVersion": RBAC,
            "kind": "ClusterRole",
            "metadata": {"name": role, "labels": {
                "rbac.authorization.k8s.io/aggregate-to-view": "true",
                "rbac.authorization.k8s.io/aggregate-to-edit": "true",
                "rbac.authorization.k8s.io/aggregate-to-admin": "true",
            }},
            "rules": [{"apiGroups": ["talos.dev"], "resources": ["serviceaccounts"], "verbs": ["get", "list", "watch"]}],
        }),
    ]
}
