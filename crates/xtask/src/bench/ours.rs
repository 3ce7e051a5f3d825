//! Ours: clusters made by `keelctl cluster create`.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::guard::{Guard, Thing};
use super::{Times, Tools, ready};

/// Of every cluster that is measured: there is one at a time.
pub const NAME: &str = "bench";
const LIMIT: Duration = Duration::from_secs(300);
/// Between two attempts to get a kubeconfig.
const PAUSE: Duration = Duration::from_millis(50);

/// A cluster that goes when this does.
pub struct Cluster {
    guard: Guard,
    folder: PathBuf,
    /// The first control plane's address.
    pub control_plane: Ipv4Addr,
    /// The node's after it: the worker's, if there is one control plane.
    pub worker: Ipv4Addr,
    /// When each phase was reached.
    pub times: Times,
}

impl Cluster {
    /// The client configuration.
    pub fn talosconfig(&self) -> PathBuf {
        self.folder.join("talosconfig")
    }

    /// The administrator's access to Kubernetes.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The address of a node: control planes from 0, then workers.
    pub fn node(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.control_plane.to_bits() + u32::from(number))
    }

    /// The folder of what a node writes below `/var`.
    pub fn var(&self, node: &str) -> PathBuf {
        self.state().join(node).join("var")
    }

    /// The folder of what is known of the cluster.
    pub fn state(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// A program with what this cluster made for it.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        environment(&mut command, &self.folder);
        command.stdin(Stdio::null());
        command
    }

    /// The name of a node, as `cluster show` has it: control planes from 0, or workers.
    pub fn name(role: &str, number: u8) -> String {
        format!("{NAME}-{role}-{}", number + 1)
    }

    /// Removes it.
    pub fn destroy(self) -> Result<()> {
        self.guard.finish()
    }
}

/// A control plane node alone, until Kubernetes says that it is ready.
pub fn control_plane(tools: &Tools) -> Result<Cluster> {
    let mut made = Making::start(tools, &["--workers=0", "--wait=false", "--skip-kubeconfig"])?;
    let result = made.watch(tools);
    made.end(result)
}

/// The default cluster, until the command that makes it says that it is healthy.
pub fn default(tools: &Tools) -> Result<Cluster> {
    healthy(tools, &[])
}

/// A cluster of so many nodes, until the command that makes it says that it is healthy.
pub fn sized(tools: &Tools, control_planes: u8, workers: u8) -> Result<Cluster> {
    let args = [
        format!("--controlplanes={control_planes}"),
        format!("--workers={workers}"),
    ];
    healthy(tools, &args.each_ref().map(String::as_str))
}

fn healthy(tools: &Tools, args: &[&str]) -> Result<Cluster> {
    let mut made = Making::start(tools, args)?;
    let result = made.child.wait().context("wait for keelctl").and_then(|status| {
        made.times.add("healthy", made.began, Instant::now());
        if status.success() {
            Ok(())
        } else {
            bail!("keelctl cluster create: {status}")
        }
    });
    made.end(result)
}

/// Has a command keep everything below one folder, and nothing in the person's own.
pub fn environment(command: &mut Command, folder: &Path) {
    command
        .env("HOME", folder)
        .env("TALOSCONFIG", folder.join("talosconfig"))
        .env("KUBECONFIG", folder.join("kubeconfig"))
        .env("KEELSON_STATE", folder);
}

/// What the command said of its progress, line by line, and when.
type Printed = Arc<Mutex<Vec<(Instant, String)>>>;

struct Making {
    guard: Guard,
    child: Child,
    folder: PathBuf,
    began: Instant,
    printed: Printed,
    control_plane: Ipv4Addr,
    times: Times,
}

