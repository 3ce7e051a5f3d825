//! The built program, driven from outside as nodes, operators and trouble do.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Program, update};
use discovery_client::proto::client::Affiliate;
use discovery_client::proto::server::{
    AffiliateDeleteRequest, AffiliateUpdateRequest, HelloRequest, ListRequest, WatchRequest, WatchResponse,
};
use discovery_client::{Announcement, Discovered, Key, Options, Problem, run, system_random};
use pki::{Authority, KeyKind, Request};
use rustix::process::Signal;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Streaming};

#[tokio::test]
async fn a_watcher_sees_everything_and_then_every_change() {
    let program = Program::start(&["--collect", "1"]);
    let mut client = program.client().await;
    let hello = HelloRequest {
        cluster_id: "c".into(),
        client_version: "v1".into(),
    };
    let hello = client.hello(hello).await.unwrap().into_inner();
    assert_eq!((hello.redirect, &*hello.client_ip), (None, &[127, 0, 0, 1][..]));

    let mut watch = client.watch(watching("c")).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await, WatchResponse::default());
    client.affiliate_update(update("c", "a", 600)).await.unwrap();
    assert_eq!(seen(&next(&mut watch).await), ["a"]);
    // The same again is no change; an endpoint that another node saw is one.
    client.affiliate_update(update("c", "a", 600)).await.unwrap();
    let observed = AffiliateUpdateRequest {
        affiliate_data: None,
        affiliate_endpoints: vec![Bytes::from_static(b"sealed endpoint")],
        ..update("c", "a", 600)
    };
    client.affiliate_update(observed).await.unwrap();
    let change = next(&mut watch).await;
    assert_eq!(
        (change.affiliates[0].data.len(), change.affiliates[0].endpoints.len()),
        (400, 1)
    );
    // Another cluster is none of its business, and what expires or is removed is told by name only.
    client.affiliate_update(update("d", "x", 600)).await.unwrap();
    client.affiliate_update(update("c", "b", 1)).await.unwrap();
    assert_eq!(seen(&next(&mut watch).await), ["b"]);
    let gone = next(&mut watch).await;
    assert!(gone.deleted && seen(&gone) == ["b"] && gone.affiliates[0].data.is_empty());
    for affiliate_id in ["nobody", "a"] {
        let request = AffiliateDeleteRequest {
            cluster_id: "c".into(),
            affiliate_id: affiliate_id.into(),
        };
        client.affiliate_delete(request).await.unwrap();
    }
    let gone = next(&mut watch).await;
    assert!(gone.deleted && seen(&gone) == ["a"]);
    assert!(list(&program, "c").await.is_empty());
    assert_eq!(list(&program, "d").await, ["x"]);

    // Told to stop, it says so.
    program.signal(Signal::TERM);
    assert_eq!(watch.message().await.unwrap_err().code(), Code::Unavailable);
    assert!(program.ended().success());
}

#[tokio::test]
async fn limits_are_refused_with_the_right_codes() {
    let program = Program::start(&["--rate", "1", "--burst", "5"]);
    let mut client = program.client().await;
    let mut codes = Vec::new();
    for change in [
        (|r| r.ttl = None) as fn(&mut AffiliateUpdateRequest),
        |r| r.affiliate_data = Some(vec![0; 2049].into()),
        |r| r.affiliate_endpoints = (0..65u8).map(|i| vec![i; 16].into()).collect(),
        |r| r.affiliate_data = Some(vec![0; 100_000].into()),
        |_| {},
        |_| {},
    ] {
        let mut request = update("c", "a", 60);
        change(&mut request);
        let result = client.affiliate_update(request).await;
        codes.push(result.err().map_or(Code::Ok, |status| status.code()));
    }
    use Code::{InvalidArgument, Ok, OutOfRange, ResourceExhausted};
    // The fourth is not read at all, and therefore not counted.
    assert_eq!(codes[..3], [InvalidArgument, InvalidArgument, ResourceExhausted]);
    assert_eq!((codes[3], codes[4], codes[5]), (OutOfRange, Ok, Ok));
    let refused = client.list(ListRequest { cluster_id: "c".into() }).await.unwrap_err();
    assert_eq!(refused.code(), ResourceExhausted);
    assert!(
        refused.message().contains("127.0.0.1 asks more than 1 times a second"),
        "{refused}"
    );
}

