//! The inside of the floor: started as the first process of its namespaces, it starts a node and prints when what was
//! there. When it ends, so does everything it started.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::floor::Setup;
use super::{Times, floor_files as files, ready};
use crate::host;

/// The hidden command it is started with.
pub const COMMAND: &str = "bench-floor";
/// Programs it starts, or that those start.
pub const PROGRAMS: [&str; 13] = [
    "bridge",
    "containerd",
    "containerd-shim-runc-v2",
    "etcd",
    "host-local",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "loopback",
    "portmap",
    "runc",
];
/// The node's address, in a network that only it has. The API server refuses to advertise a loopback address.
pub const ADDRESS: &str = "10.200.0.1";
/// The node's name.
pub const NAME: &str = "floor";

const LIMIT: Duration = Duration::from_secs(90);

/// Starts everything and prints the times as JSON.
pub fn run(setup: &Path) -> Result<()> {
    let text = std::fs::read(setup).with_context(|| format!("read {}", setup.display()))?;
    let setup: Setup = serde_json::from_slice(&text).with_context(|| format!("read {}", setup.display()))?;
    let mut node = Node::prepare(&setup)?;
    let times = node.start().map_err(|error| node.with_logs(error))?;
    println!("{}", serde_json::to_string(&times)?);
    Ok(())
}

struct Node<'a> {
    setup: &'a Setup,
    programs: PathBuf,
    running: Vec<(&'static str, Child)>,
}

impl<'a> Node<'a> {
    /// What is there before the clock starts: network, folders, files.
    fn prepare(setup: &'a Setup) -> Result<Node<'a>> {
        for line in [
            "link set lo up",
            "link add node type veth peer name gateway",
            "link set gateway up",
            "link set node up",
            &format!("address add {ADDRESS}/24 dev node"),
            "route add default via 10.200.0.2 dev node",
        ] {
            host::quiet(Command::new("ip").args(line.split(' ')))?;
        }
        let folder = &setup.folder;
        let programs = folder.join("bin");
        for path in ["bin", "log", "net.d", "volumes", "var/lib/kubelet", "var/log/pods"] {
            let path = folder.join(path);
            std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        }
        std::os::unix::fs::symlink("/run", folder.join("var/run")).context("link /var/run")?;
        host::quiet(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]))?;
        host::quiet(Command::new("mount").arg("--bind").arg(folder.join("var")).arg("/var"))?;
        for (name, path) in &setup.programs {
            std::os::unix::fs::symlink(path, programs.join(name)).with_context(|| format!("link {name}"))?;
        }
        files::write(setup, &programs)?;
        Ok(Node {
            setup,
            programs,
            running: Vec::new(),
        })
    }

    /// A plain script: each is started as soon as what it needs answers.
    fn start(&mut self) -> Result<Times> {
        let began = Instant::now();
        let deadline = began + LIMIT;
        let mut times = Times::default();
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let folder = self.setup.folder.clone();

        self.spawn("etcd", &files::etcd())?;
        let config = folder.join("containerd.toml").display().to_string();
        self.spawn("containerd", &["--config".to_owned(), config])?;
        times.add("etcd", began, ready::port(local(2379), deadline)?);
        self.spawn("kube-apiserver", &files::api_server(self.setup))?;
        let containerd = ready::file(Path::new(files::CONTAINERD_SOCKET), deadline)?;
        times.add("containerd", began, containerd);
        times.add("API server", began, self.api_server_ready(deadline)?);
        self.spawn("kubelet", &files::kubelet(self.setup))?;
        self.spawn("kube-controller-manager", &files::controller_manager(self.setup))?;
        self.spawn("kube-scheduler", &files::scheduler(self.setup))?;
        let kubeconfig = folder.join("admin.kubeconfig");
        let node = ready::node(&self.programs.join("kubectl"), &kubeconfig, deadline, |_| Ok(()))?;
        times.add("node registered", began, node.registered);
        times.add("node Ready", began, node.ready);
        Ok(times)
    }

    fn spawn(&mut self, name: &'static str, args: &[String]) -> Result<()> {
        let log = self.log(name);
        let log = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.programs.display());
        let child = Command::new(self.programs.join(name))
            .args(args)
            .env_clear()
            .env("PATH", path)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        self.running.push((name, child));
        Ok(())
    }

    fn api_server_ready(&mut self, deadline: Instant) -> Result<Instant> {
        let address = SocketAddr::from(([127, 0, 0, 1], 6443));
        ready::port(address, deadline)?;
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--insecure", "--fail", "--max-time", "2"]);
        curl.arg(format!("https://{address}/readyz")).stdout(Stdio::null());
        while !curl.status().context("run curl")?.success() {
            if Instant::now() > deadline {
                bail!("the API server does not become ready");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Instant::now())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.setup.folder.join("log").join(format!("{name}.log"))
    }

    /// The error with the ends of all logs, which are removed right after.
    fn with_logs(&mut self, error: anyhow::Error) -> anyhow::Error {
        let mut text = String::new();
        for (name, child) in &mut self.running {
            let state = match child.try_wait() {
                Ok(Some(status)) => status.to_string(),
                _ => "running".to_owned(),
            };
            text.push_str(&format!("--- {name} ({state})\n"));
            let log = self.setup.folder.join("log").join(format!("{name}.log"));
            let log = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            text.push_str(&lines[lines.len().saturating_sub(12)..].join("\n"));
            text.push('\n');
        }
        error.context(format!("{text}start the floor"))
    }
}
