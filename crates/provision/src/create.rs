//! Make a cluster.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sys::files::Lock;
use sys::net::Netlink;
use sys::process::Identity;
use sys::{Context, caps};

use crate::destroy::remove_folder;
use crate::error::{Error, Result};
use crate::names::Names;
use crate::network;
use crate::node;
use crate::options::Provider;
use crate::plan::Plan;
use crate::progress::{Event, Progress};
use crate::show::{Cluster, show};
use crate::state::{ClusterState, GATEWAY, NodeState, Phase, RunState};
use crate::supervisor;
use crate::{connect, docker, firewall, host, log};

/// How long another command may hold the network or the cluster.
const LOCK_LIMIT: Duration = Duration::from_secs(30);
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
    {
        // Two commands must not find the same network free.
        let _lock = lock(&options.state_dir, "the networks of clusters").await?;
        claim_network(&net, names, plan).await?;
        network::make_bridge(&net, names, options.subnet, options.mtu).await?;
    }
    firewall::open(names, options.subnet, progress).await?;

    let deadline = Instant::now() + options.wait_timeout;
    if state.registry.is_some() || state.discovery.is_some() || !state.ports.is_empty() {
        start_gateway(names, &mut state, deadline, options.wait_timeout, progress).await?;
    }
    progress(Event::Step(starting(state.nodes.len())));
    for (plan, node) in plan.nodes.iter().zip(state.nodes.clone()) {
        node::prepare(names, &node, plan.config.as_deref())?;
        start(names, &mut state, &node.name)?;
    }
    let mut warnings = Vec::new();
    for node in &state.nodes {
        let run = started(names, &state, &node.name, deadline, options.wait_timeout).await?;
        warnings.extend(run.warnings);
    }
    // Every node of a host is refused the same things.
    warnings.sort();
    warnings.dedup();
    warnings
        .into_iter()
        .for_each(|warning| progress(Event::Warning(warning)));
    if options.wait_for_api {
        progress(Event::Step(WAITING.to_owned()));
        for node in &state.nodes {
            answers(names, &state, node, deadline, options.wait_timeout).await?;
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

/// Starts the registry and what else the gateway serves.
pub(crate) async fn start_gateway(
    names: &Names,
    state: &mut ClusterState,
    deadline: Instant,
    limit: Duration,
    progress: Progress<'_>,
) -> Result<()> {
    progress(Event::Step("starting the gateway".to_owned()));
    start(names, state, GATEWAY)?;
    started(names, state, GATEWAY, deadline, limit).await.map(drop)
}

/// Starts a supervisor: recorded first, told to begin then.
fn start(names: &Names, state: &mut ClusterState, who: &str) -> Result<()> {
    let waiting = supervisor::start(names, who)?;
    state.supervisors.insert(who.to_owned(), waiting.identity);
    state.save(names)?;
    waiting.begin()
}

/// Waits until a supervisor reports that what it looks after runs.
async fn started(
    names: &Names,
    state: &ClusterState,
    who: &str,
    deadline: Instant,
    limit: Duration,
) -> Result<RunState> {
    loop {
        // Asked before the report is read: a last report of a supervisor that then ended is not missed.
        let alive = state
            .supervisors
            .get(who)
            .is_some_and(|identity: &Identity| identity.is_running());
        let run = RunState::load(&names.run_file(who))?.unwrap_or_default();
        // A crash right after the start is for the person to see, not for endless waiting.
        let crashed = run.phase == Phase::Starting && run.starts > 0;
        match run.phase {
            Phase::Running => return Ok(run),
            Phase::Failed | Phase::Stopped => return Err(not_started(names, who, run.message)),
            Phase::Starting if crashed => return Err(not_started(names, who, run.message)),
            Phase::Starting if !alive => return Err(not_started(names, who, "its supervisor ended".to_owned())),
            Phase::Starting => {}
        }
        if Instant::now() > deadline {
            return Err(Error::Timeout {
                what: format!("the start of {who}"),
                limit,
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn not_started(names: &Names, who: &str, reason: String) -> Error {
    let console = log::tail(&names.console_log(who));
    let log = if console.is_empty() {
        log::tail(&names.supervisor_log(who))
    } else {
        console
    };
    Error::NotStarted {
        who: who.to_owned(),
        reason,
        log,
    }
}

/// Waits until a node accepts connections to its API.
async fn answers(
    names: &Names,
    state: &ClusterState,
    node: &NodeState,
    deadline: Instant,
    limit: Duration,
) -> Result<()> {
    let address = connect::api(node.address);
    while !connect::accepts(address).await {
        started(names, state, &node.name, deadline, limit).await?;
        if Instant::now() > deadline {
            return Err(Error::Timeout {
                what: format!("an answer of {} on {address}", node.name),
                limit,
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
