//! What the store, its watches and the controller runtime promise.

#![allow(clippy::unwrap_used)]

mod definitions;
mod graph;
mod model;
mod runtime;
mod store;
mod watch;

use std::sync::Arc;

use resource::{Options, Resource, Store};
use serde::{Deserialize, Serialize};

/// A member of a cluster, as the tests need it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "Members.cluster.talos.dev", namespace = "cluster", column("Hostname" = "{.hostname}"))]
struct Member {
    #[field(1)]
    hostname: String,
}

fn member(hostname: &str) -> Member {
    Member {
        hostname: hostname.to_owned(),
    }
}

/// Something with a number.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "Counters.test.keelson.dev", namespace = "runtime")]
struct Counter {
    #[field(1)]
    value: u64,
}

/// A store whose clock stands still.
fn store() -> Store {
    store_with(Options::default().history)
}

fn store_with(history: usize) -> Store {
    let now = "2026-11-21T06:31:03Z".parse().unwrap();
    Store::new(Options {
        history,
        now: Arc::new(move || now),
        ..Options::default()
    })
}
