//! What this node does for its cluster.

use std::time::Duration;

use api::proto::keelson::machine as proto;
use api::proto::keelson::machine::cluster_service_server::{ClusterService, ClusterServiceServer};
use node_resources::cluster::Identity;
use tonic::{Request, Response, Status, async_trait};

use crate::node::Node;

/// How long the discovery service may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest id that the discovery service takes.
const LONGEST_ID: usize = 256;

struct Cluster {
    node: Node,
}

/// The service.
pub fn server(node: Node) -> ClusterServiceServer<impl ClusterService> {
    ClusterServiceServer::new(Cluster { node })
}

#[async_trait]
impl ClusterService for Cluster {
    async fn forget_node(
        &self,
        request: Request<proto::ForgetNodeRequest>,
    ) -> Result<Response<proto::ForgetNodeResponse>, Status> {
        let id = request.into_inner().node_id;
        if id.is_empty() || id.len() > LONGEST_ID {
            let text = format!("node_id: give the id of an affiliate (1 to {LONGEST_ID} bytes)");
            return Err(Status::invalid_argument(text));
        }
        let own = self.node.store.get::<Identity>("local");
        if own.is_some_and(|own| own.node_id == id) {
            let text = "this is the node that is asked: it would say again what it is (reset it instead)";
            return Err(Status::failed_precondition(text));
        }
        let forgotten = tokio::time::timeout(PATIENCE, self.node.discovery.forget(&self.node.store, &id)).await;
        match forgotten {
            Ok(Ok(service_used)) => Ok(Response::new(proto::ForgetNodeResponse { service_used })),
            Ok(Err(error)) => Err(Status::unavailable(format!("forget the node {id}: {error:#}"))),
            Err(_) => Err(Status::deadline_exceeded(format!(
                "forget the node {id}: the discovery service did not answer within {PATIENCE:?}"
            ))),
        }
    }
}
