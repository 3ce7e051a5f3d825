//! Where a run of the tests lives: a folder of its own, a network that nobody uses, nothing left of runs that were
//! killed.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::engine::{self, Engine};
use crate::program::Program;

const PREFIX: &str = "keelson-e2e-";

/// A new folder for a test's files, named after this process, so that a later run can tell whose it is.
///
/// # Errors
/// It cannot be made.
pub fn folder() -> Result<TempDir> {
    let prefix = format!("{PREFIX}{}-", std::process::id());
    tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir()
        .context("make a folder for the tests")
}

/// The command line with everything it keeps in one folder.
pub fn keelctl_in(home: &Path) -> Program {
    Program::built("keelctl")
        .with_env("HOME", home)
        .with_env("TALOSCONFIG", &home.join("talosconfig"))
        .with_env("KUBECONFIG", &home.join("kubeconfig"))
        .with_env("KEELSON_STATE", &home.join("clusters"))
}

/// A place for one cluster: a folder for what the programs keep, and the programs that keep it there. The cluster is
/// destroyed when this is dropped, whatever happened.
#[derive(Debug)]
pub struct Place {
    name: &'static str,
    folder: Arc<TempDir>,
    /// The command line, with this cluster's client configuration.
    pub keelctl: Program,
    /// kubectl, with this cluster's kubeconfig.
    pub kubectl: Program,
}

impl Place {
    /// A place without a cluster yet.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(name: &'static str) -> Result<Self> {
        let folder = folder()?;
        Ok(Self {
            name,
            keelctl: keelctl_in(folder.path()),
            kubectl: Program::built("kubectl").with_env("KUBECONFIG", &folder.path().join("kubeconfig")),
            folder: Arc::new(folder),
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder, for what works in it longer than the cluster lives: it goes with the last who has it.
    pub fn keep_folder(&self) -> Arc<TempDir> {
        self.folder.clone()
    }

    /// Makes the cluster in this run's network, with more arguments; shows what nodes said if it fails.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(&self, more: &[&str]) -> Result<()> {
        self.create_with("native", more)
    }

    /// The same with a provisioner of choice.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create_with(&self, provisioner: &str, more: &[&str]) -> Result<()> {
        println!("cluster: creating {:?} {}", self.name, more.join(" "));
        let started = Instant::now();
        let cidr = network().cidr();
        let base = ["cluster", "create", provisioner, "--name", self.name, "--subnet", &cidr];
        let created = self.keelctl.run(&[&base, more].concat())?;
        if !created.ok() {
            self.print_logs();
        }
        created.output()?;
        println!("cluster: created in {:.1} s", started.elapsed().as_secs_f64());
        Ok(())
    }

    /// The name of the bridge that a cluster's nodes are joined by; their cables are `BRIDGE-0` and so on, in the order
    /// in which `cluster show` lists the nodes.
    ///
    /// # Errors
    /// There is no such cluster.
    pub fn bridge(&self, cluster: &str) -> Result<String> {
        let shown = self.keelctl.output(&["cluster", "show", "--name", cluster])?;
        let network = shown.lines().find_map(|line| line.strip_prefix("NETWORK NAME"));
        let network = network.with_context(|| format!("no network is shown:\n{shown}"))?;
        Ok(network.trim().to_owned())
    }

    /// Destroys the cluster.
    ///
    /// # Errors
    /// Something of it cannot be removed.
    pub fn destroy(&self) -> Result<()> {
        self.keelctl
            .output(&["cluster", "destroy", "--name", self.name])
            .map(drop)
    }

    /// Destroys what there is of the cluster, in whatever state.
    pub fn clean_up(&self) {
        let _ = self
            .keelctl
            .run(&["cluster", "destroy", "--name", self.name, "--force"]);
    }

    /// The ends of the nodes' logs, for a failure that has to be understood from what was printed.
    pub fn print_logs(&self) {
        let root = self.folder().join("clusters").join(self.name);
        for entry in std::fs::read_dir(&root).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|e| e == "log") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(60).collect();
                println!("--- {}", path.display());
                tail.iter().rev().for_each(|line| println!("{line}"));
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clean_up();
    }
}

