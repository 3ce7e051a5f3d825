//! The store without types: what the API works with.

use std::sync::Arc;

use super::{Actor, Pointer, Selector, State, Store, StoreError, Watch, WatchOptions, pointer, running};
use crate::definition::Definition;
use crate::item::DynResource;
use crate::metadata::{Labels, Metadata, Phase};
use crate::spec::SharedSpec;
use crate::yaml;

/// A resource to be created or updated from outside.
#[derive(Clone, Debug, Default)]
pub struct NewResource {
    /// Where.
    pub namespace: String,
    /// The full type.
    pub ty: String,
    /// Which.
    pub id: String,
    /// For an update: the version it was made from.
    pub version: u64,
    /// For an update: the phase it shall have.
    pub phase: Phase,
    /// What it can be found by.
    pub labels: Labels,
    /// Notes.
    pub annotations: Labels,
    /// Who holds it.
    pub finalizers: Vec<String>,
    /// The spec as YAML.
    pub spec_yaml: String,
}

impl NewResource {
    fn at(&self) -> Pointer {
        Pointer::new(&self.namespace, &self.ty, &self.id)
    }

    fn metadata(&self, owner: &str) -> Metadata {
        Metadata {
            namespace: self.namespace.clone(),
            ty: self.ty.clone(),
            id: self.id.clone(),
            owner: owner.to_owned(),
            phase: self.phase,
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            finalizers: self.finalizers.clone(),
            ..Metadata::default()
        }
    }
}

impl Store {
    /// Every registered type.
    #[must_use]
    pub fn definitions(&self) -> Vec<Arc<Definition>> {
        self.state().definitions.values().cloned().collect()
    }

    /// The definition of a full type.
    #[must_use]
    pub fn definition(&self, ty: &str) -> Option<Arc<Definition>> {
        self.state().definitions.get(ty).cloned()
    }

