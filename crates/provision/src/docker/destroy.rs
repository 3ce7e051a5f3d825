//! Remove a cluster of containers.

use super::{engine, ids};
use crate::destroy::note;
use crate::error::Result;
use crate::progress::{Event, Progress};

/// Removes all containers of the cluster with their volumes, and its networks.
pub(crate) fn remove(cluster: &str, problems: &mut Vec<String>, progress: Progress<'_>) {
    progress(Event::Step("removing the containers".to_owned()));
    note(
        problems,
        all(&["ps", "--all"], &["rm", "--force", "--volumes"], cluster),
    );
    progress(Event::Step("removing the network".to_owned()));
    note(problems, all(&["network", "ls"], &["network", "rm"], cluster));
}

fn all(list: &[&str], remove: &[&str], cluster: &str) -> Result<()> {
    let ids = ids(list, cluster)?;
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    engine::run(&[remove, &ids].concat()).map(drop)
}
