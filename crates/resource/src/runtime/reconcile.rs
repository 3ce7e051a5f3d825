//! Effects: controllers that make the world match their inputs.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::input::{Inputs, Reads, View};
use super::output::{Applied, OutputSets};
use crate::store::Store;

/// Makes a controller run soon: given to whatever hears of events from outside (netlink, a process that ended).
#[derive(Clone, Debug)]
pub struct Waker(pub(super) Arc<Notify>);

impl Waker {
    /// Asks for a run; several before it starts are one.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// What a running controller may use.
#[derive(Clone, Debug)]
pub struct Context {
    /// The controller's name.
    pub name: &'static str,
    /// Set when the controller shall stop.
    pub cancel: CancellationToken,
    /// Makes this controller run again.
    pub waker: Waker,
    pub(super) store: Store,
}

impl Context {
    /// The store, for finalizers and for what is not known before it is needed. What a controller reads and writes
    /// otherwise belongs into its inputs and outputs.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome<O> {
    outputs: Option<O>,
    requeue: Option<Duration>,
}

impl<O: OutputSets> Outcome<O> {
    /// These outputs, and no others.
    #[must_use]
    pub fn done(outputs: O) -> Self {
        Self {
            outputs: Some(outputs),
            requeue: None,
        }
    }

    /// The outputs stay as they are.
    #[must_use]
    pub fn unchanged() -> Self {
        Self {
            outputs: None,
            requeue: None,
        }
    }

    /// Runs again after a while, if nothing else makes it run before.
    #[must_use]
    pub fn requeue(mut self, after: Duration) -> Self {
        self.requeue = Some(after);
        self
    }
}

/// A controller with effects. What it needs of the world (the kernel, processes, the network) are its own fields, so
/// that a test can give it another.
///
/// It runs when an input changes, when it is [woken](Waker), after the time it asked for, and after an error. An error
/// leaves its outputs as they are.
pub trait Reconcile: Send + 'static {
    /// What it reads: a tuple of [inputs](super::Input).
    type Inputs: Inputs;
    /// What it reports: [`Outputs`](super::Outputs), a tuple of them, or `()`.
    type Outputs: OutputSets;

    /// Makes the world match the inputs, and says what it saw.
    fn reconcile(
        &mut self,
        inputs: Self::Inputs,
        cx: &Context,
    ) -> impl Future<Output = anyhow::Result<Outcome<Self::Outputs>>> + Send;

    /// Called instead while a required input is missing; the outputs are then removed.
    fn idle(&mut self, cx: &Context) -> impl Future<Output = anyhow::Result<()>> + Send {
        let _ = cx;
        async { Ok(()) }
    }

    /// Called when the controller stops for good.
    fn stop(&mut self, cx: &Context) -> impl Future<Output = ()> + Send {
        let _ = cx;
        async {}
    }
}

type Run<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An effect whose types are known to itself only.
pub(super) trait ReconcileNode: Send {
    fn reads(&self) -> Vec<Reads>;
    fn writes(&self) -> Vec<Reads>;
    fn register(&self, store: &Store);
    fn run<'a>(&'a mut self, cx: &'a Context) -> Run<'a, anyhow::Result<(Applied, Option<Duration>)>>;
    fn stop<'a>(&'a mut self, cx: &'a Context) -> Run<'a, ()>;
}

impl<R: Reconcile> ReconcileNode for R {
    fn reads(&self) -> Vec<Reads> {
        R::Inputs::all_reads()
    }

    fn writes(&self) -> Vec<Reads> {
        R::Outputs::writes()
    }

    fn register(&self, store: &Store) {
        R::Inputs::register_all(store);
        R::Outputs::register(store);
    }

    fn run<'a>(&'a mut self, cx: &'a Context) -> Run<'a, anyhow::Result<(Applied, Option<Duration>)>> {
        Box::pin(async move {
            let inputs = R::Inputs::fetch_all(&View(&cx.store.state()));
            let Some(inputs) = inputs else {
                self.idle(cx).await?;
                let applied = R::Outputs::default().apply(&cx.store, cx.name, "an input is missing")?;
                return Ok((applied, None));
            };
            let Outcome { outputs, requeue } = self.reconcile(inputs, cx).await?;
            let applied = match outputs {
                Some(outputs) => outputs.apply(&cx.store, cx.name, "reconciled")?,
                None => Applied::default(),
            };
            Ok((applied, requeue))
        })
    }

    fn stop<'a>(&'a mut self, cx: &'a Context) -> Run<'a, ()> {
        Box::pin(Reconcile::stop(self, cx))
    }
}
