//! `inject serviceaccount`: pods that may use the machine API.
//!
//! For every workload of the manifests it adds a `ServiceAccount` of the machine API, which has the node make a secret
//! with a client configuration, and mounts that secret where clients look for it.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::cli::machine::{Inject, InjectAction};
use crate::commands::reading::{self, kind};
use crate::output::print_bytes;

/// Where clients in pods look for their configuration (`config` in this folder).
const FOLDER: &str = "/var/run/secrets/talos.dev";
/// Volume of the secret in pods, and the end of the secret's name.
const VOLUME: &str = "talos-secrets";

/// Runs `inject`.
pub fn run(command: &Inject) -> Result<()> {
    let InjectAction::ServiceAccount { file, roles } = &command.command;
    let text = reading::text(file, kind::MANIFESTS)?;
    let documents = k8s::yaml::documents(text.as_bytes()).with_context(|| format!("read {file}"))?;
    let injected = service_accounts(documents, roles).with_context(|| format!("inject into {file}"))?;
    for (index, document) in injected.iter().enumerate() {
        if index > 0 {
            print_bytes(b"---\n")?;
        }
        print_bytes(k8s::yaml::encode(document)?.expose())?;
    }
    Ok(())
}

/// The documents with access for every workload among them.
fn service_accounts(documents: Vec<Value>, roles: &[String]) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    let mut workloads = 0;
    for mut document in documents {
        let Some(path) = pod_spec(document["kind"].as_str().unwrap_or_default()) else {
            out.push(document);
            continue;
        };
        let kind = document["kind"].as_str().unwrap_or_default().to_owned();
        let name = document["metadata"]["name"].as_str();
        let name = name
            .with_context(|| format!("a {kind} has no name (metadata.name)"))?
            .to_owned();
        let secret = format!("{name}-{VOLUME}");
        let mut account = json!({
            "apiVersion": "talos.dev/v1alpha1",
            "kind": "ServiceAccount",
            "metadata": {"name": secret},
            "spec": {"roles": roles},
        });
        if let Some(namespace) = document["metadata"].get("namespace") {
            account["metadata"]["namespace"] = namespace.clone();
        }
        let spec = document
            .pointer_mut(path)
            .with_context(|| format!("{kind} {name:?} has no pod ({path})"))?;
        mount(spec, &secret).with_context(|| format!("{kind} {name:?}"))?;
        out.extend([account, document]);
        workloads += 1;
    }
    if workloads == 0 {
        bail!("there is no workload among the manifests (a Pod, Deployment, StatefulSet, DaemonSet, Job, …)");
    }
    Ok(out)
}

/// Where a kind of workload has its pod, as a JSON pointer.
fn pod_spec(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some("/spec"),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            Some("/spec/template/spec")
        }
        "CronJob" => Some("/spec/jobTemplate/spec/template/spec"),
        _ => None,
    }
}

/// Mounts the secret in every container of a pod; one that was mounted before is mounted anew.
fn mount(pod: &mut Value, secret: &str) -> Result<()> {
    replace(
        list(pod, "volumes")?,
        json!({"name": VOLUME, "secret": {"secretName": secret}}),
    );
    for key in ["initContainers", "containers"] {
        if pod.get(key).is_none() {
            continue;
        }
        for container in list(pod, key)? {
            let mount = json!({"name": VOLUME, "mountPath": FOLDER, "readOnly": true});
            replace(list(container, "volumeMounts")?, mount);
        }
    }
    Ok(())
}

/// The list below a key of an object, made if it is missing.
fn list<'a>(object: &'a mut Value, key: &str) -> Result<&'a mut Vec<Value>> {
    let object = object.as_object_mut().context("is not an object")?;
    let value = object.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!([]);
    }
    value.as_array_mut().with_context(|| format!("{key} is not a list"))
}

fn replace(items: &mut Vec<Value>, item: Value) {
    items.retain(|other| other["name"] != item["name"]);
    items.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFESTS: &[u8] = b"apiVersion: v1
kind: Namespace
metadata: {name: tools}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: watcher, namespace: tools}
spec:
  template:
    spec:
      initContainers: [{name: init, image: a}]
      containers:
      - name: main
        image: b
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: main, image: c}]}}}}}
";

    fn injected() -> Vec<Value> {
        let roles = ["os:reader".to_owned(), "os:etcd:backup".to_owned()];
        service_accounts(k8s::yaml::documents(MANIFESTS).unwrap(), &roles).unwrap()
    }

    #[test]
    fn every_workload_gets_an_account_and_its_secret() {
        let all = injected();
        let kinds: Vec<_> = all.iter().map(|d| d["kind"].as_str().unwrap()).collect();
        assert_eq!(
            kinds,
            ["Namespace", "ServiceAccount", "Deployment", "ServiceAccount", "CronJob"]
        );
        assert_eq!(
            all[1],
            json!({
                "apiVersion": "talos.dev/v1alpha1",
                "kind": "ServiceAccount",
                "metadata": {"name": "watcher-talos-secrets", "namespace": "tools"},
                "spec": {"roles": ["os:reader", "os:etcd:backup"]},
            })
        );
        let pod = &all[2]["spec"]["template"]["spec"];
        assert_eq!(pod["volumes"][0]["name"], "data");
        assert_eq!(pod["volumes"][1]["secret"]["secretName"], "watcher-talos-secrets");
        for container in [&pod["initContainers"][0], &pod["containers"][0]] {
            let mounts = container["volumeMounts"].as_array().unwrap();
            let mount = mounts.iter().find(|m| m["name"] == VOLUME).unwrap();
            assert_eq!(mount["mountPath"], "/var/run/secrets/talos.dev");
        }
        let nightly = all[4].pointer("/spec/jobTemplate/spec/template/spec/volumes/0/name");
        assert_eq!(nightly.unwrap(), VOLUME);
        assert!(all[3]["metadata"].get("namespace").is_none());
    }

    #[test]
    fn what_was_injected_before_is_not_injected_twice() {
        let once = injected().remove(2);
        let twice = service_accounts(vec![once.clone()], &["os:reader".to_owned()]).unwrap();
        assert_eq!(twice[1], once);
    }

    #[test]
    fn manifests_without_a_workload_are_refused() {
        let documents = k8s::yaml::documents(b"kind: Namespace\nmetadata: {name: x}\n").unwrap();
        let error = service_accounts(documents, &[]).unwrap_err().to_string();
        assert!(error.contains("no workload"), "{error}");
    }
}
