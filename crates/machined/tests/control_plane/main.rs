//! A real control plane from what `machined::kubernetes` renders: every flag and file is accepted, every bootstrap
//! manifest applies, kubelets can join, secrets are encrypted, strangers see health and nothing else, services are reached and pods get a subnet.
//!
//! Runs as root in namespaces of its own, as the users that the static pods run as, with the programs of the
//! distribution's images (`cargo xtask dist`, or `$KEELSON_DIST`); without them it says so and passes.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod agents;
mod images;
mod kubelet;
mod node;

use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt;
use k8s::{ApplyOptions, Auth, Client, DeleteOptions, Error, Event, ListOptions, Patch, resources};
use machined::kubernetes::pki as certificates;
use node::{Node, SERVER};
use serde_json::{Value, json};

#[test]
fn a_control_plane_runs_on_what_is_rendered() {
    if !node::inside("a_control_plane_runs_on_what_is_rendered") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run());
}

async fn run() {
    let started = Instant::now();
    let mut node = Node::prepare();
    node.start_etcd().await;
    node.start_api_server().await;
    eprintln!("API server ready after {:?}", started.elapsed());
    node.start_controller_manager().await;
    node.start_scheduler().await;
    eprintln!("controller manager and scheduler healthy after {:?}", started.elapsed());
    let admin = Client::from_kubeconfig(node.admin_kubeconfig.expose()).unwrap();

    let account = || admin.get(&resources::SERVICE_ACCOUNTS, Some("default"), "default");
    until("the default service account", || async { account().await.is_ok() }).await;
    eprintln!("default service account after {:?}", started.elapsed());

    strangers_see_health_only(&node).await;
    static_pods_are_valid(&node, &admin).await;
    bootstrap_manifests_apply(&node, &admin).await;
    a_kubelet_joins(&node, &admin).await;
    the_client_does_what_it_says(&admin).await;
    node.secrets_are_encrypted();
    kubelet::accepts_its_configuration(&node);
    agents::services_are_reached(&mut node, &admin).await;
    agents::pods_get_a_subnet(&mut node).await;
    eprintln!("everything after {:?}", started.elapsed());
}

/// Waits for something that comes by itself.
async fn until<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: not in a minute");
}

async fn strangers_see_health_only(node: &Node) {
    let stranger = Client::new(SERVER, &node.kubernetes_ca, Auth::Anonymous).unwrap();
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(stranger.raw(path).await.unwrap(), "ok", "{path}");
    }
    for path in ["/version", "/api/v1/nodes"] {
        assert!(
            matches!(stranger.raw(path).await, Err(Error::Unauthorized { .. })),
            "{path}"
        );
    }
}

/// The API server checks a static pod only when the kubelet shows it, too late to be told what is wrong with it.
async fn static_pods_are_valid(node: &Node, admin: &Client) {
    let account = || admin.get(&resources::SERVICE_ACCOUNTS, Some("kube-system"), "default");
    until("the service account of the system", || async {
        account().await.is_ok()
    })
    .await;
    for pod in node.static_pods() {
        let applied = admin.apply(&pod, &ApplyOptions::new("talos").dry_run()).await;
        assert!(applied.is_ok(), "{}: {applied:?}", pod["metadata"]["name"]);
    }
}

async fn bootstrap_manifests_apply(node: &Node, admin: &Client) {
    let all = node.bootstrap_manifests();
    for manifest in &all {
        for object in &manifest.objects {
            let dry = ApplyOptions::new("talos").dry_run();
            // The namespace is there from the start; a dry run does not make kinds, but we apply none of those.
            let applied = admin.apply(object, &dry).await;
            assert!(
                applied.is_ok(),
                "{}: {} {}: {applied:?}",
                manifest.id,
                object["kind"],
                object["metadata"]["name"]
            );
        }
    }
    for object in all.iter().flat_map(|m| &m.objects) {
        assert!(admin.create_if_absent(object, "talos").await.unwrap(), "{object}");
        assert!(!admin.create_if_absent(object, "talos").await.unwrap());
        // Applying what was created must not conflict with ourselves.
        admin.apply(object, &ApplyOptions::new("talos").force()).await.unwrap();
    }
    let daemon_sets = admin
        .list(&resources::DAEMON_SETS, None, &ListOptions::default())
        .await
        .unwrap();
    assert_eq!(daemon_sets.items.len(), 2);
    // The new kind is found although it was not there when we first asked.
    let account = json!({"apiVersion": "talos.dev/v1alpha1", "kind": "ServiceAccount",
        "metadata": {"name": "a", "namespace": "default"}, "spec": {"roles": ["os:reader"]}});
    let options = ApplyOptions::new("talos");
    let applied = || admin.apply(&account, &options);
    until("the service account kind", || async { applied().await.is_ok() }).await;
}

