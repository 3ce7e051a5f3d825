//! What the service knows, as values: no locks, no clock, no network.
//!
//! ```
//! use discovery::state::{Outcome, State, Update};
//! use discovery::time::Time;
//!
//! let mut state = State::default();
//! let update = Update {
//!     cluster: "c",
//!     affiliate: "node-1",
//!     data: Some(b"sealed"),
//!     endpoints: vec![b"sealed endpoint"],
//!     now: Time(100),
//!     expires: Time(160),
//! };
//! assert_eq!(state.update(&update)?, Outcome::Changed);
//! assert_eq!(state.update(&update)?, Outcome::Renewed);
//! assert_eq!(state.list("c").count(), 1);
//! assert_eq!(state.collect(Time(160)).gone, [("c".into(), "node-1".into())]);
//! # Ok::<(), discovery::state::Refused>(())
//! ```

use std::collections::HashMap;
use std::ops::AddAssign;

use crate::limits;
use crate::record::{Endpoint, Parts, Record};
use crate::time::Time;

/// Clusters and their affiliates.
#[derive(Debug, Default)]
pub struct State {
    clusters: HashMap<Box<str>, Cluster>,
    totals: Totals,
}

/// Affiliates by id, sorted.
#[derive(Debug, Default)]
struct Cluster(Vec<Record>);

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Clusters.
    pub clusters: usize,
    /// Affiliates of all clusters.
    pub affiliates: usize,
    /// Endpoints of all affiliates.
    pub endpoints: usize,
    /// Bytes of names and records, without what it takes to find them.
    pub bytes: usize,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, more: Totals) {
        self.clusters += more.clusters;
        self.affiliates += more.affiliates;
        self.endpoints += more.endpoints;
        self.bytes += more.bytes;
    }
}

/// What a node says.
#[derive(Clone, Debug)]
pub struct Update<'a> {
    /// Its cluster.
    pub cluster: &'a str,
    /// The affiliate that is spoken of.
    pub affiliate: &'a str,
    /// Its data, if it speaks of itself.
    pub data: Option<&'a [u8]>,
    /// Endpoints it can be reached at.
    pub endpoints: Vec<&'a [u8]>,
    /// Now.
    pub now: Time,
    /// When this is forgotten unless it is said again.
    pub expires: Time,
}

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Watchers see something else now.
    Changed,
    /// It only lasts longer now.
    Renewed,
    /// Nothing: endpoints of nobody.
    Nothing,
}

/// Why an update was not taken. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A cluster is full.
    #[error("the cluster has {} affiliates, which is the most", limits::AFFILIATES)]
    Affiliates,
    /// An affiliate is full.
    #[error(
        "the affiliate would have more than {} endpoints, which is the most",
        limits::ENDPOINTS
    )]
    Endpoints,
    /// A field is too long; the service checks this before.
    #[error("a field is too long")]
    TooLong,
}

/// What expired.
#[derive(Debug, Default, PartialEq)]
pub struct Collected {
    /// Affiliates that are gone: cluster and id.
    pub gone: Vec<(Box<str>, Box<str>)>,
    /// Affiliates that lost endpoints: cluster and id.
    pub changed: Vec<(Box<str>, Box<str>)>,
    /// How many endpoints were lost, by affiliates that are gone too.
    pub endpoints: usize,
}

impl Cluster {
    fn find(&self, id: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|record| record.id().cmp(id.as_bytes()))
    }
}

impl State {
    /// Takes an update. Data replace data; endpoints are merged with known ones, and each lasts as long as the last one
    /// who reported it says.
    pub fn update(&mut self, update: &Update<'_>) -> Result<Outcome, Refused> {
        let found = self.clusters.get(update.cluster);
        let place = found.map_or(Err(0), |cluster| cluster.find(update.affiliate));
        let old = place.ok().zip(found).map(|(at, cluster)| &cluster.0[at]);
        if old.is_none() && update.data.is_none() && update.endpoints.is_empty() {
            return Ok(Outcome::Nothing);
        }
        if old.is_none() && found.is_some_and(|cluster| cluster.0.len() >= limits::AFFILIATES) {
            return Err(Refused::Affiliates);
        }
        let parts = merge(old, update);
        if parts.endpoints.len() > limits::ENDPOINTS {
            return Err(Refused::Endpoints);
        }
        let record = parts.pack().ok_or(Refused::TooLong)?;
        let outcome = match old {
            Some(old) if looks_the_same(old, &record) => Outcome::Renewed,
            _ => Outcome::Changed,
        };
        self.put(update.cluster, place, record);
        Ok(outcome)
    }

    /// Takes a record as it is: one that was written to disk. Limits were checked when it was new.
    pub fn restore(&mut self, cluster: &str, record: Record) {
        let Ok(id) = std::str::from_utf8(record.id()) else {
            return;
        };
        let place = self.clusters.get(cluster).map_or(Err(0), |cluster| cluster.find(id));
        self.put(cluster, place, record);
    }

