//! The effect that applies bootstrap manifests: what is absent is created, what a user changed is left alone.

use std::time::Duration;

use anyhow::Context as _;
use k8s::Client;
use resource::{All, Context, One, Outcome, Outputs, Reconcile, Spec, Store};

use crate::clients;
use crate::resources::k8s::{Manifest, ManifestStatus};
use crate::resources::secrets::KubernetesSecrets;
use crate::resources::v1alpha1::Service;
use crate::version::NAME;

/// Time between two tries while the API server starts.
const RETRY: Duration = Duration::from_millis(200);

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

/// Applies manifests in the order of their ids.
#[derive(Default)]
pub struct Apply {
    applied: Option<(Vec<(String, String)>, ManifestStatus)>,
}

impl Reconcile for Apply {
    type Inputs = (All<Manifest>, One<KubernetesSecrets>, All<Service>);
    type Outputs = Outputs<ManifestStatus>;

    async fn reconcile(
        &mut self,
        (manifests, secrets, services): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        if !services.get("etcd").is_some_and(|s| s.healthy) || manifests.is_empty() {
            return Ok(Outcome::unchanged());
        }
        let key: Vec<(String, String)> = manifests.iter().map(|(id, m)| (id.to_owned(), m.to_yaml())).collect();
        if let Some((done, status)) = &self.applied
            && *done == key
        {
            return Ok(Outcome::done(Outputs::one("manifests", status.clone())));
        }
        let client = client(&secrets)?;
        if client.raw("/readyz").await.is_err() {
            return Ok(Outcome::unchanged().requeue(RETRY));
        }
        let mut names = Vec::new();
        for (id, manifest) in manifests.iter() {
            for object in &manifest.0 {
                client
                    .create_if_absent(object, &NAME.to_lowercase())
                    .await
                    .with_context(|| format!("apply manifest {id}"))?;
            }
            names.push(id.to_owned());
        }
        let status = ManifestStatus {
            manifests_applied: names,
        };
        self.applied = Some((key, status.clone()));
        Ok(Outcome::done(Outputs::one("manifests", status)))
    }
}
