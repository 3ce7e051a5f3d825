//! The program: settings in, a service until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::listen::{self, Bounds, Port};
use crate::metrics::Metrics;
use crate::service::{Rules, Service};
use crate::settings::Settings;
use crate::store::Store;
use crate::time::Clock;
use crate::tls;
use crate::web::{self, Web};

/// How often the log is synced: what a power cut may take.
const SYNC: Duration = Duration::from_millis(500);

/// Runs until SIGTERM or SIGINT.
pub async fn run(settings: Settings) -> Result<()> {
    raise_descriptors();
    let clock = Clock::start();
    let store = Arc::new(open(&settings, clock)?);
    let metrics = Arc::new(Metrics::default());
    let rules = Rules {
        rate: settings.rate,
        burst: settings.burst,
        trusted: settings.trusted_proxy.clone(),
        redirect: settings.redirect.clone(),
    };
    let service = Service::new(store.clone(), metrics.clone(), clock, rules);
    let tls = certificates(&settings, &metrics)?;
    let bind = async |address| {
        let bound = TcpListener::bind(address).await;
        bound.with_context(|| format!("listen on {address}: is another program there?"))
    };
    let (grpc, http) = (bind(settings.listen).await?, bind(settings.http_listen).await?);
    let encrypted = if tls.is_some() { "with TLS" } else { "without TLS" };
    tracing::info!("nodes connect to {} {encrypted}", grpc.local_addr()?);
    tracing::info!("page, metrics and health are on {}", http.local_addr()?);

    let (cancel, stop) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
    let keeper = keep(store.clone(), settings.snapshot, stop.clone())?;
    let ready = Arc::new(AtomicBool::new(true));
    let page = web::router(Web {
        service: service.clone(),
        ready: ready.clone(),
    });
    let nodes = Bounds::new(settings.max_connections, metrics.clone(), clock);
    let people = Bounds::new(limits::WEB_CONNECTIONS, metrics, clock);
    let ports = [
        (grpc, Port::Grpc(service.clone(), tls), nodes),
        (http, Port::Web(page), people),
    ];
    let serve = |(listener, port, bounds)| tokio::spawn(listen::serve(listener, port, bounds, cancel.clone()));
    let ports = ports.map(serve);
    let collecting = tokio::spawn(collect(service, settings.collect));

    told_to_stop().await?;
    tracing::info!("stopping");
    ready.store(false, Ordering::Release);
    collecting.abort();
    store.dismiss();
    cancel.cancel();
    for port in ports {
        let _ = port.await;
    }
    stop.store(true, Ordering::Release);
    keeper.thread().unpark();
    let _ = tokio::task::spawn_blocking(move || keeper.join()).await;
    Ok(())
}

fn open(settings: &Settings, clock: Clock) -> Result<Store> {
    let most = settings.max_state_mib.saturating_mul(1 << 20);
    let Some(folder) = &settings.state else {
        tracing::warn!(
            "without --state, what nodes say is lost when the service stops; they say it again within 15 minutes"
        );
        return Ok(Store::in_memory(most));
    };
    let (store, complaints) = Store::open(folder, most, clock.now()).context("load the state")?;
    for complaint in complaints {
        tracing::warn!("{complaint}");
    }
    let totals = store.totals();
    let took = clock.uptime().as_millis();
    tracing::info!(
        "{} affiliates of {} clusters loaded in {took} ms",
        totals.affiliates,
        totals.clusters
    );
    Ok(store)
}

/// The thread that syncs the log and takes snapshots.
fn keep(store: Arc<Store>, every: Duration, stop: Arc<AtomicBool>) -> Result<std::thread::JoinHandle<()>> {
    let work = move || {
        let Some(journal) = store.journal() else { return };
        while !stop.load(Ordering::Acquire) {
            std::thread::park_timeout(SYNC);
            journal.sync();
            if journal.wants_snapshot(every) {
                // A failure is reported by the journal and tried again.
                let _ = store.snapshot();
                sys::memory::give_back();
            }
        }
        journal.stop();
        if journal.wants_snapshot(Duration::ZERO) {
            let _ = store.snapshot();
        }
    };
    let thread = std::thread::Builder::new().name("keep".to_owned());
    thread.spawn(work).context("start the thread that keeps the state")
}

async fn collect(service: Service, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        service.collect();
        sys::memory::give_back();
    }
}

fn certificates(
    settings: &Settings,
    metrics: &Arc<Metrics>,
) -> Result<Option<watch::Receiver<Arc<rustls::ServerConfig>>>> {
    let (Some(certificate), Some(key)) = (settings.tls_cert.clone(), settings.tls_key.clone()) else {
        return Ok(None);
    };
    let files = tls::Files { certificate, key };
    let (identity, config) = files.load()?;
    let (send, receive) = watch::channel(config);
    let mut hangup = signal(SignalKind::hangup()).context("wait for SIGHUP")?;
    let now = async move || {
        hangup.recv().await;
    };
    tokio::spawn(files.follow(identity, send, metrics.clone(), now));
    Ok(Some(receive))
}

async fn told_to_stop() -> Result<()> {
    let listen = |kind| -> Result<Signal> { signal(kind).context("wait for signals") };
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// A connection is a descriptor, and the usual soft limit is 1024.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "raise the limit of open files");
    }
}
