//! The table of calls in `docs/compatibility.md` is what a real machine API answers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api::trustd::{Config as Trustd, Issuer, sign_request};
use machined::boot::platform::{Environment, Platform};
use machined::clients::containerd::Containerd;
use machined::clients::cri::Cri;
use machined::controllers::{self, World};
use machined::events::Events;
use machined::logs::Logs;
use machined::node::Node;
use machined::sequence::Sequencer;
use machined::services::sandbox::SandboxRunner;
use machined::services::supervisor::Supervisor;
use pki::{Authority, KeyKind, Request as CertificateRequest, Secret};
use resource::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// The page, and how it calls the answers.
const PAGE: &str = include_str!("../../../docs/compatibility.md");
const DONE: &str = "done";
const UNIMPLEMENTED: &str = "Unimplemented";
const REFUSED: &str = "refused";
/// A call with its own server, which is not behind the machine API's socket.
const CERTIFICATE: &str = "securityapi.SecurityService/Certificate";
/// A call that is still silent after this long is one that streams what comes later.
const PATIENCE: Duration = Duration::from_secs(3);

/// Rows `| call | answer | … |` whose call is a path in backticks.
fn documented() -> BTreeMap<String, String> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let call = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        let (service, method) = call.split_once('/')?;
        let named = service.contains('.') && method.chars().all(|c| c.is_ascii_alphanumeric());
        named.then_some((call.to_owned(), cells.next()?.to_owned()))
    };
    PAGE.lines().filter_map(row).collect()
}

/// A node as the init process has it, with nothing running.
fn node(folder: &Path) -> Node {
    let store = Store::default();
    node_resources::register(&store);
    let (events, logs) = (Events::default(), Logs::in_directory(folder));
    let runner = Arc::new(SandboxRunner::new(None, watch::channel(None).1));
    let supervisor = Supervisor::new(runner, events.clone(), logs.clone());
    // Nobody carries out what is asked: reboot and reset are safe to call here.
    let (sequencer, _requests) = Sequencer::new(events.clone());
    let cri = Cri::new(&folder.join("containerd.sock"));
    let world = World {
        distribution: controllers::trust::Distribution::of(""),
        discovery: controllers::discovery_service::Way::new(controllers::trust::Distribution::of("")),
        verbosity: Arc::new(|_| {}),
        supervisor: supervisor.clone(),
        events: events.clone(),
        sequencer: sequencer.clone(),
        puller: watch::channel(None).0,
        cri: cri.clone(),
        state: folder.to_owned(),
    };
    Node {
        store,
        discovery: world.discovery.clone(),
        controllers: controllers::graph(&world).build().unwrap(),
        supervisor,
        events,
        logs,
        configs: machined::machine_config::Store::new(folder),
        sequencer,
        cri,
        containerd: Containerd::new(&folder.join("containerd.sock")),
        puller: watch::channel(None).1,
        environment: Arc::new(Environment {
            platform: Platform::Container,
            user_data: None,
            sku: String::new(),
        }),
        apply_lock: Arc::default(),
        cancel: CancellationToken::new(),
    }
}

/// The socket is there a moment before anybody listens on it.
async fn channel(socket: &Path) -> Channel {
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display())).unwrap();
    let connected = async {
        loop {
            match endpoint.connect().await {
                Ok(channel) => return channel,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), connected).await.unwrap()
}

/// Makes the call with one empty message. On the wire a single message and a stream of one are the same.
async fn call(channel: &Channel, path: &str) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|e| Status::internal(e.to_string()))?;
    let mut request = Request::new(tokio_stream::once(()));
    request
        .metadata_mut()
        .insert(api::roles::ROLE_KEY, "os:admin".parse().unwrap());
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let answer = async {
        let answer = client.streaming(request, path.parse().unwrap(), codec).await?;
        answer.into_inner().message().await
    };
    tokio::time::timeout(PATIENCE, answer)
        .await
        .map_or(Ok(()), |outcome| outcome.map(drop))
}

