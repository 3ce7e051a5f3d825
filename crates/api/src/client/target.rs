//! Which nodes a call is for: the metadata keys `node` and `nodes`.

use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::{GrpcMethod, Request, Status};

use crate::method;

/// Metadata key with the one node that a call is passed on to.
pub const NODE: &str = "node";
/// Metadata key with the nodes that a call is fanned out to.
pub const NODES: &str = "nodes";

/// Adds the chosen nodes to each call: one node as `node`, so that its errors come back as errors of the call,
/// several as `nodes`.
#[derive(Clone, Debug, Default)]
pub struct Target(Vec<String>);

impl Target {
    /// Calls for these nodes; none means the endpoint itself.
    pub fn of<S: AsRef<str>>(nodes: &[S]) -> Self {
        Self(nodes.iter().map(|n| n.as_ref().to_owned()).collect())
    }

    /// The nodes.
    pub fn nodes(&self) -> &[String] {
        &self.0
    }
}

impl Interceptor for Target {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let key = match (&self.0[..], request.extensions().get::<GrpcMethod<'_>>()) {
            ([], _) => return Ok(request),
            ([_], _) => NODE,
            (_, Some(called)) if !method::fans_out(called.service()) => {
                return Err(Status::invalid_argument(format!(
                    "{}/{} goes to one node at a time, and {} are given: name one of them",
                    called.service(),
                    called.method(),
                    self.0.len()
                )));
            }
            _ => NODES,
        };
        for node in &self.0 {
            let value = MetadataValue::try_from(node)
                .map_err(|_| Status::invalid_argument(format!("node {node:?}: not a name or an address")))?;
            request.metadata_mut().append(key, value);
        }
        Ok(request)
    }
}
