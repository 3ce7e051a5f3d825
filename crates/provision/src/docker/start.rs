//! Start containers that were shut down.

use std::time::{Duration, Instant};

use super::containers::{self, Container};
use super::create::{PAUSE, answers};
use super::engine;
use crate::connect;
use crate::error::{Error, Result};
use crate::progress::{Event, Progress};
use crate::start::wanted;
use crate::state::Phase;

/// Starts the containers that do not run: all of the cluster, or those that are named. Waits until they answer.
pub(crate) async fn start(cluster: &str, nodes: &[String], limit: Duration, progress: Progress<'_>) -> Result<()> {
    let deadline = Instant::now() + limit;
    let all = containers::of(cluster)?;
    let mut down = Vec::new();
    for node in wanted(&all, |container| &container.name, nodes)? {
        if runs(cluster, &node, deadline, limit).await? {
            progress(Event::Step(format!("{} runs already", node.name)));
        } else {
            down.push(node.name);
        }
    }
    for name in &down {
        progress(Event::Step(format!("starting {name}")));
        engine::run(&["start", name])?;
    }
    for name in &down {
        // One without an address of its own has got another.
        if let Some(address) = find(cluster, name)?.and_then(|container| container.address) {
            answers(cluster, name, address, deadline, limit).await?;
        }
    }
    Ok(())
}

fn find(cluster: &str, name: &str) -> Result<Option<Container>> {
    Ok(containers::of(cluster)?
        .into_iter()
        .find(|container| container.name == *name))
}

/// Whether a node runs, and is not about to end: one that is shutting down is waited for.
async fn runs(cluster: &str, node: &Container, deadline: Instant, limit: Duration) -> Result<bool> {
    loop {
        let now = find(cluster, &node.name)?;
        let Some(now) = now.filter(|now| now.status.phase == Phase::Running || now.status.phase == Phase::Starting)
        else {
            return Ok(false);
        };
        if let Some(address) = now.address
            && connect::accepts(connect::api(address)).await
        {
            return Ok(true);
        }
        if Instant::now() > deadline {
            return Err(Error::Timeout {
                what: format!("an answer of {}, or its end,", node.name),
                limit,
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}
