//! Command lines and files of the floor: the least that makes a working node.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::floor::Setup;
use super::floor_node::{ADDRESS, NAME};

/// Where containerd listens.
pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

const ETCD: &str = "http://127.0.0.1:2379";
const SERVICES: &str = "10.96.0.0/12";

/// Writes all files.
pub fn write(setup: &Setup, programs: &Path) -> Result<()> {
    let folder = &setup.folder;
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    };
    file("containerd.toml", containerd(folder, programs))?;
    file("net.d/10-bridge.conflist", network().to_string())?;
    // JSON is YAML.
    file("kubelet.yaml", kubelet_config(setup).to_string())?;
    for name in ["admin", "kubelet", "controller-manager", "scheduler"] {
        file(&format!("{name}.kubeconfig"), kubeconfig(setup, name).to_string())?;
    }
    Ok(())
}

fn containerd(folder: &Path, programs: &Path) -> String {
    let quoted = |path: &Path| Value::from(path.display().to_string()).to_string();
    format!(
        r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins.'io.containerd.cri.v1.runtime']
# Not every machine that tests run on lets root lower it.
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = [{}]
conf_dir = {}
"#,
        quoted(programs),
        quoted(&folder.join("net.d")),
    )
}

fn network() -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "floor",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipMasq": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.244.0.0/24"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
}

fn kubelet_config(setup: &Setup) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": key(setup, "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": setup.group,
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "failCgroupV1": false,
        "failSwapOn": false,
        "tlsCertFile": key(setup, "kubelet.crt"),
        "tlsPrivateKeyFile": key(setup, "kubelet.key"),
        "volumePluginDir": setup.folder.join("volumes"),
    })
}

fn kubeconfig(setup: &Setup, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "floor",
        "clusters": [{"name": "floor", "cluster": {
            "server": format!("https://{ADDRESS}:6443"),
            "certificate-authority": key(setup, "ca.crt"),
        }}],
        "users": [{"name": "floor", "user": {
            "client-certificate": key(setup, &format!("{name}.crt")),
            "client-key": key(setup, &format!("{name}.key")),
        }}],
        "contexts": [{"name": "floor", "context": {"cluster": "floor", "user": "floor"}}],
    })
}

fn key(setup: &Setup, name: &str) -> String {
    setup.certificates.join(name).display().to_string()
}

fn flags<const N: usize>(all: [(&str, String); N]) -> Vec<String> {
    all.map(|(name, value)| format!("--{name}={value}")).into()
}

/// Arguments of etcd.
pub fn etcd() -> Vec<String> {
    flags([
        ("data-dir", "/var/lib/etcd".to_owned()),
        ("listen-client-urls", ETCD.to_owned()),
        ("advertise-client-urls", ETCD.to_owned()),
    ])
}

/// Arguments of the API server.
pub fn api_server(setup: &Setup) -> Vec<String> {
    flags([
        ("advertise-address", ADDRESS.to_owned()),
        ("allow-privileged", "true".to_owned()),
        ("authorization-mode", "Node,RBAC".to_owned()),
        ("client-ca-file", key(setup, "ca.crt")),
        ("enable-admission-plugins", "NodeRestriction".to_owned()),
        ("etcd-servers", ETCD.to_owned()),
        ("kubelet-client-certificate", key(setup, "admin.crt")),
        ("kubelet-client-key", key(setup, "admin.key")),
        ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
        ("service-account-key-file", key(setup, "service-account.key")),
        ("service-account-signing-key-file", key(setup, "service-account.key")),
        ("service-cluster-ip-range", SERVICES.to_owned()),
        ("tls-cert-file", key(setup, "server.crt")),
        ("tls-private-key-file", key(setup, "server.key")),
    ])
}

/// Arguments of the controller manager.
pub fn controller_manager(setup: &Setup) -> Vec<String> {
    flags([
        ("cluster-signing-cert-file", key(setup, "ca.crt")),
        ("cluster-signing-key-file", key(setup, "ca.key")),
        ("kubeconfig", place(setup, "controller-manager.kubeconfig")),
        ("root-ca-file", key(setup, "ca.crt")),
        ("service-account-private-key-file", key(setup, "service-account.key")),
        ("use-service-account-credentials", "true".to_owned()),
    ])
}

/// Arguments of the scheduler.
pub fn scheduler(setup: &Setup) -> Vec<String> {
    flags([("kubeconfig", place(setup, "scheduler.kubeconfig"))])
}

/// Arguments of the kubelet.
pub fn kubelet(setup: &Setup) -> Vec<String> {
    flags([
        ("config", place(setup, "kubelet.yaml")),
        ("hostname-override", NAME.to_owned()),
        ("kubeconfig", place(setup, "kubelet.kubeconfig")),
        ("node-ip", ADDRESS.to_owned()),
    ])
}

fn place(setup: &Setup, name: &str) -> String {
    setup.folder.join(name).display().to_string()
}
