//! What a controller can ask for in its signature.

use std::marker::PhantomData;
use std::ops::Deref;

use crate::item::{DynResource, Resource};
use crate::metadata::Phase;
use crate::spec::Spec;
use crate::store::State;

/// Which namespace of a type is meant, where it is not the type's own: see [`scope!`](crate::scope).
pub trait Scope<S: Spec>: Send + Sync + 'static {
    /// The namespace.
    const NAMESPACE: &'static str;
}

/// The type's own namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Home;

impl<S: Spec> Scope<S> for Home {
    const NAMESPACE: &'static str = S::NAMESPACE;
}

/// Names a namespace for inputs and outputs: `scope!(pub NetworkConfig = "network-config");`, then
/// `All<AddressSpec, NetworkConfig>`.
#[macro_export]
macro_rules! scope {
    ($(#[$meta:meta])* $vis:vis $name:ident = $namespace:expr) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        $vis struct $name;
        impl<S: $crate::Spec> $crate::Scope<S> for $name {
            const NAMESPACE: &'static str = $namespace;
        }
    };
}

/// Which resource [`Named`] means: see [`id!`](crate::id).
pub trait Id: Send + Sync + 'static {
    /// The id.
    const ID: &'static str;
}

/// Names an id for inputs: `id!(pub Active = "active");`, then `Named<PlatformConfig, Active>`.
#[macro_export]
macro_rules! id {
    ($(#[$meta:meta])* $vis:vis $name:ident = $id:expr) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        $vis struct $name;
        impl $crate::Id for $name {
            const ID: &'static str = $id;
        }
    };
}

/// A type and a namespace a controller reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[doc(hidden)]
pub struct Reads {
    pub ty: &'static str,
    pub namespace: &'static str,
}

/// Resources as they are at one moment; inputs are taken from it.
#[doc(hidden)]
pub struct View<'a>(pub(crate) &'a State);

impl View<'_> {
    fn rows<S: Spec>(&self, namespace: &str) -> impl Iterator<Item = Resource<S>> {
        let collection = self.0.collections.get(&(S::TYPE.to_owned(), namespace.to_owned()));
        let rows = collection.into_iter().flat_map(|collection| collection.rows.values());
        rows.filter(|row| row.metadata().phase == Phase::Running)
            .filter_map(DynResource::downcast)
    }
}

/// Something a controller can ask for. Resources that are being torn down are not given.
pub trait Input: Sized + Send + 'static {
    /// What it reads, for the graph.
    #[doc(hidden)]
    fn reads() -> Reads;
    /// The value, or `None` while what it needs is not there: the controller then has no outputs.
    #[doc(hidden)]
    fn fetch(view: &View<'_>) -> Option<Self>;
    /// Makes the type known to a store.
    #[doc(hidden)]
    fn register(store: &crate::Store);
}

/// Every resource of a type, by id.
#[derive(Clone, Debug)]
pub struct All<S: Spec, N = Home> {
    resources: Vec<Resource<S>>,
    scope: PhantomData<fn() -> N>,
}

impl<S: Spec, N> All<S, N> {
    /// From resources, for tests.
    #[must_use]
    pub fn new(resources: Vec<Resource<S>>) -> Self {
        Self {
            resources,
            scope: PhantomData,
        }
    }

    /// Ids and specs.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &S)> {
        self.resources.iter().map(|resource| (resource.id(), resource.spec()))
    }

    /// The specs.
    pub fn specs(&self) -> impl DoubleEndedIterator<Item = &S> {
        self.resources.iter().map(Resource::spec)
    }

    /// The one with the id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Resource<S>> {
        self.resources.iter().find(|resource| resource.id() == id)
    }
}

impl<S: Spec, N> Deref for All<S, N> {
    type Target = [Resource<S>];
    fn deref(&self) -> &[Resource<S>] {
        &self.resources
    }
}

impl<S: Spec, N> IntoIterator for All<S, N> {
    type Item = Resource<S>;
    type IntoIter = std::vec::IntoIter<Resource<S>>;
    fn into_iter(self) -> Self::IntoIter {
        self.resources.into_iter()
    }
}

impl<S: Spec, N, I: Into<String>> FromIterator<(I, S)> for All<S, N> {
    fn from_iter<T: IntoIterator<Item = (I, S)>>(items: T) -> Self {
        Self::new(
            items
                .into_iter()
                .map(|(id, spec)| Resource::new(&id.into(), spec))
                .collect(),
        )
    }
}

impl<S: Spec, N, I: Into<String>, const COUNT: usize> From<[(I, S); COUNT]> for All<S, N> {
    fn from(items: [(I, S); COUNT]) -> Self {
        items.into_iter().collect()
    }
}

