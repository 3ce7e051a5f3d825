//! How long a failed controller waits.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Doubles from the shortest to the longest wait, each spread by a quarter so that failures do not march in step.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    random: RandomState,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            failures: 0,
            random: RandomState::new(),
        }
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    pub(super) fn next(&mut self) -> Duration {
        let base = self.min.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let spread = self.random.hash_one(self.failures) % 1000;
        base.mul_f64(0.75 + spread as f64 / 2000.0).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_start_over_after_success() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(min, max);
        let waits: Vec<_> = (0..40).map(|_| backoff.next()).collect();
        assert!(
            waits
                .iter()
                .all(|wait| (Duration::from_millis(75)..=max).contains(wait))
        );
        assert!(waits[3] > waits[0] && waits[39] >= max.mul_f64(0.75));
        backoff.reset();
        assert!(backoff.next() < Duration::from_millis(126));
    }
}
