//! `health`: is the cluster well? A node checks if it can; otherwise the checks run here.

pub mod view;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use api::client::Client;
use api::proto::cluster::{ClusterInfo, HealthCheckRequest};
use futures::StreamExt as _;
use tonic::{Code, Status};

use crate::Program;
use crate::cli::common::Node;
use crate::cli::observe::Health;
use crate::commands::conformance::{self, Mode};
use crate::output::{note, paint::Paint};
use crate::session::{Session, Target, block, failed};

pub use cluster_health::{Nodes, Scope};

/// How much longer than the node we wait.
const GRACE: Duration = Duration::from_secs(30);

/// Runs `health`.
pub fn run(command: &Node<Health>, program: Program) -> Result<()> {
    let args = &command.args;
    let mut nodes = Nodes {
        control_planes: args.control_plane_nodes.clone(),
        workers: args.worker_nodes.clone(),
    };
    nodes.control_planes.extend(args.init_node.clone());
    block(async {
        let session = Session::open(&command.client, program)?;
        let target = session.single("health")?;
        let endpoint = args.k8s_endpoint.clone();
        check(target, nodes, endpoint, args.wait_timeout, args.server, Scope::Cluster).await?;
        if args.run_e2e {
            conformance::execute(target, Mode::Fast, None, None).await?;
        }
        Ok(())
    })
}

/// Waits until the cluster is healthy and tells what it waits for. Without nodes they are taken from the members that
/// the node knows.
pub async fn check(
    target: &Target,
    nodes: Nodes,
    endpoint: Option<String>,
    wait: Duration,
    on_server: bool,
    scope: Scope,
) -> Result<()> {
    let deadline = Instant::now() + wait;
    // A server makes all of the checks.
    if on_server && scope == Scope::Cluster {
        let request = HealthCheckRequest {
            wait_timeout: Some(prost_types::Duration::try_from(wait).context("read the time to wait: too long")?),
            cluster_info: Some(ClusterInfo {
                control_plane_nodes: nodes.control_planes.clone(),
                worker_nodes: nodes.workers.clone(),
                force_endpoint: endpoint.clone().unwrap_or_default(),
            }),
        };
        let answered = tokio::time::timeout(wait + GRACE, server(&target.client, request)).await;
        match answered.context("the cluster did not get healthy in time")? {
            Err(Failure::Call(status)) if is_final(status.code()) => {
                return Err(failed(&status).context("healthcheck error"));
            }
            // An older node cannot check, and one that is just starting goes away now and then: we can check from here.
            Err(Failure::Call(_)) => {}
            Err(Failure::Other(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
    let view = view::open_view(target, nodes, endpoint, deadline).await?;
    // Progress that nobody reads is not worth failing for.
    let checked = cluster_health::all(&view, scope, deadline, &mut |line| note(&painted(&line))).await;
    checked.context("healthcheck error")
}

/// Whether asking otherwise is in vain too.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument | Code::FailedPrecondition
    )
}

enum Failure {
    Call(Status),
    Other(anyhow::Error),
}

async fn server(client: &Client, request: HealthCheckRequest) -> Result<(), Failure> {
    let mut stream = client
        .cluster()
        .health_check(request)
        .await
        .map_err(Failure::Call)?
        .into_inner();
    while let Some(progress) = stream.next().await {
        let progress = progress.map_err(Failure::Call)?;
        if let Some(error) = progress.metadata.filter(|metadata| !metadata.error.is_empty()) {
            return Err(Failure::Other(anyhow::anyhow!("healthcheck error: {}", error.error)));
        }
        note(&painted(&progress.message));
    }
    Ok(())
}

/// Progress in colours: `waiting for X: OK` or what it waits for.
fn painted(line: &str) -> String {
    let paint = Paint::stderr();
    match line.strip_suffix("OK") {
        Some(rest) => format!("{rest}{}", paint.good("OK")),
        None if line.ends_with("...") => line.to_owned(),
        None => paint.waiting(line),
    }
}
