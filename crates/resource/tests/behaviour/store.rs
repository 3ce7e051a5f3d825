use std::sync::{Arc, Mutex};

use resource::{
    Backend, ChangeKind, LabelTerm, Labels, NewResource, Options, Phase, Selector, Store, StoreError, Stored,
};

use crate::{Counter, Member, member, store};

#[test]
fn put_creates_updates_and_leaves_what_is_the_same() {
    let store = store();
    assert_eq!(store.put("me", "a", member("x"), "").unwrap().metadata().version, 1);
    assert_eq!(store.put("me", "a", member("x"), "").unwrap().metadata().version, 1);
    assert_eq!(store.put("me", "a", member("y"), "").unwrap().metadata().version, 2);
    assert_eq!(store.get::<Member>("a").unwrap().hostname, "y");
    assert!(store.get::<Member>("b").is_none());
}

#[test]
fn a_resource_belongs_to_its_owner() {
    let store = store();
    store.put("me", "a", member("x"), "").unwrap();
    let error = store.put("you", "a", member("y"), "").unwrap_err();
    assert_eq!(
        error.to_string(),
        "resource Members.cluster.talos.dev(cluster/a) is owned by \"me\", \"you\" may not change it"
    );
    assert!(matches!(
        store.destroy::<Member>("you", "a"),
        Err(StoreError::Owner { .. })
    ));
    assert!(matches!(
        store.table::<Member>().teardown("you", "a"),
        Err(StoreError::Owner { .. })
    ));
}

#[test]
fn an_update_from_an_old_version_is_a_conflict() {
    let store = store();
    let table = store.table::<Member>();
    let read = table.put("me", "a", member("x"), "").unwrap();
    table.update("me", &read, member("y"), "").unwrap();
    let error = table.update("me", &read, member("z"), "").unwrap_err();
    assert!(matches!(
        error,
        StoreError::Conflict {
            expected: 1,
            found: 2,
            ..
        }
    ));
    assert_eq!(
        table
            .modify("me", "a", |spec| spec.hostname.push('!'), "")
            .unwrap()
            .hostname,
        "y!"
    );
}

#[test]
fn finalizers_hold_a_resource_until_they_are_removed() {
    let store = store();
    let table = store.table::<Member>();
    table.put("me", "a", member("x"), "").unwrap();
    table.add_finalizer("a", "reader").unwrap();
    assert!(!table.teardown("me", "a").unwrap());
    assert!(matches!(table.destroy("me", "a"), Err(StoreError::Finalizers { .. })));
    assert!(matches!(
        table.put("me", "a", member("y"), ""),
        Err(StoreError::Phase { .. })
    ));
    assert!(matches!(
        table.add_finalizer("a", "late"),
        Err(StoreError::Phase { .. })
    ));
    assert_eq!(table.get("a").unwrap().metadata().phase, Phase::TearingDown);
    table.remove_finalizer("a", "reader").unwrap();
    assert!(table.remove("me", "a").unwrap());
    assert!(table.get("a").is_none());
}

/// The runtime destroys what is torn down, and its owner does so as well.
#[test]
fn two_that_destroy_the_same_do_not_disturb_each_other() {
    let store = store();
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                for row in store.list::<Member>() {
                    let at = row.metadata();
                    let _ = store.destroy_torn_down(&at.ty, &at.namespace, &at.id);
                }
            }
        });
        for _ in 0..20_000 {
            store.put("me", "a", member("x"), "").unwrap();
            let removed = store.table::<Member>().remove("me", "a");
            let gone = matches!(removed, Ok(true));
            ended.store(!gone, std::sync::atomic::Ordering::Relaxed);
            assert!(gone, "{removed:?}");
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(store.get::<Member>("a").is_none());
}