impl Making {
    fn start(tools: &Tools, args: &[&str]) -> Result<Making> {
        let folder = tools.work.join("clusters");
        let mut guard = Guard::start()?;
        guard.watch(&Thing::Folder(folder.clone()))?;
        std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        guard.watch(&Thing::Cluster {
            keelctl: tools.keelctl.clone(),
            name: NAME.to_owned(),
            state: folder.clone(),
        })?;
        let mut command = Command::new(&tools.keelctl);
        command.args(["cluster", "create", "--name", NAME, "--subnet", &tools.subnet]);
        command.arg("--dist").arg(&tools.dist).args(args);
        environment(&mut command, &folder);
        let began = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", tools.keelctl.display()))?;
        guard.watch(&Thing::Process(child.id()))?;
        let printed = Printed::default();
        if let Some(stderr) = child.stderr.take() {
            collect(stderr, &printed);
        }
        Ok(Making {
            guard,
            child,
            folder,
            began,
            printed,
            control_plane: address(&tools.subnet, 2)?,
            times: Times::default(),
        })
    }

    /// From outside: the machine API, the kubeconfig, the API server, the node.
    fn watch(&mut self, tools: &Tools) -> Result<()> {
        let deadline = self.began + LIMIT;
        let host = std::net::IpAddr::from(self.control_plane);
        let api = ready::port(SocketAddr::new(host, 50000), deadline)?;
        self.times.add("machine API", self.began, api);
        ready::file(&self.folder.join("talosconfig"), deadline)?;
        let kubeconfig = self.folder.join("bench.kubeconfig");
        while !self.fetch(&tools.keelctl, &kubeconfig)? {
            if Instant::now() > deadline {
                bail!("the node does not give a kubeconfig");
            }
            std::thread::sleep(PAUSE);
        }
        self.times.add("kubeconfig", self.began, Instant::now());
        let server = ready::port(SocketAddr::new(host, 6443), deadline)?;
        self.times.add("API server listens", self.began, server);
        let guard = &mut self.guard;
        let watched = |pid| guard.watch(&Thing::Process(pid));
        let node = ready::node(&tools.kubectl, &kubeconfig, deadline, watched)?;
        self.times.add("node registered", self.began, node.registered);
        self.times.add("node Ready", self.began, node.ready);
        Ok(())
    }

    fn fetch(&self, keelctl: &Path, kubeconfig: &Path) -> Result<bool> {
        let mut command = Command::new(keelctl);
        command.args(["-n", &self.control_plane.to_string(), "kubeconfig", "--force"]);
        environment(command.arg(kubeconfig), &self.folder);
        let output = command
            .stdin(Stdio::null())
            .output()
            .context("run keelctl kubeconfig")?;
        Ok(output.status.success())
    }

    fn end(self, result: Result<()>) -> Result<Cluster> {
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Err(error) = result {
            let lines: Vec<&str> = printed.iter().map(|(_, line)| line.as_str()).collect();
            let log = self.folder.join(NAME).join("bench-controlplane-1.log");
            let log = std::fs::read_to_string(log).unwrap_or_default();
            let ends: Vec<&str> = log.lines().rev().take(20).collect();
            let ends: Vec<&str> = ends.into_iter().rev().collect();
            return Err(error.context(format!("{}\n{}\nmake a cluster", lines.join("\n"), ends.join("\n"))));
        }
        let mut times = self.times;
        for (at, line) in printed {
            times.printed.push((at.duration_since(self.began).as_secs_f64(), line));
        }
        Ok(Cluster {
            guard: self.guard,
            folder: self.folder,
            control_plane: self.control_plane,
            worker: Ipv4Addr::from_bits(self.control_plane.to_bits() + 1),
            times,
        })
    }
}

fn collect(from: impl Read + Send + 'static, into: &Printed) {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(std::result::Result::ok) {
            into.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((Instant::now(), line));
        }
    });
}

/// The address with a number in a network such as `10.6.0.0/24`.
pub fn address(subnet: &str, number: u32) -> Result<Ipv4Addr> {
    let base = subnet.split('/').next().unwrap_or(subnet);
    let base: Ipv4Addr = base
        .parse()
        .with_context(|| format!("{subnet:?} is not an IPv4 network such as 10.6.0.0/24"))?;
    Ok(Ipv4Addr::from_bits(base.to_bits().wrapping_add(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_numbered_from_the_networks_address() {
        assert_eq!(address("10.6.0.0/24", 2).unwrap(), Ipv4Addr::new(10, 6, 0, 2));
        assert!(address("fd00::/64", 2).is_err());
    }
}
