//! Logs of a cluster: the console of a node, kept within bounds, and the end of any log for an error message.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

/// A log this long becomes `NAME.log.1`, and a new one begins: at most twice as much is kept.
const LOG_MAX: u64 = 16 << 20;
/// Lines of a log that an error shows.
pub(crate) const TAIL_LINES: usize = 15;

/// A log file that several streams write to.
#[derive(Clone)]
pub(crate) struct Log {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    path: PathBuf,
    file: Option<File>,
    length: u64,
    max: u64,
}

impl Log {
    pub(crate) fn open(path: PathBuf) -> Log {
        Log::with_max(path, LOG_MAX)
    }

    fn with_max(path: PathBuf, max: u64) -> Log {
        Log {
            inner: Arc::new(Mutex::new(Inner {
                path,
                file: None,
                length: 0,
                max,
            })),
        }
    }

    /// Appends; a log that cannot be written (disk full) must not stop a node, so the text is lost then.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.length > inner.max {
            let _ = std::fs::rename(&inner.path, inner.path.with_extension("log.1"));
            inner.file = None;
        }
        if inner.file.is_none() {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(&inner.path)
                .ok();
            inner.length = file
                .as_ref()
                .and_then(|file| file.metadata().ok())
                .map_or(0, |metadata| metadata.len());
            inner.file = file;
        }
        if let Some(file) = &mut inner.file
            && file.write_all(bytes).is_ok()
        {
            inner.length += bytes.len() as u64;
        }
    }

    /// Writes a line of the supervisor's own.
    pub(crate) fn line(&self, text: &str) {
        self.write(format!("[keelson] {text}\n").as_bytes());
    }

    /// Copies a stream until it ends.
    pub(crate) async fn copy(self, mut stream: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; 16 << 10];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => self.write(&buffer[..count]),
            }
        }
    }
}

/// The last lines of a log as the continuation of an error message; empty where there is nothing.
pub(crate) fn tail(path: &Path) -> String {
    let Ok(mut file) = File::open(path) else {
        return String::new();
    };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(length.saturating_sub(8 << 10))).is_err() || file.read_to_end(&mut bytes).is_err() {
        return String::new();
    }
    last_lines(&String::from_utf8_lossy(&bytes), &path.display().to_string())
}

/// The last lines of a text that is kept in `place`, as [`tail`] gives them.
pub(crate) fn last_lines(text: &str, place: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return String::new();
    }
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    format!("\nThe end of {place}:\n  {}", last.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_kept_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.log");
        let log = Log::with_max(path.clone(), 100);
        for number in 0..100 {
            log.line(&format!("line {number}"));
        }
        let size = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(size("node.log") < 150 && size("node.log.1") < 150);
        assert!(tail(&path).ends_with("line 99"));
        assert_eq!(tail(&folder.path().join("absent")), "");
    }
}
