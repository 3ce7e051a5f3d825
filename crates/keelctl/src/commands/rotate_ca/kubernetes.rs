//! What a rotation looks at and does in Kubernetes.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use api::client::Client;
use api::proto::machine::ReadRequest;
use cluster_health::kube::{has_address, is_ready, rolled_out};
use config::authority::same;
use futures::StreamExt as _;
use k8s::resources;
use k8s::{DeleteOptions, ListOptions, Patch};
use pki::cert_info;
use serde_json::{Value, json};

use super::nodes::{Access, Goal, resource, service_is_healthy, wait};
use crate::commands::kubeconfig;
use crate::session::{Target, failed};

/// How long one question may take.
const CALL_LIMIT: Duration = Duration::from_secs(15);
const NAMESPACE: &str = "kube-system";
/// The config map by which pods learn of the authority, in every namespace.
const ROOT_CA: &str = "kube-root-ca.crt";
/// The annotation of pods by which the node restarts them when their secrets change.
const SECRETS_VERSION: &str = "talos.dev/secrets-version";
/// Why workloads of the system were restarted: their template names the authority.
const RESTARTED_FOR: &str = "keelson.dev/restarted-for-authority";

/// Kubernetes with the administrator's rights, as the node hands them out now.
pub async fn client(access: &Access, control_plane: &str, endpoint: Option<&str>) -> Result<k8s::Client> {
    let target = Target {
        node: control_plane.to_owned(),
        client: access.node(control_plane),
    };
    kubeconfig::client(&target, endpoint, CALL_LIMIT).await
}

/// Whether a control plane's pods run with the certificates of the goal, and its kubelet too. Gives the versions
/// of the secrets that they run with.
pub async fn control_plane(client: &Client, kubernetes: &k8s::Client, node: &str, goal: Goal<'_>) -> Result<String> {
    let secrets = "secrets";
    let root = resource(client, secrets, "KubernetesRootSecrets.secrets.talos.dev", "k8s").await?;
    goal.accepted(&root["acceptedCAs"])?;
    let certs = "KubernetesDynamicCerts.secrets.talos.dev";
    let certs = resource(client, secrets, certs, "k8s-dynamic-certs").await?;
    goal.issued("the certificate of the API server", &certs["apiServer"]["crt"])?;
    let files = "FileSetStatuses.files.keelson.dev";
    let files = resource(client, "files", files, "kubernetes-secrets-read-anew").await?;
    let seen = resource(client, "k8s", "APIServerFiles.k8s.keelson.dev", "kube-apiserver").await?;
    ensure!(
        seen["version"] == files["version"],
        "the API server has not read its new certificates yet"
    );
    let options = ListOptions {
        labels: "tier=control-plane".into(),
        ..ListOptions::default()
    };
    let pods = kubernetes
        .list(&resources::PODS, Some(NAMESPACE), &options)
        .await?
        .items;
    let ours = |pod: &&Value| !text(&pod["metadata"]["annotations"][SECRETS_VERSION]).is_empty();
    let own = pods.iter().filter(|pod| pod["status"]["hostIP"] == *node);
    let own: Vec<&Value> = own.filter(ours).collect();
    ensure!(!own.is_empty(), "there are no pods of the control plane");
    let mut versions = text(&files["version"]).to_owned();
    for pod in own {
        let name = text(&pod["metadata"]["name"]);
        let id = text(&pod["metadata"]["labels"]["k8s-app"]);
        let wanted = resource(client, "k8s", "StaticPods.kubernetes.talos.dev", id).await?;
        let wanted = &wanted["metadata"]["annotations"][SECRETS_VERSION];
        let current = pod["metadata"]["annotations"][SECRETS_VERSION] == *wanted;
        ensure!(current, "pod {name} has not restarted with its new certificates yet");
        ensure!(is_ready(pod), "pod {name} is not ready");
        versions += text(wanted);
    }
    Ok(versions)
}

/// Whether a node's kubelet has credentials of the goal's authority, and trusts the others.
pub async fn kubelet(client: &Client, kubernetes: &k8s::Client, node: &str, goal: Goal<'_>) -> Result<String> {
    let secrets = resource(client, "secrets", "KubeletSecrets.secrets.talos.dev", "kubelet").await?;
    goal.accepted(&secrets["acceptedCAs"])?;
    let join = resource(client, "k8s", "KubeletJoins.k8s.keelson.dev", "kubelet").await?;
    let wanted = cert_info(goal.issuing)?.fingerprint;
    ensure!(
        join["authority"] == wanted,
        "the kubelet has no certificate of the authority yet"
    );
    service_is_healthy(client, "kubelet").await?;
    let nodes = kubernetes
        .list(&resources::NODES, None, &ListOptions::default())
        .await?
        .items;
    let own = nodes.iter().find(|known| has_address(known, node));
    let own = own.context("Kubernetes does not know the node")?;
    ensure!(is_ready(own), "Kubernetes says that the node is not ready");
    Ok(join["version"].as_str().unwrap_or_default().to_owned())
}

