//! What a controller gives back: the complete set of what shall exist.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::input::{Home, Reads, Scope};
use crate::metadata::{Labels, Phase};
use crate::spec::Spec;
use crate::store::{Selector, Store, StoreError};

#[derive(Clone, PartialEq, Debug)]
struct Output<S> {
    spec: S,
    labels: Labels,
    annotations: Labels,
}

/// The complete set of resources of a type that a controller wants: what is missing from it is torn down.
#[derive(Clone, PartialEq, Debug)]
pub struct Outputs<S, N = Home> {
    items: BTreeMap<String, Output<S>>,
    scope: PhantomData<fn() -> N>,
}

impl<S, N> Default for Outputs<S, N> {
    fn default() -> Self {
        Self {
            items: BTreeMap::new(),
            scope: PhantomData,
        }
    }
}

impl<S, N> Outputs<S, N> {
    /// Nothing shall exist.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// One resource shall exist.
    #[must_use]
    pub fn one(id: impl Into<String>, spec: S) -> Self {
        let mut outputs = Self::default();
        outputs.insert(id, spec);
        outputs
    }

    /// Adds a resource.
    pub fn insert(&mut self, id: impl Into<String>, spec: S) {
        self.insert_with(id, spec, Labels::new(), Labels::new());
    }

    /// Adds a resource with labels and annotations.
    pub fn insert_with(&mut self, id: impl Into<String>, spec: S, labels: Labels, annotations: Labels) {
        self.items.insert(
            id.into(),
            Output {
                spec,
                labels,
                annotations,
            },
        );
    }

    /// The resource with the id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&S> {
        self.items.get(id).map(|output| &output.spec)
    }

    /// Ids and specs.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &S)> {
        self.items.iter().map(|(id, output)| (id.as_str(), &output.spec))
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl<S, N, I: Into<String>> FromIterator<(I, S)> for Outputs<S, N> {
    fn from_iter<T: IntoIterator<Item = (I, S)>>(items: T) -> Self {
        let mut outputs = Self::default();
        outputs.extend(items);
        outputs
    }
}

impl<S, N, I: Into<String>> Extend<(I, S)> for Outputs<S, N> {
    fn extend<T: IntoIterator<Item = (I, S)>>(&mut self, items: T) {
        for (id, spec) in items {
            self.insert(id, spec);
        }
    }
}

impl<S, N, I: Into<String>, const COUNT: usize> From<[(I, S); COUNT]> for Outputs<S, N> {
    fn from(items: [(I, S); COUNT]) -> Self {
        items.into_iter().collect()
    }
}

/// What came of writing outputs.
#[doc(hidden)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Applied {
    /// Something changed.
    pub changed: bool,
    /// An output is still being torn down and could not be made anew yet.
    pub waiting: bool,
}

impl std::ops::BitOrAssign for Applied {
    fn bitor_assign(&mut self, other: Self) {
        self.changed |= other.changed;
        self.waiting |= other.waiting;
    }
}

/// One or several sets of outputs: [`Outputs`], a tuple of them, or `()`.
pub trait OutputSets: Default + Send + 'static {
    /// What they write, for the graph.
    #[doc(hidden)]
    fn writes() -> Vec<Reads>;
    /// Makes the store hold these outputs and no others of the owner.
    #[doc(hidden)]
    fn apply(self, store: &Store, owner: &str, cause: &str) -> Result<Applied, StoreError>;
    /// Makes the types known to a store.
    #[doc(hidden)]
    fn register(store: &Store);
}

impl<S: Spec, N: Scope<S>> OutputSets for Outputs<S, N> {
    fn writes() -> Vec<Reads> {
        vec![Reads {
            ty: S::TYPE,
            namespace: N::NAMESPACE,
        }]
    }

    fn apply(self, store: &Store, owner: &str, cause: &str) -> Result<Applied, StoreError> {
        let table = store.table::<S>().in_namespace(N::NAMESPACE);
        let mut applied = Applied::default();
        for row in store.list_dyn(S::TYPE, N::NAMESPACE, &Selector::default()) {
            let metadata = row.metadata();
            if metadata.owner == owner && metadata.phase == Phase::Running && !self.items.contains_key(&metadata.id) {
                applied.changed = true;
                table.remove(owner, &metadata.id)?;
            }
        }
        for (
            id,
            Output {
                spec,
                labels,
                annotations,
            },
        ) in self.items
        {
            let before = table.get(&id).map(|old| old.metadata().version);
            match table.put_with(owner, &id, spec, Some((&labels, &annotations)), cause) {
                Ok(now) => applied.changed |= before != Some(now.metadata().version),
                Err(StoreError::Phase { .. }) => applied.waiting = true,
                Err(error) => return Err(error),
            }
        }
        Ok(applied)
    }

    fn register(store: &Store) {
        store.register::<S>();
    }
}

macro_rules! output_sets {
    ($($set:ident)*) => {
        impl<$($set: OutputSets),*> OutputSets for ($($set,)*) {
            fn writes() -> Vec<Reads> {
                [$($set::writes()),*].concat()
            }
            #[allow(non_snake_case, unused_variables, unused_mut)]
            fn apply(self, store: &Store, owner: &str, cause: &str) -> Result<Applied, StoreError> {
                let ($($set,)*) = self;
                let mut applied = Applied::default();
                $(applied |= $set.apply(store, owner, cause)?;)*
                Ok(applied)
            }
            #[allow(unused_variables)]
            fn register(store: &Store) {
                $($set::register(store);)*
            }
        }
    };
}
impl OutputSets for () {
    fn writes() -> Vec<Reads> {
        Vec::new()
    }
    fn apply(self, _: &Store, _: &str, _: &str) -> Result<Applied, StoreError> {
        Ok(Applied::default())
    }
    fn register(_: &Store) {}
}
output_sets!(A);
output_sets!(A B);
output_sets!(A B C);
output_sets!(A B C D);
output_sets!(A B C D E);
output_sets!(A B C D E F);
