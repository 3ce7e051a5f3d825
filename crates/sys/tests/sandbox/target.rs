//! The target's side, and how tests start it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use sys::sandbox::{ExitStatus, Mount, Namespaces, Output, Root, SandboxSpec};

/// What the target does.
pub(crate) fn probe(role: &str) -> i32 {
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
        "copy" => {
            std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).unwrap();
            0
        }
        "terminal" => terminal(),
        "scribble" => {
            let before = std::fs::read_to_string("/here").unwrap();
            std::fs::write("/here", "after").unwrap();
            println!("{before} then {}", std::fs::read_to_string("/here").unwrap());
            println!("{:?}", std::fs::write("/much", vec![0; 2 << 20]).map_err(|e| e.kind()));
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

/// Shows the size of the terminal, and when it changes, and what is typed, until it is interrupted.
fn terminal() -> i32 {
    use tokio::signal::unix::{SignalKind, signal};
    let size = || {
        let size = rustix::termios::tcgetwinsize(std::io::stdin()).unwrap();
        println!("{} {}", size.ws_row, size.ws_col);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(async {
        let mut changed = signal(SignalKind::window_change()).unwrap();
        let mut interrupted = signal(SignalKind::interrupt()).unwrap();
        size();
        std::thread::spawn(|| {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                println!("got {line}");
            }
        });
        loop {
            tokio::select! {
                _ = changed.recv() => size(),
                _ = interrupted.recv() => std::process::exit(9),
            }
        }
    })
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

pub(crate) fn spec(role: &str, root: &Path) -> SandboxSpec {
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

pub(crate) fn run(spec: &SandboxSpec) -> (BTreeMap<String, String>, ExitStatus, Vec<String>) {
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

pub(crate) fn wait_ready(child: &mut sys::sandbox::Child) {
    let mut line = [0; 6];
    std::fs::File::from(child.stdout.take().unwrap())
        .read_exact(&mut line)
        .unwrap();
    assert_eq!(&line, b"ready\n");
}
