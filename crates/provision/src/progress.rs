//! What is happening, for the person who waits.

use std::fmt;

/// Something to tell while a cluster is made or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Work on this has begun; the step before is done.
    Step(String),
    /// Done, but the person should know.
    Warning(String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Step(text) => f.write_str(text),
            Event::Warning(text) => write!(f, "warning: {text}"),
        }
    }
}

/// Receives events.
pub type Progress<'a> = &'a (dyn Fn(Event) + Send + Sync);
