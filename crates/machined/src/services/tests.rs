//! The supervisor with processes that exist only in these tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use node_resources::service_spec::{Health, ServiceSpec};
use tokio::sync::watch;

use super::runner::{Exit, Prepared, Process, Runner};
use super::status::State;
use super::supervisor::{Operation, ServiceError, Supervisor};
use crate::events::Events;
use crate::logs::{Log, Logs, lock};

/// Starts processes that run until they are signalled, or as the test says.
#[derive(Default)]
struct Fake {
    started: Mutex<Vec<String>>,
    running: Mutex<BTreeMap<String, watch::Sender<bool>>>,
    healthy: Mutex<bool>,
}

struct FakeProcess {
    ended: watch::Receiver<bool>,
    end: watch::Sender<bool>,
}

impl Process for FakeProcess {
    fn pid(&self) -> u32 {
        7
    }

    fn wait(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            let _ = self.ended.wait_for(|e| *e).await;
            Exit {
                text: "exit code 1".into(),
                success: false,
            }
        })
    }

    fn signal(&self, _: i32) {
        self.end.send_replace(true);
    }
}

impl Runner for Fake {
    fn prepare<'a>(&'a self, _: &'a str, _: &'a ServiceSpec, _: &'a Log) -> BoxFuture<'a, anyhow::Result<Prepared>> {
        Box::pin(async { Ok(Prepared::default()) })
    }

    fn start<'a>(
        &'a self,
        id: &'a str,
        spec: &'a ServiceSpec,
        _: &'a Prepared,
        _: &'a Log,
    ) -> BoxFuture<'a, anyhow::Result<Box<dyn Process>>> {
        Box::pin(async move {
            let (end, ended) = watch::channel(false);
            lock(&self.started).push(format!("{id}{}", spec.files_version));
            lock(&self.running).insert(id.to_owned(), end.clone());
            Ok(Box::new(FakeProcess { ended, end }) as Box<dyn Process>)
        })
    }

    fn check<'a>(&'a self, _: &'a Health) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async {
            anyhow::ensure!(*lock(&self.healthy), "refused");
            Ok(())
        })
    }
}

fn supervisor() -> (Arc<Fake>, Supervisor) {
    let fake = Arc::new(Fake::default());
    *lock(&fake.healthy) = true;
    let supervisor = Supervisor::new(fake.clone(), Events::default(), Logs::default());
    (fake, supervisor)
}

fn spec() -> ServiceSpec {
    ServiceSpec {
        health: Health::Tcp { port: 1 },
        operable: true,
        ..ServiceSpec::default()
    }
}

async fn until(supervisor: &Supervisor, what: impl Fn(&BTreeMap<String, super::status::Status>) -> bool) {
    let mut board = supervisor.board();
    tokio::time::timeout(Duration::from_secs(10), board.wait_for(|b| what(b)))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_service_waits_for_what_it_depends_on() {
    let (fake, supervisor) = supervisor();
    *lock(&fake.healthy) = false;
    let kubelet = ServiceSpec {
        depends_on: vec!["containerd".into()],
        ..spec()
    };
    supervisor.set([("kubelet".to_owned(), kubelet), ("containerd".to_owned(), spec())].into());
    until(&supervisor, |b| {
        b.get("kubelet").is_some_and(|s| s.state == State::Waiting)
    })
    .await;
    until(&supervisor, |b| {
        b.get("containerd").is_some_and(|s| s.state == State::Running)
    })
    .await;
    assert_eq!(*lock(&fake.started), ["containerd"]);
    *lock(&fake.healthy) = true;
    until(&supervisor, |b| {
        b.get("kubelet").is_some_and(super::status::Status::is_up)
    })
    .await;
    assert_eq!(*lock(&fake.started), ["containerd", "kubelet"]);
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_is_missing_is_named() {
    let (_fake, supervisor) = supervisor();
    let etcd = ServiceSpec {
        waiting_for: vec!["etcd spec".into()],
        ..spec()
    };
    supervisor.set([("etcd".to_owned(), etcd)].into());
    until(&supervisor, |b| {
        b.get("etcd")
            .and_then(|s| s.events.back())
            .is_some_and(|e| e.message == "Waiting for etcd spec")
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_ends_by_itself_is_started_again() {
    let (fake, supervisor) = supervisor();
    supervisor.set([("etcd".to_owned(), spec())].into());
    until(&supervisor, |b| b.get("etcd").is_some_and(super::status::Status::is_up)).await;
    lock(&fake.running)["etcd"].send_replace(true);
    until(&supervisor, |b| b.get("etcd").is_some_and(|s| s.state == State::Failed)).await;
    until(&supervisor, |b| b.get("etcd").is_some_and(super::status::Status::is_up)).await;
    assert_eq!(*lock(&fake.started), ["etcd", "etcd"]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_spec_restarts_and_a_dropped_one_ends() {
    let (fake, supervisor) = supervisor();
    supervisor.set([("kubelet".to_owned(), spec())].into());
    until(&supervisor, |b| {
        b.get("kubelet").is_some_and(super::status::Status::is_up)
    })
    .await;
    supervisor.set(
        [(
            "kubelet".to_owned(),
            ServiceSpec {
                files_version: "2".into(),
                ..spec()
            },
        )]
        .into(),
    );
    until(&supervisor, |b| {
        lock(&fake.started).len() == 2 && b.get("kubelet").is_some_and(super::status::Status::is_up)
    })
    .await;
    assert_eq!(*lock(&fake.started), ["kubelet", "kubelet2"]);
    supervisor.set(BTreeMap::new());
    until(&supervisor, |b| {
        b.get("kubelet").is_some_and(|s| s.state == State::Finished)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_operated_is() {
    let (_fake, supervisor) = supervisor();
    supervisor.set(
        [
            ("kubelet".to_owned(), spec()),
            (
                "apid".to_owned(),
                ServiceSpec {
                    operable: false,
                    ..spec()
                },
            ),
        ]
        .into(),
    );
    until(&supervisor, |b| b.values().filter(|s| s.is_up()).count() == 2).await;
    assert!(matches!(
        supervisor.operate("apid", Operation::Stop),
        Err(ServiceError::NotOperable { .. })
    ));
    assert!(matches!(
        supervisor.operate("nope", Operation::Stop),
        Err(ServiceError::Unknown(_))
    ));
    supervisor.operate("kubelet", Operation::Stop).unwrap();
    until(&supervisor, |b| {
        b.get("kubelet").is_some_and(|s| s.state == State::Finished)
    })
    .await;
    supervisor.operate("kubelet", Operation::Start).unwrap();
    until(&supervisor, |b| {
        b.get("kubelet").is_some_and(super::status::Status::is_up)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_goes_away_ends_nothing_that_runs() {
    let (fake, supervisor) = supervisor();
    supervisor.set([("etcd".to_owned(), spec())].into());
    until(&supervisor, |b| {
        b.get("etcd").is_some_and(crate::services::status::Status::is_up)
    })
    .await;
    let waiting = ServiceSpec {
        waiting_for: vec!["network".into()],
        ..spec()
    };
    supervisor.set([("etcd".to_owned(), waiting)].into());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(supervisor.board().borrow()["etcd"].is_up());
    assert_eq!(*lock(&fake.started), ["etcd"]);
}
