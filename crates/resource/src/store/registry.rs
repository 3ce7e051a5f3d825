//! Which types and namespaces there are, and what a backend kept of them.

use std::sync::Arc;

use super::{Store, Stored};
use crate::definition::Definition;
use crate::item::DynResource;
use crate::meta::{META, Namespace, ResourceDefinition};
use crate::spec::Spec;

impl Store {
    /// Makes a type known, with its `ResourceDefinitions` resource. Once is enough; more does no harm.
    pub fn register<S: Spec>(&self) {
        if !self.state().definitions.contains_key(S::TYPE) {
            self.add_definition(Definition::of::<S>());
        }
    }

    /// As [`Store::register`], and lets the API create, change and destroy resources of the type.
    pub fn register_writable<S: Spec>(&self) {
        self.add_definition(Definition {
            writable: true,
            ..Definition::of::<S>()
        });
    }

    /// Makes a type known by its definition alone; used for types nothing here produces yet.
    pub fn add_definition(&self, definition: Definition) {
        let resource = ResourceDefinition::from(&definition);
        let ty = definition.ty.clone();
        self.state().definitions.insert(ty.clone(), Arc::new(definition));
        let id = ty.to_lowercase();
        self.keep_meta(&id, resource);
        self.load(&ty);
    }

    /// Makes a namespace known.
    pub fn add_namespace(&self, name: &str, description: &str) {
        self.keep_meta(
            name,
            Namespace {
                description: description.to_owned(),
            },
        );
    }

    fn keep_meta<S: Spec>(&self, id: &str, spec: S) {
        if let Err(error) = self.put(META, id, spec, "registered") {
            tracing::warn!(%error, "cannot describe a resource type");
        }
    }

    /// Takes over what the backend kept of a type.
    fn load(&self, ty: &str) {
        let Some(backend) = self.0.options.backend.as_ref().filter(|backend| backend.keeps(ty)) else {
            return;
        };
        let kept = match backend.load(ty) {
            Ok(kept) => kept,
            Err(problem) => return tracing::error!(ty, problem, "cannot read kept resources"),
        };
        let mut state = self.state();
        let Some(decode) = state.definitions.get(ty).and_then(|definition| definition.decode) else {
            return;
        };
        for Stored { metadata, spec } in kept {
            match decode(spec) {
                Ok(spec) => {
                    let place = (metadata.ty.clone(), metadata.namespace.clone());
                    let collection = self.collection(&mut state, place);
                    collection
                        .rows
                        .insert(metadata.id.clone(), DynResource::new(metadata, spec));
                }
                Err(problem) => tracing::error!(ty, id = metadata.id, problem, "cannot read a kept resource"),
            }
        }
    }
}
