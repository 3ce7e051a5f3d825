//! What changed, when, by whom and why: a bounded ring for each namespace and type.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;

use crate::item::DynResource;

/// What happened to a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// It was not there before.
    Created,
    /// Its spec or metadata changed.
    Updated,
    /// It is gone; `old` is what it was.
    Destroyed,
}

/// One change of one resource.
#[derive(Debug)]
pub struct Change {
    /// Counts all changes of the store, from 1.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// Who: the owner given with the change, empty for a person outside.
    pub actor: String,
    /// Why, as far as the actor said.
    pub cause: String,
    /// What happened.
    pub kind: ChangeKind,
    /// What it was.
    pub old: Option<DynResource>,
    /// What it is; for a destroyed resource, what it was last.
    pub resource: DynResource,
}

/// The last changes, oldest first, each with the number it has in this ring (from 1).
#[derive(Debug)]
pub(crate) struct Ring {
    capacity: usize,
    changes: VecDeque<Arc<Change>>,
    /// The number of the newest change.
    last: u64,
}

impl Ring {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            changes: VecDeque::new(),
            last: 0,
        }
    }

    pub(crate) fn push(&mut self, change: Arc<Change>) {
        if self.changes.len() == self.capacity {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
        self.last += 1;
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The number before the oldest change that is kept: where a reader may start at the earliest.
    pub(crate) fn start(&self) -> u64 {
        self.last - self.changes.len() as u64
    }

    /// The changes after a number with their numbers; `None` if some are no longer kept.
    pub(crate) fn after(&self, position: u64) -> Option<impl Iterator<Item = (u64, &Arc<Change>)>> {
        let start = self.start();
        let skip = position.checked_sub(start).filter(|_| position <= self.last)?;
        Some(
            self.changes
                .iter()
                .enumerate()
                .skip(skip as usize)
                .map(move |(i, c)| (start + i as u64 + 1, c)),
        )
    }

    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<Change>> {
        self.changes.iter()
    }
}
