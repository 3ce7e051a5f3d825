//! Make a cluster.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sys::files::Lock;
use sys::net::Netlink;
use sys::{Context, caps};

use crate::destroy::remove_folder;
use crate::error::{Error, Result};
use crate::firewall;
use crate::names::Names;
use crate::network;
use crate::node;
use crate::options::Provider;
use crate::plan::Plan;
use crate::progress::{Event, Progress};
use crate::show::{Cluster, show};
use crate::start::Starts;
use crate::state::ClusterState;
use crate::{docker, host};

/// How long another command may hold the network or the cluster.
const LOCK_LIMIT: Duration = Duration::from_secs(30);
/// Time between two attempts to take a lock.
const PAUSE: Duration = Duration::from_millis(20);

/// Makes the cluster and starts its nodes. What was made stays when it fails, so that its logs can be read;
/// [`crate::destroy`] removes it.
pub async fn create(plan: Plan, progress: Progress<'_>) -> Result<Cluster> {
    let names = plan.names();
    match &plan.options.provider {
        Provider::Native { image } => native(&plan, &names, image, progress).await?,
        Provider::Docker { docker } => docker::create(&plan, &names, docker, progress).await?,
    }
    show(&plan.options.state_dir, &plan.options.name)
}

/// Nodes of namespaces.
async fn native(plan: &Plan, names: &Names, image: &Path, progress: Progress<'_>) -> Result<()> {
    caps::require_root("create a cluster of namespaces")?;
    let options = &plan.options;
    if image.is_dir() {
        // A squashfs is checked by mounting it; a folder would be written to.
        node::check_image(image)?;
    }
    let (_lock, mut state) = reserve(plan, names)?;
    let net = Netlink::open()?;

    progress(Event::Step(format!("making the network {}", options.subnet)));
    host::enable_forwarding(progress)?;
    host::raise_inotify(progress);
    host::filter_bridges(progress).await;
    {
        // Two commands must not find the same network free.
        let _lock = lock(&options.state_dir, "the networks of clusters").await?;
        claim_network(&net, names, plan).await?;
        network::make_bridge(&net, names, options.subnet, options.mtu).await?;
    }
    firewall::open(names, options.subnet, progress).await?;

    let mut starts = Starts {
        names,
        state: &mut state,
        deadline: Instant::now() + options.wait_timeout,
        limit: options.wait_timeout,
    };
    starts.gateway(progress).await?;
    let nodes = starts.state.nodes.clone();
    progress(Event::Step(starting(nodes.len())));
    for (plan, node) in plan.nodes.iter().zip(&nodes) {
        node::prepare(names, node, plan.config.as_deref())?;
        starts.begin(&node.name)?;
    }
    let mut warnings = Vec::new();
    for node in &nodes {
        warnings.extend(starts.started(&node.name).await?.warnings);
    }
    // Every node of a host is refused the same things.
    warnings.sort();
    warnings.dedup();
    warnings
        .into_iter()
        .for_each(|warning| progress(Event::Warning(warning)));
    if options.wait_for_api {
        progress(Event::Step(WAITING.to_owned()));
        for node in &nodes {
            starts.answers(node).await?;
        }
    }
    state.complete = true;
    state.save(names)
}

/// Refuses a network that is in use. Nothing was made yet then but the record, which would only be in the way of another
/// attempt, so it goes.
pub(crate) async fn claim_network(net: &Netlink, names: &Names, plan: &Plan) -> Result<()> {
    let options = &plan.options;
    let free = network::check_free(net, names, options.subnet, &options.state_dir).await;
    if free.is_err() {
        remove_folder(names.folder())?;
    }
    free
}

/// How the last steps are called.
pub(crate) const WAITING: &str = "waiting for the nodes to answer";

pub(crate) fn starting(nodes: usize) -> String {
    format!("starting {nodes} {}", if nodes == 1 { "node" } else { "nodes" })
}

/// Makes the cluster's folder, takes its lock, and writes down what will be made.
pub(crate) fn reserve(plan: &Plan, names: &Names) -> Result<(Lock, ClusterState)> {
    let folder = names.folder();
    let make = |path: &Path, recursive| std::fs::DirBuilder::new().mode(0o700).recursive(recursive).create(path);
    let state_dir = &plan.options.state_dir;
    make(state_dir, true).doing(|| format!("make the folder {}", state_dir.display()))?;
    match make(folder, false) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::Exists {
                name: plan.options.name.clone(),
                folder: folder.to_path_buf(),
            });
        }
        Err(error) => return Err(error).doing(|| format!("make the folder {}", folder.display()))?,
    }
    let busy = || Error::Busy {
        what: format!("the cluster {:?}", plan.options.name),
    };
    let lock = Lock::try_acquire_folder(folder)?.ok_or_else(busy)?;
    let state = ClusterState::of(plan)?;
    state.save(names)?;
    Ok((lock, state))
}

/// Takes the lock of a folder, waiting for it.
pub(crate) async fn lock(folder: &Path, what: &str) -> Result<Lock> {
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        if let Some(lock) = Lock::try_acquire_folder(folder)? {
            return Ok(lock);
        }
        if Instant::now() > deadline {
            return Err(Error::Busy { what: what.to_owned() });
        }
        tokio::time::sleep(PAUSE).await;
    }
}
