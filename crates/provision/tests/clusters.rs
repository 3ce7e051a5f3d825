//! Clusters as they are: real namespaces, bridges, supervisors. Needs root; says so and passes without.
//!
//! Nodes run this test itself as their `/sbin/init`: it answers questions on the port of the machine API. Everything
//! happens in a network namespace of the test's own, so it meets neither the machine's networks nor other clusters.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use provision::{CreateOptions, Error, Event, Names, Phase, Plan, PortMapping, Resources};
use sys::process::Identity;

type Test = (&'static str, fn(&World));

const TESTS: &[Test] = &[
    (
        "nodes_are_isolated_and_reach_each_other",
        nodes_are_isolated_and_reach_each_other,
    ),
    (
        "a_node_restarts_stays_down_and_recovers_from_a_crash",
        a_node_restarts_stays_down_and_recovers_from_a_crash,
    ),
    ("limits_of_a_node_are_kept", limits_of_a_node_are_kept),
    (
        "what_a_node_writes_outlives_its_restart",
        what_a_node_writes_outlives_its_restart,
    ),
    ("ports_and_the_registry_are_served", ports_and_the_registry_are_served),
    (
        "two_clusters_live_side_by_side_and_networks_may_not_overlap",
        two_clusters_live_side_by_side,
    ),
    (
        "a_killed_supervisor_takes_its_node_with_it",
        a_killed_supervisor_takes_its_node_with_it,
    ),
    (
        "a_creation_killed_at_any_moment_is_cleaned_up",
        a_creation_killed_at_any_moment_is_cleaned_up,
    ),
    (
        "an_orderly_stop_asks_the_node_first",
        an_orderly_stop_asks_the_node_first,
    ),
    ("a_node_that_cannot_start_says_why", a_node_that_cannot_start_says_why),
    (
        "a_squashfs_image_is_mounted_for_the_node_only",
        a_squashfs_image_is_mounted_for_the_node_only,
    ),
];

const API: u16 = 50000;

fn main() {
    provision::run_if_requested();
    eat_if_asked();
    if std::process::id() == 1 {
        init();
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

// The node's side.

fn init() -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut term =
        runtime.block_on(async { tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap() });
    if std::env::args().nth(1).as_deref() == Some("fail") {
        eprintln!("no such luck");
        std::process::exit(3);
    }
    println!("init speaks");
    std::thread::spawn(|| {
        let listener = TcpListener::bind(("0.0.0.0", API)).unwrap();
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    runtime.block_on(term.recv());
    println!("asked to stop");
    std::fs::write("/var/stopped", "in order").unwrap();
    std::process::exit(0);
}

fn serve(mut stream: TcpStream) {
    let mut line = String::new();
    BufReader::new(stream.try_clone().unwrap())
        .read_line(&mut line)
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|error| error.kind().to_string());
    let answer = match words[..] {
        ["exit", code] => {
            stream.write_all(b"bye").unwrap();
            drop(stream);
            std::process::exit(code.parse().unwrap());
        }
        ["read", path] => read(path),
        ["env", name] => std::env::var(name).unwrap_or_default(),
        ["list", path] => {
            let mut names: Vec<String> = std::fs::read_dir(path)
                .map(|list| {
                    list.flatten()
                        .map(|entry| entry.file_name().to_string_lossy().into_owned())
                        .collect()
                })
                .unwrap_or_default();
            names.sort();
            names.join(" ")
        }
        ["write", path, text] => format!("{:?}", std::fs::write(path, text).map_err(|error| error.kind())),
        ["host"] => sys::host::hostname(),
        ["processes"] => sys::process::list().unwrap().len().to_string(),
        ["mounts"] => sys::mount::list()
            .unwrap()
            .iter()
            .map(|mount| format!("{}\n", mount.target.display()))
            .collect(),
        ["ask", address, "host"] => ask_at(address.parse().unwrap(), "host").unwrap_or_else(|error| error.to_string()),
        ["eat", mebibytes] => {
            // In a child, so that running out of memory does not end PID 1.
            let status = std::process::Command::new("/proc/self/exe")
                .env("EAT", mebibytes)
                .status();
            status.map(|status| status.to_string()).unwrap_or_default()
        }
        _ => format!("no such question: {line}"),
    };
    let _ = stream.write_all(answer.as_bytes());
}

/// Part of the program that runs before `main` looks at anything else: eat memory and say it went well.
fn eat_if_asked() {
    if let Ok(mebibytes) = std::env::var("EAT") {
        let eaten = vec![1u8; mebibytes.parse::<usize>().unwrap() << 20];
        std::process::exit(i32::from(eaten.iter().map(|byte| u64::from(*byte)).sum::<u64>() == 0));
    }
}

fn ask_at(address: SocketAddr, question: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

// The test's side.

/// A folder of clusters and an image; removing it removes every cluster that a test left.
struct World {
    folder: PathBuf,
    image: PathBuf,
}

impl World {
    fn new() -> World {
        let folder = tempfile::Builder::new()
            .prefix("keelson-clusters-")
            .tempdir()
            .unwrap()
            .keep();
        let image = folder.join("image");
        let world = World {
            folder: folder.join("state"),
            image,
        };
        std::fs::create_dir(&world.folder).unwrap();
        for path in [
            "sbin",
            "dev",
            "proc",
            "sys",
            "run",
            "system",
            "tmp",
            "var",
            "opt/cni/bin",
            "etc/cni",
            "etc/kubernetes",
        ] {
            std::fs::create_dir_all(world.image.join(path)).unwrap();
        }
        std::fs::create_dir_all(world.image.join("usr/libexec/kubernetes")).unwrap();
        for name in ["hosts", "resolv.conf", "hostname"] {
            std::fs::write(world.image.join("etc").join(name), "").unwrap();
        }
        std::fs::write(world.image.join("opt/cni/bin/bridge"), "of the image").unwrap();
        std::fs::copy("/proc/self/exe", world.image.join("sbin/init")).unwrap();
        world
    }

    fn plan(&self, name: &str, network: u8, controlplanes: usize, workers: usize) -> Plan {
        let mut options = CreateOptions::new(name, &self.folder, &self.image);
        (options.controlplanes, options.workers) = (controlplanes, workers);
        options.subnet = format!("10.250.{network}.0/24").parse().unwrap();
        options.wait_timeout = Duration::from_secs(30);
        let small = Resources {
            cpu_millis: 500,
            memory: 256 << 20,
        };
        (options.controlplane, options.worker) = (small, small);
        Plan::new(options).unwrap()
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(work)
    }

    fn create(&self, plan: Plan) -> provision::Cluster {
        self.block_on(provision::create(plan, &|_| ())).unwrap()
    }

    fn destroy(&self, name: &str) {
        self.block_on(provision::destroy(&self.folder, name, &|_| ())).unwrap();
        self.nothing_is_left(name);
    }

    fn show(&self, name: &str) -> provision::Cluster {
        provision::show(&self.folder, name).unwrap()
    }

    /// No process, mount, link, control group, loop device or file of the cluster.
    fn nothing_is_left(&self, name: &str) {
        let names = Names::of(&self.folder, name);
        assert!(!names.folder().exists(), "files");
        let links = self.block_on(async { sys::net::Netlink::open().unwrap().links().await.unwrap() });
        let ours = links
            .iter()
            .filter(|link| link.name.starts_with(&names.bridge()))
            .map(|link| link.name.clone());
        assert_eq!(ours.collect::<Vec<_>>(), Vec::<String>::new(), "links");
        assert!(
            !sys::cgroup::Layout::detect().unwrap().group(names.cgroup()).exists(),
            "control groups"
        );
        let folder = names.folder().display().to_string();
        let mounts = sys::mount::list().unwrap();
        assert!(
            !mounts.iter().any(|mount| mount.target.starts_with(names.folder())),
            "mounts"
        );
        let mine = |process: &sys::process::Process| {
            let environment = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
            process.state != sys::process::ProcessState::Zombie
                && String::from_utf8_lossy(&environment).contains(&format!("KEELSON_CLUSTER={folder}"))
        };
        let left: Vec<_> = sys::process::list().unwrap().into_iter().filter(mine).collect();
        assert!(left.is_empty(), "processes: {left:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Err(error) = self.block_on(provision::destroy(&self.folder, &name, &|_| ())) {
                eprintln!("{error}");
            }
        }
        if let Some(parent) = self.image.parent() {
            let _ = std::fs::remove_dir_all(parent);
        }
    }
}

fn ask(address: Ipv4Addr, question: &str) -> String {
    ask_at(SocketAddr::from((address, API)), question).unwrap()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn nodes_are_isolated_and_reach_each_other(world: &World) {
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
    assert!(
        std::fs::read_to_string(&cluster.nodes[0].log)
            .unwrap()
            .contains("init speaks")
    );
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

fn a_node_restarts_stays_down_and_recovers_from_a_crash(world: &World) {
    let cluster = world.create(world.plan("demo", 1, 1, 0));
    let node = cluster.nodes[0].address;
    let starts = |count| {
        let status = world.show("demo").nodes[0].status.clone();
        status.phase == Phase::Running && status.starts == count && ask_at((node, API).into(), "host").is_ok()
    };
    ask(node, &format!("exit {}", sys::EXIT_REBOOT));
    wait_until("the reboot", || starts(2));
    ask(node, "exit 1");
    wait_until("the start after a crash", || starts(3));
    ask(node, "exit 0");
    wait_until("the end", || world.show("demo").nodes[0].status.phase == Phase::Stopped);
    wait_until("the end of its supervisor", || {
        world.show("demo").nodes[0].status.supervisor.is_none()
    });
    assert!(world.show("demo").nodes[0].status.message.contains("shut down"));
    world.destroy("demo");
}

fn limits_of_a_node_are_kept(world: &World) {
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

fn what_a_node_writes_outlives_its_restart(world: &World) {
    let cluster = world.create(world.plan("demo", 1, 1, 0));
    let node = cluster.nodes[0].address;
    for path in ["/var/kept", "/etc/kubernetes/kept", "/run/lost"] {
        assert_eq!(ask(node, &format!("write {path} text")), "Ok(())");
    }
    ask(node, &format!("exit {}", sys::EXIT_REBOOT));
    wait_until("the reboot", || {
        ask_at((node, API).into(), "read /var/kept").is_ok_and(|text| text == "text")
    });
    assert_eq!(ask(node, "read /etc/kubernetes/kept"), "text");
    assert_eq!(ask(node, "list /run"), "");
    world.destroy("demo");
}

fn ports_and_the_registry_are_served(world: &World) {
    let layout = world.folder.parent().unwrap().join("layout");
    std::fs::create_dir(&layout).unwrap();
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(layout.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    let mut plan = world.plan("demo", 1, 1, 0);
    plan.options.registry = Some(layout);
    plan.options.ports = vec![PortMapping::parse("18080:50000", "10.250.1.1".parse().unwrap()).unwrap()];
    let cluster = world.create(plan);
    assert_eq!(cluster.gateway_status.unwrap().phase, Phase::Running);
    assert_eq!(
        ask_at("10.250.1.1:18080".parse().unwrap(), "host").unwrap(),
        "demo-controlplane-1"
    );
    let mut registry = TcpStream::connect("10.250.1.1:5000").unwrap();
    registry
        .write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    registry.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let mut second = world.plan("taken", 2, 1, 0);
    second.options.ports = vec![PortMapping::parse("18080:1", "10.250.1.1".parse().unwrap()).unwrap()];
    let error = world
        .block_on(provision::create(second, &|_| ()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expose port 10.250.1.1:18080") && error.contains("in use"),
        "{error}"
    );
    world.destroy("taken");
    world.destroy("demo");
}

fn two_clusters_live_side_by_side(world: &World) {
    world.create(world.plan("one", 1, 1, 0));
    let error = world
        .block_on(provision::create(world.plan("clash", 1, 1, 0), &|_| ()))
        .unwrap_err();
    assert!(error.to_string().contains("of the cluster \"one\""), "{error}");
    world.destroy("clash");
    let two = world.create(world.plan("two", 2, 1, 0));
    assert_eq!(ask(two.nodes[0].address, "host"), "two-controlplane-1");
    assert_eq!(provision::list(&world.folder), ["one", "two"]);
    world.destroy("one");
    assert_eq!(
        ask(two.nodes[0].address, "host"),
        "two-controlplane-1",
        "the other one is untouched"
    );
    world.destroy("two");
}

fn a_killed_supervisor_takes_its_node_with_it(world: &World) {
    let cluster = world.create(world.plan("demo", 1, 1, 1));
    let status = &cluster.nodes[0].status;
    let init = Identity::of(status.init.unwrap()).unwrap();
    assert!(
        Identity::of(status.supervisor.unwrap())
            .unwrap()
            .signal(libc::SIGKILL)
            .unwrap()
    );
    wait_until("the end of the node", || !init.is_running());
    wait_until("the news", || world.show("demo").nodes[0].status.phase == Phase::Failed);
    assert_eq!(world.show("demo").nodes[1].status.phase, Phase::Running);
    world.destroy("demo");
}

fn a_creation_killed_at_any_moment_is_cleaned_up(world: &World) {
    let names = Names::of(&world.folder, "killed");
    for milliseconds in [0, 2, 5, 10, 20, 30, 45, 60, 80, 100, 130, 170, 220, 300] {
        let mut child = std::process::Command::new("/proc/self/exe")
            .args(["create-in".as_ref(), world.folder.as_os_str(), world.image.as_os_str()])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the beginning", || names.folder().exists() || child.id() == 0);
        std::thread::sleep(Duration::from_millis(milliseconds));
        let _ = child.kill();
        child.wait().unwrap();
        world.destroy("killed");
    }
}

fn an_orderly_stop_asks_the_node_first(world: &World) {
    let cluster = world.create(world.plan("demo", 1, 1, 0));
    let supervisor = Identity::of(cluster.nodes[0].status.supervisor.unwrap()).unwrap();
    assert!(supervisor.signal(libc::SIGTERM).unwrap());
    assert!(supervisor.wait_ended(Duration::from_secs(20)).unwrap());
    let status = &world.show("demo").nodes[0].status;
    assert_eq!((status.phase, status.init), (Phase::Stopped, None));
    let folder = Names::of(&world.folder, "demo").node_folder("demo-controlplane-1");
    assert_eq!(std::fs::read_to_string(folder.join("var/stopped")).unwrap(), "in order");
    world.destroy("demo");
}

fn a_node_that_cannot_start_says_why(world: &World) {
    let fails = |name: &str, init: &[&str], parts: &[&str]| {
        let mut plan = world.plan(name, 3, 1, 0);
        plan.options.init = init.iter().map(|word| (*word).to_owned()).collect();
        let since = Instant::now();
        let error = world
            .block_on(provision::create(plan, &|_| ()))
            .unwrap_err()
            .to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        assert!(since.elapsed() < Duration::from_secs(20));
        world.destroy(name);
    };
    fails(
        "absent",
        &["/sbin/absent"],
        &[
            "absent-controlplane-1 did not start",
            "execute /sbin/absent",
            "No such file",
        ],
    );
    fails(
        "failing",
        &["/sbin/init", "fail"],
        &["failing-controlplane-1 did not start", "exit code 3", "no such luck"],
    );
    std::fs::remove_dir_all(world.image.join("opt")).unwrap();
    let error = world
        .block_on(provision::create(world.plan("incomplete", 3, 1, 0), &|_| ()))
        .unwrap_err();
    assert!(error.to_string().contains("has no /opt"), "{error}");
    world.nothing_is_left("incomplete");
}

fn a_squashfs_image_is_mounted_for_the_node_only(world: &World) {
    let Some(mksquashfs) = ["/usr/bin/mksquashfs", "/usr/sbin/mksquashfs"]
        .iter()
        .find(|path| Path::new(path).exists())
    else {
        println!("skipped: mksquashfs is not installed (apt-get install squashfs-tools)");
        return;
    };
    let image = world.image.with_extension("sqsh");
    let made = std::process::Command::new(mksquashfs)
        .args([world.image.as_os_str(), image.as_os_str()])
        .args(["-quiet", "-no-progress", "-comp", "gzip", "-Xcompression-level", "1"])
        .status()
        .unwrap();
    assert!(made.success());
    let loops = || {
        let list = std::fs::read_dir("/sys/block").unwrap().flatten();
        let files = list.filter_map(|entry| std::fs::read_to_string(entry.path().join("loop/backing_file")).ok());
        files.filter(|file| file.trim() == image.display().to_string()).count()
    };
    let mut plan = world.plan("demo", 1, 1, 1);
    plan.options.image = image.clone();
    let seen = std::sync::Mutex::new(Vec::new());
    let cluster = world
        .block_on(provision::create(plan, &|event| seen.lock().unwrap().push(event)))
        .unwrap();
    assert!(
        seen.lock()
            .unwrap()
            .iter()
            .any(|event| matches!(event, Event::Step(text) if text.contains("2 nodes")))
    );
    assert_eq!(
        ask(cluster.nodes[0].address, "read /opt/cni/bin/bridge"),
        "of the image"
    );
    assert_eq!(ask(cluster.nodes[1].address, "host"), "demo-worker-1");
    assert_eq!(loops(), 1, "both nodes share the device");
    let folder = cluster.folder.display().to_string();
    assert!(
        !sys::mount::list()
            .unwrap()
            .iter()
            .any(|mount| mount.target.display().to_string().contains(&folder))
    );
    world.destroy("demo");
    wait_until("the end of the loop device", || loops() == 0);
}
