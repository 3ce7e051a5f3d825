//! Services: what is known of them, and starting and stopping.

use api::proto::machine as proto;
use api::reply::Reply;
use tonic::Status;

use crate::node::Node;
use crate::services::status::State;
use crate::services::supervisor::{Operation, ServiceError, service_events, service_health};

/// Names by which people of such systems know a service of ours.
pub fn canonical(id: &str) -> &str {
    // One containerd serves pods; there is no second one for the system's own services.
    if id == "cri" { "containerd" } else { id }
}

/// All services.
pub fn list(node: &Node) -> proto::ServiceListResponse {
    let board = node.supervisor.board();
    let services = board
        .borrow()
        .iter()
        .map(|(id, status)| proto::ServiceInfo {
            id: id.clone(),
            state: status.state.name().to_owned(),
            events: Some(proto::ServiceEvents {
                events: service_events(status),
            }),
            // What has no check is as healthy as it is running.
            health: Some(if status.checked {
                service_health(status)
            } else {
                proto::ServiceHealth {
                    unknown: status.state != State::Running,
                    healthy: status.state == State::Running,
                    ..service_health(status)
                }
            }),
        })
        .collect();
    proto::ServiceListResponse::of(proto::ServiceList {
        services,
        ..Default::default()
    })
}

fn operate(node: &Node, id: &str, operation: Operation) -> Result<String, Status> {
    let id = canonical(id);
    node.supervisor.operate(id, operation).map_err(|error| match error {
        ServiceError::Unknown(_) => Status::not_found(error.to_string()),
        ServiceError::NotOperable { .. } => Status::invalid_argument(error.to_string()),
    })?;
    let done = match operation {
        Operation::Start => "started",
        Operation::Stop => "stopped",
        Operation::Restart => "restarted",
    };
    Ok(format!("Service \"{id}\" {done}"))
}

/// Starts a stopped service.
///
/// # Errors
/// It does not exist, or may not be operated.
pub fn start(node: &Node, id: &str) -> Result<proto::ServiceStartResponse, Status> {
    let resp = operate(node, id, Operation::Start)?;
    Ok(proto::ServiceStartResponse::of(proto::ServiceStart {
        resp,
        ..Default::default()
    }))
}

/// Stops a service until it is started.
///
/// # Errors
/// As [`start`].
pub fn stop(node: &Node, id: &str) -> Result<proto::ServiceStopResponse, Status> {
    let resp = operate(node, id, Operation::Stop)?;
    Ok(proto::ServiceStopResponse::of(proto::ServiceStop {
        resp,
        ..Default::default()
    }))
}

/// Stops and starts a service.
///
/// # Errors
/// As [`start`].
pub fn restart(node: &Node, id: &str) -> Result<proto::ServiceRestartResponse, Status> {
    let resp = operate(node, id, Operation::Restart)?;
    Ok(proto::ServiceRestartResponse::of(proto::ServiceRestart {
        resp,
        ..Default::default()
    }))
}
