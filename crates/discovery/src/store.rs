//! The state as the service shares it: in shards with a lock each, with watchers told and changes put on disk.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use discovery_client::proto::server::{Affiliate, WatchResponse};

use crate::journal::Journal;
use crate::journal::entry::{self, Entry};
use crate::limits;
use crate::record::Record;
use crate::state::{Outcome, Refused, State, Totals, Update};
use crate::time::Time;
use crate::watch::{Count, Subscription, Watchers};

/// Enough that two processors rarely want the same one, and that a snapshot holds none for long.
const SHARDS: usize = 64;

/// Everything the service knows.
#[derive(Debug)]
pub struct Store {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    journal: Option<Arc<Journal>>,
    bytes: AtomicUsize,
    most_bytes: usize,
    watching: Arc<Count>,
    collections: Collections,
}

#[derive(Debug, Default)]
struct Shard {
    state: State,
    watchers: HashMap<Box<str>, Watchers>,
}

/// What collections found so far.
#[derive(Debug, Default)]
pub struct Collections {
    /// How often.
    pub runs: AtomicU64,
    /// Affiliates that had expired.
    pub affiliates: AtomicU64,
    /// Endpoints that had expired.
    pub endpoints: AtomicU64,
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A limit of the cluster or the affiliate.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The limit of everything.
    #[error("the service is full: it holds as much as it was allowed to (--max-state-mib)")]
    Full,
    /// The disk is too slow.
    #[error("changes arrive faster than they can be written to disk: try again later")]
    Busy,
    /// The cluster has too many watchers.
    #[error("the cluster has {} watchers, which is the most", limits::WATCHERS)]
    Watchers,
}

impl Store {
    /// An empty store, without a disk.
    pub fn in_memory(most_bytes: usize) -> Store {
        Store {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            journal: None,
            bytes: AtomicUsize::new(0),
            most_bytes,
            watching: Arc::default(),
            collections: Collections::default(),
        }
    }

    /// A store that is kept in a folder, with what the folder has, and what was wrong with that.
    pub fn open(folder: &Path, most_bytes: usize, now: Time) -> io::Result<(Store, Vec<String>)> {
        let mut store = Store::in_memory(most_bytes);
        let latest = now.plus(limits::TTL);
        let (journal, complaints) = Journal::open(folder, |entry| match entry {
            Entry::Set(cluster, record) => {
                store
                    .shard(cluster)
                    .state
                    .restore(cluster, record.lasting_until(latest));
            }
            Entry::Delete(cluster, affiliate) => {
                store.shard(cluster).state.delete(cluster, affiliate);
            }
            Entry::End(_) => {}
        })?;
        store.journal = Some(journal);
        store.bytes = AtomicUsize::new(store.totals().bytes);
        store.collect(now);
        Ok((store, complaints))
    }

    /// Takes an update.
    pub fn update(&self, update: &Update<'_>) -> Result<Outcome, Error> {
        self.check_room()?;
        if self.bytes.load(Ordering::Relaxed) >= self.most_bytes {
            return Err(Error::Full);
        }
        let mut shard = self.shard(update.cluster);
        let before = shard.state.totals().bytes;
        let outcome = shard.state.update(update)?;
        self.count(before, shard.state.totals().bytes);
        if outcome != Outcome::Nothing {
            self.publish(&mut shard, update.cluster, update.affiliate, outcome);
        }
        Ok(outcome)
    }

    /// Removes an affiliate; unknown ones are no error.
    pub fn delete(&self, cluster: &str, affiliate: &str) -> Result<(), Error> {
        self.check_room()?;
        let mut shard = self.shard(cluster);
        let before = shard.state.totals().bytes;
        if shard.state.delete(cluster, affiliate) {
            self.count(before, shard.state.totals().bytes);
            if let Some(journal) = &self.journal {
                journal.delete(cluster, affiliate);
            }
            shard.tell(cluster, || deleted(affiliate));
        }
        Ok(())
    }

    /// All affiliates of a cluster.
    pub fn list(&self, cluster: &str) -> Vec<Affiliate> {
        self.shard(cluster).state.list(cluster).map(affiliate).collect()
    }

    /// What `see` makes of each affiliate of a cluster.
    pub fn look<T>(&self, cluster: &str, see: impl FnMut(&Record) -> T) -> Vec<T> {
        self.shard(cluster).state.list(cluster).map(see).collect()
    }

