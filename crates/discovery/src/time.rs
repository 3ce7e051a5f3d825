//! Time as the state knows it: whole seconds since 1970, so that it survives a restart and fits in four bytes.

use std::time::{Duration, Instant, SystemTime};

/// A moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u32);

impl Time {
    /// The moment `later`, rounded up: nothing ends early.
    pub fn plus(self, later: Duration) -> Time {
        let seconds = later.as_secs().saturating_add(u64::from(later.subsec_nanos() > 0));
        Time(self.0.saturating_add(u32::try_from(seconds).unwrap_or(u32::MAX)))
    }

    /// How long until then, zero if it has passed.
    pub fn until(self, then: Time) -> Duration {
        Duration::from_secs(then.0.saturating_sub(self.0).into())
    }
}

/// Tells the time: that of the wall when the service started, and from then on one that does not jump.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Duration,
    started: Instant,
}

impl Clock {
    /// Starts at what the wall clock says.
    pub fn start() -> Clock {
        Clock {
            wall: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
            started: Instant::now(),
        }
    }

    /// Now.
    pub fn now(&self) -> Time {
        let seconds = (self.wall + self.started.elapsed()).as_secs();
        Time(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// How long the service has been running.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_early() {
        assert_eq!(Time(10).plus(Duration::from_millis(1)), Time(11));
        assert_eq!(Time(10).plus(Duration::from_secs(2)), Time(12));
        assert_eq!(Time(u32::MAX).plus(Duration::MAX), Time(u32::MAX));
        assert_eq!(Time(12).until(Time(10)), Duration::ZERO);
    }
}