#[tokio::test]
async fn nothing_is_lost_by_a_stop_and_little_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let program = Program::start(&["--state", state, "--rate", "0"]);
    let mut client = program.client().await;
    for number in 0..500 {
        client
            .affiliate_update(update("c", &format!("{number:03}"), 600))
            .await
            .unwrap();
    }
    let mut program = program.restart(Signal::TERM);
    assert_eq!(list(&program, "c").await.len(), 500);
    let deleted = AffiliateDeleteRequest {
        cluster_id: "c".into(),
        affiliate_id: "007".into(),
    };
    for round in 0..3 {
        let mut client = program.client().await;
        client.affiliate_delete(deleted.clone()).await.unwrap();
        client
            .affiliate_update(update("d", &round.to_string(), 600))
            .await
            .unwrap();
        // What is older than a second survives; this one waits less.
        tokio::time::sleep(Duration::from_millis(400)).await;
        program = program.restart(Signal::KILL);
        assert_eq!(list(&program, "c").await.len(), 499);
        assert_eq!(list(&program, "d").await.len(), round + 1);
    }
    // A second one must not write to the same files.
    let refused = Program::try_start(&["--state", state]).unwrap_err();
    assert!(refused.contains("in use by another keelson-discovery"), "{refused}");
}

#[tokio::test]
async fn certificates_are_read_again_when_the_files_change() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["crt", "key"].map(|name| folder.path().join(name));
    let issue = || {
        let now = std::time::SystemTime::now();
        let authority = Authority::new_kubernetes(now).unwrap();
        let ips = vec!["127.0.0.1".parse().unwrap()];
        let pair = authority
            .sign(&Request::server(KeyKind::EcdsaP256, "discovery", vec![], ips, now))
            .unwrap();
        std::fs::write(&files[0], &pair.crt).unwrap();
        std::fs::write(&files[1], pair.key.expose()).unwrap();
        pki::tls::client_config(authority.certificate(), None).unwrap()
    };
    let first = issue();
    let paths = files.each_ref().map(|path| path.to_str().unwrap());
    let program = Program::start(&["--tls-cert", paths[0], "--tls-key", paths[1]]);
    program.tls_client(&first).await.unwrap();

    let second = issue();
    program.tls_client(&second).await.unwrap_err();
    program.signal(Signal::HUP);
    until(async || program.tls_client(&second).await.is_ok()).await;
    program.tls_client(&first).await.unwrap_err();

    // Half of a replacement is no reason to stop.
    std::fs::write(&files[0], "nonsense").unwrap();
    program.signal(Signal::HUP);
    until(async || program.get("/metrics").contains("tls_reload_failures_total 1")).await;
    program.tls_client(&second).await.unwrap();
    std::fs::remove_file(&files[0]).unwrap();
    let refused = Program::try_start(&["--tls-cert", paths[0], "--tls-key", paths[1]]).unwrap_err();
    assert!(refused.contains(paths[0]) && refused.contains("read"), "{refused}");
}

