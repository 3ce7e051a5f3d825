//! The effects around static pods: serving them to the kubelet, and seeing what became of them.

use std::time::Duration;

use anyhow::Context as _;
use resource::{All, Context, One, Outcome, Outputs, Reconcile};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::resources::k8s::{Nodename, StaticPod, StaticPodServerStatus, StaticPodStatus};
use crate::resources::secrets::KubernetesSecrets;
use crate::static_pod_server;

/// Serves the list of pods on a loopback port that is the node's own choice.
#[derive(Default)]
pub struct StaticPodServer {
    running: Option<(String, watch::Sender<Vec<Value>>, JoinHandle<()>)>,
}

impl Reconcile for StaticPodServer {
    type Inputs = (All<StaticPod>,);
    type Outputs = Outputs<StaticPodServerStatus>;

    async fn reconcile(&mut self, (pods,): Self::Inputs, _: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        if self.running.is_none() {
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .context("listen for the kubelet's static pods")?;
            let url = format!("http://{}", listener.local_addr()?);
            let (sender, receiver) = watch::channel(Vec::new());
            self.running = Some((url, sender, tokio::spawn(static_pod_server::serve(listener, receiver))));
        }
        let Some((url, sender, _)) = &self.running else {
            return Ok(Outcome::unchanged());
        };
        sender.send_replace(pods.iter().map(|(_, pod)| pod.0.clone()).collect());
        let status = StaticPodServerStatus { url: url.clone() };
        Ok(Outcome::done(Outputs::one("static-pod-server-status", status)))
    }

    async fn stop(&mut self, _: &Context) {
        if let Some((_, _, task)) = self.running.take() {
            task.abort();
        }
    }
}

/// Time between two looks at the pods: while one is not ready, and when all are.
const POLL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Reports the status of this node's static pods, as the API server has it.
#[derive(Default)]
pub struct StaticPodStatuses {
    client: Option<(KubernetesSecrets, k8s::Client)>,
}

impl Reconcile for StaticPodStatuses {
    type Inputs = (All<StaticPod>, One<Nodename>, One<KubernetesSecrets>);
    type Outputs = Outputs<StaticPodStatus>;

    async fn reconcile(
        &mut self,
        (pods, nodename, secrets): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        if self.client.as_ref().is_none_or(|(made_from, _)| made_from != &*secrets) {
            self.client = Some(((*secrets).clone(), super::manifests::client(&secrets)?));
        }
        let Some((_, client)) = &self.client else {
            return Ok(Outcome::unchanged());
        };
        // While the API server starts there is nobody to ask; what was seen last still stands.
        let Ok(list) = client
            .list(&k8s::resources::PODS, None, &own_pods(&nodename.nodename))
            .await
        else {
            return Ok(Outcome::unchanged().requeue(POLL.0));
        };
        let statuses: Outputs<StaticPodStatus> = list.items.iter().filter_map(status).collect();
        let ready = |s: &StaticPodStatus| super::machine_status::is_ready(&s.0);
        let settled = statuses.len() >= pods.len() && statuses.iter().all(|(_, s)| ready(s));
        Ok(Outcome::done(statuses).requeue(if settled { POLL.1 } else { POLL.0 }))
    }
}

fn own_pods(node: &str) -> k8s::ListOptions {
    k8s::ListOptions {
        fields: format!("spec.nodeName={node}"),
        ..k8s::ListOptions::default()
    }
}

/// Id and status of a pod that came from the node itself.
fn status(pod: &Value) -> Option<(String, StaticPodStatus)> {
    let metadata = &pod["metadata"];
    metadata["annotations"].get("kubernetes.io/config.mirror")?;
    let id = format!("{}/{}", metadata["namespace"].as_str()?, metadata["name"].as_str()?);
    Some((id, StaticPodStatus(pod["status"].clone())))
}