impl<S: Spec, N: Scope<S>> Input for All<S, N> {
    fn reads() -> Reads {
        Reads {
            ty: S::TYPE,
            namespace: N::NAMESPACE,
        }
    }
    fn fetch(view: &View<'_>) -> Option<Self> {
        Some(Self::new(view.rows(N::NAMESPACE).collect()))
    }
    fn register(store: &crate::Store) {
        store.register::<S>();
    }
}

macro_rules! single {
    ($name:ident<$($scope:ident),+>) => {
        impl<S: Spec, $($scope),+> $name<S, $($scope),+> {
            /// From a resource, for tests.
            #[must_use]
            pub fn new(resource: Resource<S>) -> Self {
                Self { resource, scope: PhantomData }
            }

            /// The resource with its metadata.
            #[must_use]
            pub fn resource(&self) -> &Resource<S> {
                &self.resource
            }
        }

        impl<S: Spec, $($scope),+> Deref for $name<S, $($scope),+> {
            type Target = S;
            fn deref(&self) -> &S {
                self.resource.spec()
            }
        }
    };
}

/// The first resource of a type: for types that have only one.
#[derive(Clone, Debug)]
pub struct One<S: Spec, N = Home> {
    resource: Resource<S>,
    scope: PhantomData<fn() -> N>,
}
single!(One<N>);

impl<S: Spec, N> From<S> for One<S, N> {
    fn from(spec: S) -> Self {
        Self::new(Resource::new("one", spec))
    }
}

impl<S: Spec, N: Scope<S>> Input for One<S, N> {
    fn reads() -> Reads {
        Reads {
            ty: S::TYPE,
            namespace: N::NAMESPACE,
        }
    }
    fn fetch(view: &View<'_>) -> Option<Self> {
        view.rows(N::NAMESPACE).next().map(Self::new)
    }
    fn register(store: &crate::Store) {
        store.register::<S>();
    }
}

/// The resource with a known id.
#[derive(Clone, Debug)]
pub struct Named<S: Spec, I, N = Home> {
    resource: Resource<S>,
    scope: PhantomData<fn() -> (I, N)>,
}
single!(Named<I, N>);

impl<S: Spec, I: Id, N> From<S> for Named<S, I, N> {
    fn from(spec: S) -> Self {
        Self::new(Resource::new(I::ID, spec))
    }
}

impl<S: Spec, I: Id, N: Scope<S>> Input for Named<S, I, N> {
    fn reads() -> Reads {
        Reads {
            ty: S::TYPE,
            namespace: N::NAMESPACE,
        }
    }
    fn fetch(view: &View<'_>) -> Option<Self> {
        let row = view.0.row(S::TYPE, N::NAMESPACE, I::ID)?;
        (row.metadata().phase == Phase::Running)
            .then(|| row.downcast())
            .flatten()
            .map(Self::new)
    }
    fn register(store: &crate::Store) {
        store.register::<S>();
    }
}

impl<I: Input> Input for Option<I> {
    fn reads() -> Reads {
        I::reads()
    }
    fn fetch(view: &View<'_>) -> Option<Self> {
        Some(I::fetch(view))
    }
    fn register(store: &crate::Store) {
        I::register(store);
    }
}

/// Several inputs: a tuple of them, or one alone.
pub trait Inputs: Sized + Send + 'static {
    /// What they read, for the graph.
    #[doc(hidden)]
    fn all_reads() -> Vec<Reads>;
    /// The values, or `None` while one is missing.
    #[doc(hidden)]
    fn fetch_all(view: &View<'_>) -> Option<Self>;
    /// Makes the types known to a store.
    #[doc(hidden)]
    fn register_all(store: &crate::Store);
}

macro_rules! inputs {
    ($($input:ident)*) => {
        impl<$($input: Input),*> Inputs for ($($input,)*) {
            fn all_reads() -> Vec<Reads> {
                vec![$($input::reads()),*]
            }
            #[allow(unused_variables)]
            fn fetch_all(view: &View<'_>) -> Option<Self> {
                Some(($($input::fetch(view)?,)*))
            }
            #[allow(unused_variables)]
            fn register_all(store: &crate::Store) {
                $($input::register(store);)*
            }
        }
    };
}
inputs!();
inputs!(A);
inputs!(A B);
inputs!(A B C);
inputs!(A B C D);
inputs!(A B C D E);
inputs!(A B C D E F);
inputs!(A B C D E F G);
inputs!(A B C D E F G H);
inputs!(A B C D E F G H I);
inputs!(A B C D E F G H I J);