#[tokio::test]
async fn teardown_and_destroy_waits_for_the_finalizers() {
    let store = store();
    let table = store.table::<Member>();
    table.put("", "a", member("x"), "").unwrap();
    table.add_finalizer("a", "reader").unwrap();
    let (waiting, other) = (store.clone(), table.clone());
    let gone = tokio::spawn(async move {
        waiting
            .teardown_and_destroy("Members.cluster.talos.dev", "cluster", "a", "")
            .await
    });
    tokio::task::yield_now().await;
    other.remove_finalizer("a", "reader").unwrap();
    gone.await.unwrap().unwrap();
    assert!(table.get("a").is_none());
}

#[test]
fn labels_and_ids_select() {
    let store = store();
    let table = store.table::<Member>();
    let labels = Labels::from([("zone".to_owned(), "1".to_owned())]);
    table
        .put_with("me", "a1", member("x"), Some((&labels, &Labels::new())), "")
        .unwrap();
    table.put("me", "a2", member("y"), "").unwrap();
    let by_label = Selector::new(vec![vec![LabelTerm::equal("zone", "1")]], None).unwrap();
    assert_eq!(
        table
            .select(&by_label)
            .iter()
            .map(|found| found.id().to_owned())
            .collect::<Vec<_>>(),
        ["a1"]
    );
    let by_id = Selector::new(vec![], Some("2$")).unwrap();
    assert_eq!(
        store.list_dyn("Members.cluster.talos.dev", "cluster", &by_id)[0].id(),
        "a2"
    );
}

#[test]
fn the_api_writes_only_writable_types_and_checks_the_spec() {
    let store = store();
    store.register::<Member>();
    store.register_writable::<Counter>();
    let mut new = NewResource {
        namespace: "runtime".into(),
        ty: "Counters.test.keelson.dev".into(),
        id: "c".into(),
        spec_yaml: "value: 3\n".into(),
        ..NewResource::default()
    };
    assert_eq!(store.create_dyn("", &new).unwrap().metadata().version, 1);
    assert!(matches!(store.create_dyn("", &new), Err(StoreError::AlreadyExists(_))));
    assert_eq!(store.get::<Counter>("c").unwrap().value, 3);
    new.spec_yaml = "value: 4\n".into();
    assert!(matches!(
        store.update_dyn("", &new, None),
        Err(StoreError::Conflict { .. })
    ));
    new.version = 1;
    assert!(matches!(
        store.update_dyn("", &new, Some(Phase::TearingDown)),
        Err(StoreError::Phase { .. })
    ));
    assert_eq!(store.update_dyn("", &new, None).unwrap().metadata().version, 2);
    new.version = 2;
    assert_eq!(
        store.update_dyn("", &new, None).unwrap().metadata().version,
        2,
        "nothing changed"
    );
    new.spec_yaml = "value: many\n".into();
    assert!(matches!(store.update_dyn("", &new, None), Err(StoreError::Spec { .. })));
    new.ty = "Members.cluster.talos.dev".into();
    assert!(matches!(store.create_dyn("", &new), Err(StoreError::ReadOnly(_))));
    new.ty = "Nopes.test".into();
    assert!(matches!(store.create_dyn("", &new), Err(StoreError::UnknownType(_))));
}

