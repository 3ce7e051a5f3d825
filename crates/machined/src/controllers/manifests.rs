//! The effect that applies manifests: what is absent is created, what a user changed is left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use k8s::Client;
use node_resources::k8s::{Manifest, ManifestStatus};
use node_resources::keelson::ManifestProblem;
use node_resources::secrets::KubernetesSecrets;
use node_resources::v1alpha1::Service;
use resource::{All, Context, One, Outcome, Outputs, Reconcile, Spec, Store};
use sha2::{Digest, Sha256};

use crate::clients;
use crate::version::NAME;

/// Time between two tries while the API server starts.
const RETRY: Duration = Duration::from_millis(200);
/// Longest time between two tries of manifests that are refused.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// How many refused objects of a manifest are named.
const SHOWN: usize = 3;

/// A client of this node's API server as administrator; `None` where the node holds no such secret.
pub fn admin_client(store: &Store) -> Option<anyhow::Result<Client>> {
    let secrets = store.list::<KubernetesSecrets>().into_iter().next()?;
    Some(client(&secrets))
}

/// A client with the node's own kubeconfig.
pub(super) fn client(secrets: &KubernetesSecrets) -> anyhow::Result<Client> {
    clients::kubernetes::from_kubeconfig(secrets.localhost_admin_kubeconfig.as_bytes())
        .context("use the node's own kubeconfig")
}

/// Applies manifests in the order of their ids. One that is refused does not hold up the others: an object may need
/// a definition that another brings, or be wrong for good.
#[derive(Default)]
pub struct Apply {
    /// Manifests that were applied, with a hash of what they said.
    applied: BTreeMap<String, [u8; 32]>,
    /// What was told last of those that were refused.
    told: BTreeMap<String, String>,
    failures: u32,
}

impl Apply {
    async fn apply(&mut self, client: &Client, manifests: &All<Manifest>) -> BTreeMap<String, String> {
        let mut refused = BTreeMap::new();
        for (id, manifest) in manifests.iter() {
            let hash: [u8; 32] = Sha256::digest(manifest.to_yaml()).into();
            if self.applied.get(id) == Some(&hash) {
                continue;
            }
            match create(client, manifest).await {
                Ok(()) => drop(self.applied.insert(id.to_owned(), hash)),
                Err(error) => drop(refused.insert(id.to_owned(), error)),
            }
        }
        for (id, error) in &refused {
            if self.told.get(id) != Some(error) {
                tracing::warn!("manifest {id} is not applied yet: {error}");
            }
        }
        self.told.clone_from(&refused);
        refused
    }
}

/// Creates what is absent of all objects; the errors of the first few that are refused.
async fn create(client: &Client, manifest: &Manifest) -> Result<(), String> {
    let mut errors = Vec::new();
    for object in &manifest.0 {
        if let Err(error) = client.create_if_absent(object, &NAME.to_lowercase()).await {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            errors.push(format!(
                "{} {:?}: {error}",
                text(&object["kind"]),
                text(&object["metadata"]["name"])
            ));
        }
    }
    let more = errors.len().saturating_sub(SHOWN);
    errors.truncate(SHOWN);
    if more > 0 {
        errors.push(format!("and {more} more"));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors.join("; "))
    }
}

impl Reconcile for Apply {
    type Inputs = (All<Manifest>, One<KubernetesSecrets>, All<Service>);
    type Outputs = (Outputs<ManifestStatus>, Outputs<ManifestProblem>);

    async fn reconcile(
        &mut self,
        (manifests, secrets, services): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        if !services.get("etcd").is_some_and(|s| s.healthy) || manifests.is_empty() {
            return Ok(Outcome::unchanged());
        }
        self.applied.retain(|id, _| manifests.get(id).is_some());
        let client = client(&secrets)?;
        if client.raw("/readyz").await.is_err() {
            return Ok(Outcome::unchanged().requeue(RETRY));
        }
        let refused = self.apply(&client, &manifests).await;
        let status = ManifestStatus {
            manifests_applied: self.applied.keys().cloned().collect(),
        };
        let problem = |(id, error): (&String, &String)| {
            let problem = ManifestProblem {
                stage: "apply".to_owned(),
                error: error.clone(),
            };
            (id.clone(), problem)
        };
        let problems = refused.iter().map(problem).collect();
        let outcome = Outcome::done((Outputs::one("manifests", status), problems));
        if refused.is_empty() {
            self.failures = 0;
            return Ok(outcome);
        }
        self.failures = self.failures.saturating_add(1);
        Ok(outcome.requeue(RETRY.saturating_mul(1 << self.failures.min(16)).min(LONGEST_RETRY)))
    }
}
