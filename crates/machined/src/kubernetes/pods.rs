//! What the control plane's pods have in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{quantity, version};

/// Where the control plane runs.
pub const NAMESPACE: &str = "kube-system";

/// Part of the memory limit that Go's collector may plan with; the rest is for what it does not count.
const GO_MEMORY_SHARE: f64 = 0.95;

/// Things a user can say of each component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Component {
    /// Image reference with tag.
    pub image: String,
    /// Flags, see [`super::flags`].
    pub extra_args: super::ExtraArgs,
    /// More host folders.
    pub extra_volumes: Vec<ExtraVolume>,
    /// Environment.
    pub environment_variables: BTreeMap<String, String>,
    /// Requests replace the defaults one by one; limits are none by default.
    pub resources: Resources,
    /// What it was made from: a new version restarts the pod.
    pub versions: Versions,
}

/// A host folder in a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtraVolume {
    /// Name in the pod; made from the position if empty.
    pub name: String,
    /// On the node.
    pub host_path: String,
    /// In the pod.
    pub mount_path: String,
    /// Whether the pod may not write.
    #[serde(rename = "readonly")]
    pub read_only: bool,
}

/// `cpu` and `memory` → quantity; empty values count as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// What the scheduler sets aside.
    pub requests: BTreeMap<String, String>,
    /// What it cannot exceed.
    pub limits: BTreeMap<String, String>,
}

/// Versions of a pod's inputs, shown as annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Versions {
    /// Of the component's configuration resource.
    pub config: String,
    /// Of its configuration files.
    pub config_files: String,
    /// Of its secrets.
    pub secrets: String,
}

/// A component's own part of its pod.
pub(super) struct Shape<'a> {
    pub name: &'a str,
    /// User and group it runs as.
    pub id: u32,
    pub command: Vec<String>,
    pub cpu: &'a str,
    pub memory: &'a str,
    pub env: Vec<Value>,
    /// (name, folder, read only): mounted at the same path.
    pub folders: Vec<(&'a str, &'a str, bool)>,
    pub capabilities: &'a [&'a str],
    /// Action of a probe on a path; by path because components differ in what they serve.
    pub probes: Probes,
}

pub(super) struct Probes {
    pub startup: Value,
    pub liveness: Value,
    pub readiness: Value,
}

/// An HTTPS request to a component on the node itself.
pub(super) fn https_probe(port: u16, path: &str) -> Value {
    json!({"httpGet": {"host": "127.0.0.1", "path": path, "port": port, "scheme": "HTTPS"}})
}

/// A connection, for when health cannot be asked without credentials.
pub(super) fn tcp_probe(port: u16) -> Value {
    json!({"tcpSocket": {"host": "127.0.0.1", "port": port}})
}

fn timed(mut probe: Value, period_seconds: u32, failure_threshold: u32) -> Value {
    probe["periodSeconds"] = period_seconds.into();
    probe["failureThreshold"] = failure_threshold.into();
    probe["timeoutSeconds"] = 15.into();
    probe["successThreshold"] = 1.into();
    probe
}

/// A whole pod.
pub(super) fn pod(component: &Component, shape: Shape<'_>) -> Value {
    let name = shape.name;
    let Component { image, versions, .. } = component;
    let mut volumes = Vec::new();
    let mut mounts = Vec::new();
    let mut volume = |name: &str, host: &str, mount: &str, read_only: bool, kind: &str| {
        volumes.push(json!({"name": name, "hostPath": {"path": host, "type": kind}}));
        mounts.push(json!({"name": name, "mountPath": mount, "readOnly": read_only}));
    };
    for (name, path, read_only) in &shape.folders {
        volume(name, path, path, *read_only, "DirectoryOrCreate");
    }
    for (at, extra) in component.extra_volumes.iter().enumerate() {
        let name = if extra.name.is_empty() {
            format!("extra-{at}")
        } else {
            extra.name.clone()
        };
        volume(&name, &extra.host_path, &extra.mount_path, extra.read_only, "");
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "annotations": annotations(versions),
            "labels": labels(name, image),
        },
        "spec": {
            "priority": 2_000_000_000u32,
            "priorityClassName": "system-cluster-critical",
            "hostNetwork": true,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": shape.id,
                "runAsGroup": shape.id,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": name,
                "image": image,
                "command": shape.command,
                "env": environment(component, shape.env),
                "resources": resources(&component.resources, shape.cpu, shape.memory),
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": capabilities(shape.capabilities),
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                // Migrating etcd or a slow disk may take minutes: up to ten.
                "startupProbe": timed(shape.probes.startup, 1, 600),
                "livenessProbe": timed(shape.probes.liveness, 10, 8),
                "readinessProbe": timed(shape.probes.readiness, 2, 5),
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        },
    })
}

fn capabilities(add: &[&str]) -> Value {
    if add.is_empty() {
        json!({"drop": ["ALL"]})
    } else {
        json!({"drop": ["ALL"], "add": add})
    }
}

fn annotations(versions: &Versions) -> Map<String, Value> {
    [
        ("talos.dev/config-version", &versions.config),
        ("talos.dev/config-file-version", &versions.config_files),
        ("talos.dev/secrets-version", &versions.secrets),
    ]
    .into_iter()
    .filter(|(_, v)| !v.is_empty())
    .map(|(k, v)| (k.to_owned(), Value::from(v.as_str())))
    .collect()
}

fn labels(name: &str, image: &str) -> Value {
    let mut labels = json!({
        "tier": "control-plane",
        "k8s-app": name,
        "component": name,
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/component": "control-plane",
        "app.kubernetes.io/managed-by": "Talos",
    });
    // A tag may be longer than a label value.
    if let Some(tag) = version::tag(image).filter(|t| t.len() <= 63) {
        labels["app.kubernetes.io/version"] = tag.into();
    }
    labels
}

fn environment(component: &Component, mut env: Vec<Value>) -> Vec<Value> {
    let user = &component.environment_variables;
    let limit = component
        .resources
        .limits
        .get("memory")
        .and_then(|limit| quantity::bytes(limit))
        .filter(|b| *b > 0);
    if let (Some(limit), false) = (limit, user.contains_key("GOMEMLIMIT")) {
        // Far below 2^53, so no byte is lost.
        let bytes = (limit as f64 * GO_MEMORY_SHARE) as u64;
        env.push(json!({"name": "GOMEMLIMIT", "value": bytes.to_string()}));
    }
    env.extend(user.iter().map(|(name, value)| json!({"name": name, "value": value})));
    env
}

fn resources(said: &Resources, cpu: &str, memory: &str) -> Value {
    let present = |map: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        map.iter()
            .filter(|(_, v)| !v.is_empty())
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    let mut requests = BTreeMap::from([
        ("cpu".to_owned(), cpu.to_owned()),
        ("memory".to_owned(), memory.to_owned()),
    ]);
    let limits = present(&said.limits);
    // A request above the limit would make the pod invalid, and the node would be without its control plane.
    for (name, request) in &mut requests {
        if let Some(limit) = limits.get(name)
            && quantity::value(limit) < quantity::value(request)
        {
            request.clone_from(limit);
        }
    }
    requests.extend(present(&said.requests));
    if limits.is_empty() {
        json!({"requests": requests})
    } else {
        json!({"requests": requests, "limits": limits})
    }
}
