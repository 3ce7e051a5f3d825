//! The effects around static pods: serving them to the kubelet, and seeing what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use node_resources::k8s::{Nodename, StaticPod, StaticPodServerStatus, StaticPodStatus};
use node_resources::secrets::KubernetesSecrets;
use resource::{All, Context, One, Outcome, Outputs, Reconcile};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clients::cri::{Cri, PodSandboxState};
use crate::static_pod_server;

/// Serves the list of pods on a loopback port that is the node's own choice.
///
/// A pod that changes is another pod for the kubelet, which starts it when the old one has ended. If it knows both
/// already it waits ten to fifteen seconds more, so it is told of the new one when the old one is gone.
pub struct StaticPodServer {
    cri: Cri,
    running: Option<(String, watch::Sender<Vec<Value>>, JoinHandle<()>)>,
    served: Served,
}

/// What the kubelet is told, by the ids of pods.
#[derive(Default)]
struct Served(BTreeMap<String, Serving>);

/// How far a pod is.
enum Serving {
    /// The kubelet is told of it; the identity it has.
    Now(String),
    /// The kubelet is to end the one with this identity; since when, and since when nothing of it runs.
    Ending(String, Instant, Option<Instant>),
}

/// Time between two looks at a pod that ends.
const LOOK: Duration = Duration::from_millis(100);
/// How long the kubelet is at work on a pod after its last process ended.
const TIDYING: Duration = Duration::from_millis(1500);
/// A pod that takes longer to end is the kubelet's to wait for.
const ENDING: Duration = Duration::from_secs(60);

impl StaticPodServer {
    /// One that asks this runtime what runs.
    pub fn new(cri: Cri) -> Self {
        Self {
            cri,
            running: None,
            served: Served::default(),
        }
    }

    async fn url(&mut self) -> anyhow::Result<(String, &watch::Sender<Vec<Value>>)> {
        if self.running.is_none() {
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .context("listen for the kubelet's static pods")?;
            let url = format!("http://{}", listener.local_addr()?);
            let (sender, receiver) = watch::channel(Vec::new());
            self.running = Some((url, sender, tokio::spawn(static_pod_server::serve(listener, receiver))));
        }
        let (url, sender, _) = self.running.as_ref().context("the server of static pods runs")?;
        Ok((url.clone(), sender))
    }

    /// Identities of the pods of which something runs; none if nobody can tell.
    async fn alive(&self) -> Option<BTreeSet<String>> {
        let sandboxes = self.cri.sandboxes().await.ok()?;
        let ready = sandboxes
            .into_iter()
            .filter(|sandbox| sandbox.state() == PodSandboxState::SandboxReady);
        Some(ready.filter_map(|sandbox| Some(sandbox.metadata?.uid)).collect())
    }
}

impl Served {
    /// Takes note of what is wanted from now on.
    fn want(&mut self, wanted: &BTreeMap<String, Value>, now: Instant) {
        self.0.retain(|id, _| wanted.contains_key(id));
        for (id, pod) in wanted {
            let uid = identity(pod);
            let serving = self.0.entry(id.clone()).or_insert_with(|| Serving::Now(uid.to_owned()));
            if let Serving::Now(old) = serving
                && old != uid
            {
                *serving = Serving::Ending(std::mem::take(old), now, None);
            }
        }
    }

    fn is_waiting(&self) -> bool {
        self.0.values().any(|serving| matches!(serving, Serving::Ending(..)))
    }

    /// Lets those through whose predecessor has ended. `alive` are the identities of which something runs, if somebody can
    /// tell.
    fn look(&mut self, wanted: &BTreeMap<String, Value>, alive: Option<&BTreeSet<String>>, now: Instant) {
        for (id, serving) in &mut self.0 {
            let Serving::Ending(old, since, gone) = serving else {
                continue;
            };
            match alive {
                Some(alive) if !alive.contains(old) => _ = gone.get_or_insert(now),
                _ => *gone = None,
            }
            let ended = gone.is_some_and(|gone| now.duration_since(gone) >= TIDYING);
            if ended || now.duration_since(*since) >= ENDING {
                *serving = Serving::Now(wanted.get(id).map(identity).unwrap_or_default().to_owned());
            }
        }
    }

    /// The pods to tell the kubelet of.
    fn told(&self, wanted: &BTreeMap<String, Value>) -> Vec<Value> {
        let now = |id: &String| matches!(self.0.get(id), Some(Serving::Now(_)));
        let told = wanted.iter().filter(|(id, _)| now(id));
        told.map(|(_, pod)| pod.clone()).collect()
    }
}

fn identity(pod: &Value) -> &str {
    pod["metadata"]["uid"].as_str().unwrap_or_default()
}

/// The pod with an identity of our own: what the kubelet makes of a pod differs between its versions, and a new kubelet
/// would start every pod of the control plane again.
fn with_identity(pod: &Value, node: &str) -> Value {
    let mut pod = pod.clone();
    if identity(&pod).is_empty() {
        let digest = Sha256::digest(format!("{node}\n{pod}"));
        let uid: String = digest
            .iter()
            .take(UID_BYTES)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        pod["metadata"]["uid"] = uid.into();
    }
    pod
}