#[tokio::test]
async fn people_and_monitoring_see_numbers_and_no_names() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&["--state", folder.path().to_str().unwrap()]);
    let mut client = program.client().await;
    client
        .affiliate_update(update("cluster-one", "node-one", 590))
        .await
        .unwrap();
    let hello = HelloRequest {
        cluster_id: "cluster-one".into(),
        client_version: "v9\"\n".into(),
    };
    client.hello(hello).await.unwrap();
    assert!(program.get("/healthz").ends_with("\r\n\r\nok\n"));
    assert!(program.get("/readyz").ends_with("\r\n\r\nok\n"));
    let metrics = program.get("/metrics");
    for line in [
        "keelson_discovery_clusters 1\n",
        "keelson_discovery_affiliates 1\n",
        "keelson_discovery_endpoints 0\n",
        "keelson_discovery_hellos_total{client_version=\"v9\\\"\\n\"} 1\n",
        "keelson_discovery_grpc_calls_total{method=\"AffiliateUpdate\",code=\"Ok\"} 1\n",
        "keelson_discovery_grpc_call_seconds_count{method=\"Hello\"} 1\n",
        "keelson_discovery_disk_broken 0\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let welcome = program.get("/");
    assert!(
        welcome.contains("1 clusters, 1 affiliates") && welcome.contains("content-security-policy"),
        "{welcome}"
    );
    let page = program.post("/cluster", "id=cluster-one");
    assert!(
        page.contains("1 affiliates") && page.contains("<td>400<td>0<td>9 min"),
        "{page}"
    );
    assert!(!page.contains("node-one") && !page.contains("cluster-one"));
    assert!(program.post("/cluster", "id=other").contains("Nothing is known"));
    assert!(program.post("/cluster", "id=").starts_with("HTTP/1.1 400"));
    assert!(
        program
            .post("/cluster", &format!("id={}", "x".repeat(5000)))
            .starts_with("HTTP/1.1 413")
    );
}

#[tokio::test]
async fn strange_clients_disturb_nobody() {
    let program = Program::start(&["--max-connections", "40"]);
    let mut client = program.client().await;
    let mut strangers = Vec::new();
    // Some talk nonsense and are closed for it; many say nothing and take what room there is.
    for number in 0..80u8 {
        let mut stream = TcpStream::connect(program.grpc).unwrap();
        if number < 20 {
            let _ = stream.write_all(&vec![number; usize::from(number) * 100]);
        }
        strangers.push(stream);
    }
    client.affiliate_update(update("c", "a", 600)).await.unwrap();
    let refused = || -> u32 {
        let metrics = program.get("/metrics");
        let line = metrics
            .lines()
            .find(|line| line.starts_with("keelson_discovery_connections_refused_total"));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    };
    until(async || refused() >= 20).await;
    drop(strangers);
    let connected = async || {
        discovery_client::proto::server::cluster_client::ClusterClient::connect(program.url())
            .await
            .is_ok()
    };
    until(connected).await;
    assert_eq!(
        client
            .list(ListRequest { cluster_id: "c".into() })
            .await
            .unwrap()
            .into_inner()
            .affiliates
            .len(),
        1
    );
}

/// A node as the operating system runs it.
struct Node {
    id: String,
    say: watch::Sender<Announcement>,
    found: watch::Receiver<Discovered>,
    options: Options,
    _stop: DropGuard,
}

fn node(program: &Program, id: &str, secret: u8) -> Node {
    let options = Options {
        endpoint: format!("http://{}", program.grpc).parse().unwrap(),
        tls: Arc::new(pki::tls::client_config_insecure(&[]).unwrap()),
        cluster_id: "cluster".into(),
        affiliate_id: id.into(),
        key: Arc::new(Key::new(&[secret; 32]).unwrap()),
        client_version: "test".into(),
        ttl: Duration::from_secs(60),
    };
    let (say, said) = watch::channel(Announcement::default());
    let (tell, found) = watch::channel(Discovered::default());
    let cancel = CancellationToken::new();
    tokio::spawn(run(options.clone(), system_random(), said, tell, cancel.clone()));
    let node = Node {
        id: id.into(),
        say,
        found,
        options,
        _stop: cancel.drop_guard(),
    };
    node.say("first");
    node
}

impl Node {
    fn say(&self, hostname: &str) {
        let affiliate = Affiliate {
            node_id: self.id.clone(),
            hostname: hostname.into(),
            ..Affiliate::default()
        };
        self.say.send_replace(Announcement {
            affiliate: Some(affiliate),
            endpoints: vec!["10.0.0.1:51820".parse().unwrap()],
            observed: BTreeMap::new(),
        });
    }

    async fn sees(&mut self, what: impl Fn(&Discovered) -> bool) -> Discovered {
        let found = tokio::time::timeout(Duration::from_secs(20), self.found.wait_for(what)).await;
        found.expect("not seen in time").unwrap().clone()
    }

