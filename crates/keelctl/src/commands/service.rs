//! `service`: what runs on a node.

use std::time::SystemTime;

use anyhow::Result;
use api::proto::machine::{
    ServiceEvent, ServiceInfo, ServiceListResponse, ServiceRestartRequest, ServiceStartRequest, ServiceStopRequest,
};
use tonic::Status;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::lifecycle::Service;
use crate::output::age::{ago, timestamp};
use crate::output::{paint::Paint, print, table::Table};
use crate::session::{Session, block};

/// Runs `service [ID [ACTION]]`.
pub fn run(command: &Node<Service>, program: Program) -> Result<()> {
    block(async {
        let session = Session::open(&command.client, program)?;
        let (id, action) = (
            command.args.id.as_deref(),
            command.args.action.as_deref().unwrap_or("status"),
        );
        match (id, action) {
            (None, _) => all(&session).await,
            (Some(id), "status") => one(&session, id).await,
            (Some(id), action) => act(&session, id, action).await,
        }
    })
}

/// The services of an answer, by name.
pub fn services(response: ServiceListResponse) -> Vec<ServiceInfo> {
    let mut all: Vec<ServiceInfo> = response.messages.into_iter().flat_map(|list| list.services).collect();
    all.sort_by(|left, right| left.id.cmp(&right.id));
    all
}

async fn all(session: &Session) -> Result<()> {
    let (answers, failures) = session
        .each(async |client| Ok(services(client.machine().service_list(()).await?.into_inner())))
        .await;
    print(&list_table(&answers, SystemTime::now()).render_with(Paint::stdout()))?;
    failures.into_result()
}

/// The services of nodes, a line each.
pub fn list_table(answers: &[(String, Vec<ServiceInfo>)], now: SystemTime) -> Table {
    let mut table = Table::new(["NODE", "SERVICE", "STATE", "HEALTH", "LAST CHANGE", "LAST EVENT"]);
    for (node, services) in answers {
        for service in services {
            let last = service.events.as_ref().and_then(|events| events.events.last());
            let change = last.map(|event| age(event, now)).unwrap_or_default();
            let message = last.map(|event| event.msg.as_str()).unwrap_or_default();
            table.row([node, &service.id, &service.state, health(service), &change, message]);
        }
    }
    table
}

async fn one(session: &Session, id: &str) -> Result<()> {
    let (answers, mut failures) = session
        .each(async |client| {
            let all = services(client.machine().service_list(()).await?.into_inner());
            let names: Vec<String> = all.iter().map(|service| service.id.clone()).collect();
            all.into_iter().find(|service| service.id == id).ok_or_else(|| {
                Status::not_found(format!(
                    "service \"{id}\" is not registered; services are: {}",
                    names.join(", ")
                ))
            })
        })
        .await;
    let texts: Vec<String> = answers
        .iter()
        .map(|(node, service)| details(node, service, SystemTime::now()))
        .collect();
    print(&texts.concat())?;
    failures.0.sort_by(|left, right| left.0.cmp(&right.0));
    failures.into_result()
}

/// One service with what happened to it, newest first.
pub fn details(node: &str, service: &ServiceInfo, now: SystemTime) -> String {
    let mut table = Table::default();
    table.row(["NODE", node]);
    table.row(["ID", &service.id]);
    table.row(["STATE", &service.state]);
    table.row(["HEALTH", health(service)]);
    if let Some(message) = service
        .health
        .as_ref()
        .map(|h| &h.last_message)
        .filter(|message| !message.is_empty())
    {
        table.row(["LAST HEALTH MESSAGE", message]);
    }
    let events = service
        .events
        .as_ref()
        .map(|events| events.events.as_slice())
        .unwrap_or_default();
    for (index, event) in events.iter().rev().enumerate() {
        let label = if index == 0 { "EVENTS" } else { "" };
        table.row([
            label,
            &format!("[{}]: {} ({})", event.state, event.msg, age(event, now)),
        ]);
    }
    table.render()
}

