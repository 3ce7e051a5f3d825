//! `support`: what an engineer needs to look into a cluster, in one file and without its secrets.
//!
//! Every node is a folder of the bundle, Kubernetes is the folder `cluster`. What cannot be collected leaves a file with
//! the reason, and holds up nothing else.

mod bundle;
mod cluster;
mod node;
mod scrub;
mod veil;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures::future::join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::Program;
use crate::cli::common::Node;
use crate::cli::load::Support;
use crate::interruption::unless_interrupted;
use crate::output::{note, size};
use crate::session::{Session, Target, block};
use bundle::{Bundle, Spool};
use node::plain;
use scrub::Needles;

/// Folder of what is about the whole cluster.
const CLUSTER: &str = "cluster";

/// The bundle was written, and nothing of these is in it.
#[derive(Debug, thiserror::Error)]
#[error("the bundle has nothing of {0}: the reason is in it")]
pub struct Incomplete(String);

/// Runs `support`.
pub fn run(command: &Node<Support>, program: Program) -> Result<()> {
    block(async {
        let session = Session::open(&command.client, program)?;
        save(&session, &command.args).await
    })
}

/// Collects from the nodes of the session, and from their cluster.
///
/// # Errors
/// Nothing was written; or it was, and a node or Kubernetes is missing in it ([`Incomplete`]).
pub async fn save(session: &Session, args: &Support) -> Result<()> {
    let bundle = Bundle::create(&args.output, args.force)?;
    unless_interrupted(collect(session, args, bundle)).await
}

async fn collect(session: &Session, args: &Support, bundle: Bundle) -> Result<()> {
    let known = join_all(session.targets().iter().map(node::secrets)).await;
    let collection = Collection {
        bundle: RefCell::new(bundle),
        needles: Arc::new(Needles::of(&known.concat())),
        verbose: args.verbose,
        files: Cell::default(),
        missing: RefCell::default(),
    };
    stream::iter(session.targets())
        .map(Ok)
        .try_for_each_concurrent(args.num_workers.max(1), |target| collection.node(target))
        .await?;
    collection.cluster(session.targets()).await?;
    collection.finish(&args.output)
}

/// A bundle in the making. An error of its functions is one of the bundle itself, a full disk for example; what a
/// source says instead of an answer is put into the bundle.
struct Collection {
    bundle: RefCell<Bundle>,
    needles: Arc<Needles>,
    verbose: bool,
    files: Cell<usize>,
    missing: RefCell<Vec<String>>,
}

/// How much was collected below a folder.
#[derive(Default)]
struct Count {
    files: usize,
    failed: usize,
}

impl Collection {
    async fn node(&self, target: &Target) -> Result<()> {
        let folder = plain(&target.node);
        let mut count = Count::default();
        note(&format!("{}: collecting", target.node));
        if let Err(error) = node::answers(target).await {
            return self.unreachable(&target.node, &error);
        }
        let (sources, failures) = node::sources(target).await;
        for (what, error) in failures {
            self.failure(&folder, what, &error, &mut count)?;
        }
        for source in &sources {
            let mut spool = self.spool();
            let outcome = node::collect(target, source, &mut spool).await;
            self.put(&folder, &source.file(), spool, outcome, &mut count)?;
        }
        self.told(&target.node, &count);
        Ok(())
    }

    async fn cluster(&self, targets: &[Target]) -> Result<()> {
        let mut count = Count::default();
        note("Kubernetes: collecting");
        let client = match cluster::open(targets).await {
            Ok(client) => client,
            Err(error) => return self.unreachable(CLUSTER, &error),
        };
        let (sources, failures) = cluster::sources(&client).await;
        for (what, error) in failures {
            self.failure(CLUSTER, what, &error, &mut count)?;
        }
        for source in &sources {
            let mut spool = self.spool();
            let outcome = cluster::collect(&client, targets, source, &mut spool).await;
            self.put(CLUSTER, &source.file(), spool, outcome, &mut count)?;
        }
        self.told("Kubernetes", &count);
        Ok(())
    }

    fn spool(&self) -> Spool {
        self.bundle.borrow().spool(&self.needles)
    }

    /// Puts what a source said into the bundle; if it failed half way, both what came and why no more did.
    fn put(&self, folder: &str, file: &str, spool: Spool, outcome: Result<()>, count: &mut Count) -> Result<()> {
        let name = format!("{folder}/{file}");
        if self.verbose {
            note(&match &outcome {
                Ok(()) => name.clone(),
                Err(error) => format!("{name}: {error:#}"),
            });
        }
        match outcome {
            // An empty list of resources is an answer, but not worth a file.
            Ok(()) if spool.is_empty() && file.starts_with("resources/") => Ok(()),
            Ok(()) => self.add(&name, spool, count),
            Err(error) => {
                if !spool.is_empty() {
                    self.add(&name, spool, count)?;
                }
                self.failure(folder, file, &error, count)
            }
        }
    }

    fn add(&self, name: &str, spool: Spool, count: &mut Count) -> Result<()> {
        count.files += 1;
        self.files.set(self.files.get() + 1);
        self.bundle.borrow_mut().add(name, spool)
    }

    fn failure(&self, folder: &str, what: &str, error: &anyhow::Error, count: &mut Count) -> Result<()> {
        count.failed += 1;
        let mut spool = self.spool();
        spool
            .push(format!("{error:#}\n").as_bytes())
            .context("write the bundle")?;
        self.add(&format!("{folder}/{what}.error.txt"), spool, count)
    }

    /// A node, or Kubernetes, of which there is nothing.
    fn unreachable(&self, who: &str, error: &anyhow::Error) -> Result<()> {
        note(&format!("{who}: {error:#}"));
        self.missing.borrow_mut().push(who.to_owned());
        self.failure(&plain(who), "unreachable", error, &mut Count::default())
    }

    fn told(&self, who: &str, count: &Count) {
        let failed = match count.failed {
            0 => String::new(),
            number => format!(", {number} of them say why something could not be collected"),
        };
        note(&format!("{who}: {} files{failed}", count.files));
    }

    fn finish(self, path: &Path) -> Result<()> {
        let bytes = self.bundle.into_inner().finish()?;
        note(&format!(
            "support bundle saved to {} ({} files, {})",
            path.display(),
            self.files.get(),
            size::decimal(bytes)
        ));
        let missing = self.missing.into_inner();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Incomplete(missing.join(", ")).into())
    }
}
