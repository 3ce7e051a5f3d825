//! The machine and its kernel: version, name, kernel log, memory, mounts, processes.

use anyhow::Context;
use api::proto::common::Data;
use api::proto::machine as proto;
use api::reply::Reply;
use futures::StreamExt;
use sys::kmsg::{Reader, Record};
use tonic::codegen::BoxStream;
use tonic::{Response, Status};

use crate::node::Node;
use crate::version;

/// What the node runs.
pub fn version(_node: &Node) -> proto::VersionResponse {
    proto::VersionResponse::of(proto::Version {
        version: Some(proto::VersionInfo {
            tag: version::TAG.to_owned(),
            sha: version::SHA.to_owned(),
            built: version::BUILT.to_owned(),
            go_version: version::COMPILER.to_owned(),
            os: "linux".to_owned(),
            arch: architecture().to_owned(),
        }),
        platform: Some(proto::PlatformInfo {
            name: "container".to_owned(),
            mode: "container".to_owned(),
        }),
        features: Some(proto::FeaturesInfo { rbac: true }),
        ..Default::default()
    })
}

/// The architecture as the container world names it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The host name.
pub fn hostname() -> proto::HostnameResponse {
    proto::HostnameResponse::of(proto::Hostname {
        hostname: sys::host::hostname(),
        ..Default::default()
    })
}

/// Kernel messages: what is kept (unless only new ones are asked for), then what comes, if followed.
pub fn dmesg(request: proto::DmesgRequest) -> Result<Response<BoxStream<Data>>, Status> {
    let reader = Reader::open(request.tail).map_err(|e| Status::internal(e.to_string()))?;
    let reader = reader.ok_or_else(|| {
        Status::failed_precondition("the kernel log cannot be read here: the host does not give it to containers")
    })?;
    let follow = request.follow;
    let lines = futures::stream::unfold(reader, move |mut reader| async move {
        let record = if follow {
            reader.next().await.map(Some)
        } else {
            reader.try_next()
        };
        match record {
            Ok(Some(record)) => Some((Ok(line(&record)), reader)),
            Ok(None) => None,
            Err(error) => Some((Err(Status::internal(error.to_string())), reader)),
        }
    });
    Ok(Response::new(lines.boxed()))
}

/// `facility: priority: [time since boot]: text`, as `dmesg` shows it.
fn line(record: &Record) -> Data {
    const FACILITIES: [&str; 8] = ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news"];
    const PRIORITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
    let name = |names: &[&'static str; 8], number: u8| names.get(usize::from(number)).copied().unwrap_or("unknown");
    let text = format!(
        "{}: {:>7}: [{:.9}]: {}\n",
        name(&FACILITIES, record.facility),
        name(&PRIORITIES, record.priority),
        record.time.as_secs_f64(),
        record.message
    );
    Data {
        metadata: None,
        bytes: text.into_bytes(),
    }
}

/// The kernel's counters of memory, in kB.
pub fn memory() -> anyhow::Result<proto::MemoryResponse> {
    let text = std::fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
    Ok(proto::MemoryResponse::of(proto::Memory {
        meminfo: Some(parse_memory(&text)),
        ..Default::default()
    }))
}

fn parse_memory(text: &str) -> proto::MemInfo {
    let mut info = proto::MemInfo::default();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(':') else {
            continue;
        };
        let value = rest
            .split_whitespace()
            .next()
            .and_then(|v| v.parse().ok())
            .unwrap_or_default();
        let field = match name {
            "MemTotal" => &mut info.memtotal,
            "MemFree" => &mut info.memfree,
            "MemAvailable" => &mut info.memavailable,
            "Buffers" => &mut info.buffers,
            "Cached" => &mut info.cached,
            "SwapCached" => &mut info.swapcached,
            "Active" => &mut info.active,
            "Inactive" => &mut info.inactive,
            "Active(anon)" => &mut info.activeanon,
            "Inactive(anon)" => &mut info.inactiveanon,
            "Active(file)" => &mut info.activefile,
            "Inactive(file)" => &mut info.inactivefile,
            "Unevictable" => &mut info.unevictable,
            "Mlocked" => &mut info.mlocked,
            "SwapTotal" => &mut info.swaptotal,
            "SwapFree" => &mut info.swapfree,
            "Dirty" => &mut info.dirty,
            "Writeback" => &mut info.writeback,
            "AnonPages" => &mut info.anonpages,
            "Mapped" => &mut info.mapped,
            "Shmem" => &mut info.shmem,
            "Slab" => &mut info.slab,
            "SReclaimable" => &mut info.sreclaimable,
            "SUnreclaim" => &mut info.sunreclaim,
            "KernelStack" => &mut info.kernelstack,
            "PageTables" => &mut info.pagetables,
            "NFS_Unstable" => &mut info.nfsunstable,
            "Bounce" => &mut info.bounce,
            "WritebackTmp" => &mut info.writebacktmp,
            "CommitLimit" => &mut info.commitlimit,
            "Committed_AS" => &mut info.committedas,
            "VmallocTotal" => &mut info.vmalloctotal,
            "VmallocUsed" => &mut info.vmallocused,
            "VmallocChunk" => &mut info.vmallocchunk,
            "HardwareCorrupted" => &mut info.hardwarecorrupted,
            "AnonHugePages" => &mut info.anonhugepages,
            "ShmemHugePages" => &mut info.shmemhugepages,
            "ShmemPmdMapped" => &mut info.shmempmdmapped,
            "CmaTotal" => &mut info.cmatotal,
            "CmaFree" => &mut info.cmafree,
            "HugePages_Total" => &mut info.hugepagestotal,
            "HugePages_Free" => &mut info.hugepagesfree,
            "HugePages_Rsvd" => &mut info.hugepagesrsvd,
            "HugePages_Surp" => &mut info.hugepagessurp,
            "Hugepagesize" => &mut info.hugepagesize,
            "DirectMap4k" => &mut info.directmap4k,
            "DirectMap2M" => &mut info.directmap2m,
            "DirectMap1G" => &mut info.directmap1g,
            _ => continue,
        };
        *field = value;
    }
    info
}

