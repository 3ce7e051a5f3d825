//! `logs` and `dmesg`: lines, each with the node it is from.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::Result;
use api::proto::common::Data;
use api::proto::machine::{DmesgRequest, LogsRequest};
use futures::StreamExt as _;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::observe::{Dmesg, Logs};
use crate::commands::containers::place;
use crate::session::{Failures, Mixed, Session, block};

/// Runs `logs`.
pub fn logs(command: &Node<Logs>, program: Program) -> Result<()> {
    let args = &command.args;
    let (namespace, driver) = place(args.kubernetes);
    block(async {
        let session = Session::open(&command.client, program)?;
        let request = LogsRequest {
            namespace,
            id: args.service.clone(),
            driver: driver.into(),
            follow: args.follow,
            tail_lines: args.tail,
        };
        let stream = session
            .streams(async |client| client.machine().logs(request.clone()).await)
            .await;
        copy(stream).await
    })
}

/// Runs `dmesg`.
pub fn dmesg(command: &Node<Dmesg>, program: Program) -> Result<()> {
    block(async {
        let session = Session::open(&command.client, program)?;
        let request = DmesgRequest {
            follow: command.args.follow,
            tail: command.args.tail,
        };
        copy(
            session
                .streams(async |client| client.machine().dmesg(request).await)
                .await,
        )
        .await
    })
}

/// Prints lines as they come, `NODE: LINE`. Pieces of lines wait for their end.
async fn copy(mut stream: Mixed<Data>) -> Result<()> {
    let mut lines = Lines::default();
    let mut failures = Failures::default();
    while let Some((node, item)) = stream.next().await {
        match item {
            Ok(data) => {
                let text = lines.push(&node, &data.bytes);
                let mut out = std::io::stdout().lock();
                out.write_all(&text)?;
                out.flush()?;
            }
            Err(status) => failures.0.push((node, status)),
        }
    }
    std::io::stdout().lock().write_all(&lines.rest())?;
    failures.into_result()
}

/// Unfinished lines by node.
#[derive(Default)]
struct Lines(BTreeMap<String, Vec<u8>>);

impl Lines {
    /// The lines that the piece completes.
    fn push(&mut self, node: &str, piece: &[u8]) -> Vec<u8> {
        let pending = self.0.entry(node.to_owned()).or_default();
        pending.extend_from_slice(piece);
        let Some(end) = pending.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let rest = pending.split_off(end + 1);
        let whole = std::mem::replace(pending, rest);
        let mut out = Vec::with_capacity(whole.len() * 2);
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
            out.extend_from_slice(node.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(line);
        }
        out
    }

    /// What never got its end.
    fn rest(self) -> Vec<u8> {
        let pending = self.0.into_iter().filter(|(_, line)| !line.is_empty());
        pending
            .flat_map(|(node, line)| [node.as_bytes(), b": ", &line, b"\n"].concat())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_not_torn_by_pieces_of_other_nodes() {
        let mut lines = Lines::default();
        assert_eq!(lines.push("a", b"one\ntw"), b"a: one\n");
        assert_eq!(lines.push("b", b"x\n"), b"b: x\n");
        assert_eq!(lines.push("a", b"o\n\nthr"), b"a: two\na: \n");
        assert_eq!(lines.rest(), b"a: thr\n");
    }
}
