//! Waiting for something to become true.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(300);

/// What takes longer is told, with what was in the way last.
const LONG: Duration = Duration::from_secs(20);

/// Tries until it succeeds; after `limit` the last error is the result.
///
/// # Errors
/// It never became true; the last try's error says why.
pub fn eventually<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let mut last = None;
    loop {
        match attempt() {
            Ok(value) => {
                if let Some(error) = last.filter(|_| started.elapsed() > LONG) {
                    println!("    waited {:.0?} for {what}: {error:#}", started.elapsed());
                }
                return Ok(value);
            }
            Err(error) if started.elapsed() > limit => {
                return Err(error).with_context(|| format!("waited {limit:?} for {what}"));
            }
            Err(error) => last = Some(error),
        }
        std::thread::sleep(PAUSE);
    }
}
