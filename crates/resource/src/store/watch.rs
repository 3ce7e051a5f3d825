//! Following the changes of one namespace and type.
//!
//! A watcher holds a position in the ring of changes and reads on from there: it costs no copies and no queue of its
//! own. One that falls behind further than the ring reaches gets an [`EventKind::Errored`] event, then the contents
//! anew.

use std::collections::VecDeque;
use std::marker::PhantomData;

use futures::Stream;
use tokio::sync::watch as signal;

use super::{Change, ChangeKind, Place, Pointer, Selector, State, Store, StoreError};
use crate::item::{DynResource, Resource};
use crate::spec::Spec;

/// What an event says, with the numbers of `cosi.resource.EventType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum EventKind {
    /// It is there (or came to match the selector).
    Created = 0,
    /// It changed.
    Updated = 1,
    /// It is gone (or does not match any more, or never was there).
    Destroyed = 2,
    /// Everything that was there when the watch began has been told.
    Bootstrapped = 3,
    /// Changes were lost.
    Errored = 4,
    /// Nothing happened; carries a bookmark.
    Noop = 5,
}

/// A place in the changes of a namespace and type, to go on from later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bookmark {
    epoch: i64,
    position: u64,
}

impl Bookmark {
    /// Sixteen bytes.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        [self.epoch.to_be_bytes(), self.position.to_be_bytes()].concat()
    }

    /// What [`Bookmark::to_bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (epoch, position) = bytes.split_at_checked(8)?;
        Some(Self {
            epoch: i64::from_be_bytes(epoch.try_into().ok()?),
            position: u64::from_be_bytes(position.try_into().ok()?),
        })
    }
}

/// Something a watcher is told.
#[derive(Clone, Debug)]
pub struct Event {
    /// What it says.
    pub kind: EventKind,
    /// What it is about; none for `Bootstrapped`, `Errored` and `Noop`.
    pub resource: Option<DynResource>,
    /// What it was before an update.
    pub old: Option<DynResource>,
    /// Where to go on after this event.
    pub bookmark: Option<Bookmark>,
    /// What went wrong.
    pub error: Option<String>,
}

impl Event {
    fn about(kind: EventKind, resource: DynResource) -> Self {
        Self {
            kind,
            resource: Some(resource),
            old: None,
            bookmark: None,
            error: None,
        }
    }

    fn bare(kind: EventKind, bookmark: Bookmark) -> Self {
        Self {
            kind,
            resource: None,
            old: None,
            bookmark: Some(bookmark),
            error: None,
        }
    }
}

/// Where a watch starts and what it tells of.
///
/// Of a single resource (`id`) it first tells what it is, unless it starts elsewhere. Of all resources it tells
/// changes from now on, unless it starts with the contents or earlier.
#[derive(Clone, Debug, Default)]
pub struct WatchOptions {
    /// This resource only.
    pub id: Option<String>,
    /// These resources only.
    pub selector: Selector,
    /// Start with what is there, then `Bootstrapped`.
    pub bootstrap_contents: bool,
    /// Start with a `Noop` event that has a bookmark.
    pub bootstrap_bookmark: bool,
    /// Start with the last so many changes.
    pub tail_events: usize,
    /// Go on after this bookmark.
    pub start_from: Option<Bookmark>,
}

impl WatchOptions {
    /// Everything there is, then every change.
    #[must_use]
    pub fn contents() -> Self {
        Self {
            bootstrap_contents: true,
            ..Self::default()
        }
    }

    fn means(&self, resource: &DynResource) -> bool {
        self.id.as_ref().is_none_or(|id| id == resource.id()) && self.selector.matches(resource.metadata())
    }

    /// What a change is to somebody who sees the meant resources only.
    fn tell(&self, change: &Change) -> Option<Event> {
        let old = change.old.as_ref().filter(|old| self.means(old)).cloned();
        match (change.kind, old, self.means(&change.resource)) {
            (ChangeKind::Updated, Some(old), true) => Some(Event {
                old: Some(old),
                ..Event::about(EventKind::Updated, change.resource.clone())
            }),
            (ChangeKind::Updated | ChangeKind::Created, None, true) => {
                Some(Event::about(EventKind::Created, change.resource.clone()))
            }
            (ChangeKind::Updated, Some(old), false) => Some(Event::about(EventKind::Destroyed, old)),
            (ChangeKind::Destroyed, _, true) => Some(Event::about(EventKind::Destroyed, change.resource.clone())),
            _ => None,
        }
    }
}

/// A running watch; made by [`Store::watch_dyn`].
#[derive(Debug)]
pub struct Watch {
    store: Store,
    place: Place,
    options: WatchOptions,
    epoch: i64,
    position: u64,
    pending: VecDeque<Event>,
    moved: signal::Receiver<u64>,
}

impl Watch {
    pub(super) fn start(store: &Store, ty: &str, namespace: &str, options: WatchOptions) -> Result<Self, StoreError> {
        let too_old = || StoreError::Bookmark(Pointer::new(namespace, ty, options.id.as_deref().unwrap_or("*")));
        if let Some(bookmark) = options.start_from {
            let mut state = store.state();
            let epoch = state.epoch;
            let ring = &store.collection(&mut state, (ty.to_owned(), namespace.to_owned())).ring;
            if bookmark.epoch != epoch || !(ring.start()..=ring.last()).contains(&bookmark.position) {
                return Err(too_old());
            }
        }
        Ok(Self::start_plain(store, ty, namespace, options))
    }

