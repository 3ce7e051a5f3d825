//! Sandboxes as they are: real namespaces, mounts and privileges. Needs root; says so and passes without.
//!
//! The program under test is this test itself: executed again as the launcher, and once more (a static file bound into
//! the new root) as the target, which prints what it sees.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sys::sandbox::{ExitStatus, Mount, Namespaces, Output, Resource, Rlimit, Root, SandboxSpec, Seccomp, User};

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    (
        "a_target_sees_its_own_namespaces_root_and_devices",
        a_target_sees_its_own_namespaces_root_and_devices,
    ),
    (
        "an_exit_code_and_a_signal_come_back_through_the_launcher",
        an_exit_code_and_a_signal_come_back_through_the_launcher,
    ),
    (
        "a_signal_reaches_pid_1_of_the_sandbox",
        a_signal_reaches_pid_1_of_the_sandbox,
    ),
    (
        "killing_the_launcher_kills_the_target",
        killing_the_launcher_kills_the_target,
    ),
    (
        "what_goes_wrong_names_the_step_and_the_path",
        what_goes_wrong_names_the_step_and_the_path,
    ),
    ("a_service_has_no_privileges", a_service_has_no_privileges),
    (
        "a_kept_capability_survives_the_change_of_user",
        a_kept_capability_survives_the_change_of_user,
    ),
    (
        "limits_the_host_refuses_are_warnings",
        limits_the_host_refuses_are_warnings,
    ),
    (
        "a_sandbox_is_inside_its_control_group",
        a_sandbox_is_inside_its_control_group,
    ),
    (
        "a_shared_bind_brings_mounts_back_to_the_host",
        a_shared_bind_brings_mounts_back_to_the_host,
    ),
    (
        "links_addresses_and_routes_are_made_and_read_in_a_namespace",
        links_addresses_and_routes_are_made_and_read,
    ),
    (
        "the_reaper_takes_orphans_and_leaves_children",
        the_reaper_takes_orphans_and_leaves_children,
    ),
];

fn main() {
    sys::sandbox::run_if_requested();
    if let Ok(role) = std::env::var("PROBE") {
        std::process::exit(probe(&role));
    }
    if let Err(error) = sys::caps::require_root("test sandboxes") {
        println!("skipped: {error}");
        return;
    }
    let filter: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let mut failed = 0;
    for (name, test) in TESTS
        .iter()
        .filter(|(name, _)| filter.is_empty() || filter.iter().any(|part| name.contains(part.as_str())))
    {
        let passed = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += i32::from(!passed);
    }
    std::process::exit(failed.min(1));
}

// What the target does.
fn probe(role: &str) -> i32 {
    let show = |name: &str, value: String| println!("{name}={value}");
    match role {
        "world" => {
            show("pid", std::process::id().to_string());
            show("host", sys::host::hostname());
            show(
                "cgroup",
                std::fs::read_to_string("/proc/self/cgroup")
                    .unwrap_or_default()
                    .replace('\n', " "),
            );
            let links = std::fs::read_dir("/sys/class/net")
                .map(std::iter::Iterator::count)
                .unwrap_or(0);
            show("links", links.to_string());
            show("root", names("/"));
            show("groups", names("/sys/fs/cgroup"));
            show(
                "write",
                format!("{:?}", std::fs::write("/new", "x").map_err(|error| error.kind())),
            );
            show(
                "masked",
                std::fs::read_to_string("/etc/secret")
                    .map(|text| text.len().to_string())
                    .unwrap_or_default(),
            );
            show("null", format!("{:?}", std::fs::write("/dev/null", "x").is_ok()));
            let targets = sys::mount::list()
                .unwrap()
                .into_iter()
                .map(|mount| mount.target.display().to_string());
            show("mounts", targets.collect::<Vec<_>>().join(" "));
            0
        }
        "exit" => 42,
        "abort" => std::process::abort(),
        "sleep" => {
            println!("ready");
            std::thread::sleep(Duration::from_secs(60));
            0
        }
        "term" => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
                println!("ready");
                term.recv().await;
            });
            7
        }
        "privileges" => {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            for line in status.lines().filter(|line| {
                ["Uid:", "Gid:", "CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp:"]
                    .iter()
                    .any(|name| line.starts_with(name))
            }) {
                println!("{}", line.replace(":\t", "=").replace('\t', " "));
            }
            show(
                "mount",
                format!(
                    "{}",
                    sys::mount::tmpfs("/", None, 0o755).is_err_and(|error| error.not_permitted())
                ),
            );
            show("thread", std::thread::spawn(|| 1).join().unwrap().to_string());
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
            show("nofile", format!("{:?}", limit.current));
            0
        }
        "mount" => {
            sys::mount::tmpfs("/shared/inner", None, 0o755).unwrap();
            println!("ready");
            std::thread::sleep(Duration::from_secs(60));
            0
        }
        other => panic!("no such role {other}"),
    }
}