    async fn sees_hosts(&mut self, hosts: &[&str]) -> Discovered {
        let names = |found: &Discovered| -> Vec<String> {
            found
                .peers
                .values()
                .map(|peer| peer.affiliate.hostname.clone())
                .collect()
        };
        self.sees(|found| found.connected && names(found) == hosts).await
    }
}

#[tokio::test]
async fn nodes_find_each_other_again_after_the_service_lost_everything() {
    let program = Program::start(&[]);
    let (mut a, mut b) = (node(&program, "a", 1), node(&program, "b", 1));
    let found = a.sees_hosts(&["first"]).await;
    assert_eq!(found.public_address, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(found.peers["b"].endpoints, ["10.0.0.1:51820".parse().unwrap()]);
    b.say("second");
    a.sees_hosts(&["second"]).await;

    let program = program.restart(Signal::KILL);
    // While it is gone, what was known stays known.
    let found = a.sees(|found| !found.connected).await;
    assert_eq!(found.peers.len(), 1);
    a.say("third");
    b.sees_hosts(&["third"]).await;
    a.sees_hosts(&["second"]).await;

    discovery_client::forget(&a.options, "b").await.unwrap();
    a.sees_hosts(&[]).await;
    drop(program);
}

#[tokio::test]
async fn what_the_service_must_not_show_is_ignored_and_reported() {
    let program = Program::start(&["--rate", "0"]);
    let (mut a, b) = (node(&program, "a", 1), node(&program, "b", 1));
    let _stranger = node(&program, "stranger", 2);
    let found = a
        .sees(|found| found.peers.contains_key("b") && found.problems.len() == 1)
        .await;
    assert!(matches!(found.problems["stranger"], Problem::Affiliate(_)));
    // Somebody who knows the cluster's id keeps what b said, and says it again later: as b, and as another.
    let mut client = program.client().await;
    let request = ListRequest {
        cluster_id: "cluster".into(),
    };
    let listed = client.list(request).await.unwrap().into_inner();
    let old = listed
        .affiliates
        .into_iter()
        .find(|affiliate| affiliate.id == "b")
        .unwrap();
    b.say("second");
    a.sees_hosts(&["second"]).await;
    for id in ["b", "c"] {
        let replay = AffiliateUpdateRequest {
            affiliate_data: Some(old.data.clone()),
            ..update("cluster", id, 600)
        };
        client.affiliate_update(replay).await.unwrap();
    }
    let found = a.sees(|found| found.problems.len() == 3).await;
    assert_eq!(found.problems["b"], Problem::Replayed);
    assert_eq!(found.problems["c"], Problem::Misnamed("b".into()));
    assert_eq!(found.peers["b"].affiliate.hostname, "second");
}

#[tokio::test]
async fn a_node_goes_where_hello_sends_it() {
    let there = Program::start(&[]);
    let here = Program::start(&["--redirect", &there.grpc.to_string()]);
    let mut a = node(&here, "a", 1);
    let _b = node(&there, "b", 1);
    a.sees_hosts(&["first"]).await;
    assert_eq!(list(&there, "cluster").await, ["a", "b"]);
    assert!(list(&here, "cluster").await.is_empty());
}

fn watching(cluster: &str) -> WatchRequest {
    WatchRequest {
        cluster_id: cluster.into(),
    }
}

fn seen(message: &WatchResponse) -> Vec<&str> {
    message
        .affiliates
        .iter()
        .map(|affiliate| affiliate.id.as_str())
        .collect()
}

async fn next(watch: &mut Streaming<WatchResponse>) -> WatchResponse {
    let message = tokio::time::timeout(Duration::from_secs(10), watch.message()).await;
    message.expect("no message in time").unwrap().unwrap()
}

async fn list(program: &Program, cluster: &str) -> Vec<String> {
    let mut client = program.client().await;
    let request = ListRequest {
        cluster_id: cluster.into(),
    };
    let reply = client.list(request).await.unwrap().into_inner();
    reply.affiliates.into_iter().map(|affiliate| affiliate.id).collect()
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "not within 20 s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_client_that_says_nothing_is_not_kept() {
    let program = Program::start(&[]);
    let mut stream = TcpStream::connect(program.grpc).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(stream.read(&mut [0; 64]).unwrap(), 0);
}
