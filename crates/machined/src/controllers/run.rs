//! The effect behind every service: hands the desired services to the supervisor, and reports what it sees.

use std::collections::BTreeMap;

use node_resources::keelson::DesiredService;
use node_resources::runtime::ServicePID;
use node_resources::v1alpha1::Service;
use resource::{All, Context, Outcome, Outputs, Reconcile};

use crate::services::status::{State, Status};
use crate::services::supervisor::Supervisor;

/// Runs services.
pub struct Services {
    supervisor: Supervisor,
    watching: bool,
}

impl Services {
    /// The effect on a supervisor.
    pub fn new(supervisor: Supervisor) -> Self {
        Self {
            supervisor,
            watching: false,
        }
    }
}

impl Reconcile for Services {
    type Inputs = (All<DesiredService>,);
    type Outputs = (Outputs<Service>, Outputs<ServicePID>);

    async fn reconcile(&mut self, (desired,): Self::Inputs, cx: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        if !self.watching {
            self.watching = true;
            let (mut board, waker, cancel) = (self.supervisor.board(), cx.waker.clone(), cx.cancel.clone());
            tokio::spawn(async move {
                while !cancel.is_cancelled() && board.changed().await.is_ok() {
                    waker.wake();
                }
            });
        }
        let wanted: BTreeMap<_, _> = desired.iter().map(|(id, s)| (id.to_owned(), s.spec.clone())).collect();
        self.supervisor.set(wanted);
        let board = self.supervisor.board();
        let board = board.borrow();
        let services = board
            .iter()
            .filter(|(_, s)| s.state == State::Running)
            .map(|(id, s)| (id.clone(), service(s)));
        let pid = |(id, s): (&String, &Status)| {
            let pid = ServicePID {
                pid: i32::try_from(s.pid?).ok()?,
                ..ServicePID::default()
            };
            Some((id.clone(), pid))
        };
        Ok(Outcome::done((
            services.collect(),
            board.iter().filter_map(pid).collect(),
        )))
    }
}

/// What is running, and whether it works; a service without a check is healthy while it runs.
fn service(status: &Status) -> Service {
    Service {
        running: true,
        healthy: status.is_up(),
        unknown: status.checked && status.health.healthy.is_none(),
    }
}
