//! What processors and memory are used for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use node_resources::perf::{CPUStat, CPUStats, MemoryStats};
use resource::{Context, Outcome, Outputs, Reconcile};

/// How often. Every look is a change in the store, so not often.
const PERIOD: Duration = Duration::from_secs(30);
/// `/proc/stat` counts in this unit, whatever the kernel's own is (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// Reports processors and memory. In a container they are the host's.
pub struct Stats {
    proc: PathBuf,
}

impl Stats {
    /// What a `/proc` says.
    pub fn new(proc: &Path) -> Self {
        Self { proc: proc.to_owned() }
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        let path = self.proc.join(file);
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }
}

impl Reconcile for Stats {
    type Inputs = ();
    type Outputs = (Outputs<CPUStats>, Outputs<MemoryStats>);

    async fn reconcile(&mut self, (): (), _: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        let processors = Outputs::one("latest", processors(&self.read("stat")?));
        let memory = Outputs::one("latest", memory(&self.read("meminfo")?));
        Ok(Outcome::done((processors, memory)).requeue(PERIOD))
    }
}

/// `/proc/stat`; what it does not say is 0.
fn processors(text: &str) -> CPUStats {
    let mut stats = CPUStats::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        let numbers: Vec<u64> = words.map(|word| word.parse().unwrap_or(0)).collect();
        let first = numbers.first().copied().unwrap_or(0);
        match name {
            "cpu" => stats.cpu_total = seconds(&numbers),
            "intr" => stats.irq_total = first,
            "ctxt" => stats.context_switches = first,
            "processes" => stats.process_created = first,
            "procs_running" => stats.process_running = first,
            "procs_blocked" => stats.process_blocked = first,
            "softirq" => stats.soft_irq_total = first,
            name if name.starts_with("cpu") => stats.cpu.push(seconds(&numbers)),
            _ => {}
        }
    }
    stats
}

fn seconds(ticks: &[u64]) -> CPUStat {
    #[allow(clippy::cast_precision_loss)] // 2^53 hundredths of a second are three million years.
    let at = |index: usize| ticks.get(index).map_or(0.0, |ticks| *ticks as f64 / TICKS_PER_SECOND);
    CPUStat {
        user: at(0),
        nice: at(1),
        system: at(2),
        idle: at(3),
        iowait: at(4),
        irq: at(5),
        soft_irq: at(6),
        steal: at(7),
        guest: at(8),
        guest_nice: at(9),
    }
}

/// `/proc/meminfo`; what it does not say is 0.
fn memory(text: &str) -> MemoryStats {
    let line = |line: &str| -> Option<(String, u64)> {
        let (name, rest) = line.split_once(':')?;
        Some((name.to_owned(), rest.split_ascii_whitespace().next()?.parse().ok()?))
    };
    let values: HashMap<String, u64> = text.lines().filter_map(line).collect();
    let get = |name: &str| values.get(name).copied().unwrap_or(0);
    MemoryStats {
        total: get("MemTotal"),
        used: get("MemTotal").saturating_sub(get("MemFree")),
        available: get("MemAvailable"),
        buffers: get("Buffers"),
        cached: get("Cached"),
        swap_cached: get("SwapCached"),
        active: get("Active"),
        inactive: get("Inactive"),
        active_anon: get("Active(anon)"),
        inactive_anon: get("Inactive(anon)"),
        active_file: get("Active(file)"),
        inactive_file: get("Inactive(file)"),
        unevictable: get("Unevictable"),
        mlocked: get("Mlocked"),
        swap_total: get("SwapTotal"),
        swap_free: get("SwapFree"),
        dirty: get("Dirty"),
        writeback: get("Writeback"),
        anon_pages: get("AnonPages"),
        mapped: get("Mapped"),
        shmem: get("Shmem"),
        slab: get("Slab"),
        sreclaimable: get("SReclaimable"),
        sunreclaim: get("SUnreclaim"),
        kernel_stack: get("KernelStack"),
        page_tables: get("PageTables"),
        nfsunstable: get("NFS_Unstable"),
        bounce: get("Bounce"),
        write_backtmp: get("WritebackTmp"),
        commit_limit: get("CommitLimit"),
        commit_tedas: get("Committed_AS"),
        vmalloc_total: get("VmallocTotal"),
        vmalloc_used: get("VmallocUsed"),
        vmalloc_chunk: get("VmallocChunk"),
        hardware_corrupted: get("HardwareCorrupted"),
        anon_huge_pages: get("AnonHugePages"),
        shmem_huge_pages: get("ShmemHugePages"),
        shmem_pmd_mapped: get("ShmemPmdMapped"),
        cma_total: get("CmaTotal"),
        cma_free: get("CmaFree"),
        huge_pages_total: get("HugePages_Total"),
        huge_pages_free: get("HugePages_Free"),
        huge_pages_rsvd: get("HugePages_Rsvd"),
        huge_pages_surp: get("HugePages_Surp"),
        hugepagesize: get("Hugepagesize"),
        direct_map4k: get("DirectMap4k"),
        direct_map2m: get("DirectMap2M"),
        direct_map1g: get("DirectMap1G"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_in_seconds() {
        let stats = processors(
            "cpu  1028 0 1161 10381 18 0 60 0 0 0\ncpu0 554 0 660 5061 13 0 36 0 0 0\nintr 39725 1 2\nctxt 59173\n\
             btime 1\nprocesses 305\nprocs_running 1\nprocs_blocked 0\nsoftirq 15508 7\n",
        );
        assert_eq!(
            (stats.cpu_total.user, stats.cpu_total.idle, stats.cpu_total.soft_irq),
            (10.28, 103.81, 0.6)
        );
        assert_eq!((stats.cpu.len(), stats.cpu[0].system), (1, 6.6));
        assert_eq!(
            (stats.irq_total, stats.context_switches, stats.soft_irq_total),
            (39725, 59173, 15508)
        );
        assert_eq!((stats.process_created, stats.process_running), (305, 1));
    }

    #[test]
    fn memory_that_is_not_free_is_used() {
        let stats = memory("MemTotal:  100 kB\nMemFree:    30 kB\nMemAvailable: 60 kB\nHugePages_Total:   2\nbad\n");
        assert_eq!(
            (stats.total, stats.used, stats.available, stats.huge_pages_total),
            (100, 70, 60, 2)
        );
    }

    #[test]
    fn this_machine_has_processors_and_memory() {
        let stats = Stats::new(Path::new("/proc"));
        assert!(!processors(&stats.read("stat").unwrap()).cpu.is_empty());
        assert!(memory(&stats.read("meminfo").unwrap()).total > 0);
    }
}
