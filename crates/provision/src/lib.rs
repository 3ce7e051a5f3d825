//! Local clusters. Each node is a set of Linux namespaces on this machine, without a daemon, or a container of a Docker
//! engine on it ([`Provider`]).
//!
//! A node of namespaces has its own mounts, processes, network, host name, IPC and control groups; its root is the node image,
//! read-only; what it writes is in the cluster's folder. A small process per node, the supervisor, starts it, starts it
//! again when it asks to be rebooted, and keeps its console log, so a cluster outlives the command that made it. One
//! more process per cluster, the gateway, serves the registry and the exposed ports, and runs the discovery service. A
//! node that was shut down stays down until [`start`].
//!
//! Everything a cluster has on the machine carries a name that follows from its own name and folder (see [`Names`]),
//! and is written down before it is made, so [`destroy`] finds all of it, also after a creation that was killed.
//!
//! ```no_run
//! # async fn example() -> Result<(), provision::Error> {
//! // First thing in main(): supervisors and sandboxes are this program executed again.
//! provision::run_if_requested();
//! let options = provision::CreateOptions::new("demo", "/root/.keelson/clusters", "dist/rootfs.sqsh");
//! let mut plan = provision::Plan::new(options)?;
//! let generated = provision::configure(&mut plan, &provision::ConfigOptions::default())?;
//! let cluster = provision::create(plan, &|event| println!("{event}")).await?;
//! provision::destroy(&cluster.state_dir, "demo", &|_| ()).await?;
//! # drop(generated);
//! # Ok(()) }
//! ```

mod configure;
mod connect;
mod console;
mod create;
mod destroy;
mod docker;
mod error;
mod firewall;
mod host;
mod log;
mod names;
mod network;
mod node;
mod options;
mod plan;
mod progress;
mod proxy;
mod show;
mod start;
mod state;
mod supervisor;
mod tool;

pub use configure::{ConfigOptions, Generated, configure};
pub use console::Console;
pub use create::create;
pub use destroy::destroy;
pub use error::Error;
pub use names::Names;
pub use options::{CreateOptions, DockerImage, DockerOptions, PortMapping, Protocol, Provider, Resources, Subnet};
pub use plan::{NodePlan, Plan, Role};
pub use progress::{Event, Progress};
pub use show::{Cluster, Node, NodeStatus, list, show};
pub use start::start;
pub use state::Phase;

/// Becomes a supervisor or the launcher of a sandbox, and never returns, if this process was started as one.
///
/// Must be the first call of `main`, before any thread exists.
pub fn run_if_requested() {
    sys::sandbox::run_if_requested();
    supervisor::run_if_requested();
}
