//! Numbers for Prometheus.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tonic::Code;

use crate::limits;
use crate::service::Service;

/// The calls of the service.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// Hello.
    Hello,
    /// AffiliateUpdate.
    AffiliateUpdate,
    /// AffiliateDelete.
    AffiliateDelete,
    /// List.
    List,
    /// Watch: until it is established.
    Watch,
}

const CALLS: [(Call, &str); 5] = [
    (Call::Hello, "Hello"),
    (Call::AffiliateUpdate, "AffiliateUpdate"),
    (Call::AffiliateDelete, "AffiliateDelete"),
    (Call::List, "List"),
    (Call::Watch, "Watch"),
];

/// Codes are numbers from 0 to 16.
const CODES: usize = 17;
/// 10 µs to 2.6 s.
const BUCKETS: [f64; 10] = [
    0.000_01, 0.000_04, 0.000_16, 0.000_64, 0.002_56, 0.01, 0.04, 0.16, 0.64, 2.56,
];

/// What is counted as it happens. Everything else is looked up when somebody asks.
#[derive(Debug)]
pub struct Metrics {
    calls: [CallMetrics; CALLS.len()],
    limited: AtomicU64,
    hellos: Mutex<HashMap<String, u64>>,
    /// Connections that are open.
    pub connections: AtomicU64,
    /// Connections that were closed because there were too many.
    pub refused_connections: AtomicU64,
    /// Certificates that could not be loaded again.
    pub tls_failures: AtomicU64,
}

#[derive(Debug)]
struct CallMetrics {
    seconds: Histogram,
    codes: [AtomicU64; CODES],
}

impl Default for Metrics {
    fn default() -> Self {
        let call = |_| CallMetrics {
            seconds: Histogram::new(BUCKETS),
            codes: Default::default(),
        };
        Metrics {
            calls: CALLS.map(call),
            limited: AtomicU64::default(),
            hellos: Mutex::default(),
            connections: AtomicU64::default(),
            refused_connections: AtomicU64::default(),
            tls_failures: AtomicU64::default(),
        }
    }
}

impl Metrics {
    /// A call was answered.
    pub fn called(&self, call: Call, code: Code, took: Duration) {
        let call = &self.calls[call as usize];
        call.seconds.observe(took.as_secs_f64());
        if let Some(code) = call.codes.get(code as usize) {
            code.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request was one too many.
    pub fn limited(&self) {
        self.limited.fetch_add(1, Ordering::Relaxed);
    }

    /// A client of a version said hello.
    pub fn hello(&self, version: &str) {
        let mut hellos = self.hellos.lock().unwrap_or_else(PoisonError::into_inner);
        let version = version.get(..64).unwrap_or(version);
        if let Some(count) = hellos.get_mut(version) {
            *count += 1;
        } else {
            let name = if hellos.len() < limits::VERSIONS {
                version
            } else {
                "other"
            };
            *hellos.entry(name.to_owned()).or_default() += 1;
        }
    }
}

/// The text of all metrics.
pub fn text(service: &Service) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("keelson_discovery");
    registry.register_collector(Box::new(Snapshot(service.clone())));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Snapshot(Service);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let mut out = Out(&mut encoder);
        let (service, metrics) = (&self.0, self.0.metrics());
        let store = service.store();
        let totals = store.totals();
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        out.gauge("clusters", "Clusters", totals.clusters)?;
        out.gauge("affiliates", "Affiliates of all clusters", totals.affiliates)?;
        out.gauge("endpoints", "Endpoints of all affiliates", totals.endpoints)?;
        out.gauge("state_bytes", "Bytes of names and affiliates", totals.bytes)?;
        let watching = store.watching();
        out.gauge("subscriptions", "Watches", watching.watchers.load(Ordering::Relaxed))?;
        let cut_off = watching.cut_off.load(Ordering::Relaxed) as u64;
        out.counter(
            "subscriptions_cut_off",
            "Watches ended because they were too slow",
            cut_off,
        )?;
        let collections = store.collections();
        out.counter("gc_runs", "Collections of what expired", load(&collections.runs))?;
        out.counter(
            "gc_affiliates",
            "Affiliates that expired",
            load(&collections.affiliates),
        )?;
        out.counter("gc_endpoints", "Endpoints that expired", load(&collections.endpoints))?;
        out.gauge("connections", "Open connections", load(&metrics.connections) as usize)?;
        let refused = load(&metrics.refused_connections);
        out.counter(
            "connections_refused",
            "Connections closed because there were too many",
            refused,
        )?;
        out.counter(
            "rate_limited",
            "Requests refused because an address asked too often",
            load(&metrics.limited),
        )?;
        out.gauge(
            "rate_addresses",
            "Addresses whose rate is remembered",
            service.limited_addresses(),
        )?;
        let failures = load(&metrics.tls_failures);
        out.counter(
            "tls_reload_failures",
            "Certificates that could not be loaded again",
            failures,
        )?;
        if let Some(journal) = store.journal() {
            let health = journal.health();
            let age = health.snapshot_age().map_or(0, |age| age.as_secs() as usize);
            out.gauge("snapshot_age_seconds", "Time since the last snapshot", age)?;
            out.gauge(
                "snapshot_bytes",
                "Bytes of the last snapshot",
                load(&health.snapshot_bytes) as usize,
            )?;
            out.counter("snapshots", "Snapshots that were completed", load(&health.snapshots))?;
            out.gauge(
                "log_bytes",
                "Bytes of the log since then",
                load(&health.log_bytes) as usize,
            )?;
            out.counter(
                "disk_failures",
                "Writes to the disk that failed",
                load(&health.failures),
            )?;
            out.gauge(
                "disk_broken",
                "1 while changes do not reach the disk",
                usize::from(journal.is_broken()),
            )?;
        }
        out.hellos(metrics)?;
        out.calls(metrics)
    }
}

struct Out<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Out<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: usize) -> std::fmt::Result {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> std::fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    fn hellos(&mut self, metrics: &Metrics) -> std::fmt::Result {
        let hellos = metrics.hellos.lock().unwrap_or_else(PoisonError::into_inner);
        let help = "Clients that said hello, by their version";
        let mut family = self.0.encode_descriptor("hellos", help, None, MetricType::Counter)?;
        for (version, count) in &*hellos {
            let labels = [("client_version", version.as_str())];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn calls(&mut self, metrics: &Metrics) -> std::fmt::Result {
        let each = || CALLS.iter().zip(&metrics.calls);
        let help = "Calls that were answered, by method and code";
        let mut family = self
            .0
            .encode_descriptor("grpc_calls", help, None, MetricType::Counter)?;
        for ((_, method), call) in each() {
            for (code, count) in call.codes.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let code = format!("{:?}", Code::from_i32(i32::try_from(code).unwrap_or_default()));
                    let labels = [("method", *method), ("code", code.as_str())];
                    ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        let help = "How long it took to answer calls, by method";
        let mut family = self
            .0
            .encode_descriptor("grpc_call_seconds", help, None, MetricType::Histogram)?;
        for ((_, method), call) in each() {
            call.seconds.encode(family.encode_family(&[("method", *method)])?)?;
        }
        Ok(())
    }
}