/// Whether pods of every namespace can read the authority.
pub async fn published(kubernetes: &k8s::Client, crt: &[u8]) -> Result<()> {
    let namespaces = kubernetes
        .list(&resources::NAMESPACES, None, &ListOptions::default())
        .await?;
    for namespace in namespaces.items.iter().filter(|n| n["status"]["phase"] == "Active") {
        let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
        let map = kubernetes.get(&resources::CONFIG_MAPS, Some(name), ROOT_CA).await?;
        let text = map["data"]["ca.crt"].as_str().unwrap_or_default();
        ensure!(
            holds(text.as_bytes(), crt),
            "the config map {ROOT_CA} of {name} does not have the new authority yet"
        );
    }
    Ok(())
}

fn holds(bundle: &[u8], crt: &[u8]) -> bool {
    let all = pki::pem::certificates(bundle).unwrap_or_default();
    all.iter()
        .any(|der| same(pki::pem::encode(pki::pem::CERTIFICATE, der).as_bytes(), crt))
}

/// Restarts what runs in kube-system, as its own strategy of updates allows, so that it reads the authorities anew:
/// most clients of Kubernetes read them at their start only. Once for each authority.
pub async fn restart_system(access: &Access, kubernetes: &k8s::Client, crt: &[u8]) -> Result<()> {
    let fingerprint: String = cert_info(crt)?.fingerprint.chars().take(16).collect();
    let template = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_FOR: fingerprint}}}}});
    for kind in [&resources::DAEMON_SETS, &resources::DEPLOYMENTS] {
        let found = kubernetes.list(kind, Some(NAMESPACE), &ListOptions::default()).await?;
        for object in found.items {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            if object["spec"]["template"]["metadata"]["annotations"][RESTARTED_FOR] == *fingerprint {
                continue;
            }
            let patch = Patch::Merge(template.clone());
            let patched = kubernetes.patch(kind, Some(NAMESPACE), name, None, &patch).await;
            patched.with_context(|| format!("restart {name}"))?;
        }
    }
    let mut seen = BTreeSet::new();
    wait("the workloads of kube-system to restart", async || {
        reread(access, kubernetes, &fingerprint, crt, &mut seen).await?;
        for kind in [&resources::DAEMON_SETS, &resources::DEPLOYMENTS] {
            for object in kubernetes
                .list(kind, Some(NAMESPACE), &ListOptions::default())
                .await?
                .items
            {
                rolled_out(&kind.kind, &object)?;
            }
        }
        Ok(())
    })
    .await
}

/// A kubelet may give a new pod what it knew a moment ago. Such a pod is deleted, so that it comes again.
async fn reread(
    access: &Access,
    kubernetes: &k8s::Client,
    fingerprint: &str,
    crt: &[u8],
    seen: &mut BTreeSet<String>,
) -> Result<()> {
    let pods = kubernetes
        .list(&resources::PODS, Some(NAMESPACE), &ListOptions::default())
        .await?;
    for pod in &pods.items {
        let (uid, name) = (text(&pod["metadata"]["uid"]), text(&pod["metadata"]["name"]));
        let ours = pod["metadata"]["annotations"][RESTARTED_FOR] == *fingerprint;
        if !ours || pod["status"]["phase"] != "Running" || seen.contains(uid) {
            continue;
        }
        let Some(path) = authority_file(pod) else { continue };
        let node = access.node(text(&pod["status"]["hostIP"]));
        // A file that cannot be read (the pod just ended, or is on a node that is not ours) tells nothing.
        if let Ok(bundle) = read(&node, path).await
            && !holds(&bundle, crt)
        {
            let options = DeleteOptions::default();
            let deleted = kubernetes.delete(&resources::PODS, Some(NAMESPACE), name, &options);
            deleted.await.with_context(|| format!("restart pod {name}"))?;
        }
        seen.insert(uid.to_owned());
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The file on the node that a pod reads the authority from, if it is given one.
fn authority_file(pod: &Value) -> Option<String> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let volume = volumes.into_iter().find(|volume| {
        let sources = volume["projected"]["sources"].as_array().into_iter().flatten();
        sources.into_iter().any(|source| source["configMap"]["name"] == ROOT_CA)
    })?;
    Some(format!(
        "/var/lib/kubelet/pods/{}/volumes/kubernetes.io~projected/{}/ca.crt",
        text(&pod["metadata"]["uid"]),
        text(&volume["name"])
    ))
}

async fn read(client: &Client, path: String) -> Result<Vec<u8>> {
    let call = async {
        let mut stream = client.machine().read(ReadRequest { path }).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend(piece?.bytes);
        }
        Ok(bytes)
    };
    let answer = tokio::time::timeout(CALL_LIMIT, call).await.context("no answer")?;
    answer.map_err(|status: tonic::Status| failed(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_the_authority_is_found_by_the_pods_volumes() {
        let pod = json!({
            "metadata": {"uid": "u"},
            "spec": {"volumes": [{"name": "x", "emptyDir": {}}, {"name": "kube-api-access-1", "projected": {"sources": [
                {"serviceAccountToken": {}}, {"configMap": {"name": ROOT_CA}},
            ]}}]},
        });
        let path = authority_file(&pod).unwrap();
        assert!(
            path.ends_with("/pods/u/volumes/kubernetes.io~projected/kube-api-access-1/ca.crt"),
            "{path}"
        );
        assert_eq!(authority_file(&json!({"metadata": {"uid": "u"}})), None);
    }
}
