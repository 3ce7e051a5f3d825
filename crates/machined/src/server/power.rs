//! Reboot, shutdown, reset.

use api::proto::machine as proto;
use api::reply::Reply;
use tonic::{Request, Status};

use crate::node::Node;
use crate::sequence::Sequence;

fn begin<T>(node: &Node, request: &Request<T>, sequence: Sequence) -> Result<String, Status> {
    let actor = super::actor(request);
    node.sequencer
        .request(sequence, &actor)
        .map_err(|e| Status::failed_precondition(e.to_string()))?;
    Ok(actor)
}

/// Ends the node and starts it again.
///
/// # Errors
/// Another sequence runs.
pub fn reboot(node: &Node, request: &Request<proto::RebootRequest>) -> Result<proto::RebootResponse, Status> {
    let force = request.get_ref().mode() == proto::reboot_request::Mode::Force;
    let actor_id = begin(node, request, Sequence::Reboot { force })?;
    Ok(proto::RebootResponse::of(proto::Reboot {
        actor_id,
        ..Default::default()
    }))
}

/// Ends the node.
///
/// # Errors
/// Another sequence runs.
pub fn shutdown(node: &Node, request: &Request<proto::ShutdownRequest>) -> Result<proto::ShutdownResponse, Status> {
    let actor_id = begin(
        node,
        request,
        Sequence::Shutdown {
            force: request.get_ref().force,
        },
    )?;
    Ok(proto::ShutdownResponse::of(proto::Shutdown {
        actor_id,
        ..Default::default()
    }))
}

/// Forgets everything.
///
/// # Errors
/// Another sequence runs, or the request is about disks, which a container does not have.
pub fn reset(node: &Node, request: &Request<proto::ResetRequest>) -> Result<proto::ResetResponse, Status> {
    let wanted = request.get_ref();
    if !wanted.user_disks_to_wipe.is_empty() || wanted.mode() == proto::reset_request::WipeMode::UserDisks {
        return Err(Status::failed_precondition(
            "reset: user disks cannot be wiped: a node in a container has none",
        ));
    }
    let sequence = Sequence::Reset {
        graceful: wanted.graceful,
        reboot: wanted.reboot,
    };
    let actor_id = begin(node, request, sequence)?;
    Ok(proto::ResetResponse::of(proto::Reset {
        actor_id,
        ..Default::default()
    }))
}
