//! A resource: metadata and spec, shared and never changed in place.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::metadata::Metadata;
use crate::spec::{SharedSpec, Spec, Tombstone};
use crate::yaml;

pub(crate) struct Row {
    pub metadata: Metadata,
    pub spec: SharedSpec,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec: &dyn fmt::Debug = if self.spec.sensitive() {
            &"**REDACTED**"
        } else {
            &self.spec
        };
        f.debug_struct("Resource")
            .field("metadata", &self.metadata)
            .field("spec", spec)
            .finish()
    }
}

/// A resource whose type is known at run time only. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct DynResource(pub(crate) Arc<Row>);

impl DynResource {
    pub(crate) fn new(metadata: Metadata, spec: SharedSpec) -> Self {
        Self(Arc::new(Row { metadata, spec }))
    }

    /// Stands for a resource that does not exist, where an event needs one.
    #[must_use]
    pub fn tombstone(namespace: &str, ty: &str, id: &str) -> Self {
        let (namespace, ty, id) = (namespace.to_owned(), ty.to_owned(), id.to_owned());
        Self::new(
            Metadata {
                namespace,
                ty,
                id,
                ..Metadata::default()
            },
            Arc::new(Tombstone),
        )
    }

    /// Where it is and who owns it.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.metadata.id
    }

    /// The spec as JSON, in the order of the YAML form.
    #[must_use]
    pub fn spec_json(&self) -> Value {
        self.0.spec.json()
    }

    /// The spec as a YAML document: what `yaml_spec` is on the wire.
    #[must_use]
    pub fn spec_yaml(&self) -> String {
        yaml::emit(&self.0.spec.marked())
    }

    /// The spec as protobuf: what `proto_spec` is on the wire.
    #[must_use]
    pub fn proto(&self) -> Vec<u8> {
        self.0.spec.proto()
    }

    /// Metadata and spec as YAML, as `get -o yaml` prints them below `node:`.
    #[must_use]
    pub fn yaml(&self) -> String {
        format!(
            "metadata:\n{}{}",
            self.metadata().to_yaml(4),
            yaml::emit_nested("spec", &self.0.spec.marked(), 0)
        )
    }

    /// `{"metadata": …, "spec": …}`.
    #[must_use]
    pub fn json(&self) -> Value {
        let metadata = Value::Object(self.metadata().to_json());
        Value::Object(Map::from_iter([
            ("metadata".to_owned(), metadata),
            ("spec".to_owned(), self.spec_json()),
        ]))
    }

    /// The typed resource, if it is of that type.
    #[must_use]
    pub fn downcast<S: Spec>(&self) -> Option<Resource<S>> {
        self.0.spec.as_any().is::<S>().then(|| Resource {
            row: self.0.clone(),
            spec: PhantomData,
        })
    }

    /// Same spec and metadata, whichever rows hold them.
    #[must_use]
    pub fn same_as(&self, other: &DynResource) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.metadata == other.0.metadata && self.0.spec.same(other.0.spec.as_ref()))
    }
}

/// A typed resource: it dereferences to its spec. Cloning is cheap.
pub struct Resource<S> {
    row: Arc<Row>,
    spec: PhantomData<fn() -> S>,
}

impl<S: Spec> Resource<S> {
    /// A resource outside any store, for tests and plans.
    #[must_use]
    pub fn new(id: &str, spec: S) -> Self {
        let metadata = Metadata {
            namespace: S::NAMESPACE.to_owned(),
            ty: S::TYPE.to_owned(),
            id: id.to_owned(),
            ..Metadata::default()
        };
        Self::with_metadata(metadata, spec)
    }

    /// A resource with the given metadata.
    #[must_use]
    pub fn with_metadata(metadata: Metadata, spec: S) -> Self {
        Self {
            row: Arc::new(Row {
                metadata,
                spec: Arc::new(spec),
            }),
            spec: PhantomData,
        }
    }

    /// Where it is and who owns it.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.row.metadata
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.row.metadata.id
    }

    /// Its version as text, as other resources quote it.
    #[must_use]
    pub fn version(&self) -> String {
        self.row.metadata.version.to_string()
    }

    /// What it says.
    #[must_use]
    pub fn spec(&self) -> &S {
        match self.row.spec.as_any().downcast_ref::<S>() {
            Some(spec) => spec,
            None => unreachable!("a Resource is made from a row of its type only"),
        }
    }

    /// The same resource with its type erased.
    #[must_use]
    pub fn erase(&self) -> DynResource {
        DynResource(self.row.clone())
    }
}

impl<S> Clone for Resource<S> {
    fn clone(&self) -> Self {
        Self {
            row: self.row.clone(),
            spec: PhantomData,
        }
    }
}

impl<S: Spec> Deref for Resource<S> {
    type Target = S;
    fn deref(&self) -> &S {
        self.spec()
    }
}

impl<S: Spec> fmt::Debug for Resource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.row.fmt(f)
    }
}

impl<S: Spec> PartialEq for Resource<S> {
    fn eq(&self, other: &Self) -> bool {
        self.row.metadata == other.row.metadata && self.spec() == other.spec()
    }
}
