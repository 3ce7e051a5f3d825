//! What is done to a cluster by chance, the same again for the same seed.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::processes::processes;

/// What every node runs, by the names of programs.
const EVERYWHERE: [&str; 4] = ["init", "apid", "containerd", "kubelet"];
/// What control planes run beside that.
const CONTROL_PLANE: [&str; 5] = [
    "trustd",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];

/// One thing that is done to a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Harm {
    /// A program is killed.
    Kill(&'static str),
    /// The whole node is, as by a power cut, and started again.
    PowerOff,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Harm::Kill("init") => f.write_str("kill init, which is machined and with it the node"),
            Harm::Kill(program) => write!(f, "kill {program}"),
            Harm::PowerOff => f.write_str("power off, and on"),
        }
    }
}

impl Harm {
    /// One of all there are, each as likely as any other.
    pub fn choose(random: &mut Random, control_plane: bool) -> Harm {
        let programs = Self::programs(control_plane);
        let count = u8::try_from(programs.len()).unwrap_or(u8::MAX);
        let chosen = random.below(count + 1);
        programs
            .get(usize::from(chosen))
            .map_or(Harm::PowerOff, |program| Harm::Kill(program))
    }

    /// What can be killed on a node.
    pub fn programs(control_plane: bool) -> Vec<&'static str> {
        let more: &[&str] = if control_plane { &CONTROL_PLANE } else { &[] };
        EVERYWHERE.iter().chain(more).copied().collect()
    }
}

/// Kills a program of the node with an address; false if it does not run at the moment.
pub fn kill(address: Ipv4Addr, program: &str) -> Result<bool> {
    let found = processes(address, &[program])?;
    Ok(found.first().is_some_and(|process| end(process.pid)))
}

/// Ends a node as a machine that lost its power: what starts it again, then the node. The folder is the cluster's.
pub fn power_off(folder: &Path, name: &str) -> Result<()> {
    let read = |file: &str| -> Result<Value> {
        let path = folder.join(file);
        let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))
    };
    let supervisor = read("state.json")?["supervisors"][name]["pid"].clone();
    let init = read(&format!("{name}.run.json"))?["init"]["pid"].clone();
    for pid in [supervisor, init] {
        if let Some(pid) = pid.as_u64().and_then(|pid| u32::try_from(pid).ok()) {
            end(pid);
        }
    }
    Ok(())
}

/// Whether there was such a process.
fn end(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
}

/// A seed that is another one each time.
pub fn any_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // Short enough to be typed.
    now.map_or(1, |now| now.as_secs() % 1_000_000)
}

/// Numbers that look like chance (SplitMix64).
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// One of 0 up to but not including `limit`, which is not 0.
    pub fn below(&mut self, limit: u8) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        u8::try_from(z % u64::from(limit.max(1))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn harms(seed: u64) -> Vec<Harm> {
        let mut random = Random::new(seed);
        (0..1000).map(|_| Harm::choose(&mut random, true)).collect()
    }

    #[test]
    fn a_seed_chooses_the_same_again_and_everything_at_some_time() {
        assert_eq!(harms(7), harms(7));
        assert_ne!(harms(7), harms(8));
        let seen = harms(7);
        assert!(seen.contains(&Harm::PowerOff));
        for program in Harm::programs(true) {
            assert!(seen.contains(&Harm::Kill(program)), "{program}");
        }
        assert!(!Harm::programs(false).contains(&"etcd"));
    }
}