    /// All affiliates of a cluster, and every change from then on.
    pub fn watch(&self, cluster: &str) -> Result<Subscription, Error> {
        let mut shard = self.shard(cluster);
        let first = WatchResponse {
            affiliates: shard.state.list(cluster).map(affiliate).collect(),
            deleted: false,
        };
        let watchers = shard.watchers.entry(cluster.into()).or_default();
        watchers.add(&first, &self.watching).ok_or(Error::Watchers)
    }

    /// Removes what has expired and tells watchers.
    pub fn collect(&self, now: Time) {
        self.collections.runs.fetch_add(1, Ordering::Relaxed);
        for shard in &self.shards {
            let mut shard = lock(shard);
            let before = shard.state.totals().bytes;
            let collected = shard.state.collect(now);
            self.count(before, shard.state.totals().bytes);
            self.collections
                .endpoints
                .fetch_add(collected.endpoints as u64, Ordering::Relaxed);
            self.collections
                .affiliates
                .fetch_add(collected.gone.len() as u64, Ordering::Relaxed);
            // The disk is not told: there it expires at the same time.
            for (cluster, id) in collected.gone {
                shard.tell(&cluster, || deleted(&id));
            }
            for (cluster, id) in collected.changed {
                shard.tell_of(&cluster, &id);
            }
            shard.watchers.retain(|_, watchers| !watchers.is_empty());
        }
    }

    /// How much there is.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            totals += lock(shard).state.totals();
        }
        totals
    }

    /// Writes everything to disk, a shard at a time.
    pub fn snapshot(&self) -> io::Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let mut shards = self.shards.iter();
        journal.snapshot(|bytes| {
            let shard = lock(shards.next()?);
            let each = |(cluster, record)| entry::put_set(bytes, cluster, record);
            shard.state.all().for_each(each);
            Some(shard.state.totals().affiliates as u64)
        })
    }

    /// The disk, if there is one.
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.as_deref()
    }

    /// Watchers of all clusters.
    pub fn watching(&self) -> &Count {
        &self.watching
    }

    /// What collections found.
    pub fn collections(&self) -> &Collections {
        &self.collections
    }

    /// Sends watchers away.
    pub fn dismiss(&self) {
        self.watching.stopping.store(true, Ordering::Release);
        for shard in &self.shards {
            lock(shard).watchers.clear();
        }
    }

    fn check_room(&self) -> Result<(), Error> {
        match &self.journal {
            Some(journal) if !journal.has_room() => Err(Error::Busy),
            _ => Ok(()),
        }
    }

    fn publish(&self, shard: &mut Shard, cluster: &str, id: &str, outcome: Outcome) {
        if let (Some(journal), Some(record)) = (&self.journal, shard.state.get(cluster, id)) {
            journal.set(cluster, record);
        }
        if outcome == Outcome::Changed {
            shard.tell_of(cluster, id);
        }
    }

    fn count(&self, before: usize, after: usize) {
        // The difference may be negative: wrapping addition of it is subtraction.
        self.bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }

    fn shard(&self, cluster: &str) -> MutexGuard<'_, Shard> {
        let number = self.hasher.hash_one(cluster) % (SHARDS as u64);
        lock(&self.shards[number as usize])
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(journal) = &self.journal {
            journal.stop();
        }
    }
}

impl Shard {
    fn tell_of(&mut self, cluster: &str, id: &str) {
        let Some(watchers) = self.watchers.get_mut(cluster) else {
            return;
        };
        if let Some(record) = self.state.get(cluster, id) {
            watchers.tell(&WatchResponse {
                affiliates: vec![affiliate(record)],
                deleted: false,
            });
        }
    }

    fn tell(&mut self, cluster: &str, change: impl FnOnce() -> WatchResponse) {
        if let Some(watchers) = self.watchers.get_mut(cluster) {
            watchers.tell(&change());
        }
    }
}

fn affiliate(record: &Record) -> Affiliate {
    Affiliate {
        id: String::from_utf8_lossy(record.id()).into_owned(),
        data: Bytes::copy_from_slice(record.data()),
        endpoints: record.endpoints().map(|e| Bytes::copy_from_slice(e.bytes)).collect(),
    }
}

fn deleted(id: &str) -> WatchResponse {
    WatchResponse {
        affiliates: vec![Affiliate {
            id: id.to_owned(),
            ..Affiliate::default()
        }],
        deleted: true,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
