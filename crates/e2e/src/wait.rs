//! Waiting for something to become true.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(300);

/// Tries until it succeeds; after `limit` the last error is the result.
///
/// # Errors
/// It never became true; the last try's error says why.
pub fn eventually<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if started.elapsed() > limit => {
                return Err(error).with_context(|| format!("waited {limit:?} for {what}"));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
