//! The tables of `config::effect` are true: every field that is said to have an effect changes something that the node
//! derives from its configuration, and no field of the schema is forgotten.
//!
//! The samples below set everything. Each field is taken out in turn, and the derivations run again; effects do not.
#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use config::effect::{field_has_effect, field_is_fixed, kind_has_effect};
use config::generate::{Contract, Input};
use config::schema::types::Described as _;
use config::schema::{Shape, Struct};
use config::{Config, Mode};
use machined::clients::cri::Cri;
use machined::controllers::{self, World, trust};
use machined::events::Events;
use machined::logs::Logs;
use machined::sequence::Sequencer;
use machined::services::sandbox::SandboxRunner;
use machined::services::supervisor::Supervisor;
use node_resources::cluster::Identity;
use node_resources::config::MachineConfig;
use node_resources::k8s::StaticPodServerStatus;
use node_resources::keelson::{FileSetStatus, HostCapability};
use node_resources::network::{AddressStatus, HostnameStatus};
use node_resources::secrets::{EtcdSecrets, KubernetesDynamicCerts, KubernetesSecrets};
use resource::{Controllers, Store};
use serde_json::Value;
use tokio::sync::watch;

/// Fields whose effect is not a derivation's: what reads them instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("version", "says only how to read the document"),
    ("debug", "runtime.VerbosityController"),
    ("machine.files[].permissions", "files.MachineFilesController"),
    ("machine.files[].op", "files.MachineFilesController"),
    (
        "machine.network.hostname",
        "network.HostnameSpecController's output stands in for it here",
    ),
    (
        "machine.features.stableHostname",
        "a name is configured in the sample; see hostname.rs",
    ),
    ("cluster.adminKubeconfig.certLifetime", "secrets.KubernetesController"),
    (
        "cluster.network.cni.flannel.extraArgs",
        "the sample has another network plugin",
    ),
    (
        "cluster.network.cni.flannel.kubeNetworkPoliciesEnabled",
        "the sample has another network plugin",
    ),
    ("cluster.secret", "the sample switches the discovery service off"),
    (
        "cluster.discovery.registries.service.endpoint",
        "the sample switches the discovery service off",
    ),
    (
        "cluster.extraManifestHeaders",
        "k8s.ExtraManifestController; shown by name",
    ),
    ("machine.kubelet.registerWithFQDN", "the sample's node has no domain"),
    (
        "HostnameConfig.auto",
        "a name is configured in the sample; see hostname.rs",
    ),
    ("KubeAPIServerCAConfig.issuingCA.crt", "the same as cert"),
    ("KubeAggregatorCAConfig.issuingCA.crt", "the same as cert"),
    ("RegistryTLSConfig.clientIdentity.crt", "the same as cert"),
    ("DiscoveryServiceConfig.name", "a name among documents"),
    ("KubeNodeConfig.registerWithFQDN", "the sample's node has no domain"),
    (
        "KubeExternalManifestConfig.headers",
        "k8s.ExtraManifestController; shown by name",
    ),
    ("RegistryAuthConfig.identityToken", "containerd's file"),
];

/// Beside what a new cluster's configuration has.
const MAIN: &str = include_str!("effects/main.yaml");
/// Documents of every kind with an effect, with every field.
const DOCUMENTS: &str = include_str!("effects/documents.yaml");

fn controllers(folder: &Path) -> Controllers {
    let events = Events::default();
    let (sequencer, _requests) = Sequencer::new(events.clone());
    let runner = Arc::new(SandboxRunner::new(None, watch::channel(None).1));
    let world = World {
        supervisor: Supervisor::new(runner, events.clone(), Logs::in_directory(folder)),
        events,
        sequencer,
        puller: watch::channel(None).0,
        cri: Cri::new(&folder.join("containerd.sock")),
        state: folder.to_owned(),
        distribution: trust::Distribution::of(""),
        discovery: controllers::discovery_service::Way::new(trust::Distribution::of("")),
        verbosity: Arc::new(|_| {}),
    };
    controllers::graph(&world).build().unwrap()
}

