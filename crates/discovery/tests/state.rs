//! Whatever happens, in whatever order: what a watcher pieced together is what a list shows, and what a restart finds
//! is what was there.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use discovery::limits;
use discovery::state::{Outcome, State, Update};
use discovery::store::Store;
use discovery::time::Time;
use discovery_client::proto::server::{Affiliate, WatchResponse};
use futures::{FutureExt, StreamExt};
use proptest::prelude::*;
use prost::Message;

/// Something that happens to one of a few affiliates of two clusters.
#[derive(Clone, Debug)]
enum Step {
    Update {
        cluster: u8,
        affiliate: u8,
        data: Option<u8>,
        endpoints: Vec<u8>,
        ttl: u32,
    },
    Delete {
        cluster: u8,
        affiliate: u8,
    },
    /// Time passes.
    Wait(u32),
    Collect,
}

fn step() -> impl Strategy<Value = Step> {
    let names = || (0u8..2, 0u8..5);
    let endpoints = proptest::collection::vec(0u8..6, 0..4);
    prop_oneof![
        4 => (names(), proptest::option::of(0u8..3), endpoints, 1u32..1800).prop_map(
            |((cluster, affiliate), data, endpoints, ttl)| Step::Update { cluster, affiliate, data, endpoints, ttl }
        ),
        1 => names().prop_map(|(cluster, affiliate)| Step::Delete { cluster, affiliate }),
        1 => (1u32..1000).prop_map(Step::Wait),
        1 => Just(Step::Collect),
    ]
}

fn name(number: u8) -> String {
    format!("name-{number}")
}

fn apply(store: &Store, step: &Step, now: &mut Time) {
    match step {
        Step::Update {
            cluster,
            affiliate,
            data,
            endpoints,
            ttl,
        } => {
            let data = data.map(|byte| [byte; 20]);
            let endpoints: Vec<[u8; 16]> = endpoints.iter().map(|byte| [*byte; 16]).collect();
            let update = Update {
                cluster: &name(*cluster),
                affiliate: &name(*affiliate),
                data: data.as_ref().map(<[u8; 20]>::as_slice),
                endpoints: endpoints.iter().map(<[u8; 16]>::as_slice).collect(),
                now: *now,
                expires: now.plus(Duration::from_secs((*ttl).into())),
            };
            store.update(&update).unwrap();
        }
        Step::Delete { cluster, affiliate } => store.delete(&name(*cluster), &name(*affiliate)).unwrap(),
        Step::Wait(seconds) => now.0 += seconds,
        Step::Collect => store.collect(*now),
    }
}

fn sorted(mut affiliates: Vec<Affiliate>) -> Vec<Affiliate> {
    affiliates.iter_mut().for_each(|a| a.endpoints.sort());
    affiliates
}

/// What a watcher makes of messages.
fn follow(known: &mut BTreeMap<String, Affiliate>, message: WatchResponse) {
    for affiliate in message.affiliates {
        match message.deleted {
            true => _ = known.remove(&affiliate.id),
            false => _ = known.insert(affiliate.id.clone(), affiliate),
        }
    }
}

/// What the rules say, in the slowest and plainest way: by cluster and affiliate, data and endpoints with their ends.
#[derive(Default)]
struct Model(BTreeMap<(u8, u8), Known>);
type Known = (Option<(u8, Time)>, BTreeMap<u8, Time>);

impl Model {
    fn apply(&mut self, step: &Step, now: Time) {
        match step {
            Step::Update {
                cluster,
                affiliate,
                data,
                endpoints,
                ttl,
            } => {
                let expires = Time(now.0 + ttl);
                if data.is_none() && endpoints.is_empty() && !self.0.contains_key(&(*cluster, *affiliate)) {
                    return;
                }
                let entry = self.0.entry((*cluster, *affiliate)).or_default();
                entry.1.retain(|_, at| *at > now);
                if let Some(byte) = data {
                    entry.0 = Some((*byte, expires));
                }
                for endpoint in endpoints {
                    let at = entry.1.entry(*endpoint).or_insert(expires);
                    *at = expires.max(*at);
                }
            }
            Step::Delete { cluster, affiliate } => _ = self.0.remove(&(*cluster, *affiliate)),
            Step::Wait(_) => {}
            Step::Collect => self.0.retain(|_, (data, endpoints)| {
                endpoints.retain(|_, at| *at > now);
                match data {
                    Some((_, at)) => *at > now,
                    None => !endpoints.is_empty(),
                }
            }),
        }
    }

