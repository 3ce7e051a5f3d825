//! The store: every resource by namespace, type and id, with its history and its watchers.

mod backend;
mod dynamic;
mod error;
mod history;
mod query;
mod registry;
mod table;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use jiff::Timestamp;
use tokio::sync::{Notify, watch as signal};

pub use backend::{Backend, Stored};
pub use dynamic::NewResource;
pub use error::{Pointer, StoreError};
pub use history::{Change, ChangeKind};
pub use query::{LabelOp, LabelQuery, LabelTerm, Selector};
pub use table::Table;
pub use watch::{Bookmark, Event, EventKind, TypedEvent, TypedWatch, Watch, WatchOptions};

use crate::definition::Definition;
use crate::item::DynResource;
use crate::meta::{META, Namespace, ResourceDefinition};
use crate::metadata::{Metadata, Phase};
use crate::spec::SharedSpec;
use history::Ring;

/// How a store is set up.
#[derive(Clone)]
pub struct Options {
    /// How many changes are kept for each namespace and type.
    pub history: usize,
    /// The clock.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Where resources are kept besides memory.
    pub backend: Option<Arc<dyn Backend>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history: 256,
            now: Arc::new(Timestamp::now),
            backend: None,
        }
    }
}

/// All resources of a node or service. A handle: clones are the same store.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    options: Options,
    state: Mutex<State>,
}

/// Type and namespace.
pub(crate) type Place = (String, String);

#[derive(Default)]
pub(crate) struct State {
    pub(crate) definitions: BTreeMap<String, Arc<Definition>>,
    pub(crate) collections: BTreeMap<Place, Collection>,
    listeners: HashMap<Place, Vec<Weak<Notify>>>,
    sequence: u64,
    /// Tells bookmarks of this store from those of an earlier run.
    epoch: i64,
}

pub(crate) struct Collection {
    pub(crate) rows: BTreeMap<String, DynResource>,
    ring: Ring,
    /// The number of the newest change in the ring, for watchers to wait on.
    moved: signal::Sender<u64>,
}

impl Collection {
    fn new(history: usize) -> Self {
        Self {
            rows: BTreeMap::new(),
            ring: Ring::new(history),
            moved: signal::Sender::new(0),
        }
    }
}

/// Who changes something, and why.
#[derive(Clone, Copy)]
pub(crate) struct Actor<'a> {
    pub owner: &'a str,
    pub cause: &'a str,
}

impl Default for Store {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let resources: usize = state.collections.values().map(|c| c.rows.len()).sum();
        f.debug_struct("Store")
            .field("types", &state.definitions.len())
            .field("resources", &resources)
            .finish()
    }
}