    /// Removes an affiliate; says whether it was there.
    pub fn delete(&mut self, cluster: &str, affiliate: &str) -> bool {
        let Some(of) = self.clusters.get_mut(cluster) else {
            return false;
        };
        let Ok(at) = of.find(affiliate) else { return false };
        self.totals.forget(&of.0.remove(at));
        if of.0.is_empty() {
            self.clusters.remove(cluster);
            self.totals.bytes -= cluster.len();
        }
        true
    }

    /// One affiliate.
    pub fn get(&self, cluster: &str, affiliate: &str) -> Option<&Record> {
        let cluster = self.clusters.get(cluster)?;
        cluster.0.get(cluster.find(affiliate).ok()?)
    }

    /// All affiliates of a cluster by id.
    pub fn list(&self, cluster: &str) -> impl Iterator<Item = &Record> {
        self.clusters.get(cluster).into_iter().flat_map(|cluster| &cluster.0)
    }

    /// Everything.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Record)> {
        let clusters = self.clusters.iter();
        clusters.flat_map(|(name, cluster)| cluster.0.iter().map(move |record| (&**name, record)))
    }

    /// Removes what has expired.
    pub fn collect(&mut self, now: Time) -> Collected {
        let mut collected = Collected::default();
        let totals = &mut self.totals;
        self.clusters.retain(|name, cluster| {
            cluster.0.retain_mut(|record| match age(record, now) {
                Age::Young => true,
                Age::Old => {
                    totals.forget(record);
                    collected.endpoints += record.endpoint_count();
                    collected.gone.push((name.clone(), id(record)));
                    false
                }
                Age::Partly(younger) => {
                    totals.forget(record);
                    totals.learn(&younger);
                    collected.endpoints += record.endpoint_count() - younger.endpoint_count();
                    collected.changed.push((name.clone(), id(record)));
                    *record = younger;
                    true
                }
            });
            if cluster.0.is_empty() {
                totals.bytes -= name.len();
            }
            !cluster.0.is_empty()
        });
        collected
    }

    /// How much there is.
    pub fn totals(&self) -> Totals {
        Totals {
            clusters: self.clusters.len(),
            ..self.totals
        }
    }

    fn put(&mut self, cluster: &str, place: Result<usize, usize>, record: Record) {
        self.totals.learn(&record);
        // A name is copied only when a cluster is new.
        let of = match self.clusters.get_mut(cluster) {
            Some(of) => of,
            None => {
                self.totals.bytes += cluster.len();
                self.clusters.entry(cluster.into()).or_default()
            }
        };
        match place {
            Ok(at) => self.totals.forget(&std::mem::replace(&mut of.0[at], record)),
            Err(at) => of.0.insert(at, record),
        }
    }
}

impl Totals {
    fn learn(&mut self, record: &Record) {
        self.affiliates += 1;
        self.endpoints += record.endpoint_count();
        self.bytes += record.as_bytes().len();
    }

    fn forget(&mut self, record: &Record) {
        self.affiliates -= 1;
        self.endpoints -= record.endpoint_count();
        self.bytes -= record.as_bytes().len();
    }
}

fn merge<'a>(old: Option<&'a Record>, update: &Update<'a>) -> Parts<'a> {
    let mut parts = old.map_or_else(Parts::default, |old| old.alive(update.now));
    parts.id = update.affiliate.as_bytes();
    if let Some(data) = update.data {
        parts.data = Some((data, update.expires));
    }
    for bytes in &update.endpoints {
        match parts.endpoints.iter_mut().find(|known| known.bytes == *bytes) {
            Some(known) => known.expires = known.expires.max(update.expires),
            None => parts.endpoints.push(Endpoint {
                expires: update.expires,
                bytes,
            }),
        }
    }
    parts
}

/// Whether a watcher sees no difference.
fn looks_the_same(a: &Record, b: &Record) -> bool {
    a.data() == b.data() && a.endpoints().map(|e| e.bytes).eq(b.endpoints().map(|e| e.bytes))
}

enum Age {
    Young,
    Partly(Record),
    Old,
}

/// An affiliate goes when its data expire: the node has not been heard of. One without data lasts as long as an endpoint.
fn age(record: &Record, now: Time) -> Age {
    let expired = record.expires().is_some_and(|expires| expires <= now);
    if expired {
        return Age::Old;
    }
    if record.endpoints().all(|e| e.expires > now) {
        return match record.expires() {
            None if record.endpoint_count() == 0 => Age::Old,
            _ => Age::Young,
        };
    }
    let parts = record.alive(now);
    if parts.data.is_none() && parts.endpoints.is_empty() {
        return Age::Old;
    }
    parts.pack().map_or(Age::Old, Age::Partly)
}

fn id(record: &Record) -> Box<str> {
    String::from_utf8_lossy(record.id()).into()
}
