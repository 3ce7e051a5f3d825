//! Manifests that stand somewhere else: fetched, read, and handed on to be applied with the others.
//!
//! A manifest is fetched once, and again when its URL or headers change or the node starts. What cannot be fetched or
//! read is tried again with growing pauses, and told as a [`ManifestProblem`] until it works.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::MachineType;
use config::view::{self, Cni};
use node_resources::config::MachineConfig;
use node_resources::k8s::Manifest;
use node_resources::keelson::ManifestProblem;
use node_resources::network::NetworkStatus;
use resource::{Context, One, Outcome, Outputs, Reconcile};
use serde_json::Value;

use super::trust::Distribution;
use crate::clients::http::Fetch;
use crate::kubernetes::manifests as render;
use crate::machine_config::parsed;

/// Largest manifest. etcd takes objects of 1.5 MiB; the largest bundles of definitions in use have a few of those.
const LIMIT: usize = 8 << 20;
/// Longest time one fetch may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// Pause after the first failure; it doubles with each further one …
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A manifest to fetch.
#[derive(Clone, PartialEq, Eq, Default)]
struct Wanted {
    url: String,
    headers: BTreeMap<String, String>,
}

/// What the configuration wants fetched, by manifest id: the network plugin's first.
fn wanted(config: &config::Config) -> BTreeMap<String, Wanted> {
    if config.machine_type() != Some(MachineType::ControlPlane) {
        return BTreeMap::new();
    }
    let network = match view::cni(config) {
        Cni::Custom(urls) => urls,
        Cni::Flannel(_) | Cni::None => Vec::new(),
    };
    // The headers of extraManifestHeaders are for extraManifests; a network plugin's URLs get none.
    let network = network.into_iter().map(|url| {
        let id = render::extra_id(&url, true);
        (
            id,
            Wanted {
                url,
                ..Wanted::default()
            },
        )
    });
    let others = view::manifests(config).external.into_iter().map(|manifest| {
        let id = render::extra_id(&manifest.url, false);
        let wanted = Wanted {
            url: manifest.url,
            headers: manifest.headers,
        };
        (id, wanted)
    });
    network.chain(others).collect()
}

/// One manifest on its way.
struct Source {
    wanted: Wanted,
    state: State,
}

enum State {
    Fetched(Vec<Value>),
    Waiting {
        failures: u32,
        next: Instant,
        error: String,
    },
}

/// Fetches manifests.
pub struct ExtraManifests {
    distribution: Distribution,
    sources: BTreeMap<String, Source>,
}

impl ExtraManifests {
    /// With nothing fetched yet.
    pub fn new(distribution: Distribution) -> Self {
        Self {
            distribution,
            sources: BTreeMap::new(),
        }
    }

    /// Forgets what is no longer wanted, or wanted in another way.
    fn plan(&mut self, wanted: BTreeMap<String, Wanted>, now: Instant) {
        let mut old = std::mem::take(&mut self.sources);
        for (id, wanted) in wanted {
            let kept = old.remove(&id).filter(|source| source.wanted == wanted);
            let source = kept.unwrap_or(Source {
                wanted,
                state: State::Waiting {
                    failures: 0,
                    next: now,
                    error: String::new(),
                },
            });
            self.sources.insert(id, source);
        }
    }

    /// Fetches all that are due, side by side: a server that does not answer holds nobody up.
    async fn fetch(&mut self, fetch: &Fetch) {
        let now = Instant::now();
        let due = self.sources.iter_mut().filter_map(|(id, source)| match source.state {
            State::Waiting { failures, next, .. } if next <= now => Some((id, source, failures)),
            _ => None,
        });
        let attempts = due.map(|(id, source, failures)| async move {
            let wanted = &source.wanted;
            source.state = match read(fetch, id, wanted).await {
                Ok(objects) => {
                    tracing::info!(manifest = id, objects = objects.len(), "fetched");
                    State::Fetched(objects)
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    let pause = pause(failures);
                    tracing::warn!("manifest {error}; the next try is in {} s", pause.as_secs());
                    State::Waiting {
                        failures: failures.saturating_add(1),
                        next: Instant::now() + pause,
                        error,
                    }
                }
            };
        });
        futures::future::join_all(attempts).await;
    }

