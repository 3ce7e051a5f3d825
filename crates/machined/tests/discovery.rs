//! Nodes and the real discovery service: finding each other, a service that forgets, one that lies, and leaving.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use discovery::listen::{self, Bounds, Port};
use discovery::metrics::Metrics;
use discovery::service::{Rules, Service};
use discovery::store::Store as ServiceStore;
use discovery::time::Clock;
use discovery_client::Key;
use discovery_client::proto::client as wire;
use discovery_client::proto::server::AffiliateUpdateRequest;
use discovery_client::proto::server::cluster_client::ClusterClient;
use machined::controllers::discovery::{ClusterRaw, members, merged};
use machined::controllers::discovery_service::{self, Way};
use machined::controllers::trust::Distribution;
use node_resources::cluster::{Affiliate, DiscoveryConfig, Identity, Member};
use node_resources::config::{MachineConfig, MachineKind};
use node_resources::keelson::DiscoveryServiceStatus;
use resource::types::Bytes;
use resource::{Graph, Scope, Spec, Store};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

const CLUSTER: &str = "the-cluster";
const SECRET: [u8; 32] = [7; 32];
/// Connecting again is tried with growing pauses, and the machines that test are slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// A service without a disk.
struct Running {
    store: Arc<ServiceStore>,
    address: SocketAddr,
    cancel: CancellationToken,
    serving: JoinHandle<()>,
}

impl Running {
    /// Knows nobody, and listens on this address.
    async fn start(address: SocketAddr) -> Running {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (clock, metrics) = (Clock::start(), Arc::new(Metrics::default()));
        let store = Arc::new(ServiceStore::in_memory(1 << 20));
        let service = Service::new(store.clone(), metrics.clone(), clock, Rules::default());
        let (cancel, bounds) = (CancellationToken::new(), Bounds::new(100, metrics, clock));
        let serving = tokio::spawn(listen::serve(
            listener,
            Port::Grpc(service, None),
            bounds,
            cancel.clone(),
        ));
        Running {
            store,
            address,
            cancel,
            serving,
        }
    }

    async fn anywhere() -> Running {
        Running::start("127.0.0.1:0".parse().unwrap()).await
    }

    /// Ends it; what it knew is lost.
    async fn stop(self) -> SocketAddr {
        self.store.dismiss();
        self.cancel.cancel();
        self.serving.await.unwrap();
        self.address
    }

    fn knows(&self) -> usize {
        self.store.list(CLUSTER).len()
    }

    /// Shows these data under a name.
    async fn show(&self, id: &str, data: Vec<u8>) {
        let mut client = ClusterClient::connect(format!("http://{}", self.address))
            .await
            .unwrap();
        let update = AffiliateUpdateRequest {
            cluster_id: CLUSTER.into(),
            affiliate_id: id.into(),
            affiliate_data: Some(data.into()),
            affiliate_endpoints: vec![],
            ttl: Some(Duration::from_secs(60).try_into().unwrap()),
        };
        client.affiliate_update(update).await.unwrap();
    }
}

/// The part of a node that is about discovery.
struct Node {
    store: Store,
    way: Way,
    _stop: DropGuard,
}

impl Node {
    fn start(id: &str, service: SocketAddr) -> Node {
        let store = Store::default();
        node_resources::register(&store);
        let own = Affiliate {
            node_id: id.to_owned(),
            hostname: format!("{id}.example"),
            nodename: id.to_owned(),
            addresses: vec!["10.0.0.9".parse().unwrap()],
            machine_type: MachineKind::Worker,
            ..Affiliate::default()
        };
        store.put("test", id, own, "sample").unwrap();
        let identity = Identity { node_id: id.to_owned() };
        store.put("test", "local", identity, "sample").unwrap();
        let config = MachineConfig("version: v1alpha1\n".to_owned());
        store.put("test", "v1alpha1", config, "sample").unwrap();
        let config = DiscoveryConfig {
            discovery_enabled: true,
            registry_service_enabled: true,
            service_endpoint: service.to_string(),
            service_endpoint_insecure: true,
            service_encryption_key: Bytes(SECRET.to_vec()),
            service_cluster_id: CLUSTER.to_owned(),
            ..DiscoveryConfig::default()
        };
        store.put("test", "cluster", config, "sample").unwrap();
        let way = Way::new(Distribution::of(""));
        let controllers = Graph::new()
            .shared::<Affiliate>(Affiliate::NAMESPACE)
            .reconcile("service", discovery_service::Service::new(way.clone()))
            .derive("merge", merged)
            .derive("members", members)
            .build()
            .unwrap();
        let cancel = CancellationToken::new();
        tokio::spawn(controllers.run(store.clone(), cancel.clone()));
        Node {
            store,
            way,
            _stop: cancel.drop_guard(),
        }
    }

