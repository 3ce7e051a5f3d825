//! Why the store refuses.

use std::fmt;

/// Which resource: `namespace/Type(id)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pointer {
    /// Its namespace.
    pub namespace: String,
    /// Its full type.
    pub ty: String,
    /// Its id.
    pub id: String,
}

impl Pointer {
    /// A pointer from its parts.
    #[must_use]
    pub fn new(namespace: &str, ty: &str, id: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ty: ty.to_owned(),
            id: id.to_owned(),
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "resource {}({}/{})", self.ty, self.namespace, self.id)
    }
}

/// Why a change or a question was refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such resource.
    #[error("{0} doesn't exist")]
    NotFound(Pointer),
    /// Create found one there.
    #[error("{0} already exists")]
    AlreadyExists(Pointer),
    /// Somebody changed it in between: read it again and retry.
    #[error("{at} was changed meanwhile: version is {found}, the update was made from {expected}")]
    Conflict {
        /// Which one.
        at: Pointer,
        /// The version the caller had read.
        expected: u64,
        /// The version in the store.
        found: u64,
    },
    /// It belongs to another controller.
    #[error("{at} is owned by {owner:?}, {actor:?} may not change it")]
    Owner {
        /// Which one.
        at: Pointer,
        /// Its owner.
        owner: String,
        /// Who tried.
        actor: String,
    },
    /// It has finalizers: tear it down and wait.
    #[error("{at} has pending finalizers: {}", finalizers.join(", "))]
    Finalizers {
        /// Which one.
        at: Pointer,
        /// Who is not done with it.
        finalizers: Vec<String>,
    },
    /// It is not in the phase the change needs.
    #[error("{at} is {phase}, so it cannot be changed; wait until it is destroyed")]
    Phase {
        /// Which one.
        at: Pointer,
        /// The phase it is in.
        phase: crate::Phase,
    },
    /// Nobody registered the type.
    #[error("resource type {0:?} is not registered (see `get resourcedefinitions`)")]
    UnknownType(String),
    /// A name stands for several types.
    #[error("resource name {name:?} is ambiguous: {}", types.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// The types that answer to it.
        types: Vec<String>,
    },
    /// The type is not to be written through the API.
    #[error("resource type {0:?} is written by the system only")]
    ReadOnly(String),
    /// The spec does not fit the type.
    #[error("{at}: the spec does not fit its type: {problem}")]
    Spec {
        /// Which one.
        at: Pointer,
        /// What is wrong with it.
        problem: String,
    },
    /// A question that cannot be understood, such as a bad regular expression.
    #[error("{0}")]
    Query(String),
    /// The bookmark is from another run, or the changes since are no longer kept: list again.
    #[error("watch {0}: the bookmark is too old or from another run of this node; start over without it")]
    Bookmark(Pointer),
    /// What keeps the resources on disk failed.
    #[error("keep {at}: {problem}")]
    Backend {
        /// Which one.
        at: Pointer,
        /// What went wrong.
        problem: String,
    },
}
