//! apid as clients see it: real TLS on loopback, a fake machine API behind it.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, SystemTime};

use api::client::{Client, ClientOptions, explain};
use api::proto::cosi::resource::{GetRequest, WatchRequest};
use api::proto::machine::*;
use common::Cluster;
use futures::StreamExt;
use futures::future::join_all;
use pki::{Authority, KeyKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{Code, Request};

fn logs(lines: i32, follow: bool) -> LogsRequest {
    LogsRequest {
        id: "machined".into(),
        tail_lines: lines,
        follow,
        ..LogsRequest::default()
    }
}

fn seen(reply: VersionResponse) -> String {
    reply.messages[0].platform.clone().unwrap().name
}

#[tokio::test]
async fn roles_of_the_certificate_decide_and_are_passed_on() {
    let cluster = Cluster::new().await;
    let _node = cluster.node("127.0.1.1", true).await;
    let reader = cluster.client("127.0.1.1", &["os:reader", "", "os:unknown"]);
    let mut request = Request::new(());
    // Nobody gives himself roles, and other metadata passes.
    request.metadata_mut().insert("talos-role", "os:admin".parse().unwrap());
    request.metadata_mut().insert("x-custom", "kept".parse().unwrap());
    let reply = reader.machine().version(request).await.unwrap().into_inner();
    assert_eq!(
        seen(reply),
        "roles=os:reader,os:unknown proxyfrom=false node= nodes= custom=kept"
    );
    let refused = reader.machine().reboot(RebootRequest::default()).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::PermissionDenied, "not authorized")
    );
    let operator = cluster.client("127.0.1.1", &["os:operator"]);
    let locked = operator.machine().reboot(RebootRequest::default()).await.unwrap_err();
    assert_eq!((locked.code(), locked.message()), (Code::FailedPrecondition, "locked"));
    let nobody = cluster.client("127.0.1.1", &[]);
    assert_eq!(
        nobody.machine().version(()).await.unwrap_err().code(),
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn only_a_node_speaks_with_the_roles_of_others() {
    let cluster = Cluster::new().await;
    let _node = cluster.node("127.0.1.2", true).await;
    let peer = cluster.client("127.0.1.2", &["os:impersonator"]);
    let bare = peer.machine().version(()).await.unwrap_err();
    assert_eq!(bare.code(), Code::PermissionDenied);
    let mut request = Request::new(());
    request
        .metadata_mut()
        .insert("talos-role", "os:reader".parse().unwrap());
    let reply = peer.machine().version(request).await.unwrap().into_inner();
    assert!(seen(reply).starts_with("roles=os:reader "));
    let mut request = Request::new(RebootRequest::default());
    request
        .metadata_mut()
        .insert("talos-role", "os:reader".parse().unwrap());
    assert_eq!(
        peer.machine().reboot(request).await.unwrap_err().code(),
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn strangers_and_expired_certificates_are_refused_with_the_reason() {
    let cluster = Cluster::new().await;
    let _node = cluster.node("127.0.1.3", true).await;
    let text = |client: Client| async move { explain(&client.machine().version(()).await.unwrap_err()) };

    let long_ago = SystemTime::now() - Duration::from_secs(10 * 24 * 3600);
    let request = pki::Request::client(KeyKind::Ed25519, "", &["os:admin"], long_ago).with_ttl(Duration::from_secs(60));
    let expired = cluster.ca.sign(&request).unwrap();
    let tls = pki::tls::client_config(cluster.ca.certificate(), Some(&expired)).unwrap();
    let error = text(cluster.client_with("127.0.1.3", tls)).await;
    assert!(
        error.contains("CertificateExpired") && error.contains("get a new one"),
        "{error}"
    );

    let other = Authority::new_os(SystemTime::now()).unwrap();
    let request = pki::Request::client(KeyKind::Ed25519, "", &["os:admin"], SystemTime::now());
    let stranger = other.sign(&request).unwrap();
    let tls = pki::tls::client_config(cluster.ca.certificate(), Some(&stranger)).unwrap();
    let error = text(cluster.client_with("127.0.1.3", tls)).await;
    assert!(error.contains("is this its cluster's configuration"), "{error}");

    let tls = pki::tls::client_config(cluster.ca.certificate(), None).unwrap();
    let error = text(cluster.client_with("127.0.1.3", tls)).await;
    assert!(error.contains("CertificateRequired"), "{error}");

    let tls = pki::tls::client_config(other.certificate(), None).unwrap();
    let error = text(cluster.client_with("127.0.1.3", tls)).await;
    assert!(error.contains("not of the authority in your configuration"), "{error}");
}

#[tokio::test]
async fn a_fan_out_names_every_node_and_tells_which_failed() {
    let cluster = Cluster::new().await;
    let _a = cluster.node("127.0.2.1", true).await;
    let _b = cluster.node("127.0.2.2", false).await;
    let client = cluster.client("127.0.2.1", &["os:reader"]);
    let client = client.with_nodes(&["127.0.2.2", "127.0.2.9", "127.0.2.1"]);
    let nodes = client.each_node(async |c| c.machine().version(()).await).await.unwrap();
    let names: Vec<_> = nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["127.0.2.2", "127.0.2.9", "127.0.2.1"]);
    let worker = nodes[0].result.as_ref().unwrap();
    assert_eq!(worker.version.as_ref().unwrap().tag, "127.0.2.2");
    let metadata = &worker.platform.as_ref().unwrap().name;
    assert_eq!(metadata, "roles=os:reader proxyfrom=false node= nodes= custom=");
    let failed = nodes[1].result.as_ref().unwrap_err();
    assert_eq!(failed.code(), Code::Unavailable);
    assert!(failed.message().contains("connect to 127.0.2.9:"), "{failed}");
    assert_eq!(
        nodes[2].result.as_ref().unwrap().version.as_ref().unwrap().tag,
        "127.0.2.1"
    );
}

#[tokio::test]
async fn streams_of_many_nodes_come_together_and_failures_come_as_messages() {
    let cluster = Cluster::new().await;
    let _a = cluster.node("127.0.2.11", true).await;
    let _b = cluster.node("127.0.2.12", false).await;
    let client = cluster.client("127.0.2.11", &["os:reader"]);
    let client = client.with_nodes(&["127.0.2.11", "127.0.2.12", "127.0.2.19"]);
    let stream = client
        .stream_nodes(async |c| c.machine().logs(logs(100, false)).await)
        .await
        .unwrap();
    let all: Vec<_> = stream.collect().await;
    let lines = |name: &str| {
        let of_node = all.iter().filter(|m| m.name == name && m.result.is_ok());
        of_node
            .map(|m| String::from_utf8(m.result.as_ref().unwrap().bytes.clone()).unwrap())
            .collect::<Vec<_>>()
    };
    for name in ["127.0.2.11", "127.0.2.12"] {
        assert_eq!(lines(name), (0..100).map(|i| format!("{name} {i}")).collect::<Vec<_>>());
    }
    let failed: Vec<_> = all.iter().filter(|m| m.result.is_err()).collect();
    assert_eq!((failed.len(), failed[0].name.as_str()), (1, "127.0.2.19"));

    let missing = LogsRequest {
        id: "none".into(),
        ..logs(0, false)
    };
    let stream = client
        .stream_nodes(async |c| c.machine().logs(missing).await)
        .await
        .unwrap();
    let codes: Vec<_> = stream.map(|m| m.result.unwrap_err().code()).collect().await;
    assert_eq!(codes.iter().filter(|c| **c == Code::NotFound).count(), 2);
}

#[tokio::test]
async fn one_node_is_reached_through_a_control_plane_and_never_through_a_worker() {
    let cluster = Cluster::new().await;
    let _a = cluster.node("127.0.2.21", true).await;
    let _b = cluster.node("127.0.2.22", false).await;
    let through = |endpoint: &str, node: &str| cluster.client(endpoint, &["os:admin"]).with_nodes(&[node]);
    let client = through("127.0.2.21", "127.0.2.22");
    let reply = client.machine().version(()).await.unwrap().into_inner();
    assert_eq!(reply.messages[0].version.as_ref().unwrap().tag, "127.0.2.22");
    assert_eq!(reply.messages[0].metadata, None);
    client.state().get(GetRequest::default()).await.unwrap();
    let locked = client.machine().reboot(RebootRequest::default()).await.unwrap_err();
    assert_eq!((locked.code(), locked.message()), (Code::FailedPrecondition, "locked"));

    let forbidden = through("127.0.2.22", "127.0.2.21")
        .machine()
        .version(())
        .await
        .unwrap_err();
    assert_eq!(
        (forbidden.code(), forbidden.message()),
        (Code::PermissionDenied, "no request forwarding")
    );
    through("127.0.2.22", "127.0.2.22").machine().version(()).await.unwrap();

    let gone = through("127.0.2.21", "127.0.2.29")
        .machine()
        .version(())
        .await
        .unwrap_err();
    assert_eq!(gone.code(), Code::Unavailable);
}

#[tokio::test]
async fn calls_that_cannot_fan_out_say_so() {
    let cluster = Cluster::new().await;
    let _a = cluster.node("127.0.2.31", true).await;
    let client = cluster.client("127.0.2.31", &["os:admin"]);
    let mut request = Request::new(GetRequest::default());
    request.metadata_mut().append("nodes", "127.0.2.31".parse().unwrap());
    assert_eq!(
        client.state().get(request).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let two = client.with_nodes(&["127.0.2.31", "127.0.2.32"]);
    assert_eq!(
        two.state().get(GetRequest::default()).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let both = two
        .separately(async |c| c.state().get(GetRequest::default()).await)
        .await;
    assert!(both[0].result.is_ok() && both[1].result.is_err());
}

#[tokio::test]
async fn deadlines_hold_alone_and_in_a_fan_out() {
    let cluster = Cluster::new().await;
    let _a = cluster.node("127.0.2.41", true).await;
    let client = cluster.client("127.0.2.41", &["os:admin"]);
    let request = || {
        let mut request = Request::new(());
        request.set_timeout(Duration::from_secs(1));
        request
    };
    let began = std::time::Instant::now();
    let late = client.machine().memory(request()).await.unwrap_err();
    assert!(
        matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{late}"
    );
    // A fan-out answers in time, with what there is.
    let both = client.with_nodes(&["127.0.2.41", "127.0.2.42"]);
    let nodes = both
        .each_node(async |c| c.machine().memory(request()).await)
        .await
        .unwrap();
    let codes: Vec<_> = nodes.iter().map(|n| n.result.as_ref().unwrap_err().code()).collect();
    assert!(
        matches!(codes[0], Code::DeadlineExceeded | Code::Cancelled) && codes[1] == Code::Unavailable,
        "{codes:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn large_messages_pass_both_ways_up_to_the_limit() {
    let cluster = Cluster::new().await;
    let _a = cluster.node("127.0.2.51", true).await;
    let client = cluster.client("127.0.2.51", &["os:admin"]);
    let apply = |size: usize| ApplyConfigurationRequest {
        data: vec![b'#'; size],
        ..ApplyConfigurationRequest::default()
    };
    let reply = client
        .machine()
        .apply_configuration(apply(20 << 20))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(reply.messages[0].mode_details, "20971520 bytes");
    let mut many = Request::new(apply(20 << 20));
    many.metadata_mut().append("nodes", "127.0.2.51".parse().unwrap());
    let reply = client.machine().apply_configuration(many).await.unwrap().into_inner();
    assert_eq!(reply.messages[0].mode_details, "20971520 bytes");
    let request = ReadRequest {
        path: (40 << 20).to_string(),
    };
    let stream = client.machine().read(request).await.unwrap().into_inner();
    let read: usize = stream
        .map(|m| m.unwrap().bytes.len())
        .collect::<Vec<_>>()
        .await
        .iter()
        .sum();
    assert_eq!(read, 40 << 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_watch_at_once_and_a_silent_one_stops_nobody() {
    let cluster = Cluster::new().await;
    let _a = cluster.node("127.0.3.1", true).await;
    let _b = cluster.node("127.0.3.2", false).await;
    // One that never reads what it asked for.
    let silent = cluster.client("127.0.3.1", &["os:admin"]);
    let request = ReadRequest {
        path: (30 << 20).to_string(),
    };
    let unread = silent.machine().read(request).await.unwrap();

    let tls = cluster.client_tls(&["os:reader"]);
    let watchers = (0..200).map(|i| {
        let client = cluster.client_with("127.0.3.1", tls.clone());
        let client = if i % 2 == 0 {
            client
        } else {
            client.with_nodes(&["127.0.3.2"])
        };
        async move {
            let mut stream = client
                .state()
                .watch(WatchRequest::default())
                .await
                .unwrap()
                .into_inner();
            for _ in 0..5 {
                stream.next().await.unwrap().unwrap();
            }
            (client, stream)
        }
    });
    let watching = tokio::time::timeout(Duration::from_secs(60), join_all(watchers))
        .await
        .unwrap();
    assert_eq!(watching.len(), 200);
    // With all of them open there is room for more.
    let last = cluster
        .client("127.0.3.1", &["os:reader"])
        .with_nodes(&["127.0.3.1", "127.0.3.2"]);
    let nodes = last.each_node(async |c| c.machine().version(()).await).await.unwrap();
    assert!(nodes.iter().all(|n| n.result.is_ok()));
    drop(unread);
}

#[tokio::test]
async fn clients_that_do_not_read_their_files_stop_nobody_who_does() {
    const SIZE: usize = 8 << 20;
    let cluster = Cluster::new().await;
    let _a = cluster.node("127.0.3.21", true).await;
    let _b = cluster.node("127.0.3.22", true).await;
    let request = || ReadRequest { path: SIZE.to_string() };
    let client = || cluster.client("127.0.3.21", &["os:admin"]).with_nodes(&["127.0.3.22"]);
    // More than have wide windows.
    let mut unread = Vec::new();
    for _ in 0..40 {
        unread.push(client().machine().read(request()).await.unwrap().into_inner());
    }
    let whole = async |mut stream: tonic::Streaming<api::proto::common::Data>| {
        let mut length = 0;
        while let Some(data) = stream.next().await {
            length += data.unwrap().bytes.len();
        }
        length
    };
    let read = whole(client().machine().read(request()).await.unwrap().into_inner());
    let length = tokio::time::timeout(Duration::from_secs(60), read).await.unwrap();
    assert_eq!(length, SIZE);
    // Those who waited get all of it too.
    for stream in unread.drain(..).step_by(13) {
        let length = tokio::time::timeout(Duration::from_secs(60), whole(stream))
            .await
            .unwrap();
        assert_eq!(length, SIZE);
    }
}

#[tokio::test]
async fn garbage_on_the_port_harms_nobody() {
    let cluster = Cluster::new().await;
    let _a = cluster.node("127.0.3.11", true).await;
    let address = ("127.0.3.11", cluster.port);
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0x16, 3, 1, 0xff, 0xff],
        &[0; 9000],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest))
            .await
            .unwrap();
    }
    // Garbage after a good handshake.
    let tls = tokio_rustls::TlsConnector::from(std::sync::Arc::new(cluster.client_tls(&["os:admin"])));
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut stream = tls.connect("127.0.3.11".try_into().unwrap(), stream).await.unwrap();
    stream.write_all(&[0xaa; 1000]).await.unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest))
        .await
        .unwrap();

    let client = cluster.client("127.0.3.11", &["os:admin"]);
    let mut huge = Request::new(());
    huge.metadata_mut()
        .insert("x-huge", "x".repeat(100_000).parse().unwrap());
    client.machine().version(huge).await.unwrap_err();
    client.machine().version(()).await.unwrap();
}

#[tokio::test]
async fn certificates_are_renewed_without_a_restart() {
    let cluster = Cluster::new().await;
    let node = cluster.node("127.0.3.21", true).await;
    let old = cluster.client("127.0.3.21", &["os:admin"]);
    old.machine().version(()).await.unwrap();
    node.tls.send(cluster.tls(node.address, true)).unwrap();
    cluster
        .client("127.0.3.21", &["os:admin"])
        .machine()
        .version(())
        .await
        .unwrap();
    // A connection that is there goes on.
    old.machine().version(()).await.unwrap();
}

#[tokio::test]
async fn an_authority_that_is_no_more_accepted_ends_the_connections_of_its_clients() {
    let mut cluster = Cluster::new().await;
    let node = cluster.node("127.0.3.23", true).await;
    let old = cluster.client("127.0.3.23", &["os:admin"]);
    let mut followed = old.machine().logs(logs(1, true)).await.unwrap().into_inner();
    followed.next().await.unwrap().unwrap();
    // Both are accepted: what is there goes on.
    let before = std::mem::replace(&mut cluster.ca, Authority::new_os(SystemTime::now()).unwrap());
    cluster.also = before.certificate().to_vec();
    node.tls.send(cluster.tls(node.address, true)).unwrap();
    old.machine().version(()).await.unwrap();
    let new = cluster.client("127.0.3.23", &["os:admin"]);
    let mut kept = new.machine().logs(logs(1, true)).await.unwrap().into_inner();
    kept.next().await.unwrap().unwrap();
    // The old one is removed: its clients are, too.
    cluster.also.clear();
    node.tls.send(cluster.tls(node.address, true)).unwrap();
    followed.next().await.unwrap().unwrap_err();
    old.machine().version(()).await.unwrap_err();
    new.machine().version(()).await.unwrap();
    let more = tokio::time::timeout(Duration::from_millis(200), kept.next()).await;
    assert!(more.is_err(), "the client of the other authority was cut off too");
}

#[tokio::test]
async fn in_maintenance_everyone_is_a_reader_and_few_calls_work() {
    let cluster = Cluster::new().await;
    let now = SystemTime::now();
    let server = cluster
        .ca
        .sign(&pki::Request::server(KeyKind::Ed25519, "m", vec![], vec![], now))
        .unwrap();
    let tls = api::apid::TlsState {
        server: pki::tls::server_config(&server, None).unwrap(),
        client: None,
        accepted_cas: Vec::new(),
    };
    let (_keep, tls) = tokio::sync::watch::channel(tls);
    let node = cluster.node_with("127.0.3.31", true, |config| api::apid::Config {
        maintenance: true,
        tls,
        ..config
    });
    let _node = node.await;
    let client = cluster.client_with("127.0.3.31", pki::tls::client_config_insecure(&[]).unwrap());
    let reply = client.machine().version(()).await.unwrap().into_inner();
    assert!(seen(reply).starts_with("roles=os:reader "));
    client
        .machine()
        .apply_configuration(ApplyConfigurationRequest::default())
        .await
        .unwrap();
    let refused = client.machine().kubeconfig(()).await.unwrap_err();
    assert_eq!(refused.message(), "API is not available in maintenance mode");
    let elsewhere = client
        .with_nodes(&["127.0.3.32"])
        .machine()
        .version(())
        .await
        .unwrap_err();
    assert_eq!(elsewhere.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn without_rbac_every_client_of_the_cluster_is_an_administrator() {
    let cluster = Cluster::new().await;
    let node = cluster.node_with("127.0.3.35", true, |config| api::apid::Config { rbac: false, ..config });
    let _node = node.await;
    let nobody = cluster.client("127.0.3.35", &[]);
    let reply = nobody.machine().version(()).await.unwrap().into_inner();
    assert!(seen(reply).starts_with("roles=os:admin "));
    let tls = pki::tls::client_config(cluster.ca.certificate(), None).unwrap();
    cluster
        .client_with("127.0.3.35", tls)
        .machine()
        .version(())
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_client_that_never_finishes_the_handshake_is_dropped() {
    let cluster = Cluster::new().await;
    let _a = cluster.node("127.0.3.12", true).await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.3.12", cluster.port))
        .await
        .unwrap();
    stream.write_all(&[0x16, 3, 1]).await.unwrap();
    let limit = api::apid::limits::HANDSHAKE_TIMEOUT + Duration::from_secs(5);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(limit, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is still open after {limit:?}");
}

#[tokio::test]
async fn clients_move_on_to_the_next_endpoint() {
    let cluster = Cluster::new().await;
    let a = cluster.node("127.0.3.41", true).await;
    let _b = cluster.node("127.0.3.42", true).await;
    let endpoints = ["127.0.3.40", "127.0.3.41", "127.0.3.42"];
    let client = Client::connect(ClientOptions {
        endpoints: endpoints.iter().map(|e| format!("{e}:{}", cluster.port)).collect(),
        ..ClientOptions::new(cluster.client_tls(&["os:admin"]))
    })
    .unwrap();
    let tag = async || {
        client
            .machine()
            .version(())
            .await
            .map(|r| r.into_inner().messages[0].version.clone().unwrap().tag)
    };
    assert_eq!(tag().await.unwrap(), "127.0.3.41");
    a.cancel.cancel();
    a.served.await.unwrap();
    assert_eq!(tag().await.unwrap(), "127.0.3.42");
    let nowhere = cluster.client("127.0.3.49", &["os:admin"]);
    let error = explain(&nowhere.machine().version(()).await.unwrap_err());
    assert!(error.contains("connect to 127.0.3.49:"), "{error}");
}

#[tokio::test]
async fn a_stop_lets_calls_finish_and_ends_watches() {
    let cluster = Cluster::new().await;
    let node = cluster.node("127.0.3.51", true).await;
    let client = cluster.client("127.0.3.51", &["os:admin"]);
    let mut stream = client.machine().logs(logs(1, true)).await.unwrap().into_inner();
    stream.next().await.unwrap().unwrap();
    let began = std::time::Instant::now();
    node.cancel.cancel();
    node.served.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
    let end = tokio::time::timeout(Duration::from_secs(5), stream.next())
        .await
        .unwrap();
    assert!(end.is_none_or(|m| m.is_err()));
}

#[tokio::test]
async fn a_restarted_machine_api_is_found_again() {
    let cluster = Cluster::new().await;
    let node = cluster.node("127.0.3.61", true).await;
    let client = cluster.client("127.0.3.61", &["os:admin"]);
    client.machine().version(()).await.unwrap();
    let away = node.socket.with_extension("away");
    std::fs::rename(&node.socket, &away).unwrap();
    // The old connection still stands; that is fine. A new one fails with words, and works when the socket is back.
    let fresh = cluster.node_with("127.0.3.62", true, |config| api::apid::Config {
        backend: node.socket.clone(),
        ..config
    });
    let _fresh = fresh.await;
    let client = cluster.client("127.0.3.62", &["os:admin"]);
    let error = client.machine().version(()).await.unwrap_err();
    assert!(
        error.message().starts_with("connect to the machine API of this node"),
        "{error}"
    );
    std::fs::rename(&away, &node.socket).unwrap();
    client.machine().version(()).await.unwrap();
}
