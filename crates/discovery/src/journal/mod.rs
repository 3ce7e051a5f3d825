//! The state on disk.
//!
//! Every change is appended to a log: gathered in memory for [`GATHER`], written by a thread of its own, and synced at
//! least every second by the one that also takes snapshots. A killed process loses what was gathered, a power cut what
//! was not synced. When the log has grown, or after a while, a snapshot makes it short again; that is written shard by
//! shard beside the service's work, to a temporary file that is synced and then renamed.
//!
//! A disk that fails does not stop the service: nodes find each other from memory, and say everything again within half
//! of their time to live. The fault is logged, shown as a metric, and a snapshot is tried until one succeeds.

pub mod entry;
pub mod folder;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::limits;
use crate::record::Record;
use entry::Entry;
use folder::{Kind, about};

/// How long changes are gathered before they are written.
pub const GATHER: Duration = Duration::from_millis(50);
/// Changes are written at once when there are this many bytes.
const ENOUGH: usize = 128 * 1024;
/// A log shorter than this is not worth a snapshot.
const SHORT: u64 = 32 * 1024 * 1024;
/// How long after a failed snapshot the next one is tried.
const RETRY: Duration = Duration::from_secs(5);
/// How long to wait for a process before this one to end.
const LOCK: Duration = Duration::from_secs(2);

/// The log, open for changes.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    /// Holds the folder against another process.
    _lock: sys::files::Lock,
    gathered: Mutex<Gathered>,
    arrived: Condvar,
    log: Mutex<Log>,
    broken: AtomicBool,
    health: Health,
    writer: Mutex<Option<JoinHandle<()>>>,
    damaged: Mutex<Vec<PathBuf>>,
}

/// Numbers for metrics.
#[derive(Debug, Default)]
pub struct Health {
    /// Bytes of the last snapshot.
    pub snapshot_bytes: AtomicU64,
    /// Bytes of the log.
    pub log_bytes: AtomicU64,
    /// Snapshots that were completed.
    pub snapshots: AtomicU64,
    /// Writes, syncs and snapshots that failed.
    pub failures: AtomicU64,
    last: Mutex<Option<Instant>>,
    failed: Mutex<Option<Instant>>,
}

impl Health {
    /// How long ago the last snapshot was completed. None if there was none since the start.
    pub fn snapshot_age(&self) -> Option<Duration> {
        lock(&self.last).map(|at| at.elapsed())
    }
}

#[derive(Debug, Default)]
struct Gathered {
    bytes: Vec<u8>,
    stopping: bool,
}

#[derive(Debug)]
struct Log {
    file: Arc<File>,
    number: u64,
    length: u64,
    unsynced: bool,
}

impl Journal {
    /// Reads what the folder has, making it if needed, and begins a new log. Fails if another process uses it.
    pub fn open(folder: &Path, take: impl FnMut(Entry<'_>)) -> io::Result<(Arc<Journal>, Vec<String>)> {
        std::fs::create_dir_all(folder).map_err(|e| about(&e, "create", folder))?;
        let Some(lock) = lock_folder(folder)? else {
            let text = format!(
                "{} is in use by another keelson-discovery: stop it, or use another folder",
                folder.display()
            );
            return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
        };
        let loaded = folder::load(folder, take)?;
        let journal = Arc::new(Journal {
            folder: folder.to_owned(),
            _lock: lock,
            gathered: Mutex::default(),
            arrived: Condvar::new(),
            log: Mutex::new(Log::create(folder, loaded.next)?),
            broken: AtomicBool::new(false),
            health: Health::default(),
            writer: Mutex::new(None),
            damaged: Mutex::new(loaded.damaged),
        });
        // What was read counts as log: a snapshot is due when it was long.
        journal.health.log_bytes.store(loaded.bytes, Ordering::Relaxed);
        let writing = journal.clone();
        let writer = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writing.write());
        *self::lock(&journal.writer) = Some(writer?);
        Ok((journal, loaded.complaints))
    }

    /// Whether more changes can be taken.
    pub fn has_room(&self) -> bool {
        lock(&self.gathered).bytes.len() < limits::UNWRITTEN
    }

