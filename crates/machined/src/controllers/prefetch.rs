//! Images before they are asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use node_resources::k8s::{APIServerConfig, BootstrapManifestsConfig, ControllerManagerConfig, SchedulerConfig};
use node_resources::v1alpha1::Service;
use resource::{All, Context, Outcome, Reconcile};
use tokio::task::JoinHandle;

use crate::clients::cri::Cri;

/// How long one image may take. The kubelet pulls what is missing then, and says so.
const LIMIT: Duration = Duration::from_secs(300);

/// Pulls the images of the control plane's pods, and of those a new cluster begins with, as soon as containerd answers,
/// while etcd and the kubelet are still being started: a new control plane would wait for them otherwise. The API
/// server's comes first, since all others wait for it. What cannot be pulled is left to the kubelet, which tries again
/// and tells of it.
pub struct ControlPlaneImages {
    cri: Cri,
    asked: BTreeSet<String>,
    pulling: Option<JoinHandle<()>>,
}

impl ControlPlaneImages {
    /// Pulls through a containerd.
    pub fn new(cri: Cri) -> Self {
        Self {
            cri,
            asked: BTreeSet::new(),
            pulling: None,
        }
    }
}

impl Reconcile for ControlPlaneImages {
    type Inputs = (
        All<Service>,
        All<APIServerConfig>,
        All<ControllerManagerConfig>,
        All<SchedulerConfig>,
        All<BootstrapManifestsConfig>,
    );
    type Outputs = ();

    async fn reconcile(
        &mut self,
        (services, servers, managers, schedulers, manifests): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<()>> {
        if !services.get("containerd").is_some_and(|s| s.healthy) {
            return Ok(Outcome::unchanged());
        }
        let servers = servers.iter().map(|(_, server)| &server.image);
        let managers = managers.iter().filter(|(_, m)| m.enabled).map(|(_, m)| &m.image);
        let schedulers = schedulers.iter().filter(|(_, s)| s.enabled).map(|(_, s)| &s.image);
        let manifests = manifests.iter().flat_map(|(_, manifests)| {
            [
                (manifests.flannel_enabled, &manifests.flannel_image),
                (manifests.proxy_enabled, &manifests.proxy_image),
                (manifests.core_dns_enabled, &manifests.core_dns_image),
            ]
        });
        let manifests = manifests.filter_map(|(enabled, image)| enabled.then_some(image));
        let wanted = servers.chain(managers).chain(schedulers).chain(manifests);
        let images: Vec<String> = wanted.filter(|i| self.asked.insert((*i).clone())).cloned().collect();
        if images.is_empty() {
            return Ok(Outcome::done(()));
        }
        let (cri, before) = (self.cri.clone(), self.pulling.take());
        self.pulling = Some(tokio::spawn(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            for image in images {
                if let Err(error) = pull(&cri, &image).await {
                    tracing::info!(image, error = format!("{error:#}"), "left to the kubelet");
                }
            }
        }));
        Ok(Outcome::done(()))
    }

    async fn stop(&mut self, _: &Context) {
        if let Some(pulling) = self.pulling.take() {
            pulling.abort();
        }
    }
}

async fn pull(cri: &Cri, image: &str) -> anyhow::Result<()> {
    if cri.image(image).await?.is_some() {
        return Ok(());
    }
    tokio::time::timeout(LIMIT, cri.pull_image(image))
        .await
        .with_context(|| format!("pull {image} within {} s", LIMIT.as_secs()))?
}
