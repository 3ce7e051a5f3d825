//! What a node is.

use std::time::Duration;

use provision::{Error, Names, Phase};
use sys::process::Identity;

use crate::API;
use crate::world::{World, accepts, ask, ask_at, end, wait_until};

pub(crate) fn nodes_are_isolated_and_reach_each_other(world: &World) {
    let mut plan = world.plan("demo", 1, 1, 1);
    plan.nodes[0].config = Some(b"version: v1alpha1".to_vec());
    let cluster = world.create(plan);
    assert!(cluster.complete && cluster.endpoint == "https://10.250.1.2:6443");
    let [one, two] = [0, 1].map(|index| cluster.nodes[index].address);
    assert_eq!(
        (one.to_string(), two.to_string()),
        ("10.250.1.2".into(), "10.250.1.3".into())
    );
    assert_eq!(ask(one, "host"), "demo-controlplane-1");
    assert_eq!(ask(one, &format!("ask {two}:{API} host")), "demo-worker-1");
    assert_eq!(ask(one, "processes"), "1");
    assert_eq!(ask(one, "list /sys/class/net"), "eth0 lo");
    assert_eq!(
        (ask(one, "env PLATFORM"), ask(one, "env USERDATA")),
        ("container".into(), "dmVyc2lvbjogdjFhbHBoYTE=".into())
    );
    assert_eq!(
        (ask(two, "env USERDATA"), ask(two, "env TALOSSKU")),
        (String::new(), "1CPU-256RAM".into())
    );
    let mounts = ask(one, "mounts");
    let host = world.folder.parent().unwrap().display().to_string();
    assert!(!mounts.contains(&host), "nothing of the host is mounted: {mounts}");
    for path in [
        "/",
        "/var",
        "/run",
        "/system",
        "/system/state",
        "/tmp",
        "/opt",
        "/etc/cni",
        "/etc/hosts",
        "/dev/shm",
    ] {
        assert!(mounts.lines().any(|line| line == path), "{path} is mounted: {mounts}");
    }
    assert_eq!(ask(one, "write /new x"), "Err(ReadOnlyFilesystem)");
    for path in [
        "/var/a",
        "/opt/a",
        "/etc/kubernetes/a",
        "/etc/hosts",
        "/system/state/a",
        "/run/a",
    ] {
        assert_eq!(ask(one, &format!("write {path} x")), "Ok(())", "{path}");
    }
    assert_eq!(ask(one, "list /opt"), "a cni");
    assert_eq!(ask(two, "list /opt"), "cni");
    assert!(ask(two, "read /etc/hosts").contains("10.250.1.3 demo-worker-1"));
    assert!(ask(one, "list /dev").contains("kmsg") && ask(one, "list /dev").contains("null"));
    let groups = ask(one, "read /proc/self/cgroup");
    let outside = groups.lines().filter(|line| line.contains("keelson-")).count();
    assert_eq!(outside, 0, "its control group is the root inside: {groups}");
    let console = String::from_utf8(cluster.nodes[0].log.read().unwrap()).unwrap();
    assert!(console.contains("init speaks"), "{console}");
    assert!(!world.image.join("opt/a").exists(), "the image is as it was");

    let again = world
        .block_on(provision::create(world.plan("demo", 1, 1, 1), &|_| ()))
        .unwrap_err();
    assert!(matches!(again, Error::Exists { .. }), "{again}");
    world.destroy("demo");
    let error = world
        .block_on(provision::destroy(&world.folder, "demo", &|_| ()))
        .unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

pub(crate) fn a_node_restarts_stays_down_and_recovers_from_a_crash(world: &World) {
    let cluster = world.create(world.plan("demo", 1, 1, 0));
    let node = cluster.nodes[0].address;
    let hardware_address = || ask(node, "read /sys/class/net/eth0/address");
    let first = hardware_address();
    let starts = |count| {
        let status = world.show("demo").nodes[0].status.clone();
        status.phase == Phase::Running && status.starts == count && ask_at((node, API).into(), "host").is_ok()
    };
    end(node, sys::EXIT_REBOOT.into());
    wait_until("the reboot", || starts(2));
    // Neighbours know it by this address.
    assert_eq!(hardware_address(), first);
    assert!(first.starts_with("02:4b:"), "{first}");
    end(node, 1);
    wait_until("the start after a crash", || starts(3));
    end(node, 0);
    wait_until("the end", || world.show("demo").nodes[0].status.phase == Phase::Stopped);
    wait_until("the end of its supervisor", || {
        world.show("demo").nodes[0].status.supervisor.is_none()
    });
    assert!(world.show("demo").nodes[0].status.message.contains("shut down"));
    world.destroy("demo");
}

pub(crate) fn a_node_that_was_shut_down_is_started_again_with_its_data(world: &World) {
    let cluster = world.create(world.plan("demo", 1, 1, 1));
    let [one, two] = [0, 1].map(|index| cluster.nodes[index].clone());
    let start = |nodes: &[&str]| {
        let nodes: Vec<String> = nodes.iter().map(|name| (*name).to_owned()).collect();
        world.block_on(provision::start(
            &world.folder,
            "demo",
            &nodes,
            Duration::from_secs(20),
            &|_| (),
        ))
    };
    assert_eq!(ask(one.address, "write /var/kept text"), "Ok(())");
    end(one.address, 0);
    // Refused, not merely reset: a process that ends may close its connections before the socket that listens.
    wait_until("the end of its API", || !accepts(one.address));
    // Its supervisor may still be at work.
    let shown = start(&[&one.name]).unwrap();
    assert_eq!(shown.nodes[0].status.phase, Phase::Running);
    assert_eq!(ask(one.address, "read /var/kept"), "text");
    assert_eq!(shown.nodes[1].status, two.status, "the other one is untouched");
    // Nothing is down: nothing happens.
    assert_eq!(start(&[]).unwrap().nodes, shown.nodes);
    let error = start(&["other"]).unwrap_err().to_string();
    assert!(error.contains("demo-controlplane-1, demo-worker-1"), "{error}");
    world.destroy("demo");
}

pub(crate) fn a_cluster_is_started_again_after_the_machine_was(world: &World) {
    let cluster = world.create(world.plan("demo", 1, 1, 1));
    let names = Names::of(&world.folder, "demo");
    assert_eq!(ask(cluster.nodes[0].address, "write /var/kept text"), "Ok(())");
    for node in &cluster.nodes {
        let supervisor = Identity::of(node.status.supervisor.unwrap()).unwrap();
        supervisor.signal(libc::SIGKILL).unwrap();
        assert!(supervisor.wait_ended(Duration::from_secs(20)).unwrap());
    }
    // What a restart of the machine takes, and what it changes.
    world.block_on(async {
        let net = sys::net::Netlink::open().unwrap();
        net.delete_link(&names.bridge()).await.unwrap();
    });
    let text = std::fs::read_to_string(names.state_file()).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
    state["boot_id"] = "another".into();
    std::fs::write(names.state_file(), state.to_string()).unwrap();
    assert_eq!(world.show("demo").nodes[0].status.phase, Phase::Stopped);

    let started = provision::start(&world.folder, "demo", &[], Duration::from_secs(20), &|_| ());
    let shown = world.block_on(started).unwrap();
    assert!(shown.nodes.iter().all(|node| node.status.phase == Phase::Running));
    assert_eq!(ask(cluster.nodes[0].address, "read /var/kept"), "text");
    world.destroy("demo");
}

pub(crate) fn limits_of_a_node_are_kept(world: &World) {
    let cluster = world.create(world.plan("demo", 1, 1, 0));
    let node = cluster.nodes[0].address;
    let names = Names::of(&world.folder, "demo");
    let group = sys::cgroup::Layout::detect()
        .unwrap()
        .group(names.cgroup())
        .child("demo-controlplane-1");
    assert_eq!(group.stats().memory_max, Some(256 << 20));
    assert!(ask(node, "eat 64").contains("exit status: 0"));
    assert!(ask(node, "eat 400").contains("signal: 9"));
    assert_eq!(ask(node, "host"), "demo-controlplane-1", "PID 1 is spared");
    world.destroy("demo");
}

pub(crate) fn what_a_node_writes_outlives_its_restart(world: &World) {
    let cluster = world.create(world.plan("demo", 1, 1, 0));
    let node = cluster.nodes[0].address;
    for path in ["/var/kept", "/etc/kubernetes/kept", "/run/lost"] {
        assert_eq!(ask(node, &format!("write {path} text")), "Ok(())");
    }
    end(node, sys::EXIT_REBOOT.into());
    wait_until("the reboot", || {
        ask_at((node, API).into(), "read /var/kept").is_ok_and(|text| text == "text")
    });
    assert_eq!(ask(node, "read /etc/kubernetes/kept"), "text");
    assert_eq!(ask(node, "list /run"), "");
    world.destroy("demo");
}
