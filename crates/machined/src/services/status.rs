//! What is known of a service: its state, its health and the newest of what happened to it.

use std::collections::VecDeque;
use std::time::SystemTime;

/// How many events of a service are kept.
const EVENTS: usize = 32;

/// Where a service is in its life, as the interface names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// Known, nothing done yet.
    #[default]
    Initialized,
    /// Being got ready: its image pulled, its folders made.
    Preparing,
    /// Waiting for a condition or another service.
    Waiting,
    /// About to start.
    Starting,
    /// Its process runs.
    Running,
    /// Being ended.
    Stopping,
    /// Ended as asked.
    Finished,
    /// Ended by itself, or could not be started; tried again.
    Failed,
}

impl State {
    /// The name in `service` and in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initialized => "Initialized",
            Self::Preparing => "Preparing",
            Self::Waiting => "Waiting",
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Stopping => "Stopping",
            Self::Finished => "Finished",
            Self::Failed => "Failed",
        }
    }
}

/// Health: unknown until the first check.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct HealthStatus {
    /// The outcome of the last check, if there was one.
    pub healthy: Option<bool>,
    /// What the last check said.
    pub message: String,
    /// When it changed.
    pub changed: Option<SystemTime>,
}

/// One thing that happened to a service.
#[derive(Clone, PartialEq, Debug)]
pub struct ServiceEvent {
    /// The state it was in, or came into.
    pub state: State,
    /// What happened, as a sentence.
    pub message: String,
    /// When.
    pub at: SystemTime,
}

/// All that is known of a service.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Status {
    /// Where it is in its life.
    pub state: State,
    /// Whether it works.
    pub health: HealthStatus,
    /// What happened, oldest first.
    pub events: VecDeque<ServiceEvent>,
    /// Its main process while it runs.
    pub pid: Option<u32>,
    /// Whether it has a health check.
    pub checked: bool,
}

impl Status {
    /// Whether others may rely on it: running, and healthy if it has a check.
    pub fn is_up(&self) -> bool {
        self.state == State::Running && (!self.checked || self.health.healthy == Some(true))
    }

    /// Records an event; false if it says the same as the last one.
    pub fn record(&mut self, state: State, message: &str, at: SystemTime) -> bool {
        if self
            .events
            .back()
            .is_some_and(|last| last.state == state && last.message == message)
        {
            return false;
        }
        self.state = state;
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(ServiceEvent {
            state,
            message: message.to_owned(),
            at,
        });
        true
    }

    /// Records the outcome of a health check; true if it changed.
    pub fn record_health(&mut self, outcome: Result<(), String>, at: SystemTime) -> bool {
        let healthy = Some(outcome.is_ok());
        let message = outcome.err().unwrap_or_default();
        let changed = self.health.healthy != healthy;
        if changed {
            self.health.changed = Some(at);
        }
        self.health.healthy = healthy;
        self.health.message = message;
        changed
    }
}

/// The sentence about what a service waits for, in the interface's words.
pub fn waiting_message(conditions: &[String], services: &[String]) -> String {
    let mut parts: Vec<String> = services
        .iter()
        .map(|s| format!("service \"{s}\" to be \"up\""))
        .collect();
    parts.extend(conditions.iter().cloned());
    format!("Waiting for {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_with_a_check_is_up_only_when_healthy() {
        let mut status = Status {
            checked: true,
            ..Status::default()
        };
        let now = SystemTime::UNIX_EPOCH;
        status.record(State::Running, "Started", now);
        assert!(!status.is_up());
        assert!(status.record_health(Ok(()), now));
        assert!(status.is_up());
        assert!(status.record_health(Err("refused".into()), now));
        assert!(!status.is_up());
    }

    #[test]
    fn events_are_bounded_and_not_repeated() {
        let mut status = Status::default();
        for n in 0..100 {
            assert!(status.record(State::Waiting, &format!("{n}"), SystemTime::UNIX_EPOCH));
            assert!(!status.record(State::Waiting, &format!("{n}"), SystemTime::UNIX_EPOCH));
        }
        assert_eq!(status.events.len(), EVENTS);
    }

    #[test]
    fn waiting_is_told_as_a_sentence() {
        let message = waiting_message(&["time sync".into()], &["containerd".into()]);
        assert_eq!(message, "Waiting for service \"containerd\" to be \"up\", time sync");
    }
}
