//! What is collected of Kubernetes.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use futures::StreamExt as _;
use k8s::{Client, ListOptions, LogOptions, resources};
use serde_json::Value;

use super::bundle::Spool;
use super::node::plain;
use super::veil::veil;
use crate::commands::{get, kubeconfig};
use crate::session::{Target, failed};

/// How long Kubernetes may take for an answer, or for the next piece of one.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a control plane may take until it is not asked for its kubeconfig any more.
const ACCESS: Duration = Duration::from_secs(10);
/// Namespace of the cluster's own pods.
const SYSTEM: &str = "kube-system";
/// Namespace and type of the manifests that a control plane applies.
const MANIFESTS: (&str, &str) = ("controlplane", "Manifests.kubernetes.talos.dev");

/// One thing to collect.
#[derive(Clone, Debug)]
pub enum Source {
    /// Objects of a kind, as YAML.
    Objects(&'static str, &'static k8s::ApiResource, Option<&'static str>),
    /// The objects of the manifests, and whether they are there.
    Manifests,
    /// The log of a container.
    Log {
        pod: String,
        container: String,
        previous: bool,
    },
}

impl Source {
    /// Name of its file, below the folder of the cluster.
    pub fn file(&self) -> String {
        match self {
            Source::Objects(name, ..) => format!("{name}.yaml"),
            Source::Manifests => "manifests.txt".into(),
            Source::Log {
                pod,
                container,
                previous,
            } => {
                let when = if *previous { ".previous" } else { "" };
                format!("pods/{}_{}{when}.log", plain(pod), plain(container))
            }
        }
    }
}

/// Kubernetes with the rights of the first node that gives them.
pub async fn open(targets: &[Target]) -> Result<Client> {
    let mut last = anyhow!("no node was asked");
    for target in targets {
        match access(target).await {
            Ok(client) => return Ok(client),
            Err(error) => last = error.context(target.node.clone()),
        }
    }
    Err(last.context("get access to Kubernetes"))
}

async fn access(target: &Target) -> Result<Client> {
    let client = kubeconfig::client(target, None, ACCESS).await?;
    if client.raw("/version").await.is_ok() {
        return Ok(client);
    }
    // The cluster's endpoint may be what is broken.
    let direct = kubeconfig::client(target, Some(&format!("https://{}:6443", target.node)), ACCESS).await?;
    direct.raw("/version").await?;
    Ok(direct)
}

/// What there is to collect.
pub async fn sources(client: &Client) -> (Vec<Source>, Vec<(&'static str, anyhow::Error)>) {
    let mut all = vec![
        Source::Objects("nodes", &resources::NODES, None),
        Source::Objects("events", &resources::EVENTS, None),
        Source::Objects("pods", &resources::PODS, Some(SYSTEM)),
        Source::Objects("daemonsets", &resources::DAEMON_SETS, Some(SYSTEM)),
        Source::Objects("deployments", &resources::DEPLOYMENTS, Some(SYSTEM)),
        Source::Manifests,
    ];
    match list(client, &resources::PODS, Some(SYSTEM)).await {
        Ok(pods) => {
            all.extend(pods.iter().flat_map(logs));
            (all, Vec::new())
        }
        Err(error) => (all, vec![("pods", error)]),
    }
}

/// The logs of a pod's containers; of those that were restarted, the one before too.
fn logs(pod: &Value) -> Vec<Source> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let mut logs = Vec::new();
    for field in ["initContainerStatuses", "containerStatuses"] {
        for status in pod["status"][field].as_array().into_iter().flatten() {
            let log = |previous| Source::Log {
                pod: name.to_owned(),
                container: status["name"].as_str().unwrap_or_default().to_owned(),
                previous,
            };
            logs.push(log(false));
            if status["restartCount"].as_u64() > Some(0) {
                logs.push(log(true));
            }
        }
    }
    logs
}

/// Collects one source; manifests are those that the nodes know.
pub async fn collect(client: &Client, targets: &[Target], source: &Source, spool: &mut Spool) -> Result<()> {
    match source {
        Source::Objects(_, kind, namespace) => {
            for mut object in list(client, kind, *namespace).await? {
                veil(&mut object);
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.remove("managedFields");
                }
                spool.push(b"---\n")?;
                spool.push(k8s::yaml::encode(&object)?.expose())?;
            }
            Ok(())
        }
        Source::Manifests => manifests(client, targets, spool).await,
        Source::Log {
            pod,
            container,
            previous,
        } => {
            let options = LogOptions {
                container: Some(container.clone()),
                previous: *previous,
                ..LogOptions::default()
            };
            let stream = within(client.logs(SYSTEM, pod, &options)).await?;
            let mut stream = std::pin::pin!(stream);
            loop {
                let piece = tokio::time::timeout(PATIENCE, stream.next()).await.context(SILENT)?;
                let Some(piece) = piece else { return Ok(()) };
                if !spool.push(&piece?)? {
                    return Ok(());
                }
            }
        }
    }
}