/// With the bootstrap token alone a kubelet gets a certificate, and with that it may be a node.
async fn a_kubelet_joins(node: &Node, admin: &Client) {
    let text = certificates::kubelet_bootstrap_kubeconfig(SERVER, &node.kubernetes_ca, &node.token).unwrap();
    let bootstrap = Client::from_kubeconfig(text.expose()).unwrap();
    let key = pki::PrivateKey::generate(pki::KeyKind::EcdsaP256).unwrap();
    let csr = pki::Csr::create(&key, "system:node:w1", &["system:nodes".to_owned()], &[], &[]).unwrap();
    let request = json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "w1"},
        "spec": {
            "request": node::base64(&csr),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
        },
    });
    let requests = &resources::CERTIFICATE_SIGNING_REQUESTS;
    until("the token", || async {
        bootstrap.create(requests, None, &request).await.is_ok()
    })
    .await;
    let certificate = || async {
        let csr = admin.get(requests, None, "w1").await.unwrap();
        csr["status"]["certificate"].as_str().map(node::from_base64)
    };
    until("the kubelet's certificate", || async { certificate().await.is_some() }).await;
    let pair = pki::CertAndKey {
        crt: certificate().await.unwrap(),
        key: key.to_pem().unwrap(),
    };
    let kubelet = Client::new(SERVER, &node.kubernetes_ca, Auth::Certificate(pair)).unwrap();
    let named = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    kubelet.create(&resources::NODES, None, &named("w1")).await.unwrap();
    let other = kubelet.create(&resources::NODES, None, &named("other")).await;
    assert!(matches!(other, Err(Error::Forbidden { .. })), "{other:?}");
    let nodes = kubelet
        .list(&resources::NODES, None, &ListOptions::default())
        .await
        .unwrap();
    assert_eq!(nodes.items.len(), 1, "nodes may see each other");
}

async fn the_client_does_what_it_says(admin: &Client) {
    let maps = &resources::CONFIG_MAPS;
    let options = ListOptions {
        labels: "test=yes".into(),
        fields: String::new(),
    };
    let mut events = Box::pin(admin.watch(maps, Some("default"), &options));
    let mut next = async || {
        tokio::time::timeout(Duration::from_secs(10), events.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    };
    assert_eq!(next().await, Event::Listed(vec![]));

    let map = |data: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": data},
            "metadata": {"name": "m", "namespace": "default", "labels": {"test": "yes"}}})
    };
    let mine = ApplyOptions::new("mine");
    admin.apply(&map("1"), &mine).await.unwrap();
    assert!(matches!(next().await, Event::Applied(o) if o["data"]["a"] == "1"));
    let theirs = ApplyOptions::new("theirs");
    let conflict = admin.apply(&map("2"), &theirs).await;
    assert!(
        matches!(&conflict, Err(Error::Conflict { message, .. }) if message.contains("mine")),
        "{conflict:?}"
    );
    admin.apply(&map("2"), &theirs.clone().force()).await.unwrap();
    assert!(matches!(next().await, Event::Applied(o) if o["data"]["a"] == "2"));

    let patch = |patch| async move { admin.patch(maps, Some("default"), "m", None, &patch).await.unwrap() };
    assert_eq!(
        patch(Patch::Merge(json!({"data": {"b": "3"}}))).await["data"],
        json!({"a": "2", "b": "3"})
    );
    assert_eq!(
        patch(Patch::Strategic(json!({"data": {"b": null}}))).await["data"],
        json!({"a": "2"})
    );
    let replace = json!([{"op": "replace", "path": "/data/a", "value": "4"}]);
    let mut now: Value = patch(Patch::Json(replace)).await;
    assert_eq!(now["data"], json!({"a": "4"}));

    now["metadata"]["resourceVersion"] = "1".into();
    let stale = admin.update(maps, Some("default"), &now).await;
    assert!(matches!(stale, Err(Error::Conflict { .. })), "{stale:?}");
    let again = admin.create(maps, Some("default"), &map("1")).await;
    assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
    let invalid = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "NOT valid"}});
    assert!(matches!(
        admin.create(maps, None, &invalid).await,
        Err(Error::Invalid { .. })
    ));

    admin
        .delete(maps, Some("default"), "m", &DeleteOptions::default())
        .await
        .unwrap();
    while !matches!(next().await, Event::Deleted(_)) {}
    assert!(admin.get(maps, Some("default"), "m").await.unwrap_err().is_not_found());
    let unknown = json!({"apiVersion": "a.b/v1", "kind": "Nothing", "metadata": {"name": "x"}});
    assert!(matches!(
        admin.apply(&unknown, &mine).await,
        Err(Error::UnknownKind { .. })
    ));
}

fn now() -> SystemTime {
    SystemTime::now()
}
