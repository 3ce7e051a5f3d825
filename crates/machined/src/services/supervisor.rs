//! The supervisor: keeps every desired service running, in the order their dependencies ask for.
//!
//! One task per service. It waits for the spec's conditions and for other services, prepares, starts, checks, and
//! starts again after an end nobody asked for. A changed spec restarts the service; a dropped one ends it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use api::proto::machine::{ServiceEvent as ServiceEventMessage, ServiceHealth, ServiceStateEvent, service_state_event};
use node_resources::service_spec::{Health, ServiceSpec};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::health;
use super::runner::{Exit, Process, Runner};
use super::status::{State, Status, waiting_message};
use crate::events::Events;
use crate::logs::{Log, Logs, lock};

/// How long a service may take to end after SIGTERM before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause before a service that ended by itself is started again: first, and at most.
const RESTART_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// A service that ran this long starts again after the first pause.
const SETTLED: Duration = Duration::from_secs(30);

/// How long a program's output may take to arrive after its end.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What is wanted of a service.
#[derive(Clone, PartialEq, Debug, Default)]
struct Desired {
    spec: Option<ServiceSpec>,
    /// A person stopped it.
    stopped: bool,
    /// Counts the restarts a person asked for.
    restarts: u64,
}

struct Entry {
    desired: watch::Sender<Desired>,
    task: JoinHandle<()>,
}

/// Why a request about a service was refused.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ServiceError {
    /// There is no such service.
    #[error("service \"{0}\" is not registered")]
    Unknown(String),
    /// It may not be operated through the API.
    #[error("service \"{id}\" doesn't support {operation} operation via API")]
    NotOperable {
        /// The service.
        id: String,
        /// What was asked.
        operation: &'static str,
    },
}

/// What a person may ask of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Start it if it is stopped.
    Start,
    /// Stop it until started again.
    Stop,
    /// Stop and start it.
    Restart,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// The supervisor; clones share it.
#[derive(Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

struct Shared {
    runner: Arc<dyn Runner>,
    events: Events,
    logs: Logs,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// The node is ending: nothing is started any more.
    ending: AtomicBool,
    board: watch::Sender<BTreeMap<String, Status>>,
}

impl Supervisor {
    /// A supervisor with nothing to run yet.
    pub fn new(runner: Arc<dyn Runner>, events: Events, logs: Logs) -> Self {
        let board = watch::channel(BTreeMap::new()).0;
        Self {
            shared: Arc::new(Shared {
                runner,
                events,
                logs,
                entries: Mutex::default(),
                ending: AtomicBool::new(false),
                board,
            }),
        }
    }

    /// Makes exactly these services run; others end. Once the node is ending nothing is started.
    pub fn set(&self, services: BTreeMap<String, ServiceSpec>) {
        if self.shared.ending.load(Ordering::Relaxed) {
            return;
        }
        let mut entries = lock(&self.shared.entries);
        for (id, entry) in entries.iter() {
            if !services.contains_key(id) {
                entry.desired.send_if_modified(|d| d.spec.take().is_some());
            }
        }
        for (id, spec) in services {
            let entry = entries
                .entry(id.clone())
                .or_insert_with(|| self.shared.clone().track(id));
            entry.desired.send_if_modified(|d| {
                let changed = d.spec.as_ref() != Some(&spec);
                d.spec = Some(spec);
                changed
            });
        }
    }

    /// What is known of every service, and a way to wait for changes of it.
    pub fn board(&self) -> watch::Receiver<BTreeMap<String, Status>> {
        self.shared.board.subscribe()
    }

    /// Records a service that is not a process of ours to start, such as the init process itself.
    pub fn report(&self, id: &str, state: State, message: &str) {
        self.shared.update(id, |s| s.record(state, message, SystemTime::now()));
    }

    /// Does what a person asked.
    ///
    /// # Errors
    /// The service does not exist, or may not be operated.
    pub fn operate(&self, id: &str, operation: Operation) -> Result<(), ServiceError> {
        let entries = lock(&self.shared.entries);
        let Some(entry) = entries.get(id) else {
            return if self.shared.board.borrow().contains_key(id) {
                Err(ServiceError::NotOperable {
                    id: id.into(),
                    operation: operation.name(),
                })
            } else {
                Err(ServiceError::Unknown(id.into()))
            };
        };
        if !entry.desired.borrow().spec.as_ref().is_some_and(|s| s.operable) {
            return Err(ServiceError::NotOperable {
                id: id.into(),
                operation: operation.name(),
            });
        }
        entry.desired.send_modify(|d| match operation {
            Operation::Start => d.stopped = false,
            Operation::Stop => d.stopped = true,
            Operation::Restart => {
                d.stopped = false;
                d.restarts += 1;
            }
        });
        Ok(())
    }