    pub(super) fn start_plain(store: &Store, ty: &str, namespace: &str, options: WatchOptions) -> Self {
        let mut state = store.state();
        let epoch = state.epoch;
        let place = (ty.to_owned(), namespace.to_owned());
        let collection = store.collection(&mut state, place.clone());
        let moved = collection.moved.subscribe();
        let (start, last) = (collection.ring.start(), collection.ring.last());
        let mut pending = VecDeque::new();
        let mut position = last;
        if options.bootstrap_bookmark {
            pending.push_back(Event::bare(EventKind::Noop, Bookmark { epoch, position: last }));
        }
        if let Some(bookmark) = options.start_from {
            position = bookmark.position;
        } else if options.tail_events > 0 {
            // The last so many that are meant, not the last so many of all.
            let newest_first: Vec<_> = collection.ring.all().rev().collect();
            let meant = newest_first
                .iter()
                .enumerate()
                .filter(|(_, change)| options.tell(change).is_some());
            let back = meant
                .take(options.tail_events)
                .last()
                .map_or(0, |(back, _)| back as u64 + 1);
            position = (last - back).max(start);
        } else if options.bootstrap_contents {
            contents(&state, &place, &options, &mut pending);
            pending.push_back(Event::bare(EventKind::Bootstrapped, Bookmark { epoch, position: last }));
        } else if let Some(id) = &options.id {
            let found = state.row(ty, namespace, id).filter(|row| options.means(row)).cloned();
            pending.push_back(match found {
                Some(row) => Event::about(EventKind::Created, row),
                None => Event::about(EventKind::Destroyed, DynResource::tombstone(namespace, ty, id)),
            });
        }
        drop(state);
        Self {
            store: store.clone(),
            place,
            options,
            epoch,
            position,
            pending,
            moved,
        }
    }

    /// The next event.
    pub async fn recv(&mut self) -> Event {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return event;
            }
            self.fill();
            // The sender lives as long as the store, which this watch holds.
            if self.pending.is_empty() && self.moved.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The next event and all that can be had without waiting, up to a limit: for answers that hold several.
    pub async fn recv_many(&mut self, limit: usize) -> Vec<Event> {
        let mut events = vec![self.recv().await];
        if self.pending.is_empty() {
            self.fill();
        }
        let more = self.pending.len().min(limit.saturating_sub(1));
        events.extend(self.pending.drain(..more));
        events
    }

    /// The next event if there is one now.
    pub fn try_recv(&mut self) -> Option<Event> {
        if self.pending.is_empty() {
            self.fill();
        }
        self.pending.pop_front()
    }

    /// The events as a stream that ends after an `Errored` event.
    pub fn into_stream(self) -> impl Stream<Item = Event> + Send {
        futures::stream::unfold(Some(self), |watch| async move {
            let mut watch = watch?;
            let event = watch.recv().await;
            let next = (event.kind != EventKind::Errored).then_some(watch);
            Some((event, next))
        })
    }

    fn fill(&mut self) {
        let state = self.store.state();
        let Some(collection) = state.collections.get(&self.place) else {
            return;
        };
        let last = collection.ring.last();
        let Some(changes) = collection.ring.after(self.position) else {
            let bookmark = Bookmark {
                epoch: self.epoch,
                position: last,
            };
            let lost = "changes came faster than they were read, and some are no longer kept";
            self.pending.push_back(Event {
                error: Some(lost.to_owned()),
                ..Event::bare(EventKind::Errored, bookmark)
            });
            contents(&state, &self.place, &self.options, &mut self.pending);
            self.pending.push_back(Event::bare(EventKind::Bootstrapped, bookmark));
            self.position = last;
            return;
        };
        for (position, change) in changes {
            if let Some(event) = self.options.tell(change) {
                let bookmark = Some(Bookmark {
                    epoch: self.epoch,
                    position,
                });
                self.pending.push_back(Event { bookmark, ..event });
            }
        }
        self.position = last;
    }
}

fn contents(state: &State, place: &Place, options: &WatchOptions, pending: &mut VecDeque<Event>) {
    let rows = state
        .collections
        .get(place)
        .into_iter()
        .flat_map(|collection| collection.rows.values());
    let meant = rows.filter(|row| options.means(row));
    pending.extend(meant.map(|row| Event::about(EventKind::Created, row.clone())));
}

/// A watch of a known type.
#[derive(Debug)]
pub struct TypedWatch<S> {
    watch: Watch,
    spec: PhantomData<fn() -> S>,
}

/// Something a typed watcher is told.
#[derive(Debug)]
pub struct TypedEvent<S: Spec> {
    /// What it says.
    pub kind: EventKind,
    /// What it is about.
    pub resource: Option<Resource<S>>,
    /// What it was before an update.
    pub old: Option<Resource<S>>,
}

impl<S: Spec> TypedWatch<S> {
    pub(super) fn new(watch: Watch) -> Self {
        Self {
            watch,
            spec: PhantomData,
        }
    }

    /// The next event.
    pub async fn recv(&mut self) -> TypedEvent<S> {
        let Event {
            kind, resource, old, ..
        } = self.watch.recv().await;
        TypedEvent {
            kind,
            resource: resource.as_ref().and_then(DynResource::downcast),
            old: old.as_ref().and_then(DynResource::downcast),
        }
    }
}