/// What a server says of a whole call: "not implemented", or "not in a container".
fn word(outcome: &Result<(), Status>) -> &'static str {
    match outcome {
        Err(status) if status.code() == Code::Unimplemented => UNIMPLEMENTED,
        Err(status)
            if status.code() == Code::FailedPrecondition && status.message().contains("not supported in container") =>
        {
            REFUSED
        }
        _ => DONE,
    }
}

#[test]
fn the_page_has_every_call_of_the_contract_once() {
    let rows = documented();
    let mentioned = PAGE
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains('/'))
        .count();
    assert!(mentioned >= rows.len());
    let contract = api::method::all()
        .map(|m| m.path.trim_start_matches('/'))
        .filter(|p| !p.starts_with("keelson."));
    let contract: Vec<String> = contract.map(str::to_owned).collect();
    for path in &contract {
        assert!(rows.contains_key(path), "docs/compatibility.md has no row for {path}");
    }
    for (path, answer) in &rows {
        assert!(
            contract.contains(path) || path.starts_with("keelson."),
            "{path} is no call of the contract"
        );
        assert!(
            [DONE, REFUSED, UNIMPLEMENTED].contains(&answer.as_str()),
            "{path}: {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_says_what_the_machine_api_answers() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: the socket of the machine API is handed to another user, which needs root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("machine.sock");
    let node = node(folder.path());
    // With a configuration, or the rules of maintenance would answer most calls.
    let config = node_resources::config::MachineConfig("version: v1alpha1".to_owned());
    node.store
        .put("test", machined::server::configuration::CURRENT, config, "test")
        .unwrap();
    let serving = tokio::spawn({
        let (node, socket) = (node.clone(), socket.clone());
        async move { machined::server::serve(node, &socket).await }
    });
    let channel = channel(&socket).await;
    let rows = documented().into_iter().filter(|(path, _)| path != CERTIFICATE);
    let calls = rows.map(|(path, documented)| {
        let channel = channel.clone();
        async move {
            let outcome = call(&channel, &format!("/{path}")).await;
            (word(&outcome) != documented).then(|| format!("{path} is {} ({outcome:?})", word(&outcome)))
        }
    });
    let wrong: Vec<String> = futures::future::join_all(calls).await.into_iter().flatten().collect();
    assert!(
        wrong.is_empty(),
        "docs/compatibility.md is wrong:\n{}",
        wrong.join("\n")
    );
    node.cancel.cancel();
    drop(channel);
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_page_says_what_trustd_answers() {
    assert_eq!(documented()[CERTIFICATE], DONE);
    pki::tls::install_provider();
    let now = SystemTime::now();
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let authority = Authority::new_os(now).unwrap();
    let server = CertificateRequest::server(KeyKind::Ed25519, "trustd", vec![], vec![address], now);
    let server = pki::tls::server_config(&authority.sign(&server).unwrap(), None).unwrap();
    let tls = pki::tls::client_config(authority.certificate(), None).unwrap();
    let listener = tokio::net::TcpListener::bind((address, 0)).await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let token = Secret::from("abcdef.0123456789abcdef".to_owned());
    let issuer = Issuer {
        token: token.clone(),
        ..Issuer::default()
    };
    let (_server, server) = watch::channel(server);
    let (_issuer, issuer) = watch::channel(issuer);
    let cancel = CancellationToken::new();
    let config = Trustd {
        listener,
        tls: server,
        issuer,
        same_node: Arc::new(|a, b| a == b),
    };
    let serving = tokio::spawn(api::trustd::serve(config, cancel.clone()));
    // Without an authority it cannot sign; that it says so shows that the call is there.
    let error = sign_request(&[endpoint], &tls, &token, b"")
        .await
        .unwrap_err()
        .to_string();
    assert!(!error.contains(UNIMPLEMENTED) && error.contains("authority"), "{error}");
    cancel.cancel();
    serving.await.unwrap();
}