    fn outcome(&self) -> Outcome<(Outputs<Manifest>, Outputs<ManifestProblem>)> {
        let (mut manifests, mut problems) = (Outputs::none(), Outputs::none());
        let mut next: Option<Instant> = None;
        for (id, source) in &self.sources {
            match &source.state {
                State::Fetched(objects) => manifests.insert(id.clone(), Manifest(objects.clone())),
                State::Waiting { next: at, error, .. } => {
                    next = Some(next.map_or(*at, |next| next.min(*at)));
                    let problem = ManifestProblem {
                        stage: "fetch".to_owned(),
                        error: error.clone(),
                    };
                    problems.insert(id.clone(), problem);
                }
            }
        }
        let outcome = Outcome::done((manifests, problems));
        match next {
            Some(at) => outcome.requeue(at.saturating_duration_since(Instant::now())),
            None => outcome,
        }
    }
}

async fn read(fetch: &Fetch, id: &str, wanted: &Wanted) -> anyhow::Result<Vec<Value>> {
    let text = fetch.get(&wanted.url, &wanted.headers).await?;
    Ok(render::parse(id, &wanted.url, &text)?.objects)
}

fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE)
}

impl Reconcile for ExtraManifests {
    type Inputs = (One<MachineConfig>, One<NetworkStatus>);
    type Outputs = (Outputs<Manifest>, Outputs<ManifestProblem>);

    async fn reconcile(
        &mut self,
        (config, network): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        if !network.address_ready {
            return Ok(Outcome::unchanged());
        }
        let config = parsed(&config)?;
        self.plan(wanted(&config), Instant::now());
        if self.sources.is_empty() {
            return Ok(self.outcome());
        }
        let tls = rustls::ClientConfig::builder()
            .with_root_certificates(self.distribution.roots(&config)?)
            .with_no_client_auth();
        let fetch = Fetch {
            tls: Arc::new(tls),
            limit: LIMIT,
            deadline: DEADLINE,
        };
        self.fetch(&fetch).await;
        Ok(self.outcome())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "version: v1alpha1
machine:
    type: controlplane
cluster:
    network:
        cni:
            name: custom
            urls: [https://a.example/cni.yaml]
    externalCloudProvider:
        enabled: true
        manifests: [https://b.example/cloud.yaml]
    extraManifests: [https://c.example/extra.yaml]
    extraManifestHeaders: {Token: abc}
---
apiVersion: v1alpha1
kind: KubeExternalManifestConfig
name: more
url: http://d.example/more.yaml
headers: {Other: def}
";

    fn config(text: &str) -> Arc<config::Config> {
        parsed(&MachineConfig(text.to_owned())).unwrap()
    }

    #[test]
    fn every_place_that_names_urls_counts_and_the_network_plugin_comes_first() {
        let wanted = wanted(&config(CONFIG));
        let headers = |id: &str| wanted[id].headers.keys().cloned().collect::<Vec<_>>().join(",");
        let ids: Vec<&str> = wanted.keys().map(String::as_str).collect();
        assert_eq!(
            ids,
            [
                "05-https://a.example/cni.yaml",
                "99-http://d.example/more.yaml",
                "99-https://b.example/cloud.yaml",
                "99-https://c.example/extra.yaml",
            ]
        );
        assert_eq!(headers("05-https://a.example/cni.yaml"), "");
        assert_eq!(headers("99-https://c.example/extra.yaml"), "Token");
        assert_eq!(headers("99-http://d.example/more.yaml"), "Other");
        let worker = CONFIG.replace("controlplane", "worker");
        assert!(super::wanted(&config(&worker)).is_empty());
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let seconds: Vec<u64> = [0, 1, 5, 6, 7, u32::MAX].map(|n| pause(n).as_secs()).into();
        assert_eq!(seconds, [1, 2, 32, 60, 60, 60]);
    }

    #[test]
    fn what_was_fetched_stays_until_it_is_wanted_in_another_way() {
        let mut extra = ExtraManifests::new(Distribution::of(""));
        let now = Instant::now();
        extra.plan(wanted(&config(CONFIG)), now);
        let id = "99-https://c.example/extra.yaml";
        extra.sources.get_mut(id).unwrap().state = State::Fetched(vec![]);
        extra.plan(wanted(&config(CONFIG)), now);
        assert!(matches!(extra.sources[id].state, State::Fetched(_)));
        extra.plan(wanted(&config(&CONFIG.replace("abc", "xyz"))), now);
        assert!(matches!(extra.sources[id].state, State::Waiting { .. }));
        extra.plan(BTreeMap::new(), now);
        assert!(extra.sources.is_empty());
    }
}