/// As many bytes of a digest as the kubelet takes for an identity.
const UID_BYTES: usize = 16;

impl Reconcile for StaticPodServer {
    type Inputs = (All<StaticPod>, One<Nodename>);
    type Outputs = Outputs<StaticPodServerStatus>;

    async fn reconcile(
        &mut self,
        (pods, nodename): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        let wanted: BTreeMap<String, Value> = pods
            .iter()
            .map(|(id, pod)| (id.to_owned(), with_identity(&pod.0, &nodename.nodename)))
            .collect();
        self.served.want(&wanted, Instant::now());
        if self.served.is_waiting() {
            let alive = self.alive().await;
            self.served.look(&wanted, alive.as_ref(), Instant::now());
        }
        let (told, waiting) = (self.served.told(&wanted), self.served.is_waiting());
        let (url, sender) = self.url().await?;
        sender.send_if_modified(|current| {
            let changed = *current != told;
            *current = told;
            changed
        });
        let outcome = Outcome::done(Outputs::one("static-pod-server-status", StaticPodServerStatus { url }));
        Ok(if waiting { outcome.requeue(LOOK) } else { outcome })
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(image: &str, node: &str) -> Value {
        with_identity(
            &json!({"metadata": {"name": "kube-apiserver"}, "spec": {"image": image}}),
            node,
        )
    }

    fn uid(pod: &Value) -> String {
        identity(pod).to_owned()
    }

    impl Served {
        fn next(
            &mut self,
            wanted: &BTreeMap<String, Value>,
            alive: Option<&BTreeSet<String>>,
            now: Instant,
        ) -> Vec<Value> {
            self.want(wanted, now);
            self.look(wanted, alive, now);
            self.told(wanted)
        }
    }

    #[test]
    fn a_pod_has_an_identity_of_its_content_and_its_node() {
        assert_eq!(pod("a:1", "cp-1"), pod("a:1", "cp-1"));
        assert_ne!(uid(&pod("a:1", "cp-1")), uid(&pod("a:2", "cp-1")));
        assert_ne!(uid(&pod("a:1", "cp-1")), uid(&pod("a:1", "cp-2")));
        assert_eq!(uid(&pod("a:1", "cp-1")).len(), 2 * UID_BYTES);
        let own = with_identity(&json!({"metadata": {"uid": "mine"}}), "cp-1");
        assert_eq!(uid(&own), "mine");
    }

    #[test]
    fn a_changed_pod_is_told_of_when_the_old_one_has_ended() {
        let wanted = |image: &str| BTreeMap::from([("apiserver".to_owned(), pod(image, "cp-1"))]);
        let alive = |image: &str| BTreeSet::from([uid(&pod(image, "cp-1"))]);
        let (mut served, start) = (Served::default(), Instant::now());
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(served.next(&wanted("a:1"), None, start), [pod("a:1", "cp-1")]);
        assert_eq!(served.next(&wanted("a:1"), Some(&alive("a:1")), after(1)).len(), 1);

        assert!(served.next(&wanted("a:2"), Some(&alive("a:1")), after(2)).is_empty());
        assert!(served.is_waiting());
        assert!(served.next(&wanted("a:2"), Some(&BTreeSet::new()), after(3)).is_empty());
        // Nobody can tell, so nothing is known to have ended.
        assert!(served.next(&wanted("a:2"), None, after(4)).is_empty());
        assert!(served.next(&wanted("a:2"), Some(&BTreeSet::new()), after(5)).is_empty());
        assert_eq!(
            served.next(&wanted("a:2"), Some(&BTreeSet::new()), after(7)),
            [pod("a:2", "cp-1")]
        );
        assert!(!served.is_waiting());

        // One that does not end is left to the kubelet.
        assert!(served.next(&wanted("a:3"), Some(&alive("a:2")), after(8)).is_empty());
        assert_eq!(
            served.next(&wanted("a:3"), Some(&alive("a:2")), after(68)),
            [pod("a:3", "cp-1")]
        );
        assert!(served.next(&BTreeMap::new(), None, after(69)).is_empty());
        assert!(!served.is_waiting());
    }

    #[test]
    fn a_pod_that_goes_back_to_what_it_was_is_told_of_again() {
        let wanted = |image: &str| BTreeMap::from([("apiserver".to_owned(), pod(image, "cp-1"))]);
        let (mut served, start) = (Served::default(), Instant::now());
        served.next(&wanted("a:1"), None, start);
        assert!(served.next(&wanted("a:2"), None, start).is_empty());
        let old = BTreeSet::from([uid(&pod("a:1", "cp-1"))]);
        assert!(served.next(&wanted("a:1"), Some(&old), start).is_empty());
        let later = start + ENDING;
        assert_eq!(
            served.next(&wanted("a:1"), Some(&BTreeSet::new()), later),
            [pod("a:1", "cp-1")]
        );
    }
}
