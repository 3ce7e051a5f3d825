//! When a worker's kubelet can join its cluster.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use http::Method;
use k8s::{Auth, Client, Options};
use resource::{Context, One, Outcome, Outputs, Reconcile};
use serde_json::json;

use super::nodes::KUBECONFIG;
use crate::clients;
use crate::kubernetes::pki::BootstrapToken;
use crate::resources::config::{MachineKind, MachineType};
use crate::resources::keelson::KubeletJoin;
use crate::resources::secrets::KubeletSecrets;
use crate::resources::types::AcceptedCA;

/// Time between two questions.
const RETRY: Duration = Duration::from_millis(100);
/// How long one question may take: the balancer holds a connection while no API server answers.
const LIMIT: Duration = Duration::from_secs(5);

/// Asks the cluster whether a kubelet with the bootstrap token may ask for a certificate. A kubelet that is refused
/// waits longer and longer before it asks again, so one that starts before the cluster knows the token joins many
/// seconds after it could.
#[derive(Default)]
pub struct Join {
    client: Option<(KubeletSecrets, Client)>,
}

impl Reconcile for Join {
    type Inputs = (One<MachineType>, One<KubeletSecrets>);
    type Outputs = Outputs<KubeletJoin>;

    async fn reconcile(
        &mut self,
        (kind, secrets): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        let ready = Outcome::done(Outputs::one("kubelet", KubeletJoin { ready: true }));
        // A control plane signs its kubelet's credentials itself; a node that has joined keeps its own.
        if kind.0 == MachineKind::ControlPlane || Path::new(KUBECONFIG).exists() {
            return Ok(ready);
        }
        if self.client.as_ref().is_none_or(|(from, _)| *from != *secrets) {
            self.client = Some(((*secrets).clone(), client(&secrets)?));
        }
        let Some((_, client)) = &self.client else {
            return Ok(Outcome::unchanged());
        };
        if may_join(client).await {
            self.client = None;
            return Ok(ready);
        }
        Ok(Outcome::done(Outputs::one("kubelet", KubeletJoin { ready: false })).requeue(RETRY))
    }
}

fn client(secrets: &KubeletSecrets) -> anyhow::Result<Client> {
    let ca = AcceptedCA::bundle(&secrets.accepted_cas);
    let token = BootstrapToken::new(&secrets.bootstrap_token_id, &secrets.bootstrap_token_secret);
    let mut options = Options::new(secrets.endpoint.to_string(), &ca, Auth::Token(token.text()?));
    options.timeout = LIMIT;
    clients::kubernetes::with(options).context("use the cluster's bootstrap token")
}

/// Asks for the right that joining takes. Whatever goes wrong here passes when the cluster is up.
async fn may_join(client: &Client) -> bool {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "group": "certificates.k8s.io",
            "resource": "certificatesigningrequests",
            "verb": "create",
        }},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    match client.request(Method::POST, path, Some(&review)).await {
        Ok(answer) => answer["status"]["allowed"] == true,
        Err(_) => false,
    }
}
