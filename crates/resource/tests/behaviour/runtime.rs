use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use resource::{
    All, Context, ControllerStatus, Graph, GraphError, Named, One, Outcome, Outputs, Reconcile, Resource, RunOptions,
    Store,
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{Counter, Member, member, store};

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "Affiliates.cluster.talos.dev", namespace = "cluster-raw")]
pub(crate) struct Affiliate {
    #[field(1)]
    hostname: String,
    #[field(2)]
    nodename: String,
}

pub(crate) fn affiliate(hostname: &str, nodename: &str) -> Affiliate {
    Affiliate {
        hostname: hostname.to_owned(),
        nodename: nodename.to_owned(),
    }
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "DiscoveryConfigs.cluster.talos.dev", namespace = "config", sensitive)]
pub(crate) struct Discovery {
    #[field(1)]
    pub(crate) enabled: bool,
}

pub(crate) fn members(discovery: One<Discovery>, affiliates: All<Affiliate>) -> Outputs<Member> {
    affiliates
        .iter()
        .filter(|(_, affiliate)| discovery.enabled && !affiliate.nodename.is_empty())
        .map(|(_, affiliate)| (affiliate.nodename.clone(), member(&affiliate.hostname)))
        .collect()
}

pub(crate) fn count(members: All<Member>) -> Outputs<Counter> {
    Outputs::one(
        "members",
        Counter {
            value: members.len() as u64,
        },
    )
}

struct Running {
    store: Store,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), GraphError>>,
}

fn quick() -> RunOptions {
    let ms = Duration::from_millis;
    RunOptions {
        min_backoff: ms(2),
        max_backoff: ms(20),
        grace: ms(200),
    }
}

fn run(store: Store, graph: Graph) -> Running {
    let controllers = graph.options(quick()).build().unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(controllers.run(store.clone(), stop.clone()));
    Running { store, stop, task }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

/// Waits until something holds, and fails if it never does.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("never: {what}");
}

#[test]
fn a_derivation_is_tested_as_the_function_it_is() {
    let affiliates = All::from([("id", affiliate("h", "n"))]);
    assert_eq!(
        members(One::from(Discovery { enabled: true }), affiliates.clone()),
        Outputs::one("n", member("h"))
    );
    assert!(members(One::from(Discovery { enabled: false }), affiliates).is_empty());
}

#[tokio::test]
async fn outputs_follow_inputs_in_whatever_order_they_come() {
    let store = store();
    store.put("", "id", affiliate("h", "n"), "").unwrap();
    let running = run(store, Graph::new().derive("count", count).derive("members", members));
    running
        .store
        .table::<Counter>()
        .wait_for("members", |counter| counter.value == 0)
        .await;
    running
        .store
        .put("", "cluster", Discovery { enabled: true }, "")
        .unwrap();
    running
        .store
        .table::<Counter>()
        .wait_for("members", |counter| counter.value == 1)
        .await;
    assert_eq!(running.store.get::<Member>("n").unwrap().metadata().owner, "members");

    running.store.put("", "id", affiliate("h", ""), "").unwrap();
    running
        .store
        .table::<Counter>()
        .wait_for("members", |counter| counter.value == 0)
        .await;
    assert!(running.store.get::<Member>("n").is_none());

    running.store.put("", "id", affiliate("h", "n"), "").unwrap();
    running
        .store
        .table::<Counter>()
        .wait_for("members", |counter| counter.value == 1)
        .await;
    running.store.destroy::<Discovery>("", "cluster").unwrap();
    running
        .store
        .table::<Counter>()
        .wait_for("members", |counter| counter.value == 0)
        .await;
    running.stop().await;
}

#[tokio::test]
async fn an_output_that_is_held_is_made_anew_when_it_is_let_go() {
    let store = store();
    store.put("", "cluster", Discovery { enabled: true }, "").unwrap();
    store.put("", "id", affiliate("h", "n"), "").unwrap();
    let running = run(store, Graph::new().derive("members", members));
    let table = running.store.table::<Member>();
    table.wait_for("n", |_| true).await;
    table.add_finalizer("n", "holder").unwrap();
    running.store.put("", "id", affiliate("h", ""), "").unwrap();
    until("torn down", || {
        table.get("n").unwrap().metadata().phase == resource::Phase::TearingDown
    })
    .await;
    running.store.put("", "id", affiliate("h2", "n"), "").unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(table.get("n").unwrap().hostname, "h");
    table.remove_finalizer("n", "holder").unwrap();
    table.wait_for("n", |member| member.hostname == "h2").await;
    assert_eq!(table.get("n").unwrap().metadata().version, 1);
    running.stop().await;
}

fn fussy(counters: All<Counter>) -> anyhow::Result<(Outputs<Member>, Outputs<Affiliate>)> {
    let value = counters.get("in").map_or(0, |counter| counter.value);
    match value {
        1 => anyhow::bail!("no ones"),
        2 => panic!("no twos"),
        _ => Ok((Outputs::one("m", member(&value.to_string())), Outputs::none())),
    }
}

