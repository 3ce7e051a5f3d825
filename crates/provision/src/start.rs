//! Start supervisors and what they look after: when a cluster is made, and when its nodes are started again.

use std::path::Path;
use std::time::{Duration, Instant};

use sys::caps;
use sys::net::Netlink;
use sys::process::Identity;

use crate::create::lock;
use crate::error::{Error, Result};
use crate::names::Names;
use crate::options::{Provider, invalid};
use crate::plan::{absolute, check_name};
use crate::progress::{Event, Progress};
use crate::show::{Cluster, not_found, show};
use crate::state::{ClusterState, GATEWAY, NodeState, Phase, RunState};
use crate::{connect, docker, firewall, host, log, network, supervisor};

/// Time between two looks at what is starting.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts the nodes of a cluster that do not run, with the data they have: all of them, or those that are named. A
/// cluster that the machine's restart took down gets its network and its gateway back first. Waits until the started
/// nodes accept connections to their API.
///
/// # Errors
/// There is no such cluster or node, or something does not start within `limit`.
pub async fn start(
    state_dir: &Path,
    name: &str,
    nodes: &[String],
    limit: Duration,
    progress: Progress<'_>,
) -> Result<Cluster> {
    check_name(name)?;
    let state_dir = absolute(state_dir)?;
    let names = Names::of(&state_dir, name);
    if !names.folder().is_dir() {
        return Err(not_found(&state_dir, name));
    }
    let _lock = lock(names.folder(), &format!("the cluster {name:?}")).await?;
    let mut state = ClusterState::load(&names)?.ok_or_else(|| not_found(&state_dir, name))?;
    let in_docker = matches!(state.provider, Provider::Docker { .. });
    if !in_docker {
        caps::require_root("start nodes of a cluster of namespaces")?;
    }
    if !state.same_boot() {
        // Process numbers of another boot mean nothing.
        state.supervisors.clear();
        state.boot_id = sys::host::boot_id()?;
        state.save(&names)?;
    }
    let mut starts = Starts {
        names: &names,
        state: &mut state,
        deadline: Instant::now() + limit,
        limit,
    };
    if !in_docker {
        make_network(&names, starts.state, &state_dir, progress).await?;
    }
    if !starts.is_running(GATEWAY) {
        starts.gateway(progress).await?;
    }
    if in_docker {
        docker::start(name, nodes, limit, progress).await?;
        return show(&state_dir, name);
    }
    let mut down = Vec::new();
    for node in wanted(&starts.state.nodes, |node| &node.name, nodes)? {
        if starts.runs(&node).await? {
            progress(Event::Step(format!("{} runs already", node.name)));
        } else {
            down.push(node);
        }
    }
    for node in &down {
        progress(Event::Step(format!("starting {}", node.name)));
        starts.begin(&node.name)?;
    }
    for node in &down {
        starts.started(&node.name).await?;
    }
    for node in &down {
        starts.answers(node).await?;
    }
    show(&state_dir, name)
}

/// The nodes of these names; all of the cluster without names.
pub(crate) fn wanted<T: Clone>(all: &[T], name_of: impl Fn(&T) -> &str, nodes: &[String]) -> Result<Vec<T>> {
    if nodes.is_empty() {
        return Ok(all.to_vec());
    }
    let known = || all.iter().map(&name_of).collect::<Vec<_>>();
    let find = |name: &String| {
        let node = all.iter().find(|node| name_of(node) == name).cloned();
        node.ok_or_else(|| {
            let reason = format!("is not one of this cluster (there are: {})", known().join(", "));
            invalid(format!("node {name:?}"), reason)
        })
    };
    nodes.iter().map(find).collect()
}

/// Makes the network if it is not there.
async fn make_network(names: &Names, state: &ClusterState, state_dir: &Path, progress: Progress<'_>) -> Result<()> {
    let net = Netlink::open()?;
    if net.link(&names.bridge()).await?.is_some() {
        return Ok(());
    }
    progress(Event::Step(format!("making the network {}", state.subnet)));
    host::enable_forwarding(progress)?;
    host::raise_inotify(progress);
    host::filter_bridges(progress).await;
    network::make(&net, names, state.subnet, state.mtu, state_dir).await?;
    firewall::open(names, state.subnet, progress).await
}

/// Starts of supervisors, each recorded, with a moment at which all have to be over.
pub(crate) struct Starts<'a> {
    pub names: &'a Names,
    pub state: &'a mut ClusterState,
    pub deadline: Instant,
    /// What the deadline was made of, for messages.
    pub limit: Duration,
}

impl Starts<'_> {
    /// Starts what the gateway serves, if there is anything.
    pub(crate) async fn gateway(&mut self, progress: Progress<'_>) -> Result<()> {
        if self.state.needs_gateway() {
            progress(Event::Step("starting the gateway".to_owned()));
            self.begin(GATEWAY)?;
            self.started(GATEWAY).await?;
        }
        Ok(())
    }

    /// Starts a supervisor: recorded first, told to begin then.
    pub(crate) fn begin(&mut self, who: &str) -> Result<()> {
        // What an earlier supervisor reported says nothing of this one.
        RunState::default().save(&self.names.run_file(who))?;
        let waiting = supervisor::start(self.names, who)?;
        self.state.supervisors.insert(who.to_owned(), waiting.identity);
        self.state.save(self.names)?;
        waiting.begin()
    }

    /// Whether a supervisor lives.
    fn is_running(&self, who: &str) -> bool {
        let identity: Option<&Identity> = self.state.supervisors.get(who);
        identity.is_some_and(|identity| identity.is_running())
    }

    /// Whether a node runs, and is not about to end: one that is shutting down is waited for.
    async fn runs(&self, node: &NodeState) -> Result<bool> {
        while self.is_running(&node.name) {
            if connect::accepts(connect::api(node.address)).await {
                return Ok(true);
            }
            self.pause(|| format!("an answer of {}, or its end,", node.name))
                .await?;
        }
        Ok(false)
    }

    /// Waits until a supervisor reports that what it looks after runs.
    pub(crate) async fn started(&self, who: &str) -> Result<RunState> {
        loop {
            // Asked before the report is read: a last report of a supervisor that then ended is not missed.
            let alive = self.is_running(who);
            let run = RunState::load(&self.names.run_file(who))?.unwrap_or_default();
            // A crash right after the start is for the person to see, not for endless waiting.
            let crashed = run.phase == Phase::Starting && run.starts > 0;
            match run.phase {
                Phase::Running => return Ok(run),
                Phase::Failed | Phase::Stopped => return Err(not_started(self.names, who, run.message)),
                Phase::Starting if crashed => return Err(not_started(self.names, who, run.message)),
                Phase::Starting if !alive => {
                    return Err(not_started(self.names, who, "its supervisor ended".to_owned()));
                }
                Phase::Starting => {}
            }
            self.pause(|| format!("the start of {who}")).await?;
        }
    }

    /// Waits until a node accepts connections to its API.
    pub(crate) async fn answers(&self, node: &NodeState) -> Result<()> {
        let address = connect::api(node.address);
        while !connect::accepts(address).await {
            self.started(&node.name).await?;
            self.pause(|| format!("an answer of {} on {address}", node.name))
                .await?;
        }
        Ok(())
    }

    async fn pause(&self, what: impl Fn() -> String) -> Result<()> {
        if Instant::now() > self.deadline {
            return Err(Error::Timeout {
                what: what(),
                limit: self.limit,
            });
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
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
