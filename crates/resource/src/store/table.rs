//! The typed view of one namespace and type.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Actor, Pointer, Selector, Store, StoreError, TypedWatch, WatchOptions, pointer, running};
use crate::item::{DynResource, Resource};
use crate::metadata::{Labels, Metadata, Phase};
use crate::spec::Spec;

/// The resources of a type in one namespace; made by [`Store::table`].
#[derive(Clone, Debug)]
pub struct Table<S> {
    store: Store,
    namespace: String,
    spec: PhantomData<fn() -> S>,
}

impl<S: Spec> Table<S> {
    /// The same type in another namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    fn at(&self, id: &str) -> Pointer {
        Pointer::new(&self.namespace, S::TYPE, id)
    }

    /// One resource, in whatever phase.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Resource<S>> {
        self.store.state().row(S::TYPE, &self.namespace, id)?.downcast()
    }

    /// Every resource by id, in whatever phase.
    #[must_use]
    pub fn list(&self) -> Vec<Resource<S>> {
        self.select(&Selector::default())
    }

    /// The resources a selector means.
    #[must_use]
    pub fn select(&self, selector: &Selector) -> Vec<Resource<S>> {
        let rows = self.store.list_dyn(S::TYPE, &self.namespace, selector);
        rows.iter().filter_map(DynResource::downcast).collect()
    }

    /// Creates a resource that must not be there.
    pub fn create(&self, owner: &str, id: &str, spec: S, cause: &str) -> Result<Resource<S>, StoreError> {
        self.store.register::<S>();
        let mut state = self.store.state();
        if state.row(S::TYPE, &self.namespace, id).is_some() {
            return Err(StoreError::AlreadyExists(self.at(id)));
        }
        let row = self.store.commit(
            &mut state,
            self.fresh(owner, id),
            Arc::new(spec),
            Actor { owner, cause },
        )?;
        row.downcast().ok_or_else(|| StoreError::NotFound(self.at(id)))
    }

    fn fresh(&self, owner: &str, id: &str) -> Metadata {
        Metadata {
            namespace: self.namespace.clone(),
            ty: S::TYPE.to_owned(),
            id: id.to_owned(),
            owner: owner.to_owned(),
            ..Metadata::default()
        }
    }

    /// Makes the resource say `spec`: creates or updates it; no change is no new version.
    pub fn put(&self, owner: &str, id: &str, spec: S, cause: &str) -> Result<Resource<S>, StoreError> {
        self.put_with(owner, id, spec, None, cause)
    }

    /// As [`Table::put`], with labels and annotations; `None` leaves them as they are.
    pub fn put_with(
        &self,
        owner: &str,
        id: &str,
        spec: S,
        labels: Option<(&Labels, &Labels)>,
        cause: &str,
    ) -> Result<Resource<S>, StoreError> {
        self.store.register::<S>();
        let mut state = self.store.state();
        let mut metadata = match state.owned(S::TYPE, &self.namespace, id, owner) {
            Ok(row) => {
                running(&row)?;
                let labelled = labels.is_none_or(|(labels, notes)| {
                    row.metadata().labels == *labels && row.metadata().annotations == *notes
                });
                if let Some(same) = row.downcast::<S>().filter(|old| labelled && *old.spec() == spec) {
                    return Ok(same);
                }
                row.metadata().clone()
            }
            Err(StoreError::NotFound(_)) => self.fresh(owner, id),
            Err(error) => return Err(error),
        };
        if let Some((labels, annotations)) = labels {
            metadata.labels.clone_from(labels);
            metadata.annotations.clone_from(annotations);
        }
        let row = self
            .store
            .commit(&mut state, metadata, Arc::new(spec), Actor { owner, cause })?;
        row.downcast().ok_or_else(|| StoreError::NotFound(self.at(id)))
    }

    /// Replaces the spec of the resource as it was read; [`StoreError::Conflict`] if it changed since.
    pub fn update(&self, owner: &str, read: &Resource<S>, spec: S, cause: &str) -> Result<Resource<S>, StoreError> {
        let mut state = self.store.state();
        let row = state.owned(S::TYPE, &self.namespace, read.id(), owner)?;
        running(&row)?;
        let (expected, found) = (read.metadata().version, row.metadata().version);
        if expected != found {
            return Err(StoreError::Conflict {
                at: pointer(row.metadata()),
                expected,
                found,
            });
        }
        let row = self.store.commit(
            &mut state,
            row.metadata().clone(),
            Arc::new(spec),
            Actor { owner, cause },
        )?;
        row.downcast().ok_or_else(|| StoreError::NotFound(self.at(read.id())))
    }

    /// Changes a spec in one step; nothing can come in between.
    pub fn modify(
        &self,
        owner: &str,
        id: &str,
        change: impl FnOnce(&mut S),
        cause: &str,
    ) -> Result<Resource<S>, StoreError> {
        let mut state = self.store.state();
        let row = state.owned(S::TYPE, &self.namespace, id, owner)?;
        running(&row)?;
        let old = row.downcast::<S>().ok_or_else(|| StoreError::NotFound(self.at(id)))?;
        let mut spec = old.spec().clone();
        change(&mut spec);
        if spec == *old.spec() {
            return Ok(old);
        }
        let row = self.store.commit(
            &mut state,
            row.metadata().clone(),
            Arc::new(spec),
            Actor { owner, cause },
        )?;
        row.downcast().ok_or_else(|| StoreError::NotFound(self.at(id)))
    }

    /// Begins the end of a resource; true if nothing holds it and it can be destroyed.
    pub fn teardown(&self, owner: &str, id: &str) -> Result<bool, StoreError> {
        self.store.teardown_dyn(S::TYPE, &self.namespace, id, owner)
    }

    /// Destroys a resource that nothing holds.
    pub fn destroy(&self, owner: &str, id: &str) -> Result<(), StoreError> {
        self.store.destroy_dyn(S::TYPE, &self.namespace, id, owner)
    }

    /// Tears a resource down, and destroys it if nothing holds it: true if it is gone.
    pub fn remove(&self, owner: &str, id: &str) -> Result<bool, StoreError> {
        let ready = self.teardown(owner, id)?;
        if ready {
            // Whoever destroys what is torn down may have been quicker.
            match self.destroy(owner, id) {
                Ok(()) | Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ready)
    }

    /// Holds a resource: it cannot be destroyed until the finalizer is removed.
    pub fn add_finalizer(&self, id: &str, finalizer: &str) -> Result<(), StoreError> {
        let mut state = self.store.state();
        let row = state
            .row(S::TYPE, &self.namespace, id)
            .cloned()
            .ok_or_else(|| StoreError::NotFound(self.at(id)))?;
        if row.metadata().finalizers.iter().any(|held| held == finalizer) {
            return Ok(());
        }
        running(&row)?;
        let mut metadata = row.metadata().clone();
        metadata.finalizers.push(finalizer.to_owned());
        let actor = Actor {
            owner: finalizer,
            cause: "finalizer added",
        };
        self.store
            .commit(&mut state, metadata, row.0.spec.clone(), actor)
            .map(drop)
    }

    /// Lets a resource go.
    pub fn remove_finalizer(&self, id: &str, finalizer: &str) -> Result<(), StoreError> {
        let mut state = self.store.state();
        let Some(row) = state.row(S::TYPE, &self.namespace, id).cloned() else {
            return Ok(());
        };
        let mut metadata = row.metadata().clone();
        metadata.finalizers.retain(|held| held != finalizer);
        if metadata.finalizers == row.metadata().finalizers {
            return Ok(());
        }
        let actor = Actor {
            owner: finalizer,
            cause: "finalizer removed",
        };
        self.store
            .commit(&mut state, metadata, row.0.spec.clone(), actor)
            .map(drop)
    }

    /// Every change from now on, after what is there (see [`WatchOptions`] for other beginnings).
    #[must_use]
    pub fn watch(&self) -> TypedWatch<S> {
        TypedWatch::new(
            self.store
                .watch_place(S::TYPE, &self.namespace, WatchOptions::contents()),
        )
    }

    /// Waits until a resource runs and meets a condition.
    pub async fn wait_for(&self, id: &str, mut meets: impl FnMut(&S) -> bool) -> Resource<S> {
        let options = WatchOptions {
            id: Some(id.to_owned()),
            ..WatchOptions::default()
        };
        let mut watch = TypedWatch::<S>::new(self.store.watch_place(S::TYPE, &self.namespace, options));
        loop {
            let event = watch.recv().await;
            let alive = event.resource.filter(|found| {
                event.kind != super::EventKind::Destroyed && found.metadata().phase == Phase::Running && meets(found)
            });
            if let Some(found) = alive {
                return found;
            }
        }
    }
}

impl Store {
    /// The resources of a type in its own namespace.
    #[must_use]
    pub fn table<S: Spec>(&self) -> Table<S> {
        Table {
            store: self.clone(),
            namespace: S::NAMESPACE.to_owned(),
            spec: PhantomData,
        }
    }

    /// One resource of the type's own namespace.
    #[must_use]
    pub fn get<S: Spec>(&self, id: &str) -> Option<Resource<S>> {
        self.table().get(id)
    }

    /// Every resource of the type in its own namespace.
    #[must_use]
    pub fn list<S: Spec>(&self) -> Vec<Resource<S>> {
        self.table().list()
    }

    /// See [`Table::put`].
    pub fn put<S: Spec>(&self, owner: &str, id: &str, spec: S, cause: &str) -> Result<Resource<S>, StoreError> {
        self.table().put(owner, id, spec, cause)
    }

    /// See [`Table::destroy`].
    pub fn destroy<S: Spec>(&self, owner: &str, id: &str) -> Result<(), StoreError> {
        self.table::<S>().destroy(owner, id)
    }

    /// See [`Table::watch`].
    #[must_use]
    pub fn watch<S: Spec>(&self) -> TypedWatch<S> {
        self.table().watch()
    }
}
