//! Looking inside the runtime: the graph of controllers, what changed, and what a configuration would change.

use std::sync::Arc;

use api::proto::inspect::inspect_service_server::{InspectService, InspectServiceServer};
use api::proto::inspect::{
    ControllerDependencyEdge, ControllerRuntimeDependenciesResponse, ControllerRuntimeDependency,
};
use api::proto::keelson::machine as proto;
use api::proto::keelson::machine::insight_service_server::InsightServiceServer;
use api::reply::Reply;
use api::state::{Access, InsightService, PlanInput, Planner};
use config::{Config, Mode};
use node_resources::config::MachineConfig;
use resource::{ChangeKind, PlannedChange};
use tonic::{Request, Response, Status, async_trait};

use super::configuration::CURRENT;
use crate::machine_config::parsed;
use crate::node::Node;

struct Insight {
    node: Node,
}

/// The inspect service.
pub fn inspect(node: Node) -> InspectServiceServer<impl InspectService> {
    InspectServiceServer::new(Insight { node })
}

/// Our own service beside it: history and plans.
pub fn insight(node: Node, access: Access) -> InsightServiceServer<InsightService> {
    InsightService::new(node.store.clone(), access, Arc::new(Insight { node })).into_server()
}

#[async_trait]
impl InspectService for Insight {
    async fn controller_runtime_dependencies(
        &self,
        _: Request<()>,
    ) -> Result<Response<ControllerRuntimeDependenciesResponse>, Status> {
        let edge = |e: resource::Edge| ControllerDependencyEdge {
            controller_name: e.controller.to_owned(),
            edge_type: e.kind as i32,
            resource_namespace: e.namespace.to_owned(),
            resource_type: e.ty.to_owned(),
            resource_id: String::new(),
        };
        let edges = self.node.controllers.edges().into_iter().map(edge).collect();
        let entry = ControllerRuntimeDependency {
            edges,
            ..Default::default()
        };
        Ok(Response::new(ControllerRuntimeDependenciesResponse::of(entry)))
    }
}

#[async_trait]
impl Planner for Insight {
    async fn plan(&self, input: PlanInput) -> Result<proto::PlanResponse, Status> {
        let current = self.node.store.get::<MachineConfig>(CURRENT);
        let old = current
            .as_ref()
            .map(|c| parsed(c))
            .transpose()
            .map_err(|e| Status::internal(e.to_string()))?;
        let invalid = |e: &dyn std::fmt::Display| Status::invalid_argument(e.to_string());
        let new = match input {
            PlanInput::Config(bytes) => Config::decode(&bytes).map_err(|e| invalid(&e))?,
            PlanInput::Patch(bytes) => {
                let old = old
                    .as_deref()
                    .ok_or_else(|| Status::failed_precondition("there is nothing to patch yet"))?;
                let patch = config::patch::Patch::load(&bytes).map_err(|e| invalid(&e))?;
                config::patch::apply(old, &[patch]).map_err(|e| invalid(&e))?
            }
        };
        plan(&self.node, old.as_deref(), &new)
    }
}

fn plan(node: &Node, old: Option<&Config>, new: &Config) -> Result<proto::PlanResponse, Status> {
    let warnings = new.validate(Mode::Container).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Status::invalid_argument(lines.join("\n"))
    })?;
    let text = String::from_utf8(new.encode()).map_err(|e| Status::internal(e.to_string()))?;
    let (changes, problems) = node
        .controllers
        .plan(&node.store, |fork| {
            fork.put("config.Apply", CURRENT, MachineConfig(text), "planned")
                .map(drop)
        })
        .map_err(|e| Status::internal(e.to_string()))?;
    let reasons = old
        .map(|old| config::change::apply_impact(old, new).reboot)
        .unwrap_or_default();
    let config_diff = old.map(|old| config::change::diff(&old.redacted(pki::REDACTED), &new.redacted(pki::REDACTED)));
    let mode = match (changes.is_empty(), reasons.is_empty()) {
        (true, _) => "no-op",
        (false, true) => "no-reboot",
        (false, false) => "reboot",
    };
    let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    warnings.extend(problems);
    Ok(proto::PlanResponse {
        config_diff: config_diff.unwrap_or_default(),
        mode: mode.to_owned(),
        reasons,
        warnings,
        resources: changes.iter().map(planned).collect(),
    })
}

fn planned(change: &PlannedChange) -> proto::plan_response::ResourceChange {
    let yaml = |text: &Option<String>| match text {
        Some(_) if change.sensitive => pki::REDACTED.to_owned(),
        Some(text) => text.clone(),
        None => String::new(),
    };
    proto::plan_response::ResourceChange {
        change: kind(change.kind).into(),
        namespace: change.at.namespace.clone(),
        r#type: change.at.ty.clone(),
        id: change.at.id.clone(),
        old: yaml(&change.old_yaml),
        new: yaml(&change.new_yaml),
    }
}

fn kind(kind: ChangeKind) -> proto::history_response::Change {
    match kind {
        ChangeKind::Created => proto::history_response::Change::Created,
        ChangeKind::Updated => proto::history_response::Change::Updated,
        ChangeKind::Destroyed => proto::history_response::Change::Destroyed,
    }
}
