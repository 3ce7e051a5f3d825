//! Typed resources, the store they live in, and the controllers that work on them.
//!
//! A resource is a typed spec with metadata. Everything a machine knows and wants is one, so that it can be listed,
//! watched and explained; everything it does is a controller from resources to resources.
//!
//! ```
//! use resource::{All, Graph, One, Outputs, Resource, Store};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
//! #[serde(rename_all = "camelCase", default)]
//! #[resource(type = "Affiliates.cluster.talos.dev", namespace = "cluster")]
//! struct Affiliate {
//!     #[field(3)]
//!     hostname: String,
//!     #[field(4)]
//!     nodename: String,
//! }
//!
//! #[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
//! #[serde(rename_all = "camelCase", default)]
//! #[resource(type = "Members.cluster.talos.dev", namespace = "cluster", column("Hostname" = "{.hostname}"))]
//! struct Member {
//!     #[field(3)]
//!     hostname: String,
//! }
//!
//! /// Members are the affiliates that announced a Kubernetes node name.
//! fn members(affiliates: All<Affiliate>) -> Outputs<Member> {
//!     affiliates
//!         .iter()
//!         .filter(|(_, affiliate)| !affiliate.nodename.is_empty())
//!         .map(|(_, affiliate)| (affiliate.nodename.clone(), Member { hostname: affiliate.hostname.clone() }))
//!         .collect()
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let store = Store::default();
//! let controllers = Graph::new().derive("cluster.MemberController", members).build()?;
//! let stop = tokio_util::sync::CancellationToken::new();
//! let running = tokio::spawn(controllers.run(store.clone(), stop.clone()));
//!
//! let spec = Affiliate { hostname: "h".into(), nodename: "n".into() };
//! store.put("discovery", "some-id", spec, "heard of it")?;
//! let member = store.table::<Member>().wait_for("n", |_| true).await;
//! assert_eq!(member.hostname, "h");
//! assert_eq!(member.metadata().owner, "cluster.MemberController");
//! assert!(store.get_dyn("Members.cluster.talos.dev", "cluster", "n")?.yaml().ends_with("spec:\n    hostname: h\n"));
//!
//! stop.cancel();
//! running.await??;
//! # Ok::<(), anyhow::Error>(())
//! # }).unwrap();
//! ```

extern crate self as resource;

mod definition;
mod item;
mod meta;
mod metadata;
pub mod proto;
mod runtime;
mod spec;
mod store;
pub mod types;
pub mod yaml;

pub use definition::{Column, Definition, Field};
pub use item::{DynResource, Resource};
pub use meta::{META, Namespace, PrintColumn, ResourceDefinition, Sensitivity};
pub use metadata::{Labels, Metadata, Phase};
pub use resource_derive::{Message, ProtoEnum, Resource};
pub use runtime::{
    All, Context, ControllerStatus, Controllers, Derive, Edge, EdgeKind, Graph, GraphError, Home, Id, Input, Inputs,
    Named, One, Outcome, OutputSets, Outputs, PlannedChange, Reconcile, RunOptions, Scope, Waker,
};
#[doc(hidden)]
pub use serde;
pub use spec::Spec;
pub use store::{
    Backend, Bookmark, Change, ChangeKind, Event, EventKind, LabelOp, LabelQuery, LabelTerm, NewResource, Options,
    Pointer, Selector, Store, StoreError, Stored, Table, TypedEvent, TypedWatch, Watch, WatchOptions,
};
pub use types::Prefix;