    /// The type a person means: a full type or an alias, in any case.
    pub fn resolve(&self, name: &str) -> Result<Arc<Definition>, StoreError> {
        let definitions = self.definitions();
        let lower = name.to_lowercase();
        if let Some(exact) = definitions.iter().find(|definition| definition.id() == lower) {
            return Ok(exact.clone());
        }
        let found: Vec<_> = definitions
            .iter()
            .filter(|definition| definition.answers_to(&lower))
            .collect();
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(StoreError::UnknownType(name.to_owned())),
            several => {
                let types = several.iter().map(|definition| definition.ty.clone()).collect();
                Err(StoreError::Ambiguous {
                    name: name.to_owned(),
                    types,
                })
            }
        }
    }

    /// One resource.
    pub fn get_dyn(&self, ty: &str, namespace: &str, id: &str) -> Result<DynResource, StoreError> {
        let state = self.state();
        let row = state.row(ty, namespace, id).cloned();
        row.ok_or_else(|| StoreError::NotFound(Pointer::new(namespace, ty, id)))
    }

    /// The resources a selector means, by id.
    #[must_use]
    pub fn list_dyn(&self, ty: &str, namespace: &str, selector: &Selector) -> Vec<DynResource> {
        let state = self.state();
        let Some(collection) = state.collections.get(&(ty.to_owned(), namespace.to_owned())) else {
            return Vec::new();
        };
        collection
            .rows
            .values()
            .filter(|row| selector.matches(row.metadata()))
            .cloned()
            .collect()
    }

    /// Changes as they happen; see [`WatchOptions`] for where it starts.
    ///
    /// Fails at once for a bookmark whose changes are no longer kept.
    pub fn watch_dyn(&self, ty: &str, namespace: &str, options: WatchOptions) -> Result<Watch, StoreError> {
        Watch::start(self, ty, namespace, options)
    }

    /// A watch that needs no bookmark, and so cannot fail.
    pub(crate) fn watch_place(&self, ty: &str, namespace: &str, options: WatchOptions) -> Watch {
        Watch::start_plain(self, ty, namespace, options)
    }

    fn decode(&self, new: &NewResource) -> Result<SharedSpec, StoreError> {
        let definition = self
            .definition(&new.ty)
            .ok_or_else(|| StoreError::UnknownType(new.ty.clone()))?;
        let decode = definition.decode.filter(|_| definition.writable);
        let decode = decode.ok_or_else(|| StoreError::ReadOnly(new.ty.clone()))?;
        let value = yaml::from_str(&new.spec_yaml);
        value
            .and_then(decode)
            .map_err(|problem| StoreError::Spec { at: new.at(), problem })
    }

    /// Creates a resource of a writable type.
    pub fn create_dyn(&self, owner: &str, new: &NewResource) -> Result<DynResource, StoreError> {
        let spec = self.decode(new)?;
        let mut state = self.state();
        if state.row(&new.ty, &new.namespace, &new.id).is_some() {
            return Err(StoreError::AlreadyExists(new.at()));
        }
        self.commit(
            &mut state,
            new.metadata(owner),
            spec,
            Actor {
                owner,
                cause: "created through the API",
            },
        )
    }

    /// Updates a resource of a writable type, if it still has the version the update was made from and, where a
    /// phase is expected, that phase. An unchanged spec and metadata is no new version.
    pub fn update_dyn(
        &self,
        owner: &str,
        new: &NewResource,
        expected_phase: Option<Phase>,
    ) -> Result<DynResource, StoreError> {
        let spec = self.decode(new)?;
        let mut state = self.state();
        let row = state.owned(&new.ty, &new.namespace, &new.id, owner)?;
        let found = row.metadata().version;
        if new.version != found {
            return Err(StoreError::Conflict {
                at: new.at(),
                expected: new.version,
                found,
            });
        }
        if expected_phase.is_some_and(|phase| phase != row.metadata().phase) {
            return Err(StoreError::Phase {
                at: new.at(),
                phase: row.metadata().phase,
            });
        }
        let wanted = DynResource::new(
            Metadata {
                version: found,
                created: row.metadata().created,
                updated: row.metadata().updated,
                ..new.metadata(owner)
            },
            spec.clone(),
        );
        if wanted.same_as(&row) {
            return Ok(row);
        }
        self.commit(
            &mut state,
            new.metadata(owner),
            spec,
            Actor {
                owner,
                cause: "updated through the API",
            },
        )
    }

    /// Puts a resource in place whoever owns what is there: for plans on a fork.
    pub fn force_dyn(&self, ty: &str, namespace: &str, id: &str, spec_yaml: &str) -> Result<DynResource, StoreError> {
        let at = || Pointer::new(namespace, ty, id);
        let definition = self
            .definition(ty)
            .ok_or_else(|| StoreError::UnknownType(ty.to_owned()))?;
        let decode = definition.decode.ok_or_else(|| StoreError::ReadOnly(ty.to_owned()))?;
        let value = yaml::from_str(spec_yaml).and_then(decode);
        let spec = value.map_err(|problem| StoreError::Spec { at: at(), problem })?;
        let mut state = self.state();
        let metadata = match state.row(ty, namespace, id) {
            Some(row) => row.metadata().clone(),
            None => Metadata {
                namespace: namespace.into(),
                ty: ty.into(),
                id: id.into(),
                ..Metadata::default()
            },
        };
        self.commit(
            &mut state,
            metadata,
            spec,
            Actor {
                owner: "",
                cause: "planned",
            },
        )
    }

    /// Begins the end of a resource; true if nothing holds it and it can be destroyed.
    pub fn teardown_dyn(&self, ty: &str, namespace: &str, id: &str, owner: &str) -> Result<bool, StoreError> {
        let mut state = self.state();
        let row = state.owned(ty, namespace, id, owner)?;
        if running(&row).is_ok() {
            let metadata = Metadata {
                phase: Phase::TearingDown,
                ..row.metadata().clone()
            };
            self.commit(
                &mut state,
                metadata,
                row.0.spec.clone(),
                Actor {
                    owner,
                    cause: "torn down",
                },
            )?;
        }
        Ok(row.metadata().finalizers.is_empty())
    }

    /// Destroys a resource that nothing holds.
    pub fn destroy_dyn(&self, ty: &str, namespace: &str, id: &str, owner: &str) -> Result<(), StoreError> {
        let mut state = self.state();
        let row = state.owned(ty, namespace, id, owner)?;
        self.destroy_row(&mut state, row, owner)
    }

    /// Destroys a resource that is torn down and that nothing holds; true if that was so. One that was destroyed by
    /// somebody else, and perhaps made anew since, is left alone.
    pub fn destroy_torn_down(&self, ty: &str, namespace: &str, id: &str) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(row) = state.row(ty, namespace, id).cloned() else {
            return Ok(false);
        };
        if running(&row).is_ok() || !row.metadata().finalizers.is_empty() {
            return Ok(false);
        }
        let owner = row.metadata().owner.clone();
        self.destroy_row(&mut state, row, &owner).map(|()| true)
    }

    fn destroy_row(&self, state: &mut State, row: DynResource, owner: &str) -> Result<(), StoreError> {
        let finalizers = &row.metadata().finalizers;
        if !finalizers.is_empty() {
            let (at, finalizers) = (pointer(row.metadata()), finalizers.clone());
            return Err(StoreError::Finalizers { at, finalizers });
        }
        self.uncommit(
            state,
            row,
            Actor {
                owner,
                cause: "destroyed",
            },
        )
    }

    /// As [`Store::teardown_dyn`], then waits until nothing holds the resource, and destroys it.
    pub async fn teardown_and_destroy(
        &self,
        ty: &str,
        namespace: &str,
        id: &str,
        owner: &str,
    ) -> Result<(), StoreError> {
        let options = WatchOptions {
            id: Some(id.to_owned()),
            ..WatchOptions::default()
        };
        let mut watch = self.watch_place(ty, namespace, options);
        if self.teardown_dyn(ty, namespace, id, owner)? {
            return self.destroy_dyn(ty, namespace, id, owner);
        }
        loop {
            watch.recv().await;
            match self.get_dyn(ty, namespace, id) {
                Err(_) => return Ok(()),
                Ok(row) if row.metadata().finalizers.is_empty() => return self.destroy_dyn(ty, namespace, id, owner),
                Ok(_) => {}
            }
        }
    }
}
