//! Which controllers there are, who reads and writes what, and whether that can work.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

use super::derive::{Derive, DeriveNode, Function};
use super::input::Reads;
use super::reconcile::{Reconcile, ReconcileNode};
use super::run::RunOptions;

/// Why the controllers cannot run together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GraphError {
    /// Two controllers have the same name.
    #[error("two controllers are named {0}")]
    SameName(&'static str),
    /// Two controllers write the same type in the same namespace.
    #[error(
        "{ty} in namespace {namespace:?} is written by {first} and by {second}; declare it with Graph::shared if their ids never meet"
    )]
    TwoOwners {
        /// The type.
        ty: &'static str,
        /// The namespace.
        namespace: &'static str,
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Derivations feed each other and may never settle.
    #[error("these derivations feed each other: {}", .0.join(" → "))]
    Cycle(Vec<&'static str>),
    /// The controllers run already.
    #[error("these controllers run already")]
    Running,
}

/// How a controller and a type hang together, with the numbers of `cosi.runtime.DependencyEdgeType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum EdgeKind {
    /// It is the only one that writes it.
    OutputExclusive = 0,
    /// It reads it and holds it with finalizers.
    InputStrong = 1,
    /// It reads it.
    InputWeak = 2,
    /// It writes it, among others.
    OutputShared = 3,
    /// It waits until it can be destroyed.
    InputDestroyReady = 4,
}

/// One edge of the graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    /// The controller.
    pub controller: &'static str,
    /// The full type.
    pub ty: &'static str,
    /// Its namespace.
    pub namespace: &'static str,
    /// How they hang together.
    pub kind: EdgeKind,
}

pub(super) enum Body {
    Derive(Arc<dyn DeriveNode>),
    /// Taken when it runs.
    Reconcile(Mutex<Option<Box<dyn ReconcileNode>>>),
}

pub(super) struct Entry {
    pub name: &'static str,
    pub body: Body,
    pub reads: Vec<Reads>,
    pub writes: Vec<Reads>,
}

type Key = (&'static str, &'static str);

fn key(reads: &Reads) -> Key {
    (reads.ty, reads.namespace)
}

/// The controllers, as they are put together.
#[derive(Default)]
pub struct Graph {
    entries: Vec<Entry>,
    shared: BTreeSet<Key>,
    options: RunOptions,
}

impl Graph {
    /// No controllers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Other waits than usual.
    #[must_use]
    pub fn options(mut self, options: RunOptions) -> Self {
        self.options = options;
        self
    }

    /// Adds a pure controller: a function.
    #[must_use]
    pub fn derive<Args: 'static, D: Derive<Args>>(mut self, name: &'static str, function: D) -> Self {
        let node: Arc<dyn DeriveNode> = Arc::new(Function(function, PhantomData));
        let (reads, writes) = (node.reads(), node.writes());
        self.entries.push(Entry {
            name,
            body: Body::Derive(node),
            reads,
            writes,
        });
        self
    }

    /// Adds a controller with effects.
    #[must_use]
    pub fn reconcile<R: Reconcile>(mut self, name: &'static str, controller: R) -> Self {
        let node: Box<dyn ReconcileNode> = Box::new(controller);
        let (reads, writes) = (node.reads(), node.writes());
        self.entries.push(Entry {
            name,
            body: Body::Reconcile(Mutex::new(Some(node))),
            reads,
            writes,
        });
        self
    }

    /// Lets several controllers write a type in a namespace, each its own ids.
    #[must_use]
    pub fn shared<S: crate::Spec>(self, namespace: &'static str) -> Self {
        self.shared_type(S::TYPE, namespace)
    }

    /// As [`Graph::shared`], by the name of the type.
    #[must_use]
    pub fn shared_type(mut self, ty: &'static str, namespace: &'static str) -> Self {
        self.shared.insert((ty, namespace));
        self
    }

    /// Adds everything of another graph.
    #[must_use]
    pub fn merge(mut self, other: Graph) -> Self {
        self.entries.extend(other.entries);
        self.shared.extend(other.shared);
        self
    }

    /// Checks that every output has one owner and that derivations do not go in circles.
    pub fn build(self) -> Result<Controllers, GraphError> {
        let mut names = BTreeSet::new();
        let mut owners: BTreeMap<Key, &'static str> = BTreeMap::new();
        for entry in &self.entries {
            if !names.insert(entry.name) {
                return Err(GraphError::SameName(entry.name));
            }
            for written in entry.writes.iter().map(key).filter(|key| !self.shared.contains(key)) {
                if let Some(first) = owners.insert(written, entry.name) {
                    let (ty, namespace) = written;
                    return Err(GraphError::TwoOwners {
                        ty,
                        namespace,
                        first,
                        second: entry.name,
                    });
                }
            }
        }
        let order = settle_order(&self.entries)?;
        let Self {
            entries,
            shared,
            options,
        } = self;
        Ok(Controllers(Arc::new(Wired {
            entries,
            shared,
            order,
            options,
        })))
    }
}

