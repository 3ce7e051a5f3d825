//! What would a change bring about? The pure derivations, run on a copy of the store.

use std::collections::BTreeMap;

use super::graph::{Body, Controllers};
use crate::item::DynResource;
use crate::metadata::Phase;
use crate::store::{ChangeKind, Pointer, Store, StoreError};

/// A resource that would be different.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedChange {
    /// Which.
    pub at: Pointer,
    /// What would happen to it.
    pub kind: ChangeKind,
    /// The controller it belongs to; empty if it belongs to nobody.
    pub owner: String,
    /// Only administrators may see it.
    pub sensitive: bool,
    /// The spec as it is.
    pub old_yaml: Option<String>,
    /// The spec as it would be.
    pub new_yaml: Option<String>,
}

/// More rounds than derivations without a cycle can need; a bound, not a limit anybody should meet.
const ROUNDS: usize = 64;

impl Controllers {
    /// Applies a change to a copy of the store, lets the derivations settle there, and tells what became different.
    /// Effects do not run, so what they would report is not in the plan. Errors of derivations come beside it.
    pub fn plan(
        &self,
        store: &Store,
        change: impl FnOnce(&Store) -> Result<(), StoreError>,
    ) -> Result<(Vec<PlannedChange>, Vec<String>), StoreError> {
        let fork = store.fork();
        self.settle(&fork);
        let before = living(&fork);
        change(&fork)?;
        let problems = self.settle(&fork);
        let after = living(&fork);
        let mut changes = Vec::new();
        for (key, new) in &after {
            match before.get(key) {
                Some(old) if old.0.spec.same(new.0.spec.as_ref()) => {}
                Some(old) => changes.push(planned(&fork, ChangeKind::Updated, Some(old), Some(new))),
                None => changes.push(planned(&fork, ChangeKind::Created, None, Some(new))),
            }
        }
        let gone = before.iter().filter(|(key, _)| !after.contains_key(*key));
        changes.extend(gone.map(|(_, old)| planned(&fork, ChangeKind::Destroyed, Some(old), None)));
        changes.sort_by(|a, b| (&a.at.ty, &a.at.namespace, &a.at.id).cmp(&(&b.at.ty, &b.at.namespace, &b.at.id)));
        Ok((changes, problems))
    }

    /// Runs the derivations until nothing changes; their errors.
    pub(crate) fn settle(&self, store: &Store) -> Vec<String> {
        let mut problems = Vec::new();
        for _ in 0..ROUNDS {
            problems.clear();
            let mut changed = false;
            for &index in &self.0.order {
                let entry = &self.0.entries[index];
                let Body::Derive(node) = &entry.body else { continue };
                match node.run(store, entry.name) {
                    Ok(applied) => changed |= applied.changed,
                    Err(error) => problems.push(format!("{}: {error:#}", entry.name)),
                }
            }
            if !changed {
                break;
            }
        }
        problems
    }
}

type Key = (String, String, String);

fn living(store: &Store) -> BTreeMap<Key, DynResource> {
    let rows = store
        .snapshot()
        .into_iter()
        .filter(|row| row.metadata().phase == Phase::Running);
    rows.map(|row| {
        let metadata = row.metadata();
        (
            (metadata.ty.clone(), metadata.namespace.clone(), metadata.id.clone()),
            row,
        )
    })
    .collect()
}

fn planned(store: &Store, kind: ChangeKind, old: Option<&DynResource>, new: Option<&DynResource>) -> PlannedChange {
    let metadata = new.or(old).map(|row| row.metadata().clone()).unwrap_or_default();
    PlannedChange {
        at: crate::store::pointer(&metadata),
        kind,
        sensitive: store
            .definition(&metadata.ty)
            .is_some_and(|definition| definition.sensitive),
        owner: metadata.owner,
        old_yaml: old.map(DynResource::spec_yaml),
        new_yaml: new.map(DynResource::spec_yaml),
    }
}
