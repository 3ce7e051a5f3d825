//! `conformance kubernetes`: runs the conformance tests of Kubernetes in the cluster, from their own image.
//!
//! The image is a pod in a namespace of its own. Its log is the progress, its results are fetched from the node it ran
//! on, and everything of it is removed at the end, also of a run that was interrupted.

mod objects;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use api::proto::machine::CopyRequest;
use futures::StreamExt as _;
use k8s::{Client, DeleteOptions, LogOptions, resources};
use serde_json::Value;
use tokio::time::sleep;

use crate::Program;
use crate::cli::machine::{Conformance, ConformanceAction};
use crate::commands::{files, kubeconfig};
use crate::interruption::unless_interrupted;
use crate::output::{note, print_bytes};
use crate::session::{Session, Target, block, failed};
pub use objects::Mode;
use objects::{CONTAINER, NAME, Progress};

/// Repository of the tests' image; its tag is the version of Kubernetes.
const REPOSITORY: &str = "registry.k8s.io/conformance";
/// How long Kubernetes may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at the pod.
const PAUSE: Duration = Duration::from_secs(1);
/// How often an image may fail to be pulled until that is final.
const ATTEMPTS: u32 = 3;
/// How long the pod may wait for a place and its image.
const START: Duration = Duration::from_secs(15 * 60);
/// How long removing everything may take.
const CLEANING: Duration = Duration::from_secs(120);

/// Runs `conformance`.
pub fn run(command: &Conformance, program: Program) -> Result<()> {
    let ConformanceAction::Kubernetes { mode, image, output } = &command.command;
    block(async {
        let session = Session::open(&command.client, program)?;
        let target = session.single("conformance kubernetes")?;
        execute(target, *mode, image.as_deref(), output.as_deref()).await
    })
}

/// Runs the tests of the cluster of a node.
///
/// # Errors
/// A test failed, the tests could not be run, or something is left of them.
pub async fn execute(target: &Target, mode: Mode, image: Option<&str>, output: Option<&Path>) -> Result<()> {
    let client = kubeconfig::client(target, None, PATIENCE).await?;
    let version = version(&client).await?;
    let image = image.map_or_else(|| format!("{REPOSITORY}:{version}"), str::to_owned);
    let output = output.map_or_else(
        || PathBuf::from(format!("conformance-{version}.tar.gz")),
        Path::to_owned,
    );
    files::check_overwrite(&output, false).context("choose another file for the results (-o)")?;
    claim(&client).await?;
    let run = Run {
        client: &client,
        target,
        image: &image,
        output: &output,
    };
    let ended = unless_interrupted(async {
        set_up(&client).await?;
        run.pod(mode).await
    })
    .await;
    note("removing what was made for the tests");
    match (ended, clean_up(&client).await) {
        (Ok(()), cleaned) => cleaned,
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(left)) => {
            note(&format!("{left:#}"));
            Err(error)
        }
    }
}

async fn version(client: &Client) -> Result<String> {
    let answer = client.raw("/version").await.context("ask Kubernetes for its version")?;
    let answer: Value = serde_json::from_slice(&answer).context("read the version of Kubernetes")?;
    let version = answer["gitVersion"]
        .as_str()
        .context("Kubernetes does not tell its version")?;
    // What follows a plus sign is of who built it; images have no such tags.
    Ok(version.split('+').next().unwrap_or(version).to_owned())
}

/// Makes the namespace of a run. What is there already belongs to somebody else, and is left alone.
async fn claim(client: &Client) -> Result<()> {
    let namespace = &objects::surroundings()[0];
    match client.create(&resources::NAMESPACES, None, namespace).await {
        Err(k8s::Error::AlreadyExists { .. }) => bail!(
            "there is a namespace {NAME} already: another run goes on, or was killed; \
             wait for it, or remove it: kubectl delete namespace {NAME}"
        ),
        made => made.map(drop).context("make the namespace for the tests"),
    }
}

/// Makes what else the tests need.
async fn set_up(client: &Client) -> Result<()> {
    for object in &objects::surroundings()[1..] {
        let (kind, name) = client.address(object).await?;
        let namespace = object["metadata"]["namespace"].as_str();
        match client.create(&kind, namespace, object).await {
            Err(k8s::Error::AlreadyExists { .. }) => {}
            made => {
                made.with_context(|| format!("make the {} {name} for the tests", kind.kind))?;
            }
        }
    }
    Ok(())
}

