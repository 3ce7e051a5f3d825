//! What a node needs is missing for a while: it says so, loses nothing, and goes on when it is there again.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::run::Test;
use e2e::site::{Place, folder, keelctl_in, network};
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{control_plane, endpoint};
use crate::maintenance::{SMALL, mirrors};

pub fn tests() -> Vec<Test<()>> {
    tests![
        a_file_that_does_not_fit_leaves_nothing,
        a_full_disk_loses_nothing,
        a_registry_that_is_away_is_waited_for,
    ]
}

/// A small disk of its own; goes away when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf, size: &str) -> Result<Self> {
        std::fs::create_dir(&path)?;
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .status()?;
        ensure!(mounted.success(), "mount a disk at {}", path.display());
        Ok(Self(path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// A cluster of one node, and the disk it stands on if it has one of its own.
struct Scarce {
    // Before the place, so that it is gone when the place's folder is removed.
    _disk: Option<Disk>,
    place: Place,
}

impl Scarce {
    /// A place for the cluster, with its state on a disk of its own if a size is given.
    fn new(disk: Option<&str>) -> Result<Self> {
        let place = Place::new("scarce")?;
        let disk = disk.map(|size| Disk::mount(place.folder().join("clusters"), size));
        Ok(Self {
            _disk: disk.transpose()?,
            place,
        })
    }

    fn create(&self, more: &[&str]) -> Result<()> {
        self.place.create(&[&["--workers", "0"], more].concat())
    }

    fn ask(&self, args: &[&str]) -> Result<String> {
        self.place.keelctl.output(&[&["-n", control_plane()], args].concat())
    }
}

impl Drop for Scarce {
    fn drop(&mut self) {
        // The disk can only go when nothing of the cluster stands on it.
        self.place.clean_up();
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

fn a_file_that_does_not_fit_leaves_nothing((): &()) -> Result<()> {
    let home = folder()?;
    let disk = Disk::mount(home.path().join("disk"), "16k")?;
    let out = disk.0.to_string_lossy().into_owned();
    let gen_config = ["gen", "config", "demo", "https://10.5.0.2:6443", "-o", &out];
    let refusal = keelctl_in(home.path()).run(&gen_config)?.refusal()?;
    ensure!(refusal.contains("No space left"), "{refusal}");
    for entry in std::fs::read_dir(&disk.0)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(
            std::path::Path::new(&name).extension().is_some_and(|e| e == "yaml"),
            "{name} is left of a file that did not fit"
        );
    }
    Ok(())
}

fn a_full_disk_loses_nothing((): &()) -> Result<()> {
    let scarce = Scarce::new(Some("2G"))?;
    scarce.create(&[])?;
    let kubectl = &scarce.place.kubectl;
    kubectl.output(&["create", "configmap", "before"])?;
    let config = || scarce.ask(&["get", "machineconfig", "v1alpha1", "-o", "jsonpath={.spec}"]);
    let before = config()?;

    let filler = scarce.place.folder().join("clusters/filler");
    fill(&filler)?;
    // The node answers, says why it cannot take a change, and keeps what it has.
    scarce.ask(&["version"])?;
    let patch = r#"{"machine": {"nodeLabels": {"keelson.dev/full": "yes"}}}"#;
    let refusal = scarce
        .place
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
    let home = scarce.place.folder();
    let out = home.to_string_lossy().into_owned();
    scarce
        .place
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
        scarce.place.keelctl.output(&apply)
    })?;
    scarce.place.keelctl.output(&["config", "endpoint", node])?;
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
