//! Load on the machine API, and what it does to others; used by `cargo xtask bench ha`.
//!
//! - `node_load watch TALOSCONFIG ADDRESS COUNT`: that many clients, each with a connection of its own, watch the
//!   members; prints a line when all were served, then waits for a line; then makes calls of another client and prints
//!   their times as JSON.
//! - `node_load read TALOSCONFIG ENDPOINT NODE PATH`: reads a file of a node through an endpoint, which may be another
//!   node; prints bytes and seconds as JSON.
//! - `node_load logs TALOSCONFIG ENDPOINT NODE CONTAINER`: the same with the log of a container of Kubernetes.

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use api::client::{Client, ClientOptions};
use api::proto::common::{ContainerDriver, Data};
use api::proto::cosi::resource::state_client::StateClient;
use api::proto::cosi::resource::{WatchOptions, WatchRequest, WatchResponse};
use api::proto::machine::{LogsRequest, ReadRequest};
use tonic::Streaming;

/// Calls whose times are measured.
const CALLS: usize = 1000;
/// How many clients connect at the same time.
const AT_ONCE: usize = 20;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["watch", file, address, count] => watch(file, address, count.parse()?).await,
        ["read", file, endpoint, node, path] => {
            let request = ReadRequest { path: path.to_owned() };
            let mut machine = connect(file, endpoint)?.with_nodes(&[node]).machine();
            let began = Instant::now();
            drain(machine.read(request).await?.into_inner(), began).await
        }
        ["logs", file, endpoint, node, container] => {
            let request = LogsRequest {
                namespace: "k8s.io".into(),
                id: container.to_owned(),
                driver: ContainerDriver::Cri.into(),
                follow: false,
                tail_lines: -1,
            };
            let mut machine = connect(file, endpoint)?.with_nodes(&[node]).machine();
            let began = Instant::now();
            drain(machine.logs(request).await?.into_inner(), began).await
        }
        _ => Err("usage: see the beginning of node_load.rs".into()),
    }
}

fn connect(file: &str, address: &str) -> Result<Client> {
    let config = pki::clientconfig::ClientConfig::load(Path::new(file))?;
    let context = config.context(None)?;
    let tls = pki::tls::client_config(&context.ca, context.identity().as_ref())?;
    Ok(Client::connect(ClientOptions {
        endpoints: vec![address.to_owned()],
        ..ClientOptions::new(tls)
    })?)
}

/// Reads all of it, and says how much and how long.
async fn drain(mut stream: Streaming<Data>, began: Instant) -> Result<()> {
    let mut bytes = 0;
    while let Some(data) = stream.message().await? {
        bytes += data.bytes.len();
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{{\"bytes\": {bytes}, \"seconds\": {seconds}}}");
    Ok(())
}

async fn watch(file: &str, address: &str, count: usize) -> Result<()> {
    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        let more = AT_ONCE.min(count - streams.len());
        let opening = (0..more).map(|_| open(file, address));
        for stream in futures::future::join_all(opening).await {
            streams.push(stream?);
        }
    }
    say("watching")?;
    // Meanwhile the one who started this looks at the node; the streams are read, as clients do.
    let mut reading: tokio::task::JoinSet<()> = streams.into_iter().map(read).collect();
    tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new())).await??;
    let machine = connect(file, address)?.machine();
    machine.clone().version(()).await?;
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        machine.clone().version(()).await?;
        times.push((began.elapsed().as_secs_f64() * 1e6).to_string());
    }
    if reading.try_join_next().is_some() {
        return Err("a watch ended".into());
    }
    say(&format!("{{\"microseconds\": [{}]}}", times.join(",")))
}

fn say(line: &str) -> Result<()> {
    println!("{line}");
    Ok(std::io::stdout().flush()?)
}

/// A watch that has shown the first resource.
async fn open(file: &str, address: &str) -> Result<(Client, Streaming<WatchResponse>)> {
    let client = connect(file, address)?;
    let request = WatchRequest {
        namespace: "cluster".into(),
        r#type: "Members.cluster.talos.dev".into(),
        options: Some(WatchOptions {
            bootstrap_contents: true,
            ..WatchOptions::default()
        }),
        api_version: 1,
        ..WatchRequest::default()
    };
    let mut stream = StateClient::new(client.wire()).watch(request).await?.into_inner();
    stream.message().await?.ok_or("the watch ended")?;
    Ok((client, stream))
}

async fn read((client, mut stream): (Client, Streaming<WatchResponse>)) {
    while let Ok(Some(_)) = stream.message().await {}
    drop(client);
}