/// The load of the last 1, 5 and 15 minutes.
pub fn load_average() -> anyhow::Result<proto::LoadAvgResponse> {
    let text = std::fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
    let mut numbers = text.split_whitespace().filter_map(|n| n.parse().ok());
    let mut next = || numbers.next().unwrap_or_default();
    let (load1, load5, load15) = (next(), next(), next());
    Ok(proto::LoadAvgResponse::of(proto::LoadAvg {
        load1,
        load5,
        load15,
        ..Default::default()
    }))
}

/// Mounted file systems that have a size.
pub fn mounts() -> anyhow::Result<proto::MountsResponse> {
    let mut stats = Vec::new();
    for mount in sys::mount::list()? {
        let Ok(usage) = sys::files::usage(&mount.target) else {
            continue;
        };
        if usage.total > 0 {
            stats.push(proto::MountStat {
                filesystem: mount.source,
                size: usage.total,
                available: usage.available,
                mounted_on: mount.target.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(proto::MountsResponse::of(proto::Mounts {
        stats,
        ..Default::default()
    }))
}

/// All processes of the node.
pub fn processes() -> anyhow::Result<proto::ProcessesResponse> {
    let info = |p: sys::process::Process| proto::ProcessInfo {
        label: label(p.pid),
        pid: p.pid,
        ppid: p.parent,
        state: p.state.letter().to_string(),
        threads: i32::try_from(p.threads).unwrap_or(i32::MAX),
        cpu_time: p.cpu_ticks as f64 / 100.0,
        virtual_memory: p.virtual_memory,
        resident_memory: p.resident_memory,
        command: p.command,
        executable: p.executable,
        args: p.arguments.join(" "),
    };
    let processes = sys::process::list()?.into_iter().map(info).collect();
    Ok(proto::ProcessesResponse::of(proto::Process {
        processes,
        ..Default::default()
    }))
}

/// The label of a process in the kernel's security module; empty where there is none.
fn label(pid: i32) -> String {
    let label = std::fs::read_to_string(format!("/proc/{pid}/attr/current")).unwrap_or_default();
    label.trim_end_matches(['\0', '\n']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_memory_are_read() {
        let info = parse_memory("MemTotal:       24098856 kB\nActive(anon):    10 kB\nNew:  1 kB\n");
        assert_eq!((info.memtotal, info.activeanon, info.memfree), (24_098_856, 10, 0));
    }

    #[test]
    fn a_kernel_message_shows_who_and_when() {
        let record = Record {
            priority: 6,
            message: "hello".into(),
            time: std::time::Duration::from_millis(1500),
            ..Record::default()
        };
        assert_eq!(line(&record).bytes, "kern:    info: [1.500000000]: hello\n".as_bytes());
    }
}
