//! PID 1: from an empty machine to running controllers, and to the end in order.

pub mod end;
pub mod filesystem;
pub mod platform;
pub mod seed;
pub mod verbosity;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use resource::Store;
use sys::cgroup::Layout;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clients::containerd::Containerd;
use crate::clients::cri::Cri;
use crate::controllers::discovery_service::Way;
use crate::controllers::{self, containerd};
use crate::events::Events;
use crate::logs::Logs;
use crate::machine_config;
use crate::node::Node;
use crate::sequence::{Ending, Sequencer};
use crate::server;
use crate::services::sandbox::SandboxRunner;
use crate::services::status::State;
use crate::services::supervisor::Supervisor;
use platform::Environment;

/// Where configuration and identity are kept.
const STATE: &str = "/system/state";
/// The machine API of the init process; apid passes calls to it.
const MACHINE_SOCKET: &str = "/system/run/machined/machine.sock";
/// Where services' logs are kept.
const LOGS: &str = "/var/log";

/// The init process. Its exit status tells the provider whether to start the node again.
pub fn main() -> ExitCode {
    let logs = Logs::in_directory(Path::new(LOGS));
    let verbosity = verbosity::start(&logs);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "starting the runtime failed");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(verbosity, logs)) {
        Ok(ending) => ExitCode::from(ending.exit_code()),
        Err(error) => {
            tracing::error!("the node cannot go on: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(verbosity: verbosity::Verbosity, logs: Logs) -> anyhow::Result<Ending> {
    let environment = Environment::read(|name| std::env::var(name).ok()).context("read the platform's settings")?;
    tokio::spawn(async {
        if let Err(error) = sys::process::reaper::run().await {
            tracing::error!(%error, "collecting ended processes failed");
        }
    });
    pki::tls::install_provider();
    filesystem::prepare().context("prepare the file system")?;
    let layout = enter_cgroup();
    let capability = seed::capability(layout.as_ref());
    tracing::info!(?capability, version = crate::version::TAG, "starting");

    let store = Store::default();
    node_resources::register(&store);
    let events = Events::default();
    let (puller, pulling) = watch::channel(None);
    let runner = Arc::new(SandboxRunner::new(layout, pulling.clone()));
    let supervisor = Supervisor::new(runner, events.clone(), logs.clone());
    let (sequencer, mut requests) = Sequencer::new(events.clone());
    let cri = Cri::new(Path::new(containerd::SOCKET));
    let distribution = controllers::trust::Distribution::read();
    let discovery = Way::new(distribution.clone());
    let world = controllers::World {
        supervisor: supervisor.clone(),
        events: events.clone(),
        sequencer: sequencer.clone(),
        puller,
        cri: cri.clone(),
        state: STATE.into(),
        distribution,
        discovery: discovery.clone(),
        verbosity,
    };
    let controllers = controllers::graph(&world)
        .build()
        .context("put the controllers together")?;
    let node = Node {
        store: store.clone(),
        controllers: controllers.clone(),
        supervisor,
        events,
        logs,
        configs: machine_config::Store::new(Path::new(STATE)),
        sequencer,
        cri,
        containerd: Containerd::new(Path::new(containerd::SOCKET)),
        puller: pulling,
        discovery,
        environment: Arc::new(environment),
        apply_lock: Arc::default(),
        cancel: CancellationToken::new(),
    };
    seed::put(&node, capability)?;
    node.supervisor.report("machined", State::Running, "Service is running");
    let running = tokio::spawn(controllers.run(store, node.cancel.clone()));
    let serving = tokio::spawn(server::serve(node.clone(), Path::new(MACHINE_SOCKET)));
    let gates = tokio::spawn(server::gates::serve(node.clone()));
    let judging = tokio::spawn(server::verifier::serve(node.clone()));
    acquire(&node);

    let ending = tokio::select! {
        ending = end::wait(&node, &mut requests) => ending,
        outcome = running => anyhow::bail!("the controllers ended: {outcome:?}"),
        outcome = serving => anyhow::bail!("the machine API ended: {outcome:?}"),
        outcome = gates => anyhow::bail!("the sockets of apid and trustd ended: {outcome:?}"),
        outcome = judging => anyhow::bail!("the socket of the image verifier ended: {outcome:?}"),
    };
    node.cancel.cancel();
    Ok(ending)
}

/// Moves this process out of the root cgroup: in version 2 only leaves may have processes.
fn enter_cgroup() -> Option<Layout> {
    let layout = match Layout::detect() {
        Ok(layout) => layout,
        Err(error) => {
            tracing::warn!(%error, "services run without bounds");
            return None;
        }
    };
    let init = layout.group("/init");
    let own = i32::try_from(std::process::id()).unwrap_or(1);
    if let Err(error) = init.create().and_then(|()| init.join(own)) {
        tracing::warn!(%error, "the init process stays in the root cgroup");
    }
    Some(layout)
}

/// Finds the configuration: what was kept, then what the platform brought; without one the node waits for it.
fn acquire(node: &Node) {
    let found = match node.configs.load() {
        Ok(Some(bytes)) => Some((bytes, "state")),
        Ok(None) => node.environment.user_data.clone().map(|bytes| (bytes, "platform")),
        Err(error) => {
            tracing::error!("{error:#}");
            None
        }
    };
    if let Some((bytes, source)) = found {
        match seed::accept(node, &bytes, source == "platform") {
            Ok(()) => tracing::info!(source, "configuration loaded"),
            Err(error) => {
                tracing::error!(
                    source,
                    "the configuration is refused, the node waits for another: {error:#}"
                );
                let event = api::proto::machine::ConfigValidationErrorEvent {
                    error: format!("{error:#}"),
                };
                node.events.publish("machine.ConfigValidationErrorEvent", &event, "");
            }
        }
    }
    if let Err(error) = seed::acquired(node) {
        tracing::error!(%error, "reporting that the configuration was looked for failed");
    }
}