/// The derivations, those that write before those that read it.
fn settle_order(entries: &[Entry]) -> Result<Vec<usize>, GraphError> {
    let pure: Vec<usize> = (0..entries.len())
        .filter(|index| matches!(entries[*index].body, Body::Derive(_)))
        .collect();
    let mut writers: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    for &index in &pure {
        for written in &entries[index].writes {
            writers.entry(key(written)).or_default().push(index);
        }
    }
    let (mut done, mut path, mut order) = (BTreeSet::new(), Vec::new(), Vec::new());
    for &index in &pure {
        visit(index, entries, &writers, &mut done, &mut path, &mut order)?;
    }
    Ok(order)
}

fn visit(
    index: usize,
    entries: &[Entry],
    writers: &BTreeMap<Key, Vec<usize>>,
    done: &mut BTreeSet<usize>,
    path: &mut Vec<usize>,
    order: &mut Vec<usize>,
) -> Result<(), GraphError> {
    if done.contains(&index) {
        return Ok(());
    }
    if let Some(start) = path.iter().position(|other| *other == index) {
        // The path goes from reader to writer; tell it in the direction the data flows.
        let mut names: Vec<_> = path[start..].iter().map(|other| entries[*other].name).collect();
        names.reverse();
        names.push(names[0]);
        return Err(GraphError::Cycle(names));
    }
    path.push(index);
    for writer in entries[index]
        .reads
        .iter()
        .filter_map(|read| writers.get(&key(read)))
        .flatten()
    {
        visit(*writer, entries, writers, done, path, order)?;
    }
    path.pop();
    done.insert(index);
    order.push(index);
    Ok(())
}

pub(super) struct Wired {
    pub entries: Vec<Entry>,
    shared: BTreeSet<Key>,
    /// The derivations in the order that settles fastest.
    pub order: Vec<usize>,
    pub options: RunOptions,
}

/// Controllers that fit together, ready to [run](Controllers::run). A handle: clones are the same controllers.
#[derive(Clone)]
pub struct Controllers(pub(super) Arc<Wired>);

impl std::fmt::Debug for Controllers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.entries.iter().map(|entry| entry.name))
            .finish()
    }
}

impl Controllers {
    /// Who reads and writes what, by controller.
    #[must_use]
    pub fn edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for Entry {
            name, reads, writes, ..
        } in &self.0.entries
        {
            let edge = |reads: &Reads, kind| Edge {
                controller: name,
                ty: reads.ty,
                namespace: reads.namespace,
                kind,
            };
            edges.extend(writes.iter().map(|written| {
                let shared = self.0.shared.contains(&key(written));
                edge(
                    written,
                    if shared {
                        EdgeKind::OutputShared
                    } else {
                        EdgeKind::OutputExclusive
                    },
                )
            }));
            edges.extend(reads.iter().map(|read| edge(read, EdgeKind::InputWeak)));
        }
        edges
    }

    /// The names of the controllers.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.entries.iter().map(|entry| entry.name)
    }
}
