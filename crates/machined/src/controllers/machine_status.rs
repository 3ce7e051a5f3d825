//! What the machine is doing, and what keeps it from being ready.

use std::collections::BTreeSet;

use api::proto::machine::{MachineStatusEvent, machine_status_event as event};
use node_resources::config::{MachineKind, MachineType as MachineTypeResource};
use node_resources::k8s::{NodeStatus, Nodename, StaticPodStatus};
use node_resources::runtime::{
    MachineStage, MachineStatus, MachineStatusStatus, MaintenanceServiceConfig, UnmetCondition,
};
use node_resources::v1alpha1::Service;
use resource::{All, Context, One, Outcome, Outputs, Reconcile};

use crate::events::Events;
use crate::sequence::{Sequence, Sequencer};

/// Derives the machine's status; it remembers only that the boot was once over.
pub struct Status {
    /// What ends the node's run.
    pub sequencer: Sequencer,
    /// Where changes are told.
    pub events: Events,
    booted: bool,
    last: Option<MachineStatus>,
}

impl Status {
    /// A machine that begins to boot.
    pub fn new(sequencer: Sequencer, events: Events) -> Self {
        Self {
            sequencer,
            events,
            booted: false,
            last: None,
        }
    }
}

type Inputs = (
    Option<One<MachineTypeResource>>,
    Option<One<MaintenanceServiceConfig>>,
    Option<One<Nodename>>,
    All<NodeStatus>,
    All<StaticPodStatus>,
    All<Service>,
);

impl Reconcile for Status {
    type Inputs = Inputs;
    type Outputs = Outputs<MachineStatus>;

    async fn reconcile(
        &mut self,
        (kind, maintenance, nodename, nodes, pods, services): Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        let control_plane = kind.as_ref().map(|k| k.0 == MachineKind::ControlPlane);
        let mut unmet = Vec::new();
        if let Some(control_plane) = control_plane {
            unmet.extend(missing_services(control_plane, &services));
            self.booted |= unmet.is_empty();
            if let Some(nodename) = nodename.filter(|n| !n.skip_node_registration) {
                unmet.extend(node_condition(&nodename.nodename, &nodes));
            }
            if control_plane {
                unmet.extend(pod_condition(&pods));
            }
        }
        let stage = match (self.sequencer.running(), control_plane, maintenance.is_some()) {
            (Some(Sequence::Reboot { .. }), _, _) => MachineStage::Rebooting,
            (Some(Sequence::Shutdown { .. }), _, _) => MachineStage::ShuttingDown,
            (Some(Sequence::Reset { .. }), _, _) => MachineStage::Resetting,
            (None, None, true) => MachineStage::Maintenance,
            (None, Some(_), _) if self.booted => MachineStage::Running,
            (None, _, _) => MachineStage::Booting,
        };
        let ready = unmet.is_empty() && matches!(stage, MachineStage::Running | MachineStage::Maintenance);
        let status = MachineStatus {
            stage,
            status: MachineStatusStatus {
                ready,
                unmet_conditions: unmet,
            },
        };
        if self.last.as_ref() != Some(&status) {
            self.events.publish("machine.MachineStatusEvent", &message(&status), "");
            self.last = Some(status.clone());
        }
        Ok(Outcome::done(Outputs::one("machine", status)))
    }
}

fn condition(name: &str, reason: String) -> UnmetCondition {
    UnmetCondition {
        name: name.to_owned(),
        reason,
    }
}

fn missing_services(control_plane: bool, services: &All<Service>) -> Option<UnmetCondition> {
    let mut wanted = BTreeSet::from(["apid", "containerd", "kubelet", "machined"]);
    if control_plane {
        wanted.extend(["etcd", "trustd"]);
    }
    let reasons: Vec<String> = wanted
        .into_iter()
        .filter_map(|id| match services.get(id) {
            Some(s) if s.running && s.healthy => None,
            Some(s) if s.running => Some(format!("{id} not healthy")),
            _ => Some(format!("{id} not running")),
        })
        .collect();
    (!reasons.is_empty()).then(|| condition("services", reasons.join(", ")))
}

fn node_condition(name: &str, nodes: &All<NodeStatus>) -> Option<UnmetCondition> {
    match nodes.get(name) {
        None => Some(condition(
            "nodeReady",
            format!("node \"{name}\" status is not available yet"),
        )),
        Some(node) if !node.node_ready => Some(condition("nodeReady", format!("node \"{name}\" is not ready"))),
        Some(_) => None,
    }
}

fn pod_condition(pods: &All<StaticPodStatus>) -> Option<UnmetCondition> {
    let not_ready: Vec<&str> = pods.iter().filter(|(_, p)| !is_ready(&p.0)).map(|(id, _)| id).collect();
    (!not_ready.is_empty()).then(|| condition("staticPods", format!("{} not ready", not_ready.join(", "))))
}

/// A pod's own word on whether it is ready.
pub(super) fn is_ready(status: &serde_json::Value) -> bool {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn message(status: &MachineStatus) -> MachineStatusEvent {
    use event::MachineStage as Wire;
    let stage = match status.stage {
        MachineStage::Booting => Wire::Booting,
        MachineStage::Installing => Wire::Installing,
        MachineStage::Maintenance => Wire::Maintenance,
        MachineStage::Running => Wire::Running,
        MachineStage::Rebooting => Wire::Rebooting,
        MachineStage::ShuttingDown => Wire::ShuttingDown,
        MachineStage::Resetting => Wire::Resetting,
        MachineStage::Upgrading => Wire::Upgrading,
        MachineStage::Unknown => Wire::Unknown,
    };
    let unmet = |c: &UnmetCondition| event::machine_status::UnmetCondition {
        name: c.name.clone(),
        reason: c.reason.clone(),
    };
    MachineStatusEvent {
        stage: stage.into(),
        status: Some(event::MachineStatus {
            ready: status.status.ready,
            unmet_conditions: status.status.unmet_conditions.iter().map(unmet).collect(),
        }),
    }
}