    /// Ends services for good, in the order given, each before the next; those not running are passed over.
    pub async fn stop(&self, order: &[&str]) {
        self.shared.ending.store(true, Ordering::Relaxed);
        let mut board = self.board();
        for id in order {
            let known = lock(&self.shared.entries)
                .get(*id)
                .map(|entry| entry.desired.send_modify(|d| d.spec = None));
            if known.is_none() {
                continue;
            }
            let ended = board.wait_for(|b| {
                b.get(*id)
                    .is_none_or(|s| matches!(s.state, State::Finished | State::Initialized))
            });
            if tokio::time::timeout(STOP_TIMEOUT + Duration::from_secs(2), ended)
                .await
                .is_err()
            {
                tracing::warn!(service = id, "service did not end in time");
            }
        }
    }

    /// Runs a program to its end, as a service would run, with its output in that service's log.
    ///
    /// # Errors
    /// It cannot be started, or fails; the last lines it printed are part of the error.
    pub async fn run_once(&self, id: &str, spec: &ServiceSpec) -> anyhow::Result<()> {
        let log = self.shared.logs.of(id);
        let prepared = self.shared.runner.prepare(id, spec, &log).await?;
        let mut process = self.shared.runner.start(id, spec, &prepared, &log).await?;
        let exit = process.wait().await;
        if exit.success {
            return Ok(());
        }
        // Its last words may still be on their way through the pipe.
        tokio::time::sleep(LAST_WORDS).await;
        let lines = log.read(Some(3)).0;
        let said: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
        anyhow::bail!("{}: {}", exit.text, said.join("; "))
    }

    /// Ends the tasks without ending the services' processes.
    pub fn abandon(&self) {
        for entry in lock(&self.shared.entries).values() {
            entry.task.abort();
        }
    }
}

impl Shared {
    fn track(self: Arc<Self>, id: String) -> Entry {
        let (desired, receiver) = watch::channel(Desired::default());
        let log = self.logs.of(&id);
        let task = tokio::spawn(
            Task {
                shared: self,
                id,
                desired: receiver,
                log,
            }
            .run(),
        );
        Entry { desired, task }
    }

    /// Changes a status, tells the board and publishes an event if the change says so.
    fn update(&self, id: &str, change: impl FnOnce(&mut Status) -> bool) {
        let mut event = None;
        self.board.send_if_modified(|board| {
            let status = board.entry(id.to_owned()).or_default();
            let before = status.clone();
            if change(status) {
                event = Some(state_event(id, status));
            }
            *status != before
        });
        if let Some(event) = event {
            self.events.publish("machine.ServiceStateEvent", &event, "");
        }
    }
}

fn state_event(id: &str, status: &Status) -> ServiceStateEvent {
    use service_state_event::Action;
    let action = match status.state {
        State::Initialized => Action::Initialized,
        State::Preparing | State::Starting => Action::Preparing,
        State::Waiting => Action::Waiting,
        State::Running => Action::Running,
        State::Stopping => Action::Stopping,
        State::Finished => Action::Finished,
        State::Failed => Action::Failed,
    };
    ServiceStateEvent {
        service: id.to_owned(),
        action: action.into(),
        message: status.events.back().map(|e| e.message.clone()).unwrap_or_default(),
        health: Some(service_health(status)),
    }
}

/// A status' health as the machine API says it.
pub fn service_health(status: &Status) -> ServiceHealth {
    ServiceHealth {
        unknown: status.health.healthy.is_none(),
        healthy: status.health.healthy.unwrap_or_default(),
        last_message: status.health.message.clone(),
        last_change: status.health.changed.map(Into::into),
    }
}

/// A status' events as the machine API says them.
pub fn service_events(status: &Status) -> Vec<ServiceEventMessage> {
    let event = |e: &super::status::ServiceEvent| ServiceEventMessage {
        msg: e.message.clone(),
        state: e.state.name().to_owned(),
        ts: Some(e.at.into()),
    };
    status.events.iter().map(event).collect()
}

/// Why a running service has to end.
enum End {
    Asked,
    ByItself(Exit),
}

struct Task {
    shared: Arc<Shared>,
    id: String,
    desired: watch::Receiver<Desired>,
    log: Log,
}

