//! When to do things: values in, a time out.

use std::time::Duration;

/// The shortest and the longest wait before trying again.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait after failures: twice as long each time, and not all nodes at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Something failed: how long to wait. `random` is from 0 to 1.
    pub fn failed(&mut self, random: f64) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }

    /// It works again.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// When to say everything again: by half of its time to live, and not all nodes at once. `random` is from 0 to 1.
pub fn renewal(ttl: Duration, random: f64) -> Duration {
    ttl.mul_f64(0.5 - 0.05 * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_start_again() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.failed(1.0), FIRST);
        assert_eq!(backoff.failed(0.0), FIRST);
        for _ in 0..100 {
            assert!(backoff.failed(1.0) <= LONGEST);
        }
        assert_eq!(backoff.failed(1.0), LONGEST);
        backoff.succeeded();
        assert_eq!(backoff.failed(1.0), FIRST);
    }

    #[test]
    fn everything_is_said_again_in_time() {
        let ttl = Duration::from_secs(1800);
        assert_eq!(renewal(ttl, 0.0), ttl / 2);
        assert!(renewal(ttl, 1.0) > ttl / 3);
    }
}