fn names(path: &str) -> String {
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

fn spec(role: &str, root: &Path) -> SandboxSpec {
    let own = std::env::current_exe().unwrap();
    SandboxSpec {
        argv: vec!["/probe".into()],
        env: BTreeMap::from([("PROBE".into(), role.into())]),
        namespaces: Namespaces {
            mount: true,
            pid: true,
            net: true,
            uts: true,
            ipc: true,
            cgroup: true,
        },
        root: Root::Directory {
            path: root.into(),
            read_only: true,
        },
        mounts: vec![Mount::bind(own, "/probe", true), Mount::Proc { target: "/proc".into() }],
        parent_death_signal: Some(libc::SIGKILL),
        stdout: Output::Pipe,
        stderr: Output::Inherit,
        ..SandboxSpec::default()
    }
}

fn run(spec: &SandboxSpec) -> (BTreeMap<String, String>, ExitStatus, Vec<String>) {
    let mut child = sys::sandbox::spawn_blocking(spec).unwrap();
    let mut text = String::new();
    std::fs::File::from(child.stdout.take().unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let status = child.wait_blocking(Duration::from_secs(10)).unwrap();
    let seen = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.into(), value.into()));
    (seen.collect(), status, std::mem::take(&mut child.warnings))
}

fn wait_ready(child: &mut sys::sandbox::Child) {
    let mut line = [0; 6];
    std::fs::File::from(child.stdout.take().unwrap())
        .read_exact(&mut line)
        .unwrap();
    assert_eq!(&line, b"ready\n");
}

fn a_target_sees_its_own_namespaces_root_and_devices() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/secret"), "secret").unwrap();
    let mut spec = spec("world", root);
    spec.hostname = Some("probe-host".into());
    spec.masked_paths = vec!["/etc/secret".into(), "/does/not/exist".into()];
    spec.mounts.extend([
        Mount::Sysfs {
            target: "/sys".into(),
            read_only: false,
        },
        Mount::Cgroups {
            target: "/sys/fs/cgroup".into(),
            read_only: false,
        },
        Mount::DeviceTmpfs { target: "/dev".into() },
        Mount::Device {
            path: "/dev/null".into(),
            major: 1,
            minor: 3,
            mode: 0o666,
        },
        Mount::Directory {
            path: "/dev/pts".into(),
            mode: 0o755,
        },
        Mount::Devpts {
            target: "/dev/pts".into(),
        },
        Mount::Mqueue {
            target: "/dev/mqueue".into(),
        },
        Mount::Symlink {
            path: "/dev/fd".into(),
            to: "/proc/self/fd".into(),
        },
        Mount::tmpfs("/run", 0o755),
        Mount::File {
            path: "/run/note".into(),
            content: "x".into(),
            mode: 0o600,
        },
    ]);
    let before = sys::mount::list().unwrap();
    let (seen, status, _) = run(&spec);
    assert_eq!(status, ExitStatus::Code(0));
    assert_eq!(seen["pid"], "1");
    assert_eq!(seen["host"], "probe-host");
    assert_eq!(seen["links"], "1", "only a loopback");
    assert_eq!(seen["root"], "dev etc probe proc run sys");
    assert_eq!(seen["write"], "Err(ReadOnlyFilesystem)");
    assert_eq!(seen["masked"], "0");
    assert_eq!(seen["null"], "true");
    let layout = sys::cgroup::Layout::detect().unwrap();
    assert!(
        seen["groups"].contains(if layout.is_v2() { "cgroup.procs" } else { "memory" }),
        "{}",
        seen["groups"]
    );
    assert!(
        !seen["mounts"].contains(root.to_str().unwrap()),
        "the host's mounts are gone: {}",
        seen["mounts"]
    );
    assert_eq!(sys::mount::list().unwrap(), before, "nothing is left on the host");
}

fn an_exit_code_and_a_signal_come_back_through_the_launcher() {
    let folder = tempfile::tempdir().unwrap();
    for pid in [true, false] {
        let mut spec = spec("exit", folder.path());
        spec.namespaces.pid = pid;
        assert_eq!(run(&spec).1, ExitStatus::Code(42));
        spec.env.insert("PROBE".into(), "abort".into());
        spec.stderr = Output::Null;
        // PID 1 is not ended by signals it has no handler for, its own neither: abort() then executes an illegal one.
        let expected = if pid { libc::SIGSEGV } else { libc::SIGABRT };
        assert_eq!(run(&spec).1, ExitStatus::Signal(expected));
    }
}

fn a_signal_reaches_pid_1_of_the_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = sys::sandbox::spawn_blocking(&spec("term", folder.path())).unwrap();
    assert_ne!(child.pid(), child.target_pid());
    wait_ready(&mut child);
    child.signal(libc::SIGTERM).unwrap();
    assert_eq!(
        child.wait_blocking(Duration::from_secs(10)).unwrap(),
        ExitStatus::Code(7)
    );
}

