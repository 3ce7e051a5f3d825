//! What a sandbox is.

use std::time::Duration;

use sys::sandbox::{ExitStatus, Mount, Output, Resource, Rlimit, Root, SandboxSpec, Seccomp, User};

use crate::target::{run, spec, wait_ready};

pub(crate) fn a_target_sees_its_own_namespaces_root_and_devices() {
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

pub(crate) fn an_exit_code_and_a_signal_come_back_through_the_launcher() {
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

pub(crate) fn a_signal_reaches_pid_1_of_the_sandbox() {
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

pub(crate) fn killing_the_launcher_kills_the_target() {
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

pub(crate) fn what_goes_wrong_names_the_step_and_the_path() {
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

pub(crate) fn a_service_has_no_privileges() {
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

pub(crate) fn a_kept_capability_survives_the_change_of_user() {
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

pub(crate) fn limits_the_host_refuses_are_warnings() {
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