/// A store with what the effects of a running control plane report.
fn store() -> Store {
    let store = Store::default();
    node_resources::register(&store);
    fn put<S: resource::Spec>(store: &Store, id: &str, spec: S) {
        store.put("test", id, spec, "sample").unwrap();
    }
    let hostname = HostnameStatus {
        hostname: "one".to_owned(),
        ..HostnameStatus::default()
    };
    put(&store, "hostname", hostname);
    for text in ["10.5.0.2/24", "10.6.0.2/24", "10.9.0.2/24"] {
        let address = AddressStatus {
            address: text.parse().unwrap(),
            link_name: "eth0".to_owned(),
            ..AddressStatus::default()
        };
        put(&store, &format!("eth0/{text}"), address);
    }
    put(
        &store,
        "local",
        Identity {
            node_id: "abc".to_owned(),
        },
    );
    let host = HostCapability {
        mode: "container".to_owned(),
        ..HostCapability::default()
    };
    put(&store, "host", host);
    let server = StaticPodServerStatus {
        url: "http://127.0.0.1:1".to_owned(),
    };
    put(&store, "static-pod-server-status", server);
    put(&store, "etcd", EtcdSecrets::default());
    put(&store, "k8s-dynamic-certs", KubernetesDynamicCerts::default());
    put(&store, "k8s-certs", KubernetesSecrets::default());
    for set in [
        "containerd",
        "kubelet",
        "etcd",
        "kubernetes-config",
        "kube-apiserver-secrets",
        "kube-controller-manager-secrets",
        "kube-scheduler-secrets",
        "kubernetes-secrets-read-anew",
    ] {
        let version = "1".to_owned();
        put(&store, set, FileSetStatus { version });
    }
    store
}

/// Paths of all leaves of a schema: items of lists are `[]`, values of maps `.*`.
fn leaves(schema: &'static Struct, prefix: &str, depth: usize, out: &mut Vec<String>) {
    for field in schema.fields {
        let mut path = if prefix.is_empty() {
            field.name.to_owned()
        } else {
            format!("{prefix}.{}", field.name)
        };
        if !field_has_effect(&path, Mode::Container) || field_is_fixed(&path) || depth > 8 {
            continue;
        }
        match field.shape.inner_struct() {
            None => out.push(path),
            Some(inner) => {
                let mut shape = &field.shape;
                loop {
                    match shape {
                        Shape::List(item) => (shape, path) = (item, path + "[]"),
                        Shape::Map(item) => (shape, path) = (item, path + ".*"),
                        _ => break,
                    }
                }
                leaves(inner, &path, depth + 1, out);
            }
        }
    }
}

/// Takes out what is at a path; false if there is nothing.
fn remove(value: &mut Value, steps: &[&str]) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        return false;
    };
    if *step == "*" {
        let values = value.as_object_mut().into_iter().flat_map(|map| map.values_mut());
        return values.map(|value| remove(value, rest)).filter(|found| *found).count() > 0;
    }
    let (key, items) = match step.strip_suffix("[]") {
        Some(key) => (key, true),
        None => (*step, false),
    };
    let Some(map) = value.as_object_mut() else { return false };
    match (items, rest.is_empty()) {
        (_, true) => map.remove(key).is_some(),
        (false, false) => map.get_mut(key).is_some_and(|inner| remove(inner, rest)),
        (true, false) => {
            let items = map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten();
            items.map(|item| remove(item, rest)).filter(|found| *found).count() > 0
        }
    }
}

fn merge(onto: &mut Value, from: Value) {
    match (onto, from) {
        (Value::Object(onto), Value::Object(from)) => {
            for (key, value) in from {
                merge(onto.entry(key).or_insert(Value::Null), value);
            }
        }
        (onto, from) => *onto = from,
    }
}

fn documents(text: &str) -> Vec<Value> {
    k8s::yaml::documents(text.as_bytes()).unwrap()
}

/// JSON is YAML.
fn stream(documents: &[Value]) -> String {
    documents.iter().map(|d| format!("---\n{d}\n")).collect()
}

/// The main document of a new cluster's control plane.
fn generated() -> Value {
    let secrets = config::secrets::SecretsBundle::generate(SystemTime::now(), Contract::CURRENT).unwrap();
    let input = Input::new("demo", "https://10.5.0.2:6443").unwrap();
    let config = config::generate::controlplane(&input, &secrets).unwrap();
    let text = String::from_utf8(config.encode()).unwrap();
    documents(&text).into_iter().next().unwrap()
}

