//! Clusters as they are: real namespaces, bridges, supervisors. Needs root; says so and passes without.
//!
//! Nodes run this test itself as their `/sbin/init`: it answers questions on the port of the machine API. Everything
//! happens in a network namespace of the test's own, so it meets neither the machine's networks nor other clusters.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod discovery;
mod init;
mod lives;
mod nodes;
mod world;

use std::path::PathBuf;
use std::time::Instant;

use world::World;

type Test = (&'static str, fn(&World));

macro_rules! tests {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$((stringify!($name), $module::$name)),*]
    };
}

const TESTS: &[Test] = tests![
    nodes::nodes_are_isolated_and_reach_each_other,
    nodes::a_node_restarts_stays_down_and_recovers_from_a_crash,
    nodes::a_node_that_was_shut_down_is_started_again_with_its_data,
    nodes::a_cluster_is_started_again_after_the_machine_was,
    nodes::limits_of_a_node_are_kept,
    nodes::what_a_node_writes_outlives_its_restart,
    lives::ports_and_the_registry_are_served,
    discovery::the_discovery_service_is_started_again_and_ends_with_the_gateway,
    discovery::a_discovery_service_that_does_not_start_fails_the_creation,
    lives::two_clusters_live_side_by_side,
    lives::a_killed_supervisor_takes_its_node_with_it,
    lives::a_creation_killed_at_any_moment_is_cleaned_up,
    lives::an_orderly_stop_asks_the_node_first,
    lives::a_node_that_cannot_start_says_why,
    lives::a_squashfs_image_is_mounted_for_the_node_only,
    lives::without_root_it_says_what_is_needed,
];

/// The port of the machine API, on which nodes answer.
const API: u16 = 50000;

fn main() {
    provision::run_if_requested();
    init::eat_if_asked();
    discovery::serve_if_asked();
    if std::process::id() == 1 {
        init::run();
    }
    if let Some(folder) = std::env::args()
        .nth(1)
        .filter(|argument| argument == "create-in")
        .and(std::env::args().nth(2))
    {
        // A creation that the test kills: it lives in the network namespace it inherits.
        let world = World {
            folder: folder.into(),
            image: PathBuf::from(&std::env::args().nth(3).unwrap()),
        };
        world
            .block_on(provision::create(world.plan("killed", 7, 1, 1), &|_| ()))
            .unwrap();
        // It ends when it is killed, and does not tidy up before.
        loop {
            std::thread::park();
        }
    }
    if let Err(error) = sys::caps::require_root("test clusters") {
        println!("skipped: {error}");
        return;
    }
    let net = sys::net::Namespace::create().unwrap();
    net.enter().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { sys::net::Netlink::open().unwrap().set_up("lo").await.unwrap() });
    drop(runtime);
    let filter: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let mut failed = 0;
    let wanted = |name: &str| filter.is_empty() || filter.iter().any(|part| name.contains(part.as_str()));
    for (name, test) in TESTS.iter().filter(|(name, _)| wanted(name)) {
        let since = Instant::now();
        let world = World::new();
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&world))).is_ok();
        drop(world);
        println!(
            "test {name} ... {} ({:.1} s)",
            if passed { "ok" } else { "FAILED" },
            since.elapsed().as_secs_f32()
        );
        failed += i32::from(!passed);
    }
    std::process::exit(failed.min(1));
}