impl Store {
    /// An empty store: it knows of definitions and namespaces and nothing else.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let epoch = (options.now)().as_nanosecond() as i64;
        let store = Self(Arc::new(Shared {
            options,
            state: Mutex::new(State {
                epoch,
                ..State::default()
            }),
        }));
        store.register::<ResourceDefinition>();
        store.register::<Namespace>();
        store.add_namespace(
            META,
            "Metadata namespace which contains resource and namespace definitions.",
        );
        store
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0.options.now)()
    }

    fn collection<'a>(&self, state: &'a mut State, place: Place) -> &'a mut Collection {
        state
            .collections
            .entry(place)
            .or_insert_with(|| Collection::new(self.0.options.history))
    }

    /// Wakes the waker on every change of the namespace and type, for as long as somebody holds it.
    pub(crate) fn listen(&self, ty: &str, namespace: &str, waker: &Arc<Notify>) {
        let mut state = self.state();
        let listeners = state
            .listeners
            .entry((ty.to_owned(), namespace.to_owned()))
            .or_default();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(waker));
    }

    /// A copy that shares nothing with this store: what happens in it stays there.
    #[must_use]
    pub fn fork(&self) -> Store {
        let options = Options {
            backend: None,
            ..self.0.options.clone()
        };
        let state = self.state();
        let collections = state.collections.iter().map(|(place, collection)| {
            let rows = collection.rows.clone();
            (
                place.clone(),
                Collection {
                    rows,
                    ..Collection::new(options.history)
                },
            )
        });
        let fork = State {
            definitions: state.definitions.clone(),
            collections: collections.collect(),
            epoch: state.epoch,
            ..State::default()
        };
        Store(Arc::new(Shared {
            options,
            state: Mutex::new(fork),
        }))
    }

    /// Everything in the store, sorted by type, namespace and id.
    #[must_use]
    pub fn snapshot(&self) -> Vec<DynResource> {
        self.state()
            .collections
            .values()
            .flat_map(|collection| collection.rows.values().cloned())
            .collect()
    }

    /// Puts a row in place, whoever owns what was there.
    fn commit(
        &self,
        state: &mut State,
        mut metadata: Metadata,
        spec: SharedSpec,
        actor: Actor<'_>,
    ) -> Result<DynResource, StoreError> {
        let now = self.now();
        let place = (metadata.ty.clone(), metadata.namespace.clone());
        let old = state
            .collections
            .get(&place)
            .and_then(|c| c.rows.get(&metadata.id))
            .cloned();
        metadata.version = old.as_ref().map_or(0, |old| old.metadata().version) + 1;
        metadata.updated = now;
        metadata.created = old.as_ref().map_or(now, |old| old.metadata().created);
        let resource = DynResource::new(metadata, spec);
        self.save(&resource)?;
        let kind = if old.is_some() {
            ChangeKind::Updated
        } else {
            ChangeKind::Created
        };
        let collection = self.collection(state, place.clone());
        collection.rows.insert(resource.id().to_owned(), resource.clone());
        Self::record(state, &place, now, actor, kind, old, resource.clone());
        Ok(resource)
    }

    fn save(&self, resource: &DynResource) -> Result<(), StoreError> {
        let Some(backend) = self
            .0
            .options
            .backend
            .as_ref()
            .filter(|b| b.keeps(&resource.metadata().ty))
        else {
            return Ok(());
        };
        let stored = Stored {
            metadata: resource.metadata().clone(),
            spec: resource.spec_json(),
        };
        backend.save(&stored).map_err(|problem| StoreError::Backend {
            at: pointer(resource.metadata()),
            problem,
        })
    }

    /// Takes a row out of its place.
    fn uncommit(&self, state: &mut State, old: DynResource, actor: Actor<'_>) -> Result<(), StoreError> {
        let Metadata { ty, namespace, id, .. } = old.metadata();
        if let Some(backend) = self.0.options.backend.as_ref().filter(|b| b.keeps(ty)) {
            let removed = backend.remove(namespace, ty, id);
            removed.map_err(|problem| StoreError::Backend {
                at: pointer(old.metadata()),
                problem,
            })?;
        }
        let place = (ty.clone(), namespace.clone());
        if let Some(collection) = state.collections.get_mut(&place) {
            collection.rows.remove(id);
        }
        let now = self.now();
        Self::record(state, &place, now, actor, ChangeKind::Destroyed, Some(old.clone()), old);
        Ok(())
    }

    fn record(
        state: &mut State,
        place: &Place,
        time: Timestamp,
        actor: Actor<'_>,
        kind: ChangeKind,
        old: Option<DynResource>,
        resource: DynResource,
    ) {
        state.sequence += 1;
        let (actor, cause) = (actor.owner.to_owned(), actor.cause.to_owned());
        let change = Arc::new(Change {
            sequence: state.sequence,
            time,
            actor,
            cause,
            kind,
            old,
            resource,
        });
        if let Some(collection) = state.collections.get_mut(place) {
            collection.ring.push(change);
            collection.moved.send_replace(collection.ring.last());
        }
        if let Some(listeners) = state.listeners.get(place) {
            for waker in listeners.iter().filter_map(Weak::upgrade) {
                waker.notify_one();
            }
        }
    }

    /// The last changes, newest first: of one type, or namespace, or id, as far as they are kept.
    #[must_use]
    pub fn history(
        &self,
        ty: Option<&str>,
        namespace: Option<&str>,
        id: Option<&str>,
        limit: usize,
    ) -> Vec<Arc<Change>> {
        let state = self.state();
        let places = state.collections.iter().filter(|((its_ty, its_namespace), _)| {
            ty.is_none_or(|ty| ty == its_ty) && namespace.is_none_or(|namespace| namespace == its_namespace)
        });
        let mut found: Vec<_> = places
            .flat_map(|(_, collection)| collection.ring.all())
            .filter(|change| id.is_none_or(|id| change.resource.id() == id))
            .cloned()
            .collect();
        found.sort_by_key(|change| std::cmp::Reverse(change.sequence));
        found.truncate(limit);
        found
    }
}

pub(crate) fn pointer(metadata: &Metadata) -> Pointer {
    Pointer::new(&metadata.namespace, &metadata.ty, &metadata.id)
}

impl State {
    pub(crate) fn row(&self, ty: &str, namespace: &str, id: &str) -> Option<&DynResource> {
        self.collections
            .get(&(ty.to_owned(), namespace.to_owned()))?
            .rows
            .get(id)
    }

    /// The row, if it is there and the actor may change it.
    fn owned(&self, ty: &str, namespace: &str, id: &str, owner: &str) -> Result<DynResource, StoreError> {
        let at = || Pointer::new(namespace, ty, id);
        let row = self.row(ty, namespace, id).ok_or_else(|| StoreError::NotFound(at()))?;
        if row.metadata().owner != owner {
            let (at, owner, actor) = (at(), row.metadata().owner.clone(), owner.to_owned());
            return Err(StoreError::Owner { at, owner, actor });
        }
        Ok(row.clone())
    }
}

/// Refuses unless the resource lives.
fn running(row: &DynResource) -> Result<(), StoreError> {
    match row.metadata().phase {
        Phase::Running => Ok(()),
        phase @ Phase::TearingDown => Err(StoreError::Phase {
            at: pointer(row.metadata()),
            phase,
        }),
    }
}
