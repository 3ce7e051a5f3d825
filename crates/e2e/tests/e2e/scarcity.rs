//! What a node needs is missing for a while: it says so, loses nothing, and goes on when it is there again.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::program::Program;
use e2e::run::Test;
use e2e::site::{folder, keelctl_in, network};
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{control_plane, endpoint};
use crate::maintenance::{SMALL, mirrors};

pub fn tests() -> Vec<Test<()>> {
    tests![a_full_disk_loses_nothing, a_registry_that_is_away_is_waited_for,]
}

const NAME: &str = "scarce";

/// A cluster of one node, and what it stands on; all of it goes away with this.
struct Scarce {
    keelctl: Program,
    mount: Option<PathBuf>,
    home: tempfile::TempDir,
}

impl Scarce {
    /// A place for the cluster, with its state on a disk of its own if a size is given.
    fn new(disk: Option<&str>) -> Result<Self> {
        let home = folder()?;
        let mut scarce = Self {
            keelctl: keelctl_in(home.path()),
            mount: None,
            home,
        };
        if let Some(size) = disk {
            let path = scarce.home.path().join("clusters");
            std::fs::create_dir(&path)?;
            let options = format!("size={size}");
            let mounted = Command::new("mount")
                .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
                .arg(&path)
                .status()?;
            ensure!(mounted.success(), "mount a disk at {}", path.display());
            scarce.mount = Some(path);
        }
        Ok(scarce)
    }

    fn create(&self, more: &[&str]) -> Result<()> {
        let cidr = network().cidr();
        let base = ["cluster", "create", "--name", NAME, "--workers", "0", "--subnet", &cidr];
        self.keelctl.output(&[&base, more].concat()).map(drop)
    }

    fn ask(&self, args: &[&str]) -> Result<String> {
        self.keelctl.output(&[&["-n", control_plane()], args].concat())
    }
}

impl Drop for Scarce {
    fn drop(&mut self) {
        let _ = self.keelctl.run(&["cluster", "destroy", "--name", NAME, "--force"]);
        if let Some(path) = &self.mount {
            let _ = Command::new("umount").arg(path).status();
        }
    }
}

/// Writes until there is no space left.
fn fill(path: &Path) -> Result<()> {
    let mut file = std::fs::File::create(path)?;
    let block = vec![0x5a; 1024 * 1024];
    loop {
        match file.write_all(&block) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error).context("fill the disk"),
        }
    }
}

fn a_full_disk_loses_nothing((): &()) -> Result<()> {
    let scarce = Scarce::new(Some("2G"))?;
    scarce.create(&[])?;
    let kubectl = Program::built("kubectl").with_env("KUBECONFIG", &scarce.home.path().join("kubeconfig"));
    kubectl.output(&["create", "configmap", "before"])?;
    let config = || scarce.ask(&["get", "machineconfig", "v1alpha1", "-o", "jsonpath={.spec}"]);
    let before = config()?;

    let filler = scarce.home.path().join("clusters/filler");
    fill(&filler)?;
    // The node answers, says why it cannot take a change, and keeps what it has.
    scarce.ask(&["version"])?;
    let patch = r#"{"machine": {"nodeLabels": {"keelson.dev/full": "yes"}}}"#;
    let refusal = scarce
        .keelctl
        .run(&["-n", control_plane(), "patch", "machineconfig", "-p", patch])?
        .refusal()?;
    ensure!(refusal.contains("No space left"), "{refusal}");
    ensure!(config()? == before, "the configuration changed");

    std::fs::remove_file(&filler)?;
    scarce.ask(&["patch", "machineconfig", "-p", patch])?;
    eventually("the label, and what was there before", Duration::from_secs(180), || {
        let nodes = kubectl.output(&["get", "nodes", "-l", "keelson.dev/full=yes"])?;
        ensure!(nodes.contains(" Ready "), "{nodes}");
        kubectl.output(&["get", "configmap", "before"]).map(drop)
    })
}

/// Passes connections of a port on to another address, while it is switched on.
fn forward(listener: TcpListener, to: String, on: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&to) else { continue };
            if !on.load(Ordering::Relaxed) {
                continue;
            }
            let (Ok(client_in), Ok(server_in)) = (client.try_clone(), server.try_clone()) else {
                continue;
            };
            for (mut from, mut to) in [(client_in, server), (server_in, client)] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
}

fn a_registry_that_is_away_is_waited_for((): &()) -> Result<()> {
    let scarce = Scarce::new(None)?;
    // The cluster's own registry, by a way that is closed at first.
    let way = TcpListener::bind("0.0.0.0:0")?;
    let gateway = network().host(1);
    let port = way.local_addr()?.port();
    let open = Arc::new(AtomicBool::new(false));
    forward(way, format!("{gateway}:5000"), open.clone());
    scarce.create(&["--skip-injecting-config"])?;
    let home = scarce.home.path();
    let out = home.to_string_lossy().into_owned();
    scarce
        .keelctl
        .output(&["gen", "config", "scarce", &endpoint(), "-o", &out, "--force"])?;
    let patch = home.join("patch.yaml");
    std::fs::write(&patch, format!("{SMALL}---\n{}", mirrors(&format!("{gateway}:{port}"))))?;
    let file = home.join("controlplane.yaml").to_string_lossy().into_owned();
    let patch = format!("@{}", patch.display());
    let node = control_plane();
    let apply = [
        "apply-config",
        "--insecure",
        "-f",
        &file,
        "-n",
        node,
        "-e",
        node,
        "--config-patch",
        &patch,
    ];
    eventually("maintenance mode", Duration::from_secs(30), || {
        scarce.keelctl.output(&apply)
    })?;
    scarce.keelctl.output(&["config", "endpoint", node])?;
    eventually("the node to take the bootstrap", Duration::from_secs(60), || {
        scarce.ask(&["bootstrap"])
    })?;
    eventually("the node to say what it waits for", Duration::from_secs(60), || {
        let kubelet = scarce.ask(&["service", "kubelet"])?;
        ensure!(kubelet.contains("kubelet:v") && kubelet.contains("pull"), "{kubelet}");
        Ok(())
    })?;
    open.store(true, Ordering::Relaxed);
    scarce.ask(&["health", "--wait-timeout", "3m"])?;
    Ok(())
}
