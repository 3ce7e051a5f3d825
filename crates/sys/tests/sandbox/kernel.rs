//! Control groups, mounts that travel, the network, and the reaper.

use std::path::PathBuf;
use std::time::Duration;

use sys::sandbox::{ExitStatus, Mount};

use crate::target::{run, spec, wait_ready};

pub(crate) fn a_sandbox_is_inside_its_control_group() {
    let folder = tempfile::tempdir().unwrap();
    let layout = sys::cgroup::Layout::detect().unwrap();
    let group = layout
        .group(format!("keelson-sys-test-{}", std::process::id()))
        .child("node");
    group.create().unwrap();
    let limits = sys::cgroup::Limits {
        memory_max: Some(64 << 20),
        pids_max: Some(50),
        cpu_weight: Some(50),
        ..Default::default()
    };
    let refused = group.set(&limits);
    assert!(refused.is_empty(), "{refused:?}");
    let mut spec = spec("sleep", folder.path());
    spec.cgroups = group.folders();
    let mut child = sys::sandbox::spawn_blocking(&spec).unwrap();
    wait_ready(&mut child);
    let inside = group.processes();
    assert_eq!(inside, [child.target_pid()], "the launcher stays outside");
    let stats = group.stats();
    assert_eq!(stats.memory_max, Some(64 << 20));
    assert!(stats.pids >= 1 && stats.memory > 0, "{stats:?}");
    group
        .kill(Duration::from_secs(10))
        .unwrap_or_else(|_| drop(child.wait_blocking(Duration::from_secs(1))));
    child.wait_blocking(Duration::from_secs(5)).unwrap();

    spec.env.insert("PROBE".into(), "world".into());
    let (seen, ..) = run(&spec);
    let paths = seen["cgroup"]
        .split_whitespace()
        .filter(|line| !line.starts_with("0::") || layout.is_v2());
    paths.for_each(|line| assert!(line.ends_with(":/"), "the group is the root inside: {line}"));
    let parent = layout.group(format!("keelson-sys-test-{}", std::process::id()));
    parent.remove(Duration::from_secs(5)).unwrap();
    assert!(!parent.exists());
}

pub(crate) fn a_group_of_version_2_is_joined_killed_and_removed() {
    use sys::cgroup::{Layout, Limits, Version};
    let mounts = sys::mount::list().unwrap();
    let Some(unified) = mounts.into_iter().find(|mount| mount.kind == "cgroup2") else {
        println!("skipped: the host has no cgroup2 mount");
        return;
    };
    // On a hybrid host the hierarchy is there without controllers: enough for everything but limits.
    let layout = Layout {
        version: Version::V2,
        unified: Some(unified.target),
        controllers: Default::default(),
    };
    let group = layout.group(format!("keelson-sys-v2-{}", std::process::id()));
    let node = group.child("node");
    node.create().unwrap();
    assert_eq!(node.folders().len(), 1);
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec("sleep", folder.path());
    spec.cgroups = node.folders();
    let mut child = sys::sandbox::spawn_blocking(&spec).unwrap();
    wait_ready(&mut child);
    assert!(node.processes().contains(&child.target_pid()));
    let refused = node.set(&Limits {
        memory_max: Some(1 << 30),
        cpu_millis: Some(500),
        ..Default::default()
    });
    let missing = std::fs::read_to_string(node.folders()[0].join("cgroup.controllers")).unwrap();
    assert_eq!(
        refused.len(),
        2 - ["memory", "cpu"].iter().filter(|name| missing.contains(**name)).count(),
        "{refused:?}"
    );
    // The children of the group are not ours to wait for in `kill` but here.
    std::thread::scope(|scope| {
        scope.spawn(|| group.kill(Duration::from_secs(10)).unwrap());
        assert_eq!(
            child.wait_blocking(Duration::from_secs(10)).unwrap(),
            ExitStatus::Signal(libc::SIGKILL)
        );
    });
    group.remove(Duration::from_secs(5)).unwrap();
    assert!(!group.exists());
}

pub(crate) fn a_shared_bind_brings_mounts_back_to_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("shared");
    let root = folder.path().join("root");
    std::fs::create_dir_all(shared.join("inner")).unwrap();
    std::fs::create_dir(&root).unwrap();
    sys::mount::bind(&shared, &shared, false, false).unwrap();
    let undo = Undo(vec![shared.join("inner"), shared.clone()]);
    sys::mount::set_propagation(&shared, sys::mount::Propagation::Shared, false).unwrap();
    let mut spec = spec("mount", &root);
    spec.mounts.push(Mount::Bind {
        source: shared.clone(),
        target: "/shared".into(),
        read_only: false,
        recursive: true,
        propagation: Some(sys::mount::Propagation::Shared),
    });
    let mut child = sys::sandbox::spawn_blocking(&spec).unwrap();
    wait_ready(&mut child);
    assert_eq!(sys::mount::at(shared.join("inner")).unwrap().unwrap().kind, "tmpfs");
    child.kill().unwrap();
    child.wait_blocking(Duration::from_secs(5)).unwrap();
    drop(undo);
    assert!(sys::mount::at(&shared).unwrap().is_none());
}