fn killing_the_launcher_kills_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = sys::sandbox::spawn_blocking(&spec("sleep", folder.path())).unwrap();
    wait_ready(&mut child);
    let target = sys::process::Identity::of(child.target_pid()).unwrap();
    assert!(target.is_running());
    child.kill().unwrap();
    assert_eq!(
        child.wait_blocking(Duration::from_secs(10)).unwrap(),
        ExitStatus::Signal(libc::SIGKILL)
    );
    assert!(target.wait_ended(Duration::from_secs(10)).unwrap());
}

fn what_goes_wrong_names_the_step_and_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let fails = |change: &dyn Fn(&mut SandboxSpec), parts: &[&str]| {
        let mut spec = spec("exit", folder.path());
        change(&mut spec);
        let error = sys::sandbox::spawn_blocking(&spec).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    fails(
        &|spec| spec.argv[0] = "/absent".into(),
        &["execute /absent", "No such file"],
    );
    fails(
        &|spec| {
            spec.root = Root::Directory {
                path: "/no/such".into(),
                read_only: true,
            }
        },
        &["/no/such"],
    );
    fails(
        &|spec| spec.mounts.push(Mount::bind("/not/there", "/x", true)),
        &["bind /not/there", "No such file"],
    );
    fails(
        &|spec| spec.cgroups = vec!["/sys/fs/cgroup/absent".into()],
        &["join the control group /sys/fs/cgroup/absent"],
    );
    fails(
        &|spec| spec.join_netns = Some("/run/netns/absent".into()),
        &["network namespace /run/netns/absent"],
    );
    fails(&|spec| spec.capabilities = Some(vec!["CAP_FLY".into()]), &["CAP_FLY"]);
    let squashfs = Root::Squashfs {
        image: "/proc/version".into(),
        mountpoint: folder.path().into(),
    };
    fails(&|spec| spec.root = squashfs.clone(), &["/proc/version"]);
    fails(&|spec| spec.namespaces.mount = false, &["mount namespace"]);
}

fn a_service_has_no_privileges() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec("privileges", folder.path());
    spec.user = Some(User {
        uid: 50,
        gid: 50,
        groups: vec![],
    });
    spec.capabilities = Some(vec![]);
    spec.no_new_privs = true;
    spec.seccomp = Seccomp::Service;
    let (seen, status, _) = run(&spec);
    assert_eq!(status, ExitStatus::Code(0));
    assert_eq!(seen["Uid"], "50 50 50 50");
    assert_eq!(seen["CapEff"], "0000000000000000");
    assert_eq!(seen["CapBnd"], "0000000000000000");
    assert_eq!((seen["NoNewPrivs"].as_str(), seen["Seccomp"].as_str()), ("1", "2"));
    assert_eq!((seen["mount"].as_str(), seen["thread"].as_str()), ("true", "1"));
}

fn a_kept_capability_survives_the_change_of_user() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec("privileges", folder.path());
    spec.user = Some(User {
        uid: 60,
        gid: 60,
        groups: vec![],
    });
    spec.capabilities = Some(vec!["CAP_NET_BIND_SERVICE".into()]);
    let (seen, ..) = run(&spec);
    assert_eq!(
        (seen["Uid"].as_str(), seen["CapEff"].as_str()),
        ("60 60 60 60", "0000000000000400")
    );
}

fn limits_the_host_refuses_are_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec("privileges", folder.path());
    spec.oom_score_adj = Some(-998);
    spec.rlimits = vec![Rlimit {
        resource: Resource::Nofile,
        soft: Some(512),
        hard: Some(512),
    }];
    let (seen, _, warnings) = run(&spec);
    assert_eq!(seen["nofile"], "Some(512)");
    assert_eq!(warnings.is_empty(), sys::process::can_lower_oom_score(), "{warnings:?}");
    assert_eq!(sys::process::can_lower_oom_score(), sys::caps::has_sys_resource());
}

fn a_sandbox_is_inside_its_control_group() {
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
    assert!(
        inside.contains(&child.pid()) && inside.contains(&child.target_pid()),
        "{inside:?}"
    );
    let stats = group.stats();
    assert_eq!(stats.memory_max, Some(64 << 20));
    assert!(stats.pids >= 2 && stats.memory > 0, "{stats:?}");
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

fn a_shared_bind_brings_mounts_back_to_the_host() {
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

fn links_addresses_and_routes_are_made_and_read() {
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

        assert!(net.delete_link("ve0").await.unwrap());
        assert!(!net.delete_link("ve0").await.unwrap());
        assert!(far.link("eth0").await.unwrap().is_none());
        let error = net.set_up("absent").await.unwrap_err().to_string();
        assert!(error.contains("absent"), "{error}");
    });
}

fn runtime_handle() -> tokio::runtime::Handle {
    tokio::runtime::Handle::current()
}

fn the_reaper_takes_orphans_and_leaves_children() {
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
