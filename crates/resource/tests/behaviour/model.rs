//! Random operations: whatever happens, a watcher's view is the store, and the history tells the truth.

use std::collections::BTreeMap;

use proptest::prelude::*;
use resource::{ChangeKind, DynResource, EventKind, Options, Selector, Store, Watch, WatchOptions};

use crate::{Counter, store_with};

const COUNTERS: &str = "Counters.test.keelson.dev";

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u64),
    Teardown(u8),
    Destroy(u8),
    Hold(u8),
    Release(u8),
    /// The watcher reads what there is.
    Read,
    /// The watcher goes away and comes back with its bookmark.
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..4_u8;
    prop_oneof![
        4 => (id.clone(), 0..3_u64).prop_map(|(id, value)| Step::Put(id, value)),
        1 => id.clone().prop_map(Step::Teardown),
        2 => id.clone().prop_map(Step::Destroy),
        1 => id.clone().prop_map(Step::Hold),
        1 => id.prop_map(Step::Release),
        1 => Just(Step::Read),
        1 => Just(Step::Reconnect),
    ]
}

fn apply(store: &Store, step: &Step) {
    let table = store.table::<Counter>();
    let name = |id: &u8| format!("c{id}");
    // Refusals are part of the game: they must not change anything.
    let _ = match step {
        Step::Put(id, value) => table.put("me", &name(id), Counter { value: *value }, "").map(drop),
        Step::Teardown(id) => table.teardown("me", &name(id)).map(drop),
        Step::Destroy(id) => table.destroy("me", &name(id)),
        Step::Hold(id) => table.add_finalizer(&name(id), "holder"),
        Step::Release(id) => table.remove_finalizer(&name(id), "holder"),
        Step::Read | Step::Reconnect => Ok(()),
    };
}

struct Watcher {
    watch: Watch,
    view: BTreeMap<String, DynResource>,
    bookmark: Option<resource::Bookmark>,
}

impl Watcher {
    fn read(&mut self) {
        while let Some(event) = self.watch.try_recv() {
            self.bookmark = event.bookmark.or(self.bookmark);
            let Some(resource) = event.resource else {
                if event.kind == EventKind::Errored {
                    self.view.clear();
                }
                continue;
            };
            match event.kind {
                EventKind::Destroyed => drop(self.view.remove(resource.id())),
                _ => drop(self.view.insert(resource.id().to_owned(), resource)),
            }
        }
    }
}

fn same(view: &BTreeMap<String, DynResource>, store: &Store) -> bool {
    let rows = store.list_dyn(COUNTERS, "runtime", &Selector::default());
    rows.len() == view.len()
        && rows
            .iter()
            .all(|row| view.get(row.id()).is_some_and(|seen| seen.same_as(row)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_watchers_view_is_the_store(steps in proptest::collection::vec(step(), 0..60), history in 1..80_usize) {
        let store = store_with(history);
        store.register::<Counter>();
        let open = |options| store.watch_dyn(COUNTERS, "runtime", options);
        let mut watcher =
            Watcher { watch: open(WatchOptions::contents()).unwrap(), view: BTreeMap::new(), bookmark: None };
        for step in &steps {
            apply(&store, step);
            match step {
                Step::Read => watcher.read(),
                Step::Reconnect => match open(WatchOptions { start_from: watcher.bookmark, ..WatchOptions::default() }) {
                    Ok(watch) if watcher.bookmark.is_some() => watcher.watch = watch,
                    _ => {
                        watcher.view.clear();
                        watcher.watch = open(WatchOptions::contents()).unwrap();
                    }
                },
                _ => {}
            }
        }
        watcher.read();
        prop_assert!(same(&watcher.view, &store));
    }

    #[test]
    fn the_history_replayed_is_the_store(steps in proptest::collection::vec(step(), 0..60)) {
        let store = store_with(Options::default().history);
        store.register::<Counter>();
        for step in &steps {
            apply(&store, step);
        }
        let mut view: BTreeMap<String, DynResource> = BTreeMap::new();
        for change in store.history(Some(COUNTERS), None, None, usize::MAX).iter().rev() {
            let id = change.resource.id().to_owned();
            let old = match change.kind {
                ChangeKind::Destroyed => view.remove(&id),
                _ => view.insert(id, change.resource.clone()),
            };
            let truthful = match (&old, &change.old) {
                (Some(old), Some(told)) => old.same_as(told),
                (None, None) => true,
                _ => false,
            };
            prop_assert!(truthful);
        }
        prop_assert!(same(&view, &store));
    }
}
