//! Which nodes a call is for (the metadata keys `node` and `nodes`), and with which role.

use pki::roles::Role;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::{GrpcMethod, Request, Status};

use crate::method;
use crate::roles::ROLE_KEY;

/// Metadata key with the one node that a call is passed on to.
pub const NODE: &str = "node";
/// Metadata key with the nodes that a call is fanned out to.
pub const NODES: &str = "nodes";

/// Adds the chosen nodes to each call: one node as `node`, so that its errors come back as errors of the call,
/// several as `nodes`.
#[derive(Clone, Debug, Default)]
pub struct Target {
    nodes: Vec<String>,
    role: Option<Role>,
}

impl Target {
    /// Calls for these nodes; none means the endpoint itself.
    pub fn of<S: AsRef<str>>(nodes: &[S]) -> Self {
        Self {
            nodes: nodes.iter().map(|n| n.as_ref().to_owned()).collect(),
            role: None,
        }
    }

    /// The same nodes, asked with this role in place of our own, which must be that of nodes.
    #[must_use]
    pub fn with_role(self, role: Role) -> Self {
        Self {
            role: Some(role),
            ..self
        }
    }

    pub(super) fn role(&self) -> Option<Role> {
        self.role.clone()
    }

    /// The nodes.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }
}

impl Interceptor for Target {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(role) = &self.role {
            let value = MetadataValue::try_from(role.as_str())
                .map_err(|_| Status::invalid_argument(format!("role {:?}: not a name", role.as_str())))?;
            request.metadata_mut().append(ROLE_KEY, value);
        }
        let key = match (&self.nodes[..], request.extensions().get::<GrpcMethod<'_>>()) {
            ([], _) => return Ok(request),
            ([_], _) => NODE,
            (_, Some(called)) if !method::fans_out(called.service()) => {
                return Err(Status::invalid_argument(format!(
                    "{}/{} goes to one node at a time, and {} are given: name one of them",
                    called.service(),
                    called.method(),
                    self.nodes.len()
                )));
            }
            _ => NODES,
        };
        for node in &self.nodes {
            let value = MetadataValue::try_from(node)
                .map_err(|_| Status::invalid_argument(format!("node {node:?}: not a name or an address")))?;
            request.metadata_mut().append(key, value);
        }
        Ok(request)
    }
}
