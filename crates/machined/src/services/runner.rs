//! How a service's process comes to be: the edge between the supervisor and the system.

use std::path::PathBuf;

use futures::future::BoxFuture;
use node_resources::service_spec::{Health, ServiceSpec};

use crate::logs::Log;

/// What has to be there before the process can start.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// The folder its image was unpacked to; none for a program of the node's own root.
    pub root: Option<PathBuf>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// "exit status 1", "signal 9".
    pub text: String,
    /// Ended with status 0.
    pub success: bool,
}

/// A running process.
pub trait Process: Send + Sync {
    /// Its process id.
    fn pid(&self) -> u32;
    /// Waits until it has ended.
    fn wait(&mut self) -> BoxFuture<'_, Exit>;
    /// Sends it a signal; a process that is gone is fine.
    fn signal(&self, signal: i32);
}

/// Prepares, starts and checks services. The real one uses images and sandboxes; tests use plain processes.
pub trait Runner: Send + Sync + 'static {
    /// Makes ready what the process needs: its image, folders, cgroup. Long: reports what it does through `log`.
    fn prepare<'a>(
        &'a self,
        id: &'a str,
        spec: &'a ServiceSpec,
        log: &'a Log,
    ) -> BoxFuture<'a, anyhow::Result<Prepared>>;
    /// Starts the process with its output going to `log`.
    fn start<'a>(
        &'a self,
        id: &'a str,
        spec: &'a ServiceSpec,
        prepared: &'a Prepared,
        log: &'a Log,
    ) -> BoxFuture<'a, anyhow::Result<Box<dyn Process>>>;
    /// Asks once whether the service works.
    fn check<'a>(&'a self, health: &'a Health) -> BoxFuture<'a, anyhow::Result<()>>;
}
