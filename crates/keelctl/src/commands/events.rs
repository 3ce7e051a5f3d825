//! `events`.

use anyhow::Result;
use api::proto::machine::{
    AddressEvent, ConfigLoadErrorEvent, ConfigValidationErrorEvent, Event, EventsRequest, MachineStatusEvent,
    PhaseEvent, RestartEvent, SequenceEvent, ServiceStateEvent, TaskEvent, machine_status_event::MachineStage,
    phase_event, sequence_event, service_state_event, task_event,
};
use futures::StreamExt as _;
use prost::Message;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::observe::Events;
use crate::output::print;
use crate::output::table::Widths;
use crate::session::{Failures, Session, block};

/// Runs `events`.
pub fn run(command: &Node<Events>, program: Program) -> Result<()> {
    let args = &command.args;
    let request = EventsRequest {
        tail_events: args.tail.unwrap_or_default(),
        tail_id: args.since.clone().unwrap_or_default(),
        tail_seconds: args
            .duration
            .map(|d| i32::try_from(d.as_secs()).unwrap_or(i32::MAX))
            .unwrap_or_default(),
        with_actor_id: args.actor_id.clone().unwrap_or_default(),
    };
    block(async {
        let session = Session::open(&command.client, program)?;
        let mut stream = session
            .streams(async |client| client.machine().events(request.clone()).await)
            .await;
        let mut failures = Failures::default();
        let header = ["NODE", "ID", "EVENT", "ACTOR", "SOURCE", "MESSAGE"].map(str::to_owned);
        let mut widths = Widths::default();
        widths.grow(&header);
        let mut printed = false;
        while let Some((node, item)) = stream.next().await {
            match item {
                Ok(event) => {
                    let row = row(&node, &event);
                    widths.grow(&row);
                    if !printed {
                        print(&widths.render(&header))?;
                        printed = true;
                    }
                    print(&widths.render(&row))?;
                }
                Err(status) => failures.0.push((node, status)),
            }
        }
        failures.into_result()
    })
}

/// The cells of an event.
fn row(node: &str, event: &Event) -> [String; 6] {
    let (kind, source, message) = describe(event);
    [
        node.to_owned(),
        event.id.clone(),
        kind,
        event.actor_id.clone(),
        source,
        message,
    ]
}

/// Type, source and message of an event.
pub fn describe(event: &Event) -> (String, String, String) {
    let Some(any) = &event.data else {
        return Default::default();
    };
    let kind = any.type_url.rsplit('/').next().unwrap_or_default().to_owned();
    let (source, message) = body(&kind, &any.value).unwrap_or_default();
    (kind, source, message)
}

fn body(kind: &str, bytes: &[u8]) -> Option<(String, String)> {
    Some(match kind {
        "machine.SequenceEvent" => {
            let event = SequenceEvent::decode(bytes).ok()?;
            let action = sequence_event::Action::try_from(event.action).ok()?.as_str_name();
            let error = event.error.map(|e| format!("error: {}", e.message));
            (event.sequence, error.unwrap_or_else(|| action.to_owned()))
        }
        "machine.PhaseEvent" => {
            let event = PhaseEvent::decode(bytes).ok()?;
            (
                event.phase,
                phase_event::Action::try_from(event.action)
                    .ok()?
                    .as_str_name()
                    .to_owned(),
            )
        }
        "machine.TaskEvent" => {
            let event = TaskEvent::decode(bytes).ok()?;
            (
                event.task,
                task_event::Action::try_from(event.action)
                    .ok()?
                    .as_str_name()
                    .to_owned(),
            )
        }
        "machine.ServiceStateEvent" => {
            let event = ServiceStateEvent::decode(bytes).ok()?;
            let action = service_state_event::Action::try_from(event.action).ok()?.as_str_name();
            (event.service, format!("{action}: {}", event.message))
        }
        "machine.ConfigLoadErrorEvent" => ("error".into(), ConfigLoadErrorEvent::decode(bytes).ok()?.error),
        "machine.ConfigValidationErrorEvent" => ("error".into(), ConfigValidationErrorEvent::decode(bytes).ok()?.error),
        "machine.AddressEvent" => {
            let event = AddressEvent::decode(bytes).ok()?;
            (event.hostname, format!("ADDRESSES: {}", event.addresses.join(",")))
        }
        "machine.MachineStatusEvent" => {
            let event = MachineStatusEvent::decode(bytes).ok()?;
            let stage = MachineStage::try_from(event.stage).ok()?.as_str_name();
            let status = event.status.unwrap_or_default();
            let unmet: Vec<String> = status
                .unmet_conditions
                .iter()
                .map(|c| format!("{}: {}", c.name, c.reason))
                .collect();
            (
                stage.to_owned(),
                format!("ready: {}, unmet conditions: [{}]", status.ready, unmet.join(", ")),
            )
        }
        "machine.RestartEvent" => (
            "machined".into(),
            format!("cmd: {}", RestartEvent::decode(bytes).ok()?.cmd),
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_say_what_happened_to_whom() {
        let service = ServiceStateEvent {
            service: "etcd".into(),
            action: service_state_event::Action::Running.into(),
            message: "Started".into(),
            health: None,
        };
        let data = prost_types::Any {
            type_url: "talos/runtime/machine.ServiceStateEvent".into(),
            value: service.encode_to_vec(),
        };
        let event = Event {
            metadata: None,
            data: Some(data),
            id: "c1".into(),
            actor_id: "me".into(),
        };
        assert_eq!(
            row("n", &event),
            ["n", "c1", "machine.ServiceStateEvent", "me", "etcd", "RUNNING: Started"]
        );
        let unknown = Event {
            data: Some(prost_types::Any {
                type_url: "x/y.Z".into(),
                value: vec![9],
            }),
            ..event
        };
        assert_eq!(row("n", &unknown)[2], "y.Z");
    }
}