impl Task {
    async fn run(mut self) {
        let mut pause = RESTART_PAUSE.0;
        loop {
            let Some(spec) = self.ready().await else { return };
            let started = std::time::Instant::now();
            let outcome = self.once(&spec).await;
            if started.elapsed() > SETTLED {
                pause = RESTART_PAUSE.0;
            }
            match outcome {
                Ok(()) => pause = RESTART_PAUSE.0,
                Err(error) => {
                    self.log.line(&format!("{error:#}"));
                    self.record(State::Failed, &format!("Failed: {error:#}; trying again in {pause:?}"));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        _ = self.desired.changed() => {}
                    }
                    pause = (pause * 2).min(RESTART_PAUSE.1);
                }
            }
        }
    }

    fn record(&self, state: State, message: &str) {
        self.shared.update(&self.id, |s| {
            if state != State::Running {
                s.pid = None;
                s.health = super::status::HealthStatus::default();
            }
            let new = s.record(state, message, SystemTime::now());
            if new {
                tracing::info!(service = self.id, state = state.name(), "{message}");
            }
            new
        });
    }

    /// Waits until the service is wanted and all it waits for is there; `None` when the supervisor is gone.
    async fn ready(&mut self) -> Option<ServiceSpec> {
        let mut board = self.shared.board.subscribe();
        loop {
            let desired = self.desired.borrow_and_update().clone();
            match desired.spec {
                Some(spec) if !desired.stopped => {
                    let missing: Vec<String> = {
                        let board = board.borrow_and_update();
                        let up = |s: &String| board.get(s).is_some_and(Status::is_up);
                        spec.depends_on.iter().filter(|s| !up(s)).cloned().collect()
                    };
                    if missing.is_empty() && spec.waiting_for.is_empty() {
                        return Some(spec);
                    }
                    self.record(State::Waiting, &waiting_message(&spec.waiting_for, &missing));
                }
                _ => {
                    let state = self.shared.board.borrow().get(&self.id).map(|s| s.state);
                    if state.is_some_and(|s| s != State::Finished && s != State::Initialized) {
                        self.record(State::Finished, "Service finished successfully");
                    }
                }
            }
            tokio::select! {
                changed = self.desired.changed() => changed.ok()?,
                changed = board.changed() => changed.ok()?,
            }
        }
    }

    /// Runs the service until it is to end, or has ended: `Ok` if that was asked for.
    async fn once(&mut self, spec: &ServiceSpec) -> anyhow::Result<()> {
        self.record(State::Preparing, "Running pre state");
        let shared = self.shared.clone();
        let prepared = tokio::select! {
            prepared = shared.runner.prepare(&self.id, spec, &self.log) => prepared?,
            () = changed(&mut self.desired, spec) => return Ok(()),
        };
        self.record(State::Preparing, "Creating service runner");
        let mut process = shared.runner.start(&self.id, spec, &prepared, &self.log).await?;
        let pid = process.pid();
        shared.update(&self.id, |s| {
            s.checked = spec.health != Health::None;
            s.pid = Some(pid);
            s.record(
                State::Running,
                &format!("Started process {} (PID {pid})", self.id),
                SystemTime::now(),
            )
        });
        let end = tokio::select! {
            exit = process.wait() => End::ByItself(exit),
            () = changed(&mut self.desired, spec) => End::Asked,
            () = watch_health(&shared, &self.id, &spec.health) => End::Asked,
        };
        match end {
            End::ByItself(exit) => anyhow::bail!("{}", exit.text),
            End::Asked => {
                self.record(
                    State::Stopping,
                    &format!("Sending SIGTERM to process {} (PID {pid})", self.id),
                );
                end_process(process.as_mut()).await;
                Ok(())
            }
        }
    }
}

/// Waits until what is wanted differs from what runs.
async fn changed(desired: &mut watch::Receiver<Desired>, running: &ServiceSpec) {
    let restarts = desired.borrow_and_update().restarts;
    let differs =
        |d: &Desired| d.stopped || d.restarts != restarts || !d.spec.as_ref().is_some_and(|s| s.runs_as(running));
    // An error means that the supervisor is gone; its services are then left as they are.
    if desired.wait_for(differs).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Checks for ever: quickly until the first success, which is part of a boot, then at leisure.
async fn watch_health(shared: &Shared, id: &str, check: &Health) {
    if *check == Health::None {
        return std::future::pending().await;
    }
    let started = tokio::time::Instant::now();
    let mut worked = false;
    loop {
        let outcome = shared.runner.check(check).await;
        worked |= outcome.is_ok();
        shared.update(id, |s| {
            let outcome = outcome.map_err(|e| format!("{e:#}"));
            // What has never worked yet is starting, not failing.
            if outcome.is_err() && !worked {
                s.health.message = outcome.err().unwrap_or_default();
                return false;
            }
            let failure = outcome.clone().err();
            let changed = s.record_health(outcome, SystemTime::now());
            let message = failure.map_or("Health check successful".to_owned(), |f| {
                format!("Health check failed: {f}")
            });
            changed && s.record(State::Running, &message, SystemTime::now())
        });
        let starting = !worked && started.elapsed() < health::STARTING;
        tokio::time::sleep(if starting {
            health::PERIOD_STARTING
        } else {
            health::PERIOD
        })
        .await;
    }
}

/// SIGTERM, then SIGKILL.
async fn end_process(process: &mut dyn Process) {
    const SIGTERM: i32 = 15;
    const SIGKILL: i32 = 9;
    process.signal(SIGTERM);
    if tokio::time::timeout(STOP_TIMEOUT, process.wait()).await.is_err() {
        process.signal(SIGKILL);
        process.wait().await;
    }
}