#[test]
fn history_tells_who_changed_what_and_is_bounded() {
    let store = crate::store_with(3);
    for n in 0..5 {
        store.put("me", "c", Counter { value: n }, "counting").unwrap();
    }
    store.put("you", "a", member("x"), "joined").unwrap();
    store.destroy::<Counter>("me", "c").unwrap();
    let counters = store.history(Some("Counters.test.keelson.dev"), None, Some("c"), 10);
    assert_eq!(counters.len(), 3);
    assert_eq!(
        (counters[0].kind, counters[1].kind),
        (ChangeKind::Destroyed, ChangeKind::Updated)
    );
    assert_eq!(
        (counters[1].actor.as_str(), counters[1].cause.as_str()),
        ("me", "counting")
    );
    let value = |resource: &resource::DynResource| resource.downcast::<Counter>().unwrap().value;
    assert_eq!(
        (value(counters[1].old.as_ref().unwrap()), value(&counters[1].resource)),
        (3, 4)
    );
    let all = store.history(None, Some("cluster"), None, 10);
    assert_eq!(all.iter().map(|change| change.resource.id()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(store.history(None, None, None, 1)[0].sequence, counters[0].sequence);
}

#[test]
fn a_resource_prints_as_get_prints_it() {
    let store = store();
    let labels = Labels::from([("zone".to_owned(), String::new())]);
    let table = store.table::<Member>();
    table
        .put_with("c.Members", "11", member("true"), Some((&labels, &Labels::new())), "")
        .unwrap();
    table.add_finalizer("11", "reader").unwrap();
    let row = store.get_dyn("Members.cluster.talos.dev", "cluster", "11").unwrap();
    assert_eq!(
        row.yaml(),
        "metadata:\n    namespace: cluster\n    type: Members.cluster.talos.dev\n    id: 11\n    version: 2\n    owner: c.Members\n    phase: running\n    created: 2026-11-21T06:31:03Z\n    updated: 2026-11-21T06:31:03Z\n    labels:\n        zone:\n    finalizers:\n        - reader\nspec:\n    hostname: \"true\"\n"
    );
    assert_eq!(row.proto(), b"\x0a\x04true");
    assert_eq!(row.json()["spec"]["hostname"], "true");
    assert_eq!(row.json()["metadata"]["version"], 2);
}

#[derive(Default)]
struct Disk(Mutex<Vec<Stored>>);

impl Backend for Disk {
    fn keeps(&self, ty: &str) -> bool {
        ty.starts_with("Members.")
    }
    fn load(&self, ty: &str) -> Result<Vec<Stored>, String> {
        Ok(self
            .0
            .lock()
            .unwrap()
            .iter()
            .filter(|kept| kept.metadata.ty == ty)
            .cloned()
            .collect())
    }
    fn save(&self, resource: &Stored) -> Result<(), String> {
        if resource.metadata.id == "full" {
            return Err("no space left".to_owned());
        }
        self.remove(
            &resource.metadata.namespace,
            &resource.metadata.ty,
            &resource.metadata.id,
        )?;
        self.0.lock().unwrap().push(resource.clone());
        Ok(())
    }
    fn remove(&self, _: &str, ty: &str, id: &str) -> Result<(), String> {
        self.0
            .lock()
            .unwrap()
            .retain(|kept| kept.metadata.ty != ty || kept.metadata.id != id);
        Ok(())
    }
}

#[test]
fn a_backend_keeps_resources_over_a_restart_and_a_change_it_refuses_does_not_happen() {
    let disk = Arc::new(Disk::default());
    let open = || {
        Store::new(Options {
            backend: Some(disk.clone()),
            ..Options::default()
        })
    };
    let first = open();
    first.put("", "a", member("x"), "").unwrap();
    first.put("", "b", member("y"), "").unwrap();
    first.put("", "c", Counter { value: 1 }, "").unwrap();
    first.destroy::<Member>("", "b").unwrap();
    assert!(matches!(
        first.put("", "full", member("z"), ""),
        Err(StoreError::Backend { .. })
    ));
    assert!(first.get::<Member>("full").is_none());

    let second = open();
    second.register::<Member>();
    second.register::<Counter>();
    assert_eq!(
        second
            .list::<Member>()
            .iter()
            .map(|m| m.hostname.clone())
            .collect::<Vec<_>>(),
        ["x"]
    );
    assert!(second.list::<Counter>().is_empty());
}

#[test]
fn a_fork_shares_nothing() {
    let store = store();
    store.put("me", "a", member("x"), "").unwrap();
    let fork = store.fork();
    fork.put("me", "a", member("y"), "").unwrap();
    fork.force_dyn("Members.cluster.talos.dev", "cluster", "a", "hostname: z")
        .unwrap();
    assert_eq!(
        (
            &*store.get::<Member>("a").unwrap().hostname,
            &*fork.get::<Member>("a").unwrap().hostname
        ),
        ("x", "z")
    );
}
