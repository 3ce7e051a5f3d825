//! A client that writes to Kubernetes all the time, and knows what was acknowledged and how long nothing was.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use k8s::{Client, Error, Kubeconfig, ListOptions, Options, resources};
use serde_json::json;

use crate::wait::eventually;

/// Time between two writes.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one try may take, until the next server is tried.
const TRY: Duration = Duration::from_secs(2);
/// How long the list of everything may take.
const LIST: Duration = Duration::from_secs(60);
/// Where it writes, and the label with which its objects name it.
const NAMESPACE: &str = "default";
const LABEL: &str = "written-by";

/// What was acknowledged.
#[derive(Debug, Default)]
pub struct Written {
    /// Names of objects.
    pub names: Vec<String>,
    /// The longest time from one acknowledgement to the next.
    pub gap: Duration,
    /// When it was over, after the beginning.
    pub gap_at: Duration,
    /// What was answered to the tries in it.
    pub gap_errors: Vec<String>,
    /// What a server does not have, each with the server.
    pub lost: Vec<String>,
}

/// A writer at work.
pub struct Writer {
    name: String,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    thread: JoinHandle<Result<Written>>,
    servers: Vec<Options>,
}

impl Writer {
    /// Starts writing, with the rights of a kubeconfig, to whichever of the servers answers. No other writer of the
    /// cluster, now or before, may have the same name.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub fn start(name: &str, kubeconfig: &[u8], servers: &[String]) -> Result<Self> {
        let options = Kubeconfig::parse(kubeconfig)?.options(None)?;
        let at = |server: &String| Options {
            server: server.clone(),
            timeout: TRY,
            ..options.clone()
        };
        let servers: Vec<Options> = servers.iter().map(at).collect();
        let (stop, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (used, shared) = (servers.clone(), (stop.clone(), acknowledged.clone()));
        let writer = name.to_owned();
        let thread = std::thread::spawn(move || {
            let clients = used.into_iter().map(Client::with).collect::<Result<Vec<_>, _>>()?;
            runtime()?.block_on(write(&writer, &clients, &shared.0, &shared.1))
        });
        Ok(Self {
            name: name.to_owned(),
            stop,
            acknowledged,
            thread,
            servers,
        })
    }

    /// How many writes were acknowledged up to now. One more may be on its way back.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Stops it, and fails if a server lacks something that was acknowledged.
    ///
    /// # Errors
    /// A write is lost, or a server does not answer.
    pub fn end(self) -> Result<Written> {
        let written = self.finish()?;
        ensure!(
            written.lost.is_empty(),
            "acknowledged and not there: {:?}",
            written.lost
        );
        Ok(written)
    }

    /// Stops it, and asks every server for what was acknowledged.
    ///
    /// # Errors
    /// Nothing was written, or a server does not answer.
    pub fn finish(self) -> Result<Written> {
        self.stop.store(true, Ordering::Relaxed);
        let mut written = self.thread.join().map_err(|_| anyhow!("the writer panicked"))??;
        ensure!(!written.names.is_empty(), "nothing was written");
        for server in &self.servers {
            let found = listed(&self.name, server)?;
            let lost = written.names.iter().filter(|name| !found.contains(*name));
            let lost: Vec<String> = lost.map(|name| format!("{name} at {}", server.server)).collect();
            written.lost.extend(lost);
        }
        Ok(written)
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime")
}

fn listed(writer: &str, server: &Options) -> Result<BTreeSet<String>> {
    let server = Options {
        timeout: LIST,
        ..server.clone()
    };
    eventually("the list of what was written", 2 * LIST, || {
        let options = ListOptions {
            labels: format!("{LABEL}={writer}"),
            ..ListOptions::default()
        };
        let client = Client::with(server.clone())?;
        let list = runtime()?.block_on(client.list(&resources::CONFIG_MAPS, Some(NAMESPACE), &options))?;
        let name = |item: &serde_json::Value| item["metadata"]["name"].as_str().map(str::to_owned);
        Ok(list.items.iter().filter_map(name).collect())
    })
}

async fn write(writer: &str, clients: &[Client], stop: &AtomicBool, count: &AtomicUsize) -> Result<Written> {
    let mut written = Written::default();
    let began = Instant::now();
    let (mut last, mut server) = (began, 0);
    while !stop.load(Ordering::Relaxed) {
        let name = format!("{writer}-{}", written.names.len());
        let object = json!({"metadata": {"name": name, "labels": {LABEL: writer}}});
        let mut errors = Vec::new();
        loop {
            let client = clients.get(server % clients.len()).context("there is a server")?;
            match client.create(&resources::CONFIG_MAPS, Some(NAMESPACE), &object).await {
                // An answer that was lost: the write is there.
                Ok(_) | Err(Error::AlreadyExists { .. }) => break,
                Err(_) if stop.load(Ordering::Relaxed) => return Ok(written),
                Err(error) => {
                    errors.push(format!("{:.1} s: {error}", last.elapsed().as_secs_f64()));
                    server += 1;
                }
            }
            // When nobody answers at all.
            if server % clients.len() == 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
        let gap = last.elapsed();
        if gap > written.gap {
            (written.gap, written.gap_at, written.gap_errors) = (gap, began.elapsed(), errors);
        }
        last = Instant::now();
        written.names.push(name);
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(written)
}