/// Removes everything of a run, and waits until it is gone.
async fn clean_up(client: &Client) -> Result<()> {
    let options = DeleteOptions {
        propagation: Some("Background"),
        ..DeleteOptions::default()
    };
    for object in objects::surroundings().iter().rev() {
        let (kind, name) = client.address(object).await?;
        let namespace = object["metadata"]["namespace"].as_str();
        match client.delete(&kind, namespace, &name, &options).await {
            Err(error) if !error.is_not_found() => {
                return Err(anyhow!(error).context(format!("remove the {} {name}", kind.kind)));
            }
            _ => {}
        }
    }
    let gone = async {
        while client.get(&resources::NAMESPACES, None, NAME).await.is_ok() {
            sleep(PAUSE).await;
        }
    };
    let waited = tokio::time::timeout(CLEANING, gone).await;
    waited.with_context(|| format!("the namespace {NAME} is not gone yet: look at it with kubectl"))
}

/// A run that was set up.
struct Run<'a> {
    client: &'a Client,
    target: &'a Target,
    image: &'a str,
    output: &'a Path,
}

impl Run<'_> {
    async fn pod(&self, mode: Mode) -> Result<()> {
        let pod = objects::pod(self.image, mode);
        let created = self.client.create(&resources::PODS, Some(NAME), &pod).await;
        created.context("make the pod of the tests")?;
        note(&format!("running {} ({mode:?})", self.image));
        let started = tokio::time::timeout(START, self.started()).await;
        started.context("the pod of the tests did not start in time: is there room for it on a node?")??;
        let (pod, code) = self.follow().await?;
        self.fetch(&pod).await?;
        note(&format!("results saved to {}", self.output.display()));
        if code == 0 {
            return Ok(());
        }
        bail!("the tests ended with exit code {code}: see their output above, and the results");
    }

    async fn look(&self) -> Result<Value, k8s::Error> {
        self.client.get(&resources::PODS, Some(NAME), NAME).await
    }

    /// Waits until the tests run, or ran.
    async fn started(&self) -> Result<()> {
        let mut failures = 0;
        loop {
            match objects::progress(&self.look().await?) {
                Progress::Running | Progress::Ended(_) => return Ok(()),
                Progress::Waiting => {}
                Progress::NoImage(reason) if failures >= ATTEMPTS => bail!(
                    "the image {} cannot be pulled by the nodes: {reason}\n\
                     put it into a registry that they pull from (machine.registries.mirrors), with the images that it \
                     lists (`docker run --rm --entrypoint /usr/local/bin/e2e.test {0} --list-images`), or name it where \
                     it is with --image",
                    self.image
                ),
                Progress::NoImage(_) => failures += 1,
            }
            sleep(PAUSE).await;
        }
    }

    /// Shows the output of the tests until they end; a connection that breaks meanwhile is made again.
    async fn follow(&self) -> Result<(Value, i64)> {
        let mut tail = None;
        loop {
            let options = LogOptions {
                container: Some(CONTAINER.to_owned()),
                tail_lines: tail,
                follow: true,
                previous: false,
            };
            if let Ok(stream) = self.client.logs(NAME, NAME, &options).await {
                let mut stream = std::pin::pin!(stream);
                while let Some(Ok(piece)) = stream.next().await {
                    print_bytes(&piece)?;
                    tail = Some(0);
                }
            }
            // The tests may restart what answers here.
            match self.look().await {
                Ok(pod) => {
                    if let Progress::Ended(code) = objects::progress(&pod) {
                        return Ok((pod, code));
                    }
                }
                Err(error) if error.is_not_found() => bail!("the pod of the tests was removed by somebody"),
                Err(error) => note(&format!("{error}")),
            }
            sleep(PAUSE).await;
        }
    }

    /// Saves the folder of results, as an archive, from the node that the tests ran on.
    async fn fetch(&self, pod: &Value) -> Result<()> {
        let (host, root_path) = objects::results(pod).context("find the results: the pod does not tell its node")?;
        let client = self.target.client.with_nodes(&[&host]);
        let doing = || format!("fetch the results from the node {host}");
        let response = client.machine().copy(CopyRequest { root_path }).await;
        let mut stream = response
            .map_err(|status| failed(&status))
            .with_context(doing)?
            .into_inner();
        let mut archive = Vec::new();
        while let Some(data) = stream
            .message()
            .await
            .map_err(|status| failed(&status))
            .with_context(doing)?
        {
            archive.extend(data.bytes);
        }
        files::write(self.output, &archive, false)
    }
}
