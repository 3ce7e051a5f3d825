//! `bootstrap`: the first etcd member, new or from a snapshot.

use anyhow::{Context as _, Result};
use api::client::Client;
use api::proto::common::Data;
use api::proto::machine::BootstrapRequest;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::node::Bootstrap;
use crate::output::note;
use crate::session::{Session, block, failed};

/// Size of the pieces a snapshot is sent in.
const CHUNK: usize = 256 * 1024;

/// Runs `bootstrap`.
pub fn run(command: &Node<Bootstrap>, program: Program) -> Result<()> {
    let args = &command.args;
    block(async {
        let session = Session::open(&command.client, program)?;
        let target = session.single("bootstrap")?;
        if let Some(path) = &args.recover_from {
            upload(&target.client, path).await?;
        }
        let request = BootstrapRequest {
            recover_etcd: args.recover_from.is_some(),
            recover_skip_hash_check: args.recover_skip_hash_check,
        };
        let response = target.client.machine().bootstrap(request).await;
        response
            .map(|_| ())
            .map_err(|status| failed(&status).context("error executing bootstrap"))
    })
}

async fn upload(client: &Client, path: &str) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("read {path}"))?;
    note(&format!("recovering from snapshot \"{path}\" ({} bytes)", bytes.len()));
    let chunks: Vec<Data> = bytes
        .chunks(CHUNK)
        .map(|chunk| Data {
            metadata: None,
            bytes: chunk.to_vec(),
        })
        .collect();
    let response = client.machine().etcd_recover(futures::stream::iter(chunks)).await;
    response
        .map(|_| ())
        .map_err(|status| failed(&status).context("error uploading snapshot"))
}
