//! One call, many nodes, one result for each.

use futures::future::join_all;
use futures::{Stream, StreamExt};
use tonic::{Code, Response, Status, Streaming};

use super::Client;
use crate::proto::common::Metadata;
use crate::reply::{Entry, Reply};

/// What one node answered.
#[derive(Debug)]
pub struct NodeReply<T> {
    /// The node, as it was named in the call.
    pub name: String,
    /// Its answer, or how it failed.
    pub result: Result<T, Status>,
}

impl<T> NodeReply<T> {
    /// The same node with another answer.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> NodeReply<U> {
        NodeReply {
            name: self.name,
            result: self.result.map(f),
        }
    }
}

impl<T: Entry> NodeReply<T> {
    fn of(entry: T, fallback: &str) -> Self {
        let metadata = entry.metadata();
        let name = metadata.map(|m| m.hostname.as_str()).filter(|name| !name.is_empty());
        Self {
            name: name.unwrap_or(fallback).to_owned(),
            result: match metadata.and_then(failure) {
                Some(status) => Err(status),
                None => Ok(entry),
            },
        }
    }
}

/// The failure in an entry's metadata, if it reports one.
fn failure(metadata: &Metadata) -> Option<Status> {
    match &metadata.status {
        Some(status) if status.code != 0 => Some(Status::new(Code::from_i32(status.code), &status.message)),
        _ if !metadata.error.is_empty() => Some(Status::unknown(&metadata.error)),
        _ => None,
    }
}

/// Takes an answer apart by node. `fallback` names the node of an entry that does not say where it is from.
pub fn per_node<R: Reply>(reply: R, fallback: &str) -> Vec<NodeReply<R::Entry>> {
    let entries = reply.into_entries().into_iter();
    entries.map(|entry| NodeReply::of(entry, fallback)).collect()
}

/// Like [`per_node`] for each message of a stream. An error of the stream itself is its last item.
pub fn per_node_stream<T: Entry>(stream: Streaming<T>, fallback: String) -> impl Stream<Item = NodeReply<T>> + use<T> {
    stream.map(move |message| match message {
        Ok(entry) => NodeReply::of(entry, &fallback),
        Err(status) => NodeReply {
            name: fallback.clone(),
            result: Err(status),
        },
    })
}

impl Client {
    /// Makes one call for all nodes and returns what each answered, failures too. The call itself fails only if the
    /// endpoint cannot be reached or refuses it.
    ///
    /// ```no_run
    /// # async fn example(client: api::client::Client) -> Result<(), tonic::Status> {
    /// for node in client.each_node(async |c| c.machine().version(()).await).await? {
    ///     println!("{}: {:?}", node.name, node.result?.version);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn each_node<R, F>(&self, call: F) -> Result<Vec<NodeReply<R::Entry>>, Status>
    where
        R: Reply,
        F: AsyncFnOnce(&Client) -> Result<Response<R>, Status>,
    {
        let reply = call(self).await?.into_inner();
        Ok(per_node(reply, &self.fallback_name()))
    }

    /// Makes one streaming call for all nodes; every message comes with its node's name.
    pub async fn stream_nodes<T, F>(&self, call: F) -> Result<impl Stream<Item = NodeReply<T>> + use<T, F>, Status>
    where
        T: Entry,
        F: AsyncFnOnce(&Client) -> Result<Response<Streaming<T>>, Status>,
    {
        let stream = call(self).await?.into_inner();
        Ok(per_node_stream(stream, self.fallback_name()))
    }

    /// Makes one call for each node, all at once: for services that cannot fan out (resources, images), and for
    /// calls that differ by node. Without nodes it is one call to the endpoint.
    pub async fn separately<T, F>(&self, call: F) -> Vec<NodeReply<T>>
    where
        F: AsyncFn(&Client) -> Result<T, Status>,
    {
        if self.nodes().is_empty() {
            let result = call(self).await;
            return vec![NodeReply {
                name: self.fallback_name(),
                result,
            }];
        }
        let calls = self.nodes().iter().map(|node| {
            let client = self.with_nodes(std::slice::from_ref(node));
            let call = &call;
            async move {
                NodeReply {
                    name: node.clone(),
                    result: call(&client).await,
                }
            }
        });
        join_all(calls).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::google::rpc;
    use crate::proto::machine::{Hostname, HostnameResponse};

    #[test]
    fn an_answer_is_split_by_node_and_failures_become_errors() {
        let entry = |hostname: &str, code: i32, error: &str| Hostname {
            metadata: Some(Metadata {
                hostname: hostname.into(),
                error: error.into(),
                status: (code != 0).then(|| rpc::Status {
                    code,
                    message: "gone".into(),
                    details: vec![],
                }),
            }),
            hostname: "h".into(),
        };
        let messages = vec![
            entry("a", 0, ""),
            entry("b", 14, "rpc error"),
            entry("c", 0, "text only"),
            Hostname::default(),
        ];
        let nodes = per_node(HostnameResponse { messages }, "me");
        let names: Vec<_> = nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "me"]);
        assert!(nodes[0].result.is_ok() && nodes[3].result.is_ok());
        assert_eq!(nodes[1].result.as_ref().unwrap_err().code(), Code::Unavailable);
        assert_eq!(nodes[2].result.as_ref().unwrap_err().message(), "text only");
    }
}
