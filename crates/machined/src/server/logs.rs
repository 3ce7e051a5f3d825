//! Logs: of services from memory, of Kubernetes' containers from their files.

use std::path::PathBuf;
use std::time::Duration;

use api::proto::common::{ContainerDriver, Data};
use api::proto::machine as proto;
use api::reply::Reply;
use bytes::Bytes;
use futures::StreamExt;
use tokio_stream::wrappers::BroadcastStream;
use tonic::codegen::BoxStream;
use tonic::{Response, Status};

use super::logs_tail;
use super::pieces::{self, Cut, Pieces};
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
    let mut file = opened.map_err(|e| Status::not_found(format!("open {}: {e}", path.display())))?;
    if let Some(tail) = tail {
        let sought = logs_tail::seek(&mut file, tail, logs_tail::BLOCK).await;
        sought.map_err(|e| Status::internal(format!("find the last lines of {}: {e}", path.display())))?;
    }
    let pieces = Pieces::new(file.into_std().await, Cut::Lines);
    let what = path.display().to_string();
    pieces::stream(pieces, what, follow.then_some(POLL))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &[u8], tail: Option<usize>) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        std::fs::write(&path, text).unwrap();
        let mut stream = file(path, tail, false).await.unwrap().into_inner();
        let mut all = Vec::new();
        while let Some(data) = stream.next().await {
            all.extend(data.unwrap().bytes);
        }
        all
    }

    #[tokio::test]
    async fn a_file_comes_whole_or_with_its_last_lines() {
        let long = [vec![b'x'; 3 * pieces::PIECE], b"\n".to_vec()].concat();
        let text = [&b"one\ntwo\n"[..], &long, b"four\nno end"].concat();
        assert_eq!(lines(&text, None).await, text);
        assert_eq!(lines(&text, Some(0)).await, b"");
        assert_eq!(lines(&text, Some(2)).await, b"four\nno end");
        assert_eq!(lines(&text, Some(3)).await, [&long[..], b"four\nno end"].concat());
        assert_eq!(lines(&text, Some(100)).await, text);
        assert_eq!(lines(b"", Some(3)).await, b"");
    }

    #[tokio::test]
    async fn many_lines_come_in_one_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        std::fs::write(&path, "a line\n".repeat(10_000)).unwrap();
        let stream = file(path, None, false).await.unwrap().into_inner();
        let messages: Vec<Vec<u8>> = stream.map(|data| data.unwrap().bytes).collect().await;
        assert!(messages.len() < 10, "{}", messages.len());
        assert!(messages.iter().all(|message| message.ends_with(b"\n")));
    }

    #[tokio::test]
    async fn what_is_added_to_a_file_follows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        std::fs::write(&path, "before\nlast\n").unwrap();
        let mut stream = file(path.clone(), Some(1), true).await.unwrap().into_inner();
        assert_eq!(stream.next().await.unwrap().unwrap().bytes, b"last\n");
        let mut writer = std::fs::File::options().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut writer, b"after\n").unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap().bytes, b"after\n");
    }

    #[tokio::test]
    async fn who_follows_from_the_last_lines_misses_nothing_and_hears_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let text: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&path, format!("{text}begun")).unwrap();
        let mut writer = std::fs::File::options().append(true).open(&path).unwrap();
        for (tail, from) in [(0, "".to_owned()), (3, "line 49998\nline 49999\nbegun".to_owned())] {
            let mut stream = file(path.clone(), Some(tail), true).await.unwrap().into_inner();
            std::io::Write::write_all(&mut writer, b" and ended\nnext\n").unwrap();
            let wanted = format!("{from} and ended\nnext\n");
            let mut heard = Vec::new();
            while heard.len() < wanted.len() {
                heard.extend(stream.next().await.unwrap().unwrap().bytes);
            }
            assert_eq!(String::from_utf8(heard).unwrap(), wanted);
            writer.set_len(text.len() as u64 + 5).unwrap();
        }
    }
}
