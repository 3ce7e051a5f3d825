//! Logs: of services from memory, of Kubernetes' containers from their files.

use std::path::PathBuf;
use std::time::Duration;

use api::proto::common::{ContainerDriver, Data};
use api::proto::machine as proto;
use api::reply::Reply;
use bytes::Bytes;
use futures::StreamExt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_stream::wrappers::BroadcastStream;
use tonic::codegen::BoxStream;
use tonic::{Response, Status};

use super::services::canonical;
use crate::node::Node;

/// Time between two looks at a container's log file while it is followed.
const POLL: Duration = Duration::from_millis(200);

/// The services that have logs.
pub fn services(node: &Node) -> proto::LogsContainersResponse {
    proto::LogsContainersResponse::of(proto::LogsContainer {
        ids: node.logs.names(),
        ..Default::default()
    })
}

/// A service's or container's log.
pub async fn logs(node: &Node, request: proto::LogsRequest) -> Result<Response<BoxStream<Data>>, Status> {
    let tail = usize::try_from(request.tail_lines).ok();
    if request.driver() == ContainerDriver::Cri {
        let path = container_log(node, &request.id).await?;
        return file(path, tail, request.follow).await;
    }
    let id = canonical(&request.id);
    let log = node
        .logs
        .get(id)
        .ok_or_else(|| Status::not_found(format!("log \"{id}\" was not registered")))?;
    let (kept, live) = log.read(tail);
    let kept = futures::stream::iter(kept);
    let lines = if request.follow {
        kept.chain(BroadcastStream::new(live).filter_map(|line| async move { line.ok() }))
            .boxed()
    } else {
        kept.boxed()
    };
    Ok(Response::new(lines.map(|line| Ok(data(&line))).boxed()))
}

fn data(line: &Bytes) -> Data {
    let mut bytes = line.to_vec();
    bytes.push(b'\n');
    Data { metadata: None, bytes }
}

/// Finds the file of a container by `namespace/pod:container`, `namespace/pod:container:id` or its id.
async fn container_log(node: &Node, id: &str) -> Result<PathBuf, Status> {
    let containers = node.cri.containers().await.map_err(super::internal)?;
    let found = containers.iter().find(|c| super::containers::is_meant(c, id));
    let container = found
        .ok_or_else(|| Status::not_found(format!("container {id:?} was not found (`containers -k` lists them)")))?;
    let (_, path) = node
        .cri
        .container_process(&container.id)
        .await
        .map_err(super::internal)?;
    Ok(path.into())
}

/// Lines of a file: the last `tail`, and what is added to it.
async fn file(path: PathBuf, tail: Option<usize>, follow: bool) -> Result<Response<BoxStream<Data>>, Status> {
    let opened = tokio::fs::File::open(&path).await;
    let mut reader = BufReader::new(opened.map_err(|e| Status::not_found(format!("open {}: {e}", path.display())))?);
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    tokio::spawn(async move {
        let mut kept = std::collections::VecDeque::new();
        let mut line = Vec::new();
        // First what is there, keeping only what was asked for; then, if followed, what comes.
        while matches!(reader.read_until(b'\n', &mut line).await, Ok(1..)) {
            kept.push_back(std::mem::take(&mut line));
            if tail.is_some_and(|t| kept.len() > t) {
                kept.pop_front();
            }
            if tail.is_none() {
                let Some(line) = kept.pop_front() else { continue };
                if sender
                    .send(Ok(Data {
                        metadata: None,
                        bytes: line,
                    }))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        }
        for line in kept {
            if sender
                .send(Ok(Data {
                    metadata: None,
                    bytes: line,
                }))
                .await
                .is_err()
            {
                return;
            }
        }
        if !follow {
            return;
        }
        loop {
            match reader.read_until(b'\n', &mut line).await {
                Ok(0) => tokio::select! {
                    () = tokio::time::sleep(POLL) => {}
                    () = sender.closed() => return,
                },
                Ok(_) => {
                    let line = std::mem::take(&mut line);
                    if sender
                        .send(Ok(Data {
                            metadata: None,
                            bytes: line,
                        }))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    });
    Ok(Response::new(
        tokio_stream::wrappers::ReceiverStream::new(receiver).boxed(),
    ))
}