    /// The affiliate is so from now on.
    pub fn set(&self, cluster: &str, record: &Record) {
        self.gather(|bytes| entry::put_set(bytes, cluster, record));
    }

    /// The affiliate is gone.
    pub fn delete(&self, cluster: &str, affiliate: &str) {
        self.gather(|bytes| entry::put_delete(bytes, cluster, affiliate));
    }

    fn gather(&self, put: impl FnOnce(&mut Vec<u8>)) {
        let mut gathered = lock(&self.gathered);
        let before = gathered.bytes.len();
        put(&mut gathered.bytes);
        if before == 0 || (before < ENOUGH && gathered.bytes.len() >= ENOUGH) {
            self.arrived.notify_one();
        }
    }

    /// The thread that writes.
    fn write(&self) {
        let mut spare = Vec::new();
        loop {
            let mut gathered = lock(&self.gathered);
            while gathered.bytes.is_empty() && !gathered.stopping {
                gathered = self.arrived.wait(gathered).unwrap_or_else(PoisonError::into_inner);
            }
            let more = |gathered: &mut Gathered| gathered.bytes.len() < ENOUGH && !gathered.stopping;
            let waited = self.arrived.wait_timeout_while(gathered, GATHER, more);
            gathered = waited.unwrap_or_else(PoisonError::into_inner).0;
            std::mem::swap(&mut gathered.bytes, &mut spare);
            let stopping = gathered.stopping;
            drop(gathered);
            self.append(&spare);
            // What a burst took is given back.
            if spare.capacity() > 4 * ENOUGH {
                spare = Vec::new();
            }
            spare.clear();
            if stopping {
                return;
            }
        }
    }

