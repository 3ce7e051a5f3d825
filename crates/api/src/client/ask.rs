//! What nearly every client asks of a node: its resources, and an answer in time.

use std::time::Duration;

use futures::StreamExt as _;
use tonic::Status;

use super::Client;
use crate::proto::cosi::resource::{GetRequest, ListRequest, Resource};

/// How long one question to one node may take, where nobody said otherwise.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);

/// The answer to a call, if it comes within `limit`.
///
/// # Errors
/// The call failed, or (`DeadlineExceeded`) there was no answer.
pub async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let late = |_| Err(Status::deadline_exceeded(format!("no answer within {limit:?}")));
    tokio::time::timeout(limit, call).await.unwrap_or_else(late)
}

impl Client {
    /// One resource of one node.
    ///
    /// # Errors
    /// The node does not answer, or has no such resource (`NotFound`).
    pub async fn resource(&self, namespace: &str, resource_type: &str, id: &str) -> Result<Resource, Status> {
        let request = GetRequest {
            namespace: namespace.to_owned(),
            r#type: resource_type.to_owned(),
            id: id.to_owned(),
            options: None,
        };
        let answer = self.state().get(request).await?.into_inner();
        answer
            .resource
            .ok_or_else(|| Status::internal("the node answered without a resource"))
    }

    /// All resources of a type that one node has, by namespace and identifier.
    ///
    /// # Errors
    /// The node does not answer, or does not know the type.
    pub async fn resources(&self, namespace: &str, resource_type: &str) -> Result<Vec<Resource>, Status> {
        let request = ListRequest {
            namespace: namespace.to_owned(),
            r#type: resource_type.to_owned(),
            options: None,
        };
        let mut stream = self.state().list(request).await?.into_inner();
        let mut all = Vec::new();
        while let Some(item) = stream.next().await {
            all.extend(item?.resource);
        }
        let key = |resource: &Resource| {
            let metadata = resource.metadata.as_ref();
            metadata
                .map(|m| (m.namespace.clone(), m.id.clone()))
                .unwrap_or_default()
        };
        all.sort_by_cached_key(key);
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_answer_in_time_is_an_error_that_says_how_long_it_was_waited_for() {
        let silent = std::future::pending::<Result<(), _>>();
        let status = within(Duration::from_millis(1), silent).await.unwrap_err();
        let told = (status.code(), status.message());
        assert_eq!(told, (tonic::Code::DeadlineExceeded, "no answer within 1ms"));
        let answered = within(CALL_LIMIT, async { Err::<(), _>(Status::not_found("x")) }).await;
        assert_eq!(answered.unwrap_err().code(), tonic::Code::NotFound);
    }
}
