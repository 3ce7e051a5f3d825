//! Where a run of the tests lives: a folder of its own, a network that nobody uses, nothing left of runs that were
//! killed.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

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

/// Destroys the clusters of runs that were killed before they could do it themselves, and removes their folders.
///
/// # Errors
/// The folder of temporary files cannot be read, or a cluster cannot be destroyed.
pub fn clean_up_after_killed_runs() -> Result<()> {
    for entry in std::fs::read_dir(std::env::temp_dir())?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else {
            continue;
        };
        if Path::new("/proc").join(pid).exists() {
            continue;
        }
        let keelctl = keelctl_in(&entry.path());
        for cluster in std::fs::read_dir(entry.path().join("clusters"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let cluster = cluster.file_name().to_string_lossy().into_owned();
            println!("cluster: destroying {cluster:?} of a run that was killed ({name})");
            keelctl.output(&["cluster", "destroy", "--name", &cluster, "--force"])?;
        }
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

/// The network of this run: the default one of local clusters, or the next that no link of the host is in.
///
/// # Panics
/// The host's addresses cannot be listed: nothing can be tested then.
pub fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| match used().map(|used| free(&used)) {
        Ok(Some(network)) => network,
        Ok(None) => panic!("every network of 10.5.0.0/16 is in use here"),
        Err(error) => panic!("{error:?}"),
    })
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

fn free(used: &[(Ipv4Addr, u8)]) -> Option<Network> {
    let overlaps = |network: Ipv4Addr| {
        used.iter().any(|(address, length)| {
            let mask = u32::MAX
                .checked_shl(32 - u32::from((*length).min(24)))
                .unwrap_or_default();
            u32::from(*address) & mask == u32::from(network) & mask
        })
    };
    (0..=255)
        .map(|n| Ipv4Addr::new(10, 5, n, 0))
        .find(|n| !overlaps(*n))
        .map(Network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_network_without_a_link_in_it_is_free() {
        let free = |used: &[(&str, u8)]| {
            let used: Vec<_> = used.iter().map(|(a, l)| (a.parse().unwrap(), *l)).collect();
            free(&used).map(|n| n.cidr())
        };
        assert_eq!(free(&[("127.0.0.1", 8)]).as_deref(), Some("10.5.0.0/24"));
        assert_eq!(
            free(&[("10.5.0.1", 24), ("10.5.1.77", 32)]).as_deref(),
            Some("10.5.2.0/24")
        );
        assert_eq!(free(&[("10.0.0.9", 8)]), None);
        assert_eq!(free(&[("0.0.0.0", 0)]), None);
    }
}
