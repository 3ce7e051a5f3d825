//! The Kubernetes API of a cluster whose API servers end one after the other: who does not answer is passed over.

use std::cell::Cell;
use std::time::Duration;

use anyhow::Result;
use k8s::{Client, Error};
use tokio::time::{Instant, sleep};

use crate::commands::kubeconfig;
use crate::session::Target;

/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long there may be no server that answers.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Clients of the same API at several servers.
pub struct Api {
    clients: Vec<Client>,
    /// The server that answered last.
    last: Cell<usize>,
}

impl Api {
    /// The administrator's access, which the target node makes: at `endpoint`, or else at the cluster's own endpoint and
    /// at `servers`.
    pub async fn open(target: &Target, endpoint: Option<&str>, servers: &[String]) -> Result<Self> {
        let servers: Vec<Option<&str>> = match endpoint {
            Some(endpoint) => vec![Some(endpoint)],
            None => std::iter::once(None)
                .chain(servers.iter().map(|server| Some(server.as_str())))
                .collect(),
        };
        Ok(Self {
            clients: kubeconfig::clients(target, &servers, LIMIT).await?,
            last: Cell::new(0),
        })
    }

    /// One client per server.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// Calls until a server answers: there may be one only, and it may just be starting.
    pub async fn insist<T>(&self, call: impl AsyncFn(&Client) -> Result<T, Error>) -> Result<T, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.ask(&call).await {
                Err(error) if error.is_transient() && Instant::now() < deadline => sleep(PAUSE).await,
                other => return other,
            }
        }
    }

    /// Calls the server that answered last, and if it does not, the others.
    pub async fn ask<T>(&self, call: impl AsyncFn(&Client) -> Result<T, Error>) -> Result<T, Error> {
        let mut failed = None;
        let (before, after) = self.clients.split_at(self.last.get().min(self.clients.len()));
        for client in after.iter().chain(before) {
            match call(client).await {
                Err(error) if error.is_transient() => failed = failed.or(Some(error)),
                other => {
                    let position = self.clients.iter().position(|known| std::ptr::eq(known, client));
                    self.last.set(position.unwrap_or_default());
                    return other;
                }
            }
        }
        Err(failed.unwrap_or_else(|| Error::Setup("there is no API server to ask".to_owned())))
    }
}