struct Proof {
    controllers: Controllers,
    /// With everything derived from the whole sample.
    store: Store,
    whole: Vec<Value>,
}

impl Proof {
    fn new(whole: Vec<Value>, folder: &Path) -> Self {
        let config = Config::decode(stream(&whole).as_bytes()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(config.without_effect(Mode::Container), Vec::<String>::new());
        let controllers = controllers(folder);
        let store = store();
        store
            .put("", "v1alpha1", MachineConfig(stream(&whole)), "sample")
            .unwrap();
        let (_, errors) = controllers.plan(&store, |_| Ok(())).unwrap();
        // What fails with the whole sample would fail without a field of it too, and prove nothing.
        assert_eq!(errors, Vec::<String>::new());
        Self {
            controllers,
            store,
            whole,
        }
    }

    /// Why it is not proved that a field of a document has an effect.
    fn doubt(&self, document: usize, path: &str) -> Option<&'static str> {
        let mut without = self.whole.clone();
        let steps: Vec<&str> = path.split('.').collect();
        if !remove(&mut without[document], &steps) {
            return Some("the sample does not set it");
        }
        let text = stream(&without);
        if Config::decode(text.as_bytes()).is_err() {
            return None;
        }
        let (changes, errors) = self
            .controllers
            .plan(&self.store, |store| {
                store.put("", "v1alpha1", MachineConfig(text), "without").map(drop)
            })
            .unwrap();
        let changed = changes
            .iter()
            .any(|change| !change.at.ty.starts_with("MachineConfigs."));
        (!changed && errors.is_empty()).then_some("nothing that the node derives depends on it")
    }
}

fn report(doubts: Vec<String>) {
    assert!(doubts.is_empty(), "without a proved effect:\n{}", doubts.join("\n"));
}

fn inside() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn every_field_of_the_main_document_that_claims_an_effect_has_one() {
    let runtime = inside();
    let _inside = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let mut main = generated();
    for field in [
        &["machine", "install"][..],
        &["machine", "features", "diskQuotaSupport"],
    ] {
        remove(&mut main, field);
    }
    merge(&mut main, documents(MAIN).remove(0));
    let proof = Proof::new(vec![main], folder.path());
    let mut paths = Vec::new();
    leaves(config::v1alpha1::Config::STRUCT, "", 0, &mut paths);
    assert!(paths.len() > 100, "{paths:?}");
    let elsewhere = |path: &String| ELSEWHERE.iter().any(|(known, _)| known == path);
    let doubts = paths
        .iter()
        .filter(|path| !elsewhere(path))
        .filter_map(|path| Some(format!("{path}: {}", proof.doubt(0, path)?)));
    report(doubts.collect());
}

#[test]
fn every_field_of_the_documents_that_claim_an_effect_has_one() {
    let runtime = inside();
    let _inside = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let mut main = generated();
    for field in [
        "machine.install",
        "machine.features",
        "cluster.apiServer",
        "cluster.controllerManager",
    ] {
        remove(&mut main, &field.split('.').collect::<Vec<_>>());
    }
    let mut whole = vec![main];
    whole.extend(documents(DOCUMENTS));
    let accounts = whole
        .iter_mut()
        .find(|d| d["kind"] == "KubeServiceAccountConfig")
        .unwrap();
    let key = pki::service_account_key(false).unwrap();
    accounts["issuer"]["privateKey"] = key.expose_str().unwrap().into();
    let proof = Proof::new(whole, folder.path());
    let mut doubts = Vec::new();
    for schema in config::model::KINDS {
        let Some(kind) = schema.kind.as_ref().map(|kind| kind.kind) else {
            continue;
        };
        if !kind_has_effect(kind, Mode::Container) {
            continue;
        }
        let Some(at) = proof.whole.iter().position(|document| document["kind"] == kind) else {
            doubts.push(format!("{kind}: the sample has no such document"));
            continue;
        };
        let mut paths = Vec::new();
        leaves(schema, kind, 0, &mut paths);
        for path in paths {
            if ELSEWHERE.iter().any(|(known, _)| *known == path) {
                continue;
            }
            let inner = path.strip_prefix(&format!("{kind}.")).unwrap();
            if let Some(doubt) = proof.doubt(at, inner) {
                doubts.push(format!("{path}: {doubt}"));
            }
        }
    }
    report(doubts);
}
