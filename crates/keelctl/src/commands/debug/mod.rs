//! `debug`: a container on a node, with the person's own terminal.

mod person;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use api::proto::common::ContainerdNamespace;
use api::proto::machine::debug_container_run_request::Request as Part;
use api::proto::machine::debug_container_run_request_spec::Profile;
use api::proto::machine::debug_container_run_response::Resp;
use api::proto::machine::{DebugContainerRunRequest, DebugContainerRunRequestSpec};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::images;
use crate::Program;
use crate::cli::common::Node;
use crate::cli::load::Debug as Args;
use crate::output::print_bytes;
use crate::session::{Ended, Failures, Session, Target, block};
use person::Person;

/// Messages that wait for the node.
const WAITING: usize = 16;

/// Runs `debug`.
pub fn run(command: &Node<Args>, program: Program) -> Result<()> {
    let args = &command.args;
    let namespace = images::known(&args.namespace)?;
    let file = Path::new(&args.image);
    if file.is_file() && namespace == ContainerdNamespace::NsCri {
        bail!("an image of a file is for the node alone: leave out --namespace, or say system");
    }
    block(async {
        let session = Session::open(&command.client, program)?;
        let target = session.single("debug")?;
        let failed = |status| Failures(vec![(target.node.clone(), status)]);
        let image = if file.is_file() {
            images::import_on(&target.client, namespace, file).await
        } else {
            images::pull_on(target.client.clone(), namespace, args.image.clone()).await
        };
        let person = Person::here();
        let spec = DebugContainerRunRequestSpec {
            containerd: Some(images::instance(namespace)),
            image_name: image.map_err(failed)?,
            args: args.args.iter().chain(&args.words).cloned().collect(),
            env: person.environment(),
            profile: Profile::HostNs.into(),
            tty: person.has_terminal(),
        };
        match attach(target, spec, person).await? {
            0 => Ok(()),
            code => Err(Ended::with(code).into()),
        }
    })
}

/// Runs the container, and gives its exit code.
async fn attach(target: &Target, spec: DebugContainerRunRequestSpec, person: Person) -> Result<i32> {
    let failed = |status| Failures(vec![(target.node.clone(), status)]);
    let (sender, receiver) = mpsc::channel(WAITING);
    // There is room for these: they are the first.
    let first = [Some(Part::Spec(spec)), person.size()];
    for part in first.into_iter().flatten() {
        let _ = sender.send(request(part)).await;
    }
    let answers = target.client.debug().container_run(ReceiverStream::new(receiver)).await;
    let mut answers = answers.map_err(failed)?.into_inner();
    // From here on what is typed is the container's.
    let mut present = person.attend(sender)?;
    let ended = loop {
        let answer = tokio::select! {
            answer = answers.message() => answer.map_err(|status| failed(status).into()),
            left = present.left() => Err(left),
        };
        match answer?.and_then(|answer| answer.resp) {
            Some(Resp::StdoutData(bytes)) => {
                // Whoever reads our output may take a while, and must not keep us from hearing that we shall end.
                let printing = tokio::task::spawn_blocking(move || print_bytes(&bytes));
                tokio::select! {
                    printed = printing => printed.context("print")??,
                    left = present.left() => return Err(left),
                }
            }
            Some(Resp::ExitCode(code)) => break Some(code),
            None => break None,
        }
    };
    drop(present);
    match ended {
        Some(code) => Ok(code),
        None => bail!("{}: the container is gone, and nobody said how it ended", target.node),
    }
}

fn request(part: Part) -> DebugContainerRunRequest {
    DebugContainerRunRequest { request: Some(part) }
}
