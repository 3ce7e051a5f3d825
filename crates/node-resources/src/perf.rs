//! What processors and memory are used for.

use resource::{Message, Resource};
use serde::{Deserialize, Serialize};

/// What the processors spent their time at.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "CPUStats.perf.talos.dev",
    namespace = "perf",
    column("User" = "{.cpuTotal.user}"),
    column("System" = "{.cpuTotal.system}")
)]
pub struct CPUStats {
    #[field(1)]
    pub cpu: Vec<CPUStat>,
    #[field(2)]
    pub cpu_total: CPUStat,
    #[field(3)]
    pub irq_total: u64,
    #[field(4)]
    pub context_switches: u64,
    #[field(5)]
    pub process_created: u64,
    #[field(6)]
    pub process_running: u64,
    #[field(7)]
    pub process_blocked: u64,
    #[field(8)]
    pub soft_irq_total: u64,
}

/// What memory is used for, in KiB.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(
    type = "MemoryStats.perf.talos.dev",
    namespace = "perf",
    column("Used" = "{.used}"),
    column("Total" = "{.total}")
)]
pub struct MemoryStats {
    #[field(1)]
    pub total: u64,
    #[field(2)]
    pub used: u64,
    #[field(3)]
    pub available: u64,
    #[field(4)]
    pub buffers: u64,
    #[field(5)]
    pub cached: u64,
    #[field(6)]
    pub swap_cached: u64,
    #[field(7)]
    pub active: u64,
    #[field(8)]
    pub inactive: u64,
    #[field(9)]
    pub active_anon: u64,
    #[field(10)]
    pub inactive_anon: u64,
    #[field(11)]
    pub active_file: u64,
    #[field(12)]
    pub inactive_file: u64,
    #[field(13)]
    pub unevictable: u64,
    #[field(14)]
    pub mlocked: u64,
    #[field(15)]
    pub swap_total: u64,
    #[field(16)]
    pub swap_free: u64,
    #[field(17)]
    pub dirty: u64,
    #[field(18)]
    pub writeback: u64,
    #[field(19)]
    pub anon_pages: u64,
    #[field(20)]
    pub mapped: u64,
    #[field(21)]
    pub shmem: u64,
    #[field(22)]
    pub slab: u64,
    #[field(23)]
    pub sreclaimable: u64,
    #[field(24)]
    pub sunreclaim: u64,
    #[field(25)]
    pub kernel_stack: u64,
    #[field(26)]
    pub page_tables: u64,
    #[field(27)]
    pub nfsunstable: u64,
    #[field(28)]
    pub bounce: u64,
    #[field(29)]
    pub write_backtmp: u64,
    #[field(30)]
    pub commit_limit: u64,
    #[field(31)]
    pub commit_tedas: u64,
    #[field(32)]
    pub vmalloc_total: u64,
    #[field(33)]
    pub vmalloc_used: u64,
    #[field(34)]
    pub vmalloc_chunk: u64,
    #[field(35)]
    pub hardware_corrupted: u64,
    #[field(36)]
    pub anon_huge_pages: u64,
    #[field(37)]
    pub shmem_huge_pages: u64,
    #[field(38)]
    pub shmem_pmd_mapped: u64,
    #[field(39)]
    pub cma_total: u64,
    #[field(40)]
    pub cma_free: u64,
    #[field(41)]
    pub huge_pages_total: u64,
    #[field(42)]
    pub huge_pages_free: u64,
    #[field(43)]
    pub huge_pages_rsvd: u64,
    #[field(44)]
    pub huge_pages_surp: u64,
    #[field(45)]
    pub hugepagesize: u64,
    #[field(46)]
    pub direct_map4k: u64,
    #[field(47)]
    pub direct_map2m: u64,
    #[field(48)]
    pub direct_map1g: u64,
}

/// Seconds a processor spent at what.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase", default)]
pub struct CPUStat {
    #[field(1)]
    pub user: f64,
    #[field(2)]
    pub nice: f64,
    #[field(3)]
    pub system: f64,
    #[field(4)]
    pub idle: f64,
    #[field(5)]
    pub iowait: f64,
    #[field(6)]
    pub irq: f64,
    #[field(7)]
    pub soft_irq: f64,
    #[field(8)]
    pub steal: f64,
    #[field(9)]
    pub guest: f64,
    #[field(10)]
    pub guest_nice: f64,
}