    fn append(&self, bytes: &[u8]) {
        // After a failure nothing may follow in the same file: its end may be a part of an entry.
        if bytes.is_empty() || self.broken.load(Ordering::Acquire) {
            return;
        }
        let mut log = lock(&self.log);
        match (&*log.file).write_all(bytes) {
            Ok(()) => {
                log.length += bytes.len() as u64;
                log.unsynced = true;
                self.health.log_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            Err(error) => {
                // Under the lock, so that no rotation comes in between.
                self.fail(&format!("write the log in {}: {error}", self.folder.display()));
            }
        }
    }

    fn fail(&self, what: &str) {
        self.broken.store(true, Ordering::Release);
        self.health.failures.fetch_add(1, Ordering::Relaxed);
        *lock(&self.health.failed) = Some(Instant::now());
        tracing::error!("{what}. The service goes on from memory and tries again; look at the disk");
    }

    /// Brings what was written to the disk.
    pub fn sync(&self) {
        let mut log = lock(&self.log);
        if !std::mem::take(&mut log.unsynced) {
            return;
        }
        let file = log.file.clone();
        drop(log);
        if let Err(error) = file.sync_data() {
            self.fail(&format!("sync the log in {}: {error}", self.folder.display()));
        }
    }

    /// Whether it is time for a snapshot: the log is long, the last snapshot is older than `every` and there are
    /// changes, or something failed.
    pub fn wants_snapshot(&self, every: Duration) -> bool {
        if self.broken.load(Ordering::Acquire) {
            return lock(&self.health.failed).is_none_or(|at| at.elapsed() >= RETRY);
        }
        let log = self.health.log_bytes.load(Ordering::Relaxed);
        let long = SHORT.max(self.health.snapshot_bytes.load(Ordering::Relaxed) / 2);
        let old = self.health.snapshot_age().is_none_or(|age| age >= every);
        log >= long || (log > 0 && old)
    }

    /// Writes a snapshot. `shards` gives the entries of one shard after the other, None after the last.
    pub fn snapshot(&self, shards: impl FnMut(&mut Vec<u8>) -> Option<u64>) -> io::Result<()> {
        let result = self.try_snapshot(shards);
        if let Err(error) = &result {
            self.fail(&format!("write a snapshot: {error}"));
        }
        result
    }

    fn try_snapshot(&self, shards: impl FnMut(&mut Vec<u8>) -> Option<u64>) -> io::Result<()> {
        // What is in memory now is in a log before the new one; what comes later is in the new one.
        let number = self.rotate()?;
        let temporary = self.folder.join("snapshot.tmp");
        let length = self
            .write_snapshot(&temporary, shards)
            .map_err(|e| about(&e, "write", &temporary))?;
        let path = folder::path(&self.folder, Kind::Snapshot, number);
        std::fs::rename(&temporary, &path).map_err(|e| about(&e, "name", &path))?;
        sync_folder(&self.folder)?;
        let damaged = std::mem::take(&mut *lock(&self.damaged));
        folder::clean(&self.folder, number, &damaged).map_err(|e| about(&e, "remove old files of", &self.folder))?;
        self.health.snapshot_bytes.store(length, Ordering::Relaxed);
        self.health.snapshots.fetch_add(1, Ordering::Relaxed);
        *lock(&self.health.last) = Some(Instant::now());
        Ok(())
    }

    /// Begins a new log and gives its number. An empty one is not replaced.
    fn rotate(&self) -> io::Result<u64> {
        let mut log = lock(&self.log);
        if log.length > 0 || self.broken.load(Ordering::Acquire) {
            let number = log.number + 1;
            let next = Log::create(&self.folder, number)?;
            let last = std::mem::replace(&mut *log, next);
            self.broken.store(false, Ordering::Release);
            drop(log);
            // Not needed once the snapshot is complete, and needed until then.
            last.file.sync_data()?;
            self.health.log_bytes.store(0, Ordering::Relaxed);
            return Ok(number);
        }
        self.health.log_bytes.store(0, Ordering::Relaxed);
        Ok(log.number)
    }

    fn write_snapshot(&self, path: &Path, mut shards: impl FnMut(&mut Vec<u8>) -> Option<u64>) -> io::Result<u64> {
        let mut file = options().truncate(true).open(path)?;
        file.write_all(folder::MAGIC)?;
        let (mut length, mut entries) = (folder::MAGIC.len() as u64, 0);
        let mut bytes = Vec::new();
        let mut synced = Instant::now();
        while let Some(more) = shards(&mut bytes) {
            entries += more;
            length += bytes.len() as u64;
            file.write_all(&bytes)?;
            bytes.clear();
            // The log does not wait for the snapshot.
            if synced.elapsed() >= Duration::from_millis(500) {
                self.sync();
                synced = Instant::now();
            }
        }
        entry::put_end(&mut bytes, entries);
        file.write_all(&bytes)?;
        file.sync_all()?;
        Ok(length + bytes.len() as u64)
    }

    /// Writes what was gathered and stops writing.
    pub fn stop(&self) {
        lock(&self.gathered).stopping = true;
        self.arrived.notify_one();
        if let Some(writer) = lock(&self.writer).take() {
            let _ = writer.join();
        }
        self.sync();
    }

    /// How it is.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Whether changes reach the disk.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}

impl Log {
    fn create(folder: &Path, number: u64) -> io::Result<Log> {
        let path = folder::path(folder, Kind::Log, number);
        let create = || -> io::Result<File> {
            let mut file = options().create_new(true).open(&path)?;
            file.write_all(folder::MAGIC)?;
            Ok(file)
        };
        let file = create().map_err(|e| about(&e, "create", &path))?;
        sync_folder(folder)?;
        Ok(Log {
            file: Arc::new(file),
            number,
            length: 0,
            unsynced: false,
        })
    }
}

/// Waits a little: a process that was killed holds the lock until the kernel has taken it apart.
fn lock_folder(folder: &Path) -> io::Result<Option<sys::files::Lock>> {
    let deadline = Instant::now() + LOCK;
    loop {
        let lock = sys::files::Lock::try_acquire_folder(folder).map_err(io::Error::other)?;
        if lock.is_some() || Instant::now() >= deadline {
            return Ok(lock);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Nobody else reads the state: it has the addresses of nothing, but the names of clusters let one delete.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    let sync = || File::open(folder)?.sync_all();
    sync().map_err(|e| about(&e, "sync", folder))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
