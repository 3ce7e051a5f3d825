//! Running controllers: each in a task of its own, woken by what it reads.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::derive::DeriveNode;
use super::graph::{Body, Controllers, GraphError};
use super::input::Reads;
use super::output::Applied;
use super::reconcile::{Context, ReconcileNode, Waker};
use super::status::ControllerStatus;
use crate::metadata::Phase;
use crate::store::{Selector, Store};
use crate::types::Time;

/// Waits of the runtime.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Before the first retry of a failed run.
    pub min_backoff: Duration,
    /// Between retries at most.
    pub max_backoff: Duration,
    /// How long a run may go on after the controllers were told to stop.
    pub grace: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            min_backoff: Duration::from_millis(250),
            max_backoff: Duration::from_secs(60),
            grace: Duration::from_secs(10),
        }
    }
}

enum Node {
    Derive(Arc<dyn DeriveNode>),
    Reconcile(Box<dyn ReconcileNode>),
}

impl Node {
    /// One run; a panic is an error.
    async fn run(&mut self, cx: &Context) -> anyhow::Result<(Applied, Option<Duration>)> {
        let result = match self {
            Node::Derive(node) => std::panic::catch_unwind(AssertUnwindSafe(|| {
                node.run(&cx.store, cx.name).map(|done| (done, None))
            })),
            Node::Reconcile(node) => AssertUnwindSafe(node.run(cx)).catch_unwind().await,
        };
        result.unwrap_or_else(|panic| Err(anyhow::anyhow!("panicked: {}", panic_text(panic.as_ref()))))
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

impl Controllers {
    /// Runs the controllers until they are cancelled. The order in which types get their first resources does not
    /// matter: each controller runs once at the start, and again whenever something it reads changes.
    pub fn run(
        &self,
        store: Store,
        cancel: CancellationToken,
    ) -> impl Future<Output = Result<(), GraphError>> + Send + 'static {
        let wired = self.0.clone();
        async move {
            store.register::<ControllerStatus>();
            let mut nodes = Vec::new();
            for entry in &wired.entries {
                let node = match &entry.body {
                    Body::Derive(node) => Node::Derive(node.clone()),
                    Body::Reconcile(slot) => {
                        let taken = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
                        Node::Reconcile(taken.ok_or(GraphError::Running)?)
                    }
                };
                match &node {
                    Node::Derive(node) => node.register(&store),
                    Node::Reconcile(node) => node.register(&store),
                }
                nodes.push(node);
            }
            let mut tasks = JoinSet::new();
            let mut wakers = BTreeMap::new();
            for (entry, node) in wired.entries.iter().zip(nodes) {
                let notify = Arc::new(Notify::new());
                for Reads { ty, namespace } in &entry.reads {
                    store.listen(ty, namespace, &notify);
                }
                wakers.insert(entry.name, notify.clone());
                let cx = Context {
                    name: entry.name,
                    cancel: cancel.clone(),
                    waker: Waker(notify),
                    store: store.clone(),
                };
                tasks.spawn(drive(node, cx, wired.options));
            }
            let outputs = wired
                .entries
                .iter()
                .flat_map(|entry| entry.writes.iter().copied())
                .collect();
            tasks.spawn(reap(store, outputs, wakers, cancel));
            while tasks.join_next().await.is_some() {}
            Ok(())
        }
    }
}

async fn drive(mut node: Node, cx: Context, options: RunOptions) {
    let mut backoff = Backoff::new(options.min_backoff, options.max_backoff);
    let mut status = ControllerStatus::default();
    let mut next: Option<Instant> = Some(Instant::now());
    loop {
        let timer = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = cx.cancel.cancelled() => break,
            () = cx.waker.0.notified() => {}
            () = timer => {}
        }
        let stopping = async {
            cx.cancel.cancelled().await;
            tokio::time::sleep(options.grace).await;
        };
        let result = tokio::select! {
            result = node.run(&cx) => result,
            () = stopping => {
                tracing::warn!(controller = cx.name, "did not stop in time");
                return;
            }
        };
        status.runs += 1;
        status.last_run = Time(cx.store.now());
        next = match result {
            Ok((_, requeue)) => {
                backoff.reset();
                status.last_error.clear();
                requeue.map(|after| Instant::now() + after)
            }
            Err(error) => {
                let wait = backoff.next();
                status.failures += 1;
                status.last_error = format!("{error:#}");
                tracing::warn!(controller = cx.name, error = status.last_error, retry = ?wait, "controller failed");
                Some(Instant::now() + wait)
            }
        };
        if let Err(error) = cx.store.put(cx.name, cx.name, status.clone(), "ran") {
            tracing::warn!(controller = cx.name, %error, "cannot report how the controller is doing");
        }
    }
    if let Node::Reconcile(node) = &mut node {
        let stopped = AssertUnwindSafe(node.stop(&cx)).catch_unwind();
        if tokio::time::timeout(options.grace, stopped).await.is_err() {
            tracing::warn!(controller = cx.name, "did not stop in time");
        }
    }
}

/// Destroys outputs that are torn down as soon as nothing holds them, and lets their owner make them anew.
async fn reap(
    store: Store,
    outputs: Vec<Reads>,
    wakers: BTreeMap<&'static str, Arc<Notify>>,
    cancel: CancellationToken,
) {
    let notify = Arc::new(Notify::new());
    for Reads { ty, namespace } in &outputs {
        store.listen(ty, namespace, &notify);
    }
    loop {
        for Reads { ty, namespace } in &outputs {
            for row in store.list_dyn(ty, namespace, &Selector::default()) {
                let metadata = row.metadata();
                let ready = metadata.phase == Phase::TearingDown && metadata.finalizers.is_empty();
                let Some(waker) = wakers.get(metadata.owner.as_str()).filter(|_| ready) else {
                    continue;
                };
                // Its owner may have been quicker, and may have made it anew.
                let _ = store.destroy_torn_down(ty, namespace, &metadata.id);
                waker.notify_one();
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = notify.notified() => {}
        }
    }
}