#[tokio::test]
async fn a_failed_run_keeps_its_outputs_is_retried_and_reported() {
    let running = run(store(), Graph::new().derive("fussy", fussy));
    let statuses = running.store.table::<ControllerStatus>();
    running
        .store
        .table::<Member>()
        .wait_for("m", |member| member.hostname == "0")
        .await;
    for (value, error) in [(1, "no ones"), (2, "panicked: no twos")] {
        running.store.put("", "in", Counter { value }, "").unwrap();
        let failures = statuses
            .wait_for("fussy", |status| status.last_error == error)
            .await
            .failures;
        statuses
            .wait_for("fussy", |status| status.failures > failures + 2)
            .await;
        assert_eq!(running.store.get::<Member>("m").unwrap().hostname, "0");
    }
    running.store.put("", "in", Counter { value: 3 }, "").unwrap();
    running
        .store
        .table::<Member>()
        .wait_for("m", |member| member.hostname == "3")
        .await;
    statuses.wait_for("fussy", |status| status.last_error.is_empty()).await;
    running.stop().await;
}

/// An effect on a fake world: it counts how often it was asked.
struct Effect {
    asked: Arc<AtomicU32>,
    stopped: Arc<AtomicU32>,
}

resource::id!(Target = "target");

impl Reconcile for Effect {
    type Inputs = (Named<Counter, Target>, All<Affiliate>);
    type Outputs = Outputs<Member>;

    async fn reconcile(
        &mut self,
        (target, affiliates): Self::Inputs,
        cx: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        if affiliates.is_empty() {
            // Something outside happens later.
            let waker = cx.waker.clone();
            tokio::spawn(async move { waker.wake() });
        }
        match target.value {
            0 => panic!("zero"),
            1 if asked < 5 => Ok(Outcome::unchanged().requeue(Duration::from_millis(1))),
            value => Ok(Outcome::done(Outputs::one("seen", member(&value.to_string())))),
        }
    }

    async fn stop(&mut self, _: &Context) {
        self.stopped.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn an_effect_runs_on_changes_wakes_requeues_and_survives_panics() {
    let (asked, stopped) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let effect = Effect {
        asked: asked.clone(),
        stopped: stopped.clone(),
    };
    let store = store();
    store.put("", "a", affiliate("h", ""), "").unwrap();
    let running = run(store, Graph::new().reconcile("effect", effect));
    let statuses = running.store.table::<ControllerStatus>();
    statuses.wait_for("effect", |status| status.runs == 1).await;
    assert_eq!(asked.load(Ordering::SeqCst), 0, "an input is missing");

    running.store.put("", "target", Counter { value: 1 }, "").unwrap();
    running
        .store
        .table::<Member>()
        .wait_for("seen", |member| member.hostname == "1")
        .await;
    assert!(asked.load(Ordering::SeqCst) >= 5);
    running.store.put("", "target", Counter { value: 0 }, "").unwrap();
    statuses
        .wait_for("effect", |status| status.last_error == "panicked: zero")
        .await;
    assert_eq!(running.store.get::<Member>("seen").unwrap().hostname, "1");
    running.store.put("", "target", Counter { value: 7 }, "").unwrap();
    running
        .store
        .table::<Member>()
        .wait_for("seen", |member| member.hostname == "7")
        .await;

    let before = asked.load(Ordering::SeqCst);
    running.store.destroy::<Affiliate>("", "a").unwrap();
    until("woken from outside", || asked.load(Ordering::SeqCst) > before + 2).await;
    running.store.destroy::<Counter>("", "target").unwrap();
    until("outputs of a missing input go", || {
        running.store.get::<Member>("seen").is_none()
    })
    .await;
    running.stop().await;
    assert_eq!(stopped.load(Ordering::SeqCst), 1);
}

struct Stuck;

impl Reconcile for Stuck {
    type Inputs = ();
    type Outputs = ();
    async fn reconcile(&mut self, (): (), _: &Context) -> anyhow::Result<Outcome<()>> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_stuck_effect_does_not_keep_the_rest_from_stopping() {
    let running = run(store(), Graph::new().reconcile("stuck", Stuck));
    tokio::time::sleep(Duration::from_millis(5)).await;
    running.stop().await;
}

#[tokio::test]
async fn a_burst_of_changes_is_few_runs() {
    let running = run(store(), Graph::new().derive("count", count));
    let statuses = running.store.table::<ControllerStatus>();
    statuses.wait_for("count", |status| status.runs == 1).await;
    for n in 0..1000 {
        running.store.put("", &n.to_string(), member(""), "").unwrap();
    }
    running
        .store
        .table::<Counter>()
        .wait_for("members", |counter| counter.value == 1000)
        .await;
    assert!(statuses.get("count").unwrap().runs < 10);
    running.stop().await;
}