const SILENT: &str = "Kubernetes did not answer in time";

async fn within<T>(call: impl Future<Output = Result<T, k8s::Error>>) -> Result<T> {
    Ok(tokio::time::timeout(PATIENCE, call).await.context(SILENT)??)
}

async fn list(client: &Client, kind: &k8s::ApiResource, namespace: Option<&str>) -> Result<Vec<Value>> {
    Ok(within(client.list(kind, namespace, &ListOptions::default()))
        .await?
        .items)
}

/// Each object that the control plane wants to be there, with what Kubernetes has of it.
async fn manifests(client: &Client, targets: &[Target], spool: &mut Spool) -> Result<()> {
    let mut found = Err(anyhow!("no node knows manifests"));
    for target in targets {
        match target.client.resources(MANIFESTS.0, MANIFESTS.1).await {
            Ok(list) if !list.is_empty() => {
                found = Ok(list);
                break;
            }
            Ok(_) => {}
            Err(status) => found = Err(failed(&status).context(target.node.clone())),
        }
    }
    for resource in found? {
        let document = get::document("", resource);
        let id = document.metadata.id.clone();
        let spec = document.spec().with_context(|| format!("read the manifest {id}"))?;
        for object in objects(&spec) {
            let state = state(client, object).await.unwrap_or_else(|error| format!("{error:#}"));
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            let metadata = &object["metadata"];
            let (kind, namespace, name) = (
                text(&object["kind"]),
                text(&metadata["namespace"]),
                text(&metadata["name"]),
            );
            spool.push(format!("{id}  {kind}  {namespace}  {name}  {state}\n").as_bytes())?;
        }
    }
    Ok(())
}

/// The objects of a manifest, however deep they are.
fn objects(spec: &Value) -> Vec<&Value> {
    match spec {
        Value::Array(items) => items.iter().flat_map(objects).collect(),
        Value::Object(map) if map.contains_key("apiVersion") && map.contains_key("kind") => vec![spec],
        Value::Object(map) => map.values().flat_map(objects).collect(),
        _ => Vec::new(),
    }
}

async fn state(client: &Client, object: &Value) -> Result<String> {
    let (kind, name) = within(client.address(object)).await?;
    let namespace = object["metadata"]["namespace"].as_str();
    match within(client.get(&kind, namespace, &name)).await {
        Ok(live) => {
            let metadata = &live["metadata"];
            let at = |key: &str| metadata[key].as_str().unwrap_or("-").to_owned();
            let generation = metadata["generation"].as_u64().unwrap_or_default();
            Ok(format!(
                "present  generation={generation}  resourceVersion={}  created={}",
                at("resourceVersion"),
                at("creationTimestamp")
            ))
        }
        Err(error) if error.downcast_ref().is_some_and(k8s::Error::is_not_found) => Ok("missing".into()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn logs_are_of_every_container_and_of_those_before_it() {
        let pod = json!({"metadata": {"name": "p"}, "status": {
            "initContainerStatuses": [{"name": "init", "restartCount": 0}],
            "containerStatuses": [{"name": "main", "restartCount": 2}]}});
        let files: Vec<String> = logs(&pod).iter().map(Source::file).collect();
        assert_eq!(
            files,
            ["pods/p_init.log", "pods/p_main.log", "pods/p_main.previous.log"]
        );
    }

    #[test]
    fn objects_are_found_in_a_manifest() {
        let spec = json!([{"apiVersion": "v1", "kind": "A"}, {"items": [{"apiVersion": "v1", "kind": "B"}]}]);
        assert_eq!(objects(&spec).len(), 2);
    }
}