struct Undo(Vec<PathBuf>);

impl Drop for Undo {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = sys::mount::detach(path);
        }
    }
}

pub(crate) fn links_addresses_and_routes_are_made_and_read() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        use futures::StreamExt;
        let one = sys::net::Namespace::create().unwrap();
        let two = sys::net::Namespace::create().unwrap();
        let net = sys::net::Netlink::open_in(&one).unwrap();
        let far = sys::net::Netlink::open_in(&two).unwrap();
        let entered = runtime_handle();
        let mut changes = one
            .run(move || {
                let _in = entered.enter();
                sys::net::monitor()
            })
            .unwrap()
            .unwrap();
        net.add_bridge("br0").await.unwrap();
        let own = [0x02, 0, 0, 0, 0, 1];
        net.set_hardware_address("br0", own).await.unwrap();
        net.add_veth("ve0", "tmp0").await.unwrap();
        net.move_link("tmp0", &two).await.unwrap();
        net.set_master("ve0", "br0").await.unwrap();
        net.set_up("ve0").await.unwrap();
        net.set_up("br0").await.unwrap();
        net.add_address("br0", "192.0.2.1".parse().unwrap(), 24).await.unwrap();
        net.add_address("br0", "192.0.2.1".parse().unwrap(), 24).await.unwrap();
        far.rename_link("tmp0", "eth0").await.unwrap();
        far.set_up("eth0").await.unwrap();
        far.add_address("eth0", "192.0.2.2".parse().unwrap(), 24).await.unwrap();
        far.add_default_route("192.0.2.1".parse().unwrap()).await.unwrap();

        let eth0 = far.link("eth0").await.unwrap().unwrap();
        assert!(
            eth0.is_up() && eth0.kind == "veth" && eth0.hardware_address.len() == 6 && eth0.layer == "ether",
            "{eth0:?}"
        );
        let ve0 = net.link("ve0").await.unwrap().unwrap();
        assert_eq!(
            (ve0.master_index, ve0.slave_kind.as_str()),
            (net.index_of("br0").await.unwrap(), "bridge")
        );
        assert!(net.links().await.unwrap().iter().any(|link| link.layer == "loopback"));
        let addresses = far.addresses().await.unwrap();
        assert!(
            addresses
                .iter()
                .any(|address| address.address.to_string() == "192.0.2.2" && address.prefix_length == 24)
        );
        let routes = far.routes().await.unwrap();
        let default = routes
            .iter()
            .find(|route| route.destination.is_none() && route.gateway.is_some())
            .unwrap();
        assert_eq!(
            (default.gateway.unwrap().to_string().as_str(), default.table),
            ("192.0.2.1", 254)
        );
        assert!(far.rules().await.unwrap().iter().any(|rule| rule.table == 254));
        assert!(changes.next().await.is_some());

        let bridge = || async { net.link("br0").await.unwrap().unwrap().hardware_address };
        assert_eq!(bridge().await, own);
        assert!(net.delete_link("ve0").await.unwrap());
        assert_eq!(bridge().await, own, "its ports do not change it");
        assert!(!net.delete_link("ve0").await.unwrap());
        assert!(far.link("eth0").await.unwrap().is_none());
        let error = net.set_up("absent").await.unwrap_err().to_string();
        assert!(error.contains("absent"), "{error}");
    });
}

fn runtime_handle() -> tokio::runtime::Handle {
    tokio::runtime::Handle::current()
}

pub(crate) fn the_reaper_takes_orphans_and_leaves_children() {
    sys::process::set_child_subreaper().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut child = sys::sandbox::spawn_blocking(&spec("exit", folder.path())).unwrap();
    // A launcher that is killed leaves its target to us: an orphan.
    let mut orphaning = sys::sandbox::spawn_blocking(&spec("sleep", folder.path())).unwrap();
    wait_ready(&mut orphaning);
    let orphan = orphaning.target_pid();
    orphaning.kill().unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let mut taken = 0;
    while taken == 0 && std::time::Instant::now() < deadline {
        taken = sys::process::reaper::collect();
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(taken, 1);
    assert!(sys::process::find(orphan).is_none());
    assert_eq!(
        child.wait_blocking(Duration::from_secs(5)).unwrap(),
        ExitStatus::Code(42)
    );
    assert_eq!(
        orphaning.wait_blocking(Duration::from_secs(5)).unwrap(),
        ExitStatus::Signal(libc::SIGKILL)
    );
}