/// Destroys the clusters of runs that were killed before they could do it themselves, and removes their folders.
///
/// # Errors
/// The folder of temporary files cannot be read, or a cluster cannot be destroyed.
pub fn clean_up_after_killed_runs() -> Result<()> {
    crate::cut::mend_after_killed_runs()?;
    for entry in std::fs::read_dir(std::env::temp_dir())?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else {
            continue;
        };
        if Path::new("/proc").join(pid).exists() {
            continue;
        }
        let mut keelctl = keelctl_in(&entry.path());
        // Containers are there as long as their engine's data; what removes them is an engine.
        let engine = engine::was_in(&entry.path()).then(|| Engine::start(&entry.path()));
        let engine = engine.transpose()?;
        if let Some(engine) = &engine {
            keelctl = engine.used_by(keelctl)?;
        }
        for cluster in std::fs::read_dir(entry.path().join("clusters"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let cluster = cluster.file_name().to_string_lossy().into_owned();
            println!("cluster: destroying {cluster:?} of a run that was killed ({name})");
            keelctl.output(&["cluster", "destroy", "--name", &cluster, "--force"])?;
        }
        drop(engine);
        std::fs::remove_dir_all(entry.path()).with_context(|| format!("remove {}", entry.path().display()))?;
    }
    Ok(())
}

/// A /24 network for the tests' clusters.
#[derive(Debug)]
pub struct Network(Ipv4Addr);

impl Network {
    /// The address with a number in it.
    pub fn host(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.0) + u32::from(number))
    }

    /// As `cluster create --subnet` takes it.
    pub fn cidr(&self) -> String {
        format!("{}/24", self.0)
    }
}

/// The number of the first network that is looked at.
static FIRST: AtomicU8 = AtomicU8::new(0);

/// Looks for networks from this number on: two runs at once look in different places, as what one has found free is
/// not in use yet when the other looks.
pub fn look_for_networks_from(number: u8) {
    FIRST.store(number, Ordering::Relaxed);
}

/// The network of this run: the default one of local clusters, or the next that no link of the host is in.
///
/// # Panics
/// The host's addresses cannot be listed: nothing can be tested then.
pub fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| match used().map(|used| free(&used, FIRST.load(Ordering::Relaxed))) {
        Ok(Some(network)) => network,
        Ok(None) => panic!("every network of 10.5.0.0/16 is in use here"),
        Err(error) => panic!("{error:?}"),
    })
}

/// A network that no link of the host is in now, for a cluster beside the one of [`network`].
///
/// # Errors
/// The host's addresses cannot be listed, or there is none.
pub fn another_network() -> Result<Network> {
    free(&used()?, FIRST.load(Ordering::Relaxed)).context("every network of 10.5.0.0/16 is in use here")
}

/// The host's addresses, each with the length of its prefix.
fn used() -> Result<Vec<(Ipv4Addr, u8)>> {
    let output = Command::new("ip")
        .args(["-json", "-4", "address"])
        .output()
        .context("run `ip`")?;
    let links: Value = serde_json::from_slice(&output.stdout).context("read what `ip` printed")?;
    let addresses = links
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|l| l["addr_info"].as_array());
    let read = |a: &Value| {
        Some((
            a["local"].as_str()?.parse().ok()?,
            u8::try_from(a["prefixlen"].as_u64()?).ok()?,
        ))
    };
    Ok(addresses.flatten().filter_map(read).collect())
}

fn free(used: &[(Ipv4Addr, u8)], first: u8) -> Option<Network> {
    let overlaps = |network: Ipv4Addr| {
        used.iter().any(|(address, length)| {
            let mask = u32::MAX
                .checked_shl(32 - u32::from((*length).min(24)))
                .unwrap_or_default();
            u32::from(*address) & mask == u32::from(network) & mask
        })
    };
    (first..=u8::MAX)
        .map(|n| Ipv4Addr::new(10, 5, n, 0))
        .find(|n| !overlaps(*n))
        .map(Network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_network_without_a_link_in_it_is_free() {
        let from = |first: u8, used: &[(&str, u8)]| {
            let used: Vec<_> = used.iter().map(|(a, l)| (a.parse().unwrap(), *l)).collect();
            free(&used, first).map(|n| n.cidr())
        };
        let free = |used: &[(&str, u8)]| from(0, used);
        assert_eq!(free(&[("127.0.0.1", 8)]).as_deref(), Some("10.5.0.0/24"));
        assert_eq!(
            free(&[("10.5.0.1", 24), ("10.5.1.77", 32)]).as_deref(),
            Some("10.5.2.0/24")
        );
        assert_eq!(
            from(128, &[("10.5.0.1", 24), ("10.5.128.1", 24)]).as_deref(),
            Some("10.5.129.0/24")
        );
        assert_eq!(free(&[("10.0.0.9", 8)]), None);
        assert_eq!(free(&[("0.0.0.0", 0)]), None);
    }
}