    fn members(&self) -> Vec<String> {
        let members = self.store.list::<Member>();
        members.iter().map(|member| member.id().to_owned()).collect()
    }

    fn status(&self) -> DiscoveryServiceStatus {
        let status = self.store.get::<DiscoveryServiceStatus>("service");
        status.map(|status| status.spec().clone()).unwrap_or_default()
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn said(id: &str) -> wire::Affiliate {
    wire::Affiliate {
        node_id: id.to_owned(),
        nodename: id.to_owned(),
        ..wire::Affiliate::default()
    }
}

#[tokio::test]
async fn members_outlive_a_service_that_is_away_and_come_back_to_one_that_forgot_them() {
    let service = Running::anywhere().await;
    let (one, two) = (Node::start("one", service.address), Node::start("two", service.address));
    for node in [&one, &two] {
        until("both are members", || node.members() == ["one", "two"]).await;
    }
    let raw = one
        .store
        .table::<Affiliate>()
        .in_namespace(<ClusterRaw as Scope<Affiliate>>::NAMESPACE)
        .list();
    assert_eq!(raw.len(), 1);
    assert_eq!((raw[0].id(), raw[0].hostname.as_str()), ("service/two", "two.example"));
    assert_eq!(raw[0].addresses, ["10.0.0.9".parse::<std::net::IpAddr>().unwrap()]);

    let address = service.stop().await;
    until("the loss is told", || {
        !one.status().connected && !one.status().error.is_empty()
    })
    .await;
    assert_eq!(one.members(), ["one", "two"]);

    let service = Running::start(address).await;
    until("both said again who they are", || service.knows() == 2).await;
    until("both are connected", || {
        one.status().connected && two.status().connected
    })
    .await;
    assert_eq!((one.members().len(), two.members().len()), (2, 2));
    for node in [&one, &two] {
        let history = node.store.history(Some(Member::TYPE), None, None, usize::MAX);
        let lost = history
            .iter()
            .filter(|c| c.kind == resource::ChangeKind::Destroyed)
            .count();
        assert_eq!(lost, 0, "a member was lost in between");
    }
}

#[tokio::test]
async fn what_a_lying_service_shows_is_ignored_and_reported() {
    let service = Running::anywhere().await;
    let (key, other) = (Key::new(&SECRET).unwrap(), Key::new(&[8; 32]).unwrap());
    let honest = key.seal_affiliate(&said("honest"), [1; 12]).unwrap();
    service.show("honest", honest.clone()).await;
    service
        .show("broken", b"nothing that anybody has sealed, and long enough".to_vec())
        .await;
    service
        .show("foreign", other.seal_affiliate(&said("foreign"), [2; 12]).unwrap())
        .await;
    service.show("liar", honest).await;
    let node = Node::start("one", service.address);
    until("all are looked at", || {
        node.status().ignored.len() == 3 && node.members().len() == 2
    })
    .await;
    assert_eq!(node.members(), ["honest", "one"]);
    let status = node.status();
    let ignored: Vec<&str> = status.ignored.iter().map(|i| i.id.as_str()).collect();
    assert_eq!(ignored, ["broken", "foreign", "liar"]);
    assert!(status.ignored[2].reason.contains("honest"), "{status:?}");
    assert!(status.connected && status.affiliates == 1, "{status:?}");
}

#[tokio::test]
async fn a_node_that_leaves_is_gone_at_once_and_another_can_be_forgotten() {
    let service = Running::anywhere().await;
    let (one, two) = (Node::start("one", service.address), Node::start("two", service.address));
    let vanished = Key::new(&SECRET).unwrap().seal_affiliate(&said("vanished"), [3; 12]);
    service.show("vanished", vanished.unwrap()).await;
    until("three are members", || one.members() == ["one", "two", "vanished"]).await;
    assert!(one.way.forget(&one.store, "vanished").await.unwrap());
    assert!(
        one.way.forget(&one.store, "vanished").await.unwrap(),
        "again is no error"
    );
    two.way.leave(&two.store).await.unwrap();
    until("one is alone", || one.members() == ["one"]).await;
    // A change of its own does not bring the node that left back.
    let mut own = two.store.get::<Affiliate>("two").unwrap().spec().clone();
    own.hostname = "changed".to_owned();
    two.store.put("test", "two", own, "changed").unwrap();
    until("two stopped talking", || {
        two.store.get::<DiscoveryServiceStatus>("service").is_none()
    })
    .await;
    assert_eq!((service.knows(), one.members()), (1, vec!["one".to_owned()]));
}
