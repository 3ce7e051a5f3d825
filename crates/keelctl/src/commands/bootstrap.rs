//! `bootstrap`: the first etcd member, new or from a snapshot.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use api::client::Client;
use api::proto::common::Data;
use api::proto::machine::BootstrapRequest;
use etcd_snapshot::{Checksum, Snapshot};
use futures::SinkExt as _;
use futures::channel::mpsc;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::lifecycle::Bootstrap;
use crate::commands::reading::{self, kind};
use crate::output::note;
use crate::session::{Session, block, failed};

/// Size of the pieces a snapshot is sent in.
const CHUNK: usize = 256 * 1024;

/// Runs `bootstrap`.
pub fn run(command: &Node<Bootstrap>, program: Program) -> Result<()> {
    let args = &command.args;
    if args.recover_skip_hash_check && args.recover_from.is_none() {
        bail!("--recover-skip-hash-check has no use without --recover-from");
    }
    block(async {
        let session = Session::open(&command.client, program)?;
        let target = session.single("bootstrap")?;
        if let Some(path) = &args.recover_from {
            check(path.as_ref(), args.recover_skip_hash_check)
                .with_context(|| format!("snapshot \"{path}\" is refused, nothing was changed"))?;
            upload(&target.client, path.as_ref()).await?;
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

/// Refuses what no node would restore, before anything is sent.
fn check(path: &Path, skip_checksum: bool) -> Result<()> {
    reading::open(path, kind::SNAPSHOT)?;
    let snapshot = Snapshot::open(path)?;
    match snapshot.checksum()? {
        Checksum::Right => {}
        _ if skip_checksum => {}
        Checksum::Wrong => bail!("it changed since it was saved: its SHA-256 is wrong"),
        Checksum::Absent => {
            bail!("it has no checksum; if it was copied from a data folder, use --recover-skip-hash-check")
        }
    }
    let description = snapshot.describe()?;
    note(&format!(
        "recovering from snapshot \"{}\": {description}",
        path.display()
    ));
    Ok(())
}

/// Sends a file, piece by piece, as fast as the node takes it.
async fn upload(client: &Client, path: &Path) -> Result<()> {
    let mut file = reading::open(path, kind::SNAPSHOT)?;
    let (mut sender, receiver) = mpsc::channel(1);
    let feed = async {
        loop {
            let mut bytes = Vec::with_capacity(CHUNK);
            let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut bytes);
            read.with_context(|| format!("read {}", path.display()))?;
            let end = bytes.is_empty();
            // A node that takes no more has answered: the answer says why.
            if end || sender.send(Data { metadata: None, bytes }).await.is_err() {
                sender.close_channel();
                return anyhow::Ok(());
            }
        }
    };
    let mut machine = client.machine();
    let call = machine.etcd_recover(receiver);
    let (mut feed, mut call) = (Box::pin(feed), Box::pin(call));
    let response = tokio::select! {
        fed = &mut feed => {
            // If reading failed the call is given up, and the node with it.
            fed?;
            call.await
        }
        response = &mut call => response,
    };
    response
        .map(|_| ())
        .map_err(|status| failed(&status).context("error uploading snapshot"))
}
