//! `health`: a node checks its cluster and tells how far it is.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use api::client::Client;
use api::proto::cluster::{ClusterInfo, HealthCheckRequest};
use futures::StreamExt as _;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::node::Health;
use crate::commands::NotImplemented;
use crate::session::{Session, block, failed};

/// How much longer than the node we wait.
const GRACE: Duration = Duration::from_secs(30);

/// Runs `health`.
pub fn run(command: &Node<Health>, program: Program) -> Result<()> {
    let args = &command.args;
    if !args.server {
        return Err(NotImplemented("health --server=false".into()).into());
    }
    if args.run_e2e {
        return Err(NotImplemented("health --run-e2e".into()).into());
    }
    let mut control_planes = args.control_plane_nodes.clone();
    control_planes.extend(args.init_node.clone());
    let request = HealthCheckRequest {
        wait_timeout: Some(
            prost_types::Duration::try_from(args.wait_timeout).context("read --wait-timeout: too long")?,
        ),
        cluster_info: Some(ClusterInfo {
            control_plane_nodes: control_planes,
            worker_nodes: args.worker_nodes.clone(),
            force_endpoint: args.k8s_endpoint.clone().unwrap_or_default(),
        }),
    };
    block(async {
        let session = Session::open(&command.client, program)?;
        check(&session.single("health")?.client, request, args.wait_timeout).await
    })
}

/// Lets a node check its cluster; tells what it waits for.
pub async fn check(client: &Client, request: HealthCheckRequest, wait: Duration) -> Result<()> {
    let check = async {
        let mut stream = client.cluster().health_check(request).await.map_err(|s| failed(&s))?.into_inner();
        while let Some(progress) = stream.next().await {
            let progress = progress.map_err(|status| failed(&status).context("healthcheck error"))?;
            if let Some(error) = progress.metadata.filter(|metadata| !metadata.error.is_empty()) {
                bail!("healthcheck error: {}", error.error);
            }
            writeln!(std::io::stderr(), "{}", progress.message)?;
        }
        Ok(())
    };
    // The node keeps the time; this is for a node that went away.
    let limit = tokio::time::timeout(wait + GRACE, check).await;
    limit.context("the cluster did not get healthy in time")?
}
