//! Controllers: what they read and write stands in their types, and the runtime does the rest.

mod backoff;
mod derive;
mod graph;
mod input;
mod output;
mod plan;
mod reconcile;
mod run;
mod status;

pub use derive::Derive;
pub use graph::{Controllers, Edge, EdgeKind, Graph, GraphError};
pub use input::{All, Home, Id, Input, Inputs, Named, One, Scope};
pub use output::{OutputSets, Outputs};
pub use plan::PlannedChange;
pub use reconcile::{Context, Outcome, Reconcile, Waker};
pub use run::RunOptions;
pub use status::ControllerStatus;
