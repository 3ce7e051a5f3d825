use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use resource::{Bookmark, Event, EventKind, LabelTerm, Labels, Selector, Store, StoreError, Watch, WatchOptions};

use crate::{Counter, member, store, store_with};

const MEMBERS: &str = "Members.cluster.talos.dev";

fn watch(store: &Store, options: WatchOptions) -> Watch {
    store.watch_dyn(MEMBERS, "cluster", options).unwrap()
}

fn told(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| match &event.resource {
            Some(resource) => format!("{:?} {} v{}", event.kind, resource.id(), resource.metadata().version),
            None => format!("{:?}", event.kind),
        })
        .collect()
}

fn drain(watch: &mut Watch) -> Vec<String> {
    told(&std::iter::from_fn(|| watch.try_recv()).collect::<Vec<_>>())
}

#[test]
fn a_watch_tells_the_contents_then_the_changes() {
    let store = store();
    store.put("", "a", member("1"), "").unwrap();
    let mut all = watch(&store, WatchOptions::contents());
    let mut new = watch(&store, WatchOptions::default());
    store.put("", "b", member("1"), "").unwrap();
    store.put("", "a", member("2"), "").unwrap();
    store.table::<crate::Member>().remove("", "a").unwrap();
    let changes = ["Created b v1", "Updated a v2", "Updated a v3", "Destroyed a v3"];
    assert_eq!(drain(&mut new), changes);
    assert_eq!(
        drain(&mut all),
        [&["Created a v1", "Bootstrapped"][..], &changes].concat()
    );
}

#[test]
fn a_watch_of_one_resource_tells_first_what_it_is() {
    let store = store();
    let mut one = watch(
        &store,
        WatchOptions {
            id: Some("a".into()),
            ..WatchOptions::default()
        },
    );
    assert_eq!(drain(&mut one), ["Destroyed a v0"]);
    store.put("", "b", member("1"), "").unwrap();
    store.put("", "a", member("1"), "").unwrap();
    assert_eq!(drain(&mut one), ["Created a v1"]);
    let mut again = watch(
        &store,
        WatchOptions {
            id: Some("a".into()),
            ..WatchOptions::default()
        },
    );
    assert_eq!(drain(&mut again), ["Created a v1"]);
}

#[test]
fn a_resource_that_comes_to_match_is_created_and_one_that_stops_is_destroyed() {
    let store = store();
    let table = store.table::<crate::Member>();
    let selector = Selector::new(vec![vec![LabelTerm::equal("in", "yes")]], None).unwrap();
    let mut some = watch(
        &store,
        WatchOptions {
            selector,
            ..WatchOptions::default()
        },
    );
    let labels = |value: &str| Labels::from([("in".to_owned(), value.to_owned())]);
    for value in ["no", "yes", "no"] {
        table
            .put_with("", "a", member("1"), Some((&labels(value), &Labels::new())), "")
            .unwrap();
    }
    assert_eq!(drain(&mut some), ["Created a v2", "Destroyed a v2"]);
}

#[test]
fn a_bookmark_goes_on_where_it_was_made_while_the_changes_are_kept() {
    let store = store_with(4);
    let mut first = watch(
        &store,
        WatchOptions {
            bootstrap_bookmark: true,
            ..WatchOptions::default()
        },
    );
    let bookmark = first.try_recv().unwrap().bookmark.unwrap();
    for n in 0..4 {
        store.put("", "a", member(&n.to_string()), "").unwrap();
    }
    let bytes = bookmark.to_bytes();
    let start_from = Bookmark::from_bytes(&bytes);
    let mut later = watch(
        &store,
        WatchOptions {
            start_from,
            ..WatchOptions::default()
        },
    );
    let second = {
        later.try_recv();
        later.try_recv().unwrap()
    };
    let mut on = watch(
        &store,
        WatchOptions {
            start_from: second.bookmark,
            ..WatchOptions::default()
        },
    );
    assert_eq!(drain(&mut on), ["Updated a v3", "Updated a v4"]);
    let mut tail = watch(
        &store,
        WatchOptions {
            tail_events: 1,
            ..WatchOptions::default()
        },
    );
    assert_eq!(drain(&mut tail), ["Updated a v4"]);

    store.put("", "a", member("more"), "").unwrap();
    let old = store.watch_dyn(
        MEMBERS,
        "cluster",
        WatchOptions {
            start_from,
            ..WatchOptions::default()
        },
    );
    assert!(matches!(old, Err(StoreError::Bookmark(_))));
    assert!(Bookmark::from_bytes(b"short").is_none());
}

#[test]
fn a_watcher_that_fell_behind_is_told_and_gets_the_contents_anew() {
    let store = store_with(2);
    let mut slow = watch(&store, WatchOptions::default());
    for n in 0..5 {
        store.put("", "a", member(&n.to_string()), "").unwrap();
    }
    assert_eq!(drain(&mut slow), ["Errored", "Created a v5", "Bootstrapped"]);
    store.put("", "a", member("on"), "").unwrap();
    assert_eq!(drain(&mut slow), ["Updated a v6"]);
}

#[tokio::test]
async fn a_stream_ends_after_an_error() {
    use futures::StreamExt;
    let store = store_with(1);
    let stream = watch(&store, WatchOptions::default()).into_stream();
    store.put("", "a", member("1"), "").unwrap();
    store.put("", "b", member("1"), "").unwrap();
    let events: Vec<_> = stream.collect().await;
    assert_eq!(told(&events), ["Errored"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_watchers_see_every_change_in_order() {
    const WATCHERS: usize = 200;
    const CHANGES: u64 = 500;
    let store = store_with(CHANGES as usize * 2);
    let mut watchers = tokio::task::JoinSet::new();
    for _ in 0..WATCHERS {
        let mut watch = store.watch::<Counter>();
        watchers.spawn(async move {
            let mut seen = BTreeMap::new();
            while seen.get("last") != Some(&CHANGES) {
                let event = watch.recv().await;
                assert_ne!(event.kind, EventKind::Errored);
                if let Some(resource) = event.resource {
                    let before = seen.insert(resource.id().to_owned(), resource.value);
                    assert!(before < Some(resource.value), "changes come in order");
                }
            }
            seen.len()
        });
    }
    let start = Instant::now();
    for value in 1..=CHANGES {
        store
            .put("", &format!("c{}", value % 7), Counter { value }, "")
            .unwrap();
    }
    store.put("", "last", Counter { value: CHANGES }, "").unwrap();
    while let Some(seen) = watchers.join_next().await {
        assert_eq!(seen.unwrap(), 8);
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
