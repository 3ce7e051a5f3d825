//! Logs of services: the newest lines in memory, for the API, and a rotated file under `/var/log`, for later.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::broadcast;

/// How much of a log is kept in memory: enough to show what happened around a failure on a node with little memory.
const RING_BYTES: usize = 256 * 1024;
/// A log file is rotated once, at this size (the interface's `LogRotateThreshold`).
const ROTATE_BYTES: u64 = 5 * 1024 * 1024;
/// A line longer than this is cut into pieces, so that a service that never ends a line cannot grow our memory.
const LINE_BYTES: usize = 64 * 1024;
/// How many lines a slow follower may lag behind before it loses some.
const FOLLOW_LINES: usize = 1024;

/// All the logs of the node, by service.
#[derive(Clone, Default)]
pub struct Logs {
    by_service: Arc<Mutex<BTreeMap<String, Log>>>,
    directory: Option<Arc<Path>>,
}

impl Logs {
    /// Logs that are also written to files in `directory`, one per service.
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            by_service: Arc::default(),
            directory: Some(directory.into()),
        }
    }

    /// The log of a service, made when it is first asked for.
    pub fn of(&self, service: &str) -> Log {
        let mut logs = lock(&self.by_service);
        logs.entry(service.to_owned())
            .or_insert_with(|| Log::new(self.directory.as_ref().map(|d| d.join(format!("{service}.log")))))
            .clone()
    }

    /// The log of a service that has one.
    pub fn get(&self, service: &str) -> Option<Log> {
        lock(&self.by_service).get(service).cloned()
    }

    /// The services that have a log.
    pub fn names(&self) -> Vec<String> {
        lock(&self.by_service).keys().cloned().collect()
    }
}

/// One service's log.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Mutex<Inner>>,
    live: broadcast::Sender<Bytes>,
}

struct Inner {
    lines: VecDeque<Bytes>,
    bytes: usize,
    partial: Vec<u8>,
    file: Option<Rotated>,
}

impl Log {
    fn new(path: Option<PathBuf>) -> Self {
        let inner = Inner {
            lines: VecDeque::new(),
            bytes: 0,
            partial: Vec::new(),
            file: path.map(|path| Rotated { path, open: None }),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            live: broadcast::channel(FOLLOW_LINES).0,
        }
    }

    /// Adds output as it came; lines are completed across calls.
    pub fn write(&self, mut output: &[u8]) {
        let mut inner = lock(&self.inner);
        while let Some(end) = output.iter().position(|&b| b == b'\n') {
            let (line, rest) = output.split_at(end);
            inner.partial.extend_from_slice(line);
            self.complete(&mut inner);
            output = rest.get(1..).unwrap_or_default();
        }
        inner.partial.extend_from_slice(output);
        if inner.partial.len() > LINE_BYTES {
            self.complete(&mut inner);
        }
    }

    /// Adds one line.
    pub fn line(&self, line: &str) {
        self.write(line.as_bytes());
        self.write(b"\n");
    }

    fn complete(&self, inner: &mut Inner) {
        let line = Bytes::from(std::mem::take(&mut inner.partial));
        if let Some(file) = &mut inner.file {
            file.write(&line);
        }
        inner.bytes += line.len() + 1;
        inner.lines.push_back(line.clone());
        while inner.bytes > RING_BYTES {
            let Some(old) = inner.lines.pop_front() else { break };
            inner.bytes -= old.len() + 1;
        }
        // Nobody following is not an error.
        let _ = self.live.send(line);
    }

    /// The newest `tail` lines (all that are kept, if `None`), and the lines that come after them.
    pub fn read(&self, tail: Option<usize>) -> (Vec<Bytes>, broadcast::Receiver<Bytes>) {
        let inner = lock(&self.inner);
        let skip = tail.map_or(0, |n| inner.lines.len().saturating_sub(n));
        (inner.lines.iter().skip(skip).cloned().collect(), self.live.subscribe())
    }
}

/// A file that is renamed to `NAME.1` when it has grown, so that one log takes twice the threshold at most.
struct Rotated {
    path: PathBuf,
    open: Option<(File, u64)>,
}

impl Rotated {
    /// Writes a line; a log that cannot be written (full disk, no folder yet) is still kept in memory.
    fn write(&mut self, line: &[u8]) {
        if self.open.as_ref().is_some_and(|(_, size)| *size > ROTATE_BYTES) {
            self.open = None;
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            if std::fs::rename(&self.path, old).is_err() {
                return;
            }
        }
        if self.open.is_none() {
            let file = File::options().create(true).append(true).open(&self.path);
            self.open = file.ok().map(|f| {
                let size = f.metadata().map_or(0, |m| m.len());
                (f, size)
            });
        }
        if let Some((file, size)) = &mut self.open {
            let mut whole = line.to_vec();
            whole.push(b'\n');
            match file.write_all(&whole) {
                Ok(()) => *size += whole.len() as u64,
                Err(_) => self.open = None,
            }
        }
    }
}

/// A lock whose holder panicked still holds whole data here: every change under it is one push or one pop.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[Bytes]) -> Vec<String> {
        lines.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect()
    }

    #[test]
    fn lines_are_completed_across_writes() {
        let log = Logs::default().of("kubelet");
        log.write(b"one\ntw");
        log.write(b"o\n");
        assert_eq!(text(&log.read(None).0), ["one", "two"]);
        assert_eq!(text(&log.read(Some(1)).0), ["two"]);
    }

    #[test]
    fn memory_is_bounded_and_the_newest_lines_stay() {
        let log = Logs::default().of("etcd");
        for n in 0..20_000 {
            log.line(&format!("line {n:020}"));
        }
        let (lines, _) = log.read(None);
        assert!(lines.iter().map(|l| l.len() + 1).sum::<usize>() <= RING_BYTES);
        assert_eq!(text(&lines[lines.len() - 1..]), [format!("line {:020}", 19_999)]);
    }

    #[test]
    fn a_follower_gets_what_comes_after_its_tail() {
        let log = Logs::default().of("apid");
        log.line("before");
        let (tail, mut live) = log.read(Some(10));
        log.line("after");
        assert_eq!(text(&tail), ["before"]);
        assert_eq!(live.try_recv().unwrap(), "after");
    }

    #[test]
    fn a_file_is_rotated_and_written_on() {
        let dir = tempfile::tempdir().unwrap();
        let log = Logs::in_directory(dir.path()).of("cri");
        let long = "x".repeat(60_000);
        for _ in 0..100 {
            log.line(&long);
        }
        log.line("last");
        let old = std::fs::metadata(dir.path().join("cri.log.1")).unwrap().len();
        assert!(old > ROTATE_BYTES);
        assert!(
            std::fs::read_to_string(dir.path().join("cri.log"))
                .unwrap()
                .ends_with("last\n")
        );
    }
}
