//! A small Kubernetes API client: objects are JSON values, so any kind of any version can be read, applied and watched.
//!
//! ```no_run
//! # async fn example() -> Result<(), k8s::Error> {
//! use k8s::{ApplyOptions, Client, ListOptions, resources};
//! use serde_json::json;
//!
//! let client = Client::from_kubeconfig(&std::fs::read("/etc/kubernetes/kubeconfig-kubelet").unwrap_or_default())?;
//! let nodes = client.list(&resources::NODES, None, &ListOptions::default()).await?;
//! println!("{} nodes", nodes.items.len());
//! let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}});
//! client.apply(&map, &ApplyOptions::new("talos")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Host names are not looked up: programs here are linked statically, where the C library's resolver does not work.
//! A server is an address or `localhost`, or [`Options::resolver`] or [`Options::connect_to`] is given.

mod client;
mod connect;
mod discovery;
pub mod drain;
mod error;
pub mod kubeconfig;
mod logs;
mod objects;
mod options;
pub mod resources;
mod watch;
pub mod yaml;

pub use client::Client;
pub use error::Error;
pub use kubeconfig::Kubeconfig;
pub use logs::LogOptions;
pub use objects::{ApplyOptions, DeleteOptions, List, ListOptions, Patch};
pub use options::{Auth, Options, Resolver};
pub use resources::ApiResource;
pub use watch::Event;

#[cfg(test)]
mod fake;
