//! Clusters whose nodes are containers of a Docker engine on this machine.
//!
//! Containers and the network carry labels with the name of their cluster. They are found again by these and not by a
//! list of our own, so that a node somebody started by hand with the same labels belongs to the cluster too.
//!
//! The engine is asked through Docker's own command line, which knows contexts, hosts and credentials. Its calls block:
//! a command that makes a cluster has nothing else to do meanwhile.

mod containers;
mod create;
mod destroy;
pub(crate) mod engine;
mod show;
mod start;

pub(crate) use create::create;
pub(crate) use destroy::remove;
pub(crate) use show::nodes;
pub(crate) use start::start;

/// Marks what this kind of program made.
const OWNED: &str = "talos.owned";
/// Has the name of the cluster.
const CLUSTER: &str = "talos.cluster.name";
/// Has the role of a node.
const ROLE: &str = "talos.type";

/// Labels of everything a cluster has.
fn labels(cluster: &str) -> [String; 2] {
    [format!("{OWNED}=true"), format!("{CLUSTER}={cluster}")]
}

/// Ids of the cluster's containers or networks, as `list` (`ps --all`, `network ls`) gives them.
fn ids(list: &[&str], cluster: &str) -> crate::error::Result<Vec<String>> {
    let filters = labels(cluster).map(|label| format!("--filter=label={label}"));
    let arguments = [
        list,
        &["--quiet", "--no-trunc"],
        &filters.each_ref().map(String::as_str),
    ]
    .concat();
    Ok(engine::run(&arguments)?.lines().map(str::to_owned).collect())
}
