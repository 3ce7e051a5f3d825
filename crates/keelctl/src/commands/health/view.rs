//! The way to what the checks look at: nodes by way of the one that is asked, and the Kubernetes API.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use api::client::{CALL_LIMIT, Client};
use cluster_health::Ask;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::sleep;

use crate::commands::kubeconfig;
use crate::session::{Target, failed};

pub use cluster_health::{Nodes, View, service, spec};

struct Through {
    target: Target,
    endpoint: Option<String>,
}

impl Ask for Through {
    fn node(&self, address: &str) -> Result<Client> {
        Ok(self.target.client.with_nodes(&[address]))
    }

    fn kubernetes(&self) -> BoxFuture<'_, Result<k8s::Client>> {
        kubeconfig::client(&self.target, self.endpoint.as_deref(), CALL_LIMIT).boxed()
    }
}

/// Looks for the nodes if they are not named.
pub async fn open_view(target: &Target, nodes: Nodes, endpoint: Option<String>, deadline: Instant) -> Result<View> {
    let nodes = if nodes.all().next().is_some() {
        nodes
    } else {
        discover(target, deadline).await?
    };
    let through = Through {
        target: target.clone(),
        endpoint,
    };
    Ok(View::new(nodes, through))
}

/// The members of the cluster as a node sees them.
pub async fn discover(target: &Target, deadline: Instant) -> Result<Nodes> {
    crate::output::note("discovered nodes:");
    loop {
        let members = target.client.resources("cluster", "Members.cluster.talos.dev").await;
        let mut nodes = Nodes::default();
        for member in members.map_err(|status| failed(&status)).context("list members")? {
            let member = spec(&member)?;
            let address = member["addresses"][0].as_str().unwrap_or_default().to_owned();
            match member["machineType"].as_str() {
                _ if address.is_empty() => {}
                Some("controlplane" | "init") => nodes.control_planes.push(address),
                _ => nodes.workers.push(address),
            }
        }
        if !nodes.control_planes.is_empty() {
            crate::output::note(&format!("  control planes: {}", nodes.control_planes.join(", ")));
            crate::output::note(&format!("  workers: {}", nodes.workers.join(", ")));
            return Ok(nodes);
        }
        if Instant::now() > deadline {
            bail!("the node knows no control plane among the members; name the nodes with --control-plane-nodes");
        }
        sleep(Duration::from_secs(1)).await;
    }
}
