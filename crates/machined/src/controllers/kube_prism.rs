//! The effect behind the local API balancer.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt;
use k8s::{Auth, Client, Error, Options};
use node_resources::k8s::{KubePrismConfig, KubePrismStatus};
use node_resources::keelson::KubernetesReached;
use node_resources::secrets::KubeletSecrets;
use node_resources::types::AcceptedCA;
use resource::{Context, One, Outcome, Outputs, Reconcile};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::balancer::{self, Health, Probe, Readiness, Upstreams};
use crate::logs::lock;

/// Runs the balancer on the configured port.
#[derive(Default)]
pub struct KubePrism {
    running: Option<Running>,
    /// There was an API server that was ready since the node started.
    reached: bool,
}

struct Running {
    address: SocketAddr,
    /// Authorities of the API servers' certificates, PEM.
    ca: Vec<u8>,
    upstreams: watch::Sender<Upstreams>,
    health: watch::Receiver<Health>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Reconcile for KubePrism {
    type Inputs = (One<KubePrismConfig>, One<KubeletSecrets>);
    type Outputs = (Outputs<KubePrismStatus>, Outputs<KubernetesReached>);

    async fn reconcile(
        &mut self,
        (config, secrets): Self::Inputs,
        cx: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        let port = u16::try_from(config.port).with_context(|| format!("{} is not a port", config.port))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let ca = AcceptedCA::bundle(&secrets.accepted_cas);
        if self.running.as_ref().is_none_or(|r| r.address != address || r.ca != ca) {
            self.running = None;
            self.running = Some(start(address, ca, cx).await?);
        }
        let Some(running) = &self.running else {
            return Ok(Outcome::unchanged());
        };
        let upstreams = upstreams(&config).await;
        running.upstreams.send_if_modified(|current| {
            let changed = *current != upstreams;
            *current = upstreams;
            changed
        });
        let healthy = running.health.borrow().values().any(|h| *h == Readiness::Yes);
        self.reached |= healthy;
        let status = KubePrismStatus {
            host: address.to_string(),
            healthy,
        };
        let reached = if self.reached {
            Outputs::one("kubernetes", KubernetesReached {})
        } else {
            Outputs::none()
        };
        Ok(Outcome::done((Outputs::one("k8s-loadbalancer", status), reached)))
    }

    async fn idle(&mut self, _: &Context) -> anyhow::Result<()> {
        self.running = None;
        Ok(())
    }
}

async fn start(address: SocketAddr, ca: Vec<u8>, cx: &Context) -> anyhow::Result<Running> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listen on {address} for the API balancer"))?;
    let (upstreams, receiver) = watch::channel(Upstreams::new());
    let (sender, health) = watch::channel(Health::new());
    let probe = readiness(ca.clone());
    let serving = tokio::spawn(async move {
        if let Err(error) = balancer::serve(listener, receiver, sender, probe).await {
            tracing::error!(%error, "the API balancer ended");
        }
    });
    let (mut changes, waker) = (health.clone(), cx.waker.clone());
    let watching = tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            waker.wake();
        }
    });
    Ok(Running {
        address,
        ca,
        upstreams,
        health,
        tasks: [serving, watching],
    })
}

/// A name that every API server's certificate has, whatever its address.
const NAME: &str = "kubernetes";
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Asks API servers for `/readyz`, as anybody may. One that wants to know who asks (401) does its work too; one that
/// forbids it (403) has not made the role yet that allows it.
pub(super) fn readiness(ca: Vec<u8>) -> Probe {
    let clients: Arc<Mutex<BTreeMap<SocketAddr, Client>>> = Arc::default();
    Arc::new(move |upstream| {
        let known = lock(&clients).get(&upstream).cloned();
        let client = known.or_else(|| {
            let options = Options {
                connect_to: Some(upstream),
                timeout: LIMIT,
                ..Options::new(format!("https://{NAME}"), &ca, Auth::Anonymous)
            };
            let client = Client::with(options).ok()?;
            lock(&clients).insert(upstream, client.clone());
            Some(client)
        });
        async move {
            let Some(client) = client else {
                return Readiness::No;
            };
            match client.raw("/readyz").await {
                Ok(_) | Err(Error::Unauthorized { .. }) => Readiness::Yes,
                Err(Error::Forbidden { .. }) => Readiness::WithoutRoles,
                Err(_) => Readiness::No,
            }
        }
        .boxed()
    })
}

/// Addresses of the endpoints; a name that does not resolve now is left out and tried again at the next change.
async fn upstreams(config: &KubePrismConfig) -> Upstreams {
    let mut found = Upstreams::new();
    for endpoint in &config.endpoints {
        let Ok(port) = u16::try_from(endpoint.port) else {
            continue;
        };
        let addresses: Vec<IpAddr> = match (endpoint.host.as_str(), endpoint.host.parse()) {
            ("localhost", _) => vec![Ipv4Addr::LOCALHOST.into()],
            (_, Ok(address)) => vec![address],
            (name, Err(_)) => crate::names::resolve(name).await.unwrap_or_default(),
        };
        for address in addresses {
            let upstream = SocketAddr::from((address, port));
            if !found.contains(&upstream) {
                found.push(upstream);
            }
        }
    }
    found
}