async fn act(session: &Session, id: &str, action: &str) -> Result<()> {
    let (answers, failures) = session
        .each(async |client| {
            let mut machine = client.machine();
            let id = id.to_owned();
            let texts: Vec<String> = match action {
                "start" => {
                    let response = machine.service_start(ServiceStartRequest { id }).await?.into_inner();
                    response.messages.into_iter().map(|message| message.resp).collect()
                }
                "stop" => {
                    let response = machine.service_stop(ServiceStopRequest { id }).await?.into_inner();
                    response.messages.into_iter().map(|message| message.resp).collect()
                }
                _ => {
                    let response = machine
                        .service_restart(ServiceRestartRequest { id })
                        .await?
                        .into_inner();
                    response.messages.into_iter().map(|message| message.resp).collect()
                }
            };
            Ok(texts)
        })
        .await;
    let mut table = Table::new(["NODE", "RESPONSE"]);
    for (node, texts) in answers {
        for text in texts {
            table.row([node.clone(), text]);
        }
    }
    print(&table.render())?;
    failures.into_result()
}

fn age(event: &ServiceEvent, now: SystemTime) -> String {
    event
        .ts
        .map(|ts| ago(timestamp(ts.seconds, ts.nanos), now))
        .unwrap_or_default()
}

/// The health of a service in a word.
pub fn health(service: &ServiceInfo) -> &'static str {
    match &service.health {
        Some(health) if !health.unknown && health.healthy => "OK",
        Some(health) if !health.unknown => "Fail",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::proto::machine::{ServiceEvents, ServiceHealth};
    use std::time::{Duration, UNIX_EPOCH};

    const NOW: u64 = 1_800_000_000;

    fn vector(name: &str) -> String {
        let path = format!("{}/tests/vectors/cli/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path)
            .unwrap()
            .strip_suffix("exit 0\n")
            .unwrap()
            .to_owned()
    }

    fn service(id: &str, state: &str, healthy: Option<bool>, events: &[(&str, &str, u64)]) -> ServiceInfo {
        let event = |(state, msg, age): &(&str, &str, u64)| ServiceEvent {
            msg: (*msg).into(),
            state: (*state).into(),
            ts: Some(prost_types::Timestamp {
                seconds: (NOW - age) as i64,
                nanos: 0,
            }),
        };
        ServiceInfo {
            id: id.into(),
            state: state.into(),
            events: Some(ServiceEvents {
                events: events.iter().map(event).collect(),
            }),
            health: Some(ServiceHealth {
                unknown: healthy.is_none(),
                healthy: healthy.unwrap_or_default(),
                ..ServiceHealth::default()
            }),
        }
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }

    #[test]
    fn the_list_prints_as_captured() {
        let good = |id, age| {
            service(
                id,
                "Running",
                Some(true),
                &[("Running", "Health check successful", age)],
            )
        };
        let waiting = |id| service(id, "Preparing", None, &[("Preparing", "Running pre state", 59)]);
        let services = vec![
            good("apid", 60),
            good("containerd", 66),
            good("cri", 59),
            waiting("etcd"),
            waiting("kubelet"),
            good("machined", 71),
            good("trustd", 55),
        ];
        assert_eq!(
            list_table(&[("127.0.0.1".into(), services)], now()).render(),
            vector("service")
        );
    }

    #[test]
    fn one_service_prints_as_captured() {
        let waiting = "Waiting for volumes /var/lib, ETCD to be mounted, service \"cri\" to be \"up\", time sync, network, etcd spec";
        let etcd = service(
            "etcd",
            "Preparing",
            None,
            &[
                ("Starting", "Starting service", 61),
                ("Waiting", waiting, 61),
                ("Waiting", "Waiting for service \"cri\" to be \"up\"", 60),
                ("Preparing", "Running pre state", 60),
            ],
        );
        assert_eq!(details("127.0.0.1", &etcd, now()), vector("service_etcd"));
    }
}
