//! The effect that serves static pods to the kubelet.

use anyhow::Context as _;
use resource::{All, Context, Outcome, Outputs, Reconcile};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::resources::k8s::{StaticPod, StaticPodServerStatus};
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
            let listener = TcpListener::bind("127.0.0.1:0").await.context("listen for the kubelet's static pods")?;
            let url = format!("http://{}", listener.local_addr()?);
            let (sender, receiver) = watch::channel(Vec::new());
            self.running = Some((url, sender, tokio::spawn(static_pod_server::serve(listener, receiver))));
        }
        let Some((url, sender, _)) = &self.running else { return Ok(Outcome::unchanged()) };
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
