//! A network that is cut between the nodes of a cluster: none of their packets arrive, and nobody is told. Packets from
//! and to this machine itself pass, so a test can ask each side what it thinks.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// How the packet filter's tables are called; what follows is the process that made it.
const PREFIX: &str = "keelson_cut_";

/// A cut; it is mended when this is dropped. A process has one at a time.
#[derive(Debug)]
pub struct Cut {
    table: String,
}

impl Cut {
    /// Drops every packet between nodes of these and any other node, also another of these. The bridge's name is
    /// [`crate::site::Place::bridge`]'s, the numbers are those of cables.
    ///
    /// # Errors
    /// The packet filter does not take it (nftables, with bridges).
    pub fn off(bridge: &str, nodes: &[u8]) -> Result<Self> {
        let cut = Self {
            table: format!("{PREFIX}{}", std::process::id()),
        };
        nft(&rules(&cut.table, bridge, nodes)).context("cut the network")?;
        Ok(cut)
    }

    /// Lets packets through again.
    ///
    /// # Errors
    /// The packet filter does not take it.
    pub fn mend(self) -> Result<()> {
        delete(&self.table)
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        let _ = delete(&self.table);
    }
}

/// Mends what a run that was killed left cut.
///
/// # Errors
/// The packet filter does not take it.
pub fn mend_after_killed_runs() -> Result<()> {
    let Ok(tables) = Command::new("nft").args(["list", "tables"]).output() else {
        // Then nobody cut anything.
        return Ok(());
    };
    let tables = String::from_utf8_lossy(&tables.stdout).into_owned();
    for table in tables.lines().filter_map(|line| line.strip_prefix("table bridge ")) {
        let pid = table.strip_prefix(PREFIX);
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            delete(table)?;
        }
    }
    Ok(())
}

/// Adding the table first makes deleting it right also where it is not there.
fn delete(table: &str) -> Result<()> {
    nft(&format!("add table bridge {table}\ndelete table bridge {table}\n")).context("mend the network")
}

fn rules(table: &str, bridge: &str, nodes: &[u8]) -> String {
    let drop = |node: &u8| {
        let cable = format!("{bridge}-{node}");
        format!("iifname \"{cable}\" drop\noifname \"{cable}\" drop\n")
    };
    // What the bridge forwards is from node to node; what is from or to this machine is input and output.
    let drops: String = nodes.iter().map(drop).collect();
    format!(
        "table bridge {table} {{\nchain forward {{\ntype filter hook forward priority 0; policy accept;\n{drops}}}\n}}\n"
    )
}

/// Has the packet filter do all of it or nothing.
fn nft(script: &str) -> Result<()> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("run nft (apt-get install nftables)")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).context("write to nft")?;
    }
    let output = child.wait_with_output().context("wait for nft")?;
    ensure!(
        output.status.success(),
        "nft: {}\n{script}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_drops_what_comes_from_and_goes_to_the_nodes_cables() {
        let rules = rules("t", "kl1", &[0, 2]);
        for part in [
            "table bridge t",
            "hook forward",
            "iifname \"kl1-0\" drop",
            "oifname \"kl1-2\" drop",
        ] {
            assert!(rules.contains(part), "{rules}");
        }
        assert!(!rules.contains("kl1-1"), "{rules}");
    }
}
