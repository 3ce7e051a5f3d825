//! Load for the discovery service, used by `cargo xtask bench`; prints JSON.
//!
//! ```text
//! discovery_load fill ADDRESS CLUSTERS AFFILIATES     puts affiliates of 400 bytes with 2 endpoints into each cluster
//! discovery_load update ADDRESS CLUSTERS AFFILIATES SECONDS   changes them as fast as it can
//! discovery_load count ADDRESS CLUSTERS               how many affiliates there are
//! discovery_load watch ADDRESS WATCHERS CONNECTIONS ROUNDS    how long a change takes to reach watchers
//! discovery_load survive ADDRESS SECONDS              updates until the service dies, and what it lost when it is back
//! ```
//! One thread at a time, so that the service has the other processor; the same protocol as nodes speak, below it as
//! little as possible.

mod calls;
mod watcher;

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use calls::Connection;
use discovery_client::proto::server::{AffiliateUpdateRequest, ListRequest, ListResponse};

/// Connections of the load, and calls in progress on each.
const CONNECTIONS: usize = 8;
const IN_PROGRESS: usize = 24;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let printed = match args[..] {
        ["fill", address, clusters, affiliates] => {
            let all = clusters.parse::<usize>()? * affiliates.parse::<usize>()?;
            let (sent, took) = drive(address.parse()?, clusters.parse()?, 0, |sent, _| sent < all).await?;
            serde_json::json!({ "updates": sent, "seconds": took.as_secs_f64() })
        }
        ["update", address, clusters, affiliates, seconds] => {
            let limit = Duration::from_secs(seconds.parse()?);
            let all = clusters.parse::<usize>()? * affiliates.parse::<usize>()?;
            let (sent, took) = drive(address.parse()?, clusters.parse()?, all, |_, took| took < limit).await?;
            serde_json::json!({ "updates": sent, "seconds": took.as_secs_f64() })
        }
        ["count", address, clusters] => {
            let found = count(address.parse()?, clusters.parse()?).await?;
            serde_json::json!({ "affiliates": found })
        }
        ["watch", address, watchers, connections, rounds] => {
            let (watchers, connections) = (watchers.parse()?, connections.parse()?);
            let rounds = watcher::rounds(address.parse()?, watchers, connections, rounds.parse()?).await?;
            let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
            let medians: Vec<f64> = rounds
                .iter()
                .map(|times| milliseconds(times[times.len() / 2]))
                .collect();
            let lasts: Vec<f64> = rounds
                .iter()
                .map(|times| milliseconds(times[times.len() - 1]))
                .collect();
            serde_json::json!({ "medians": medians, "lasts": lasts })
        }
        ["survive", address, seconds] => {
            let (acknowledged, lost, window) = survive(address.parse()?, seconds.parse()?).await?;
            serde_json::json!({ "acknowledged": acknowledged, "lost": lost, "seconds": window.as_secs_f64() })
        }
        _ => return Err("see the head of examples/discovery_load/main.rs".into()),
    };
    println!("{printed}");
    Ok(())
}

/// The affiliate with a number. `turn` changes its data, as a new nonce would.
fn affiliate(number: usize, clusters: usize, turn: u64) -> AffiliateUpdateRequest {
    let fill = |length: usize, seed: u64| -> Bytes {
        let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let byte = |_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 32) as u8
        };
        (0..length).map(byte).collect()
    };
    let seed = number as u64;
    AffiliateUpdateRequest {
        cluster_id: cluster(number % clusters),
        affiliate_id: format!("{:044}", number / clusters),
        affiliate_data: Some(fill(400, seed.wrapping_add(turn << 32))),
        affiliate_endpoints: vec![fill(16, seed * 2 + 1), fill(16, seed * 2 + 2)],
        ttl: Some(prost_types::Duration {
            seconds: 1800,
            nanos: 0,
        }),
    }
}

/// As long as the ids of real clusters.
fn cluster(number: usize) -> String {
    format!("{number:043}=")
}

/// Sends affiliates one after the other while `more` says so, many at a time.
async fn drive(
    address: SocketAddr,
    clusters: usize,
    known: usize,
    more: impl Fn(usize, Duration) -> bool,
) -> Result<(usize, Duration)> {
    let began = Instant::now();
    let mut next = 0;
    let mut done = 0;
    let mut calls = tokio::task::JoinSet::new();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(address).await?);
    }
    loop {
        while calls.len() < CONNECTIONS * IN_PROGRESS && more(next, began.elapsed()) {
            let connection = connections[next % CONNECTIONS].clone();
            // A prime step visits all, and not in the order in which they were made.
            let (number, turn) = match known {
                0 => (next, 0),
                known => ((next * 7919) % known, 1 + next as u64),
            };
            let request = affiliate(number, clusters, turn);
            calls.spawn(async move { connection.call("AffiliateUpdate", &request).await.map(drop) });
            next += 1;
        }
        let Some(result) = calls.join_next().await else { break };
        result??;
        done += 1;
    }
    Ok((done, began.elapsed()))
}

async fn count(address: SocketAddr, clusters: usize) -> Result<usize> {
    let connection = Connection::open(address).await?;
    let mut found = 0;
    for number in 0..clusters {
        found += list(&connection, cluster(number)).await?.affiliates.len();
    }
    Ok(found)
}

async fn list(connection: &Connection, cluster_id: String) -> Result<ListResponse> {
    let reply = connection.call("List", &ListRequest { cluster_id }).await?;
    Ok(prost::Message::decode(reply)?)
}

/// Updates that were acknowledged, how many of them were lost, and how long before the end the first of those was.
async fn survive(address: SocketAddr, seconds: u64) -> Result<(usize, usize, Duration)> {
    let began = Instant::now();
    let (mut acknowledged, mut next) = (HashMap::new(), 0);
    let connection = Connection::open(address).await?;
    let mut calls = tokio::task::JoinSet::new();
    let died = 'dead: loop {
        while calls.len() < IN_PROGRESS {
            let (connection, number) = (connection.clone(), next);
            let request = affiliate(number, 10_000, u64::MAX);
            calls.spawn(async move { connection.call("AffiliateUpdate", &request).await.map(|_| number) });
            next += 1;
        }
        match calls.join_next().await {
            Some(Ok(Ok(number))) => _ = acknowledged.insert(number, Instant::now()),
            _ => break 'dead Instant::now(),
        }
        if began.elapsed() > Duration::from_secs(seconds) {
            return Err("the service did not die".into());
        }
    };
    let connection = loop {
        match Connection::open(address).await {
            Ok(connection) => break connection,
            Err(error) if died.elapsed() > Duration::from_secs(30) => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let (mut lost, mut window) = (0, Duration::ZERO);
    let mut known: HashMap<String, HashMap<String, Bytes>> = HashMap::new();
    for (number, at) in &acknowledged {
        let wanted = affiliate(*number, 10_000, u64::MAX);
        if !known.contains_key(&wanted.cluster_id) {
            let listed = list(&connection, wanted.cluster_id.clone()).await?.affiliates;
            known.insert(
                wanted.cluster_id.clone(),
                listed.into_iter().map(|a| (a.id, a.data)).collect(),
            );
        }
        if known[&wanted.cluster_id].get(&wanted.affiliate_id) != wanted.affiliate_data.as_ref() {
            lost += 1;
            window = window.max(died - *at);
        }
    }
    Ok((acknowledged.len(), lost, window))
}