    fn list(&self, cluster: u8) -> Vec<Affiliate> {
        let of = self.0.iter().filter(|((name, _), _)| *name == cluster);
        let affiliate = |((_, id), (data, endpoints)): (&(u8, u8), &Known)| Affiliate {
            id: name(*id),
            data: data.map_or(vec![], |(byte, _)| vec![byte; 20]).into(),
            endpoints: endpoints.keys().map(|byte| vec![*byte; 16].into()).collect(),
        };
        of.map(affiliate).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn lists_follow_the_rules_and_watches_follow_lists(
        steps in proptest::collection::vec(step(), 0..60),
        begin in 0usize..60,
    ) {
        let store = Store::in_memory(usize::MAX);
        let (mut model, mut now) = (Model::default(), Time(1_000_000));
        let mut watch = None;
        for (number, step) in steps.iter().enumerate() {
            if number == begin {
                watch = Some(store.watch(&name(0)).unwrap());
            }
            apply(&store, step, &mut now);
            model.apply(step, now);
            for cluster in 0..2 {
                prop_assert_eq!(sorted(store.list(&name(cluster))), model.list(cluster));
            }
        }
        let totals = store.totals();
        prop_assert_eq!(totals.affiliates, model.0.len());
        prop_assert_eq!(totals.endpoints, model.0.values().map(|(_, endpoints)| endpoints.len()).sum::<usize>());
        if let Some(mut watch) = watch {
            let mut known = BTreeMap::new();
            while let Some(Some(message)) = watch.next().now_or_never() {
                follow(&mut known, WatchResponse::decode(&message.unwrap()[5..]).unwrap());
            }
            prop_assert_eq!(known.into_values().collect::<Vec<_>>(), store.list(&name(0)));
        }
    }

    #[test]
    fn a_restart_finds_what_was_there(
        steps in proptest::collection::vec(step(), 0..40),
        snapshot in 0usize..40,
        restart in 0usize..40,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut now = Time(1_000_000);
        let open = |now| {
            let (store, complaints) = Store::open(folder.path(), usize::MAX, now).unwrap();
            assert_eq!(complaints, Vec::<String>::new());
            store
        };
        let mut store = open(now);
        for (number, step) in steps.iter().enumerate() {
            apply(&store, step, &mut now);
            if number == snapshot {
                store.snapshot().unwrap();
            }
            if number == restart {
                drop(store);
                store = open(now);
            }
        }
        // What has expired is not there after a start.
        store.collect(now);
        let lists = |store: &Store| (store.list(&name(0)), store.list(&name(1)), store.totals());
        let before = lists(&store);
        drop(store);
        let store = open(now);
        prop_assert_eq!(lists(&store), before);
    }
}

fn update<'a>(cluster: &'a str, affiliate: &'a str, data: &'a [u8]) -> Update<'a> {
    Update {
        cluster,
        affiliate,
        data: Some(data),
        endpoints: vec![],
        now: Time(100),
        expires: Time(200),
    }
}

#[test]
fn a_renewal_is_no_change() {
    let mut state = State::default();
    assert_eq!(state.update(&update("c", "a", b"x")), Ok(Outcome::Changed));
    assert_eq!(state.update(&update("c", "a", b"x")), Ok(Outcome::Renewed));
    assert_eq!(state.update(&update("c", "a", b"y")), Ok(Outcome::Changed));
}

#[test]
fn a_clock_that_was_wrong_does_not_make_affiliates_last_longer() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path(), usize::MAX, Time(1_000_000)).unwrap();
    let later = Update {
        now: Time(1_000_000),
        expires: Time(1_001_000),
        ..update("c", "a", b"x")
    };
    store.update(&later).unwrap();
    drop(store);
    let (store, _) = Store::open(folder.path(), usize::MAX, Time(5_000)).unwrap();
    store.collect(Time(5_000).plus(limits::TTL));
    assert!(store.list("c").is_empty());
}

#[test]
fn damage_is_told_kept_aside_and_costs_only_what_it_hit() {
    let folder = tempfile::tempdir().unwrap();
    let now = Time(100);
    let open = || Store::open(folder.path(), usize::MAX, now).unwrap();
    let (store, _) = open();
    for number in 0..100 {
        store.update(&update("c", &number.to_string(), &[7; 100])).unwrap();
    }
    // What was gathered may go to the log that begins with the snapshot; a new start leaves it in the one before.
    drop(store);
    let (store, _) = open();
    store.snapshot().unwrap();
    store.update(&update("c", "later", b"x")).unwrap();
    store.update(&update("c", "last", b"x")).unwrap();
    drop(store);
    let file = |word: &str| {
        let mut files: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        files.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(word));
        files.sort();
        files.pop().unwrap()
    };
    let (snapshot, log) = (file("snapshot"), file("log"));
    let mut bytes = std::fs::read(&snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&snapshot, bytes).unwrap();
    let bytes = std::fs::read(&log).unwrap();
    std::fs::write(&log, &bytes[..bytes.len() - 3]).unwrap();

    let (store, complaints) = open();
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert!(complaints[0].contains("damaged in 1 places"), "{complaints:?}");
    assert!(complaints[1].contains("not a whole entry"), "{complaints:?}");
    assert_eq!(store.list("c").len(), 100);
    store.snapshot().unwrap();
    assert!(folder.path().join("damaged-snapshot").exists());
    drop(store);
    let (store, complaints) = open();
    assert_eq!((store.list("c").len(), complaints), (100, vec![]));
}

#[test]
fn a_folder_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let (_store, _) = Store::open(folder.path(), usize::MAX, Time(1)).unwrap();
    let error = Store::open(folder.path(), usize::MAX, Time(1)).unwrap_err();
    assert!(error.to_string().contains("in use by another"), "{error}");
}
