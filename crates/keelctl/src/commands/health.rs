//! `health`: a node checks its cluster and tells how far it is.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use api::proto::cluster::{ClusterInfo, HealthCheckRequest};
use futures::StreamExt as _;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::node::Health;
use crate::commands::NotImplemented;
use crate::session::{Session, block, failed};

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
        let target = session.single("health")?;
        let check = async {
            let mut stream = target
                .client
                .cluster()
                .health_check(request)
                .await
                .map_err(|s| failed(&s))?
                .into_inner();
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
        let limit = args.wait_timeout + std::time::Duration::from_secs(30);
        tokio::time::timeout(limit, check)
            .await
            .context("the cluster did not get healthy in time")?
    })
}
