//! The kernel's counters: processors, interrupts, network devices, disks. In a container they are the host's, but for
//! the network devices.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::Context;
use api::proto::machine as proto;
use api::reply::Reply;

/// Clock ticks of `/proc/stat` in a second (USER_HZ, the same on every architecture we run on).
const TICKS: f64 = 100.0;

fn read(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {path}"))
}

/// Words of a line as numbers; what is missing or no number is zero.
struct Numbers<'a>(std::str::SplitAsciiWhitespace<'a>);

impl<'a> Numbers<'a> {
    fn of(text: &'a str) -> Self {
        Self(text.split_ascii_whitespace())
    }

    fn next<T: FromStr + Default>(&mut self) -> T {
        self.0.next().and_then(|word| word.parse().ok()).unwrap_or_default()
    }
}

/// Use of processors since boot, in seconds, and events of the kernel.
pub fn system() -> anyhow::Result<proto::SystemStatResponse> {
    Ok(proto::SystemStatResponse::of(parse_system(&read("/proc/stat")?)))
}

fn parse_system(text: &str) -> proto::SystemStat {
    let mut stat = proto::SystemStat::default();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(' ') else {
            continue;
        };
        let mut numbers = Numbers::of(rest);
        match name {
            "cpu" => stat.cpu_total = Some(cpu(rest)),
            "intr" => {
                stat.irq_total = numbers.next();
                stat.irq = numbers.0.filter_map(|word| word.parse().ok()).collect();
            }
            "ctxt" => stat.context_switches = numbers.next(),
            "btime" => stat.boot_time = numbers.next(),
            "processes" => stat.process_created = numbers.next(),
            "procs_running" => stat.process_running = numbers.next(),
            "procs_blocked" => stat.process_blocked = numbers.next(),
            "softirq" => {
                stat.soft_irq_total = numbers.next();
                stat.soft_irq = Some(proto::SoftIrqStat {
                    hi: numbers.next(),
                    timer: numbers.next(),
                    net_tx: numbers.next(),
                    net_rx: numbers.next(),
                    block: numbers.next(),
                    block_io_poll: numbers.next(),
                    tasklet: numbers.next(),
                    sched: numbers.next(),
                    hrtimer: numbers.next(),
                    rcu: numbers.next(),
                });
            }
            _ if name.starts_with("cpu") => stat.cpu.push(cpu(rest)),
            _ => {}
        }
    }
    stat
}

fn cpu(text: &str) -> proto::CpuStat {
    let mut numbers = Numbers::of(text);
    let mut next = || numbers.next::<f64>() / TICKS;
    proto::CpuStat {
        user: next(),
        nice: next(),
        system: next(),
        idle: next(),
        iowait: next(),
        irq: next(),
        soft_irq: next(),
        steal: next(),
        guest: next(),
        guest_nice: next(),
    }
}

/// What the processors are.
pub fn processors() -> anyhow::Result<proto::CpuInfoResponse> {
    let cpu_info = read("/proc/cpuinfo")?
        .split("\n\n")
        .filter_map(parse_processor)
        .collect();
    Ok(proto::CpuInfoResponse::of(proto::CpUsInfo {
        cpu_info,
        ..Default::default()
    }))
}

/// One processor, a line per property. What an architecture does not tell is empty.
fn parse_processor(text: &str) -> Option<proto::CpuInfo> {
    let properties: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let word = |name: &str| properties.get(name).copied().unwrap_or_default().to_owned();
    let words = |name: &str| word(name).split_ascii_whitespace().map(str::to_owned).collect();
    let number = |name: &str| word(name).parse().unwrap_or_default();
    Some(proto::CpuInfo {
        processor: properties.get("processor")?.parse().ok()?,
        vendor_id: word("vendor_id"),
        cpu_family: word("cpu family"),
        model: word("model"),
        model_name: word("model name"),
        stepping: word("stepping"),
        microcode: word("microcode"),
        cpu_mhz: word("cpu MHz").parse().unwrap_or_default(),
        cache_size: word("cache size"),
        physical_id: word("physical id"),
        siblings: number("siblings"),
        core_id: word("core id"),
        cpu_cores: number("cpu cores"),
        apic_id: word("apicid"),
        initial_apic_id: word("initial apicid"),
        fpu: word("fpu"),
        fpu_exception: word("fpu_exception"),
        cpu_id_level: number("cpuid level"),
        wp: word("wp"),
        flags: words("flags"),
        bugs: words("bugs"),
        bogo_mips: word("bogomips").parse().unwrap_or_default(),
        cl_flush_size: number("clflush size"),
        cache_alignment: number("cache_alignment"),
        address_sizes: word("address sizes"),
        power_management: word("power management"),
    })
}

/// How fast the processors run, in kHz. A virtual machine has nothing to say of it.
pub fn frequencies() -> proto::CpuFreqStatsResponse {
    let folder = |number: usize| format!("/sys/devices/system/cpu/cpu{number}");
    let processors = (0..).map(folder).take_while(|path| std::path::Path::new(path).exists());
    let frequencies = processors.map(|path| {
        let word = |name: &str| {
            let text = std::fs::read_to_string(format!("{path}/cpufreq/{name}"));
            text.unwrap_or_default().trim().to_owned()
        };
        proto::CpuFreqStats {
            current_frequency: word("scaling_cur_freq").parse().unwrap_or_default(),
            minimum_frequency: word("cpuinfo_min_freq").parse().unwrap_or_default(),
            maximum_frequency: word("cpuinfo_max_freq").parse().unwrap_or_default(),
            governor: word("scaling_governor"),
        }
    });
    proto::CpuFreqStatsResponse::of(proto::CpUsFreqStats {
        cpu_freq_stats: frequencies.collect(),
        ..Default::default()
    })
}

/// What passed the node's network devices.
pub fn network_devices() -> anyhow::Result<proto::NetworkDeviceStatsResponse> {
    // That of this thread: /proc/net is a link to the network namespace of the process.
    let devices = parse_network_devices(&read("/proc/net/dev")?);
    let mut total = proto::NetDev {
        name: "total".to_owned(),
        ..Default::default()
    };
    for d in &devices {
        total.rx_bytes += d.rx_bytes;
        total.rx_packets += d.rx_packets;
        total.rx_errors += d.rx_errors;
        total.rx_dropped += d.rx_dropped;
        total.rx_fifo += d.rx_fifo;
        total.rx_frame += d.rx_frame;
        total.rx_compressed += d.rx_compressed;
        total.rx_multicast += d.rx_multicast;
        total.tx_bytes += d.tx_bytes;
        total.tx_packets += d.tx_packets;
        total.tx_errors += d.tx_errors;
        total.tx_dropped += d.tx_dropped;
        total.tx_fifo += d.tx_fifo;
        total.tx_collisions += d.tx_collisions;
        total.tx_carrier += d.tx_carrier;
        total.tx_compressed += d.tx_compressed;
    }
    Ok(proto::NetworkDeviceStatsResponse::of(proto::NetworkDeviceStats {
        total: Some(total),
        devices,
        ..Default::default()
    }))
}

fn parse_network_devices(text: &str) -> Vec<proto::NetDev> {
    let device = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let mut n = Numbers::of(rest);
        Some(proto::NetDev {
            name: name.trim().to_owned(),
            rx_bytes: n.next(),
            rx_packets: n.next(),
            rx_errors: n.next(),
            rx_dropped: n.next(),
            rx_fifo: n.next(),
            rx_frame: n.next(),
            rx_compressed: n.next(),
            rx_multicast: n.next(),
            tx_bytes: n.next(),
            tx_packets: n.next(),
            tx_errors: n.next(),
            tx_dropped: n.next(),
            tx_fifo: n.next(),
            tx_collisions: n.next(),
            tx_carrier: n.next(),
            tx_compressed: n.next(),
        })
    };
    text.lines().skip(2).filter_map(device).collect()
}

/// What disks did; partitions count for themselves, and not in the total.
pub fn disks() -> anyhow::Result<proto::DiskStatsResponse> {
    let devices = parse_disks(&read("/proc/diskstats")?);
    let mut total = proto::DiskStat {
        name: "total".to_owned(),
        ..Default::default()
    };
    let whole = |d: &&proto::DiskStat| std::path::Path::new("/sys/block").join(&d.name).exists();
    for d in devices.iter().filter(whole) {
        total.read_completed += d.read_completed;
        total.read_merged += d.read_merged;
        total.read_sectors += d.read_sectors;
        total.read_time_ms += d.read_time_ms;
        total.write_completed += d.write_completed;
        total.write_merged += d.write_merged;
        total.write_sectors += d.write_sectors;
        total.write_time_ms += d.write_time_ms;
        total.io_in_progress += d.io_in_progress;
        total.io_time_ms += d.io_time_ms;
        total.io_time_weighted_ms += d.io_time_weighted_ms;
        total.discard_completed += d.discard_completed;
        total.discard_merged += d.discard_merged;
        total.discard_sectors += d.discard_sectors;
        total.discard_time_ms += d.discard_time_ms;
    }
    Ok(proto::DiskStatsResponse::of(proto::DiskStats {
        total: Some(total),
        devices,
        ..Default::default()
    }))
}

fn parse_disks(text: &str) -> Vec<proto::DiskStat> {
    let disk = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(2);
        let name = words.next()?.to_owned();
        let rest: Vec<&str> = words.collect();
        let rest = rest.join(" ");
        let mut n = Numbers::of(&rest);
        Some(proto::DiskStat {
            name,
            read_completed: n.next(),
            read_merged: n.next(),
            read_sectors: n.next(),
            read_time_ms: n.next(),
            write_completed: n.next(),
            write_merged: n.next(),
            write_sectors: n.next(),
            write_time_ms: n.next(),
            io_in_progress: n.next(),
            io_time_ms: n.next(),
            io_time_weighted_ms: n.next(),
            discard_completed: n.next(),
            discard_merged: n.next(),
            discard_sectors: n.next(),
            discard_time_ms: n.next(),
        })
    };
    text.lines().filter_map(disk).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_of_processors_is_read_in_seconds() {
        let text = "cpu  250 0 100 1000 5 0 7 0 0 0\ncpu0 250 0 100 1000 5 0 7 0 0 0\nintr 60 10 0 50\nctxt 99\n\
                    btime 1795242671\nprocesses 12\nprocs_running 2\nprocs_blocked 1\nsoftirq 10 1 2 3 4 5 6 7 8 9 10\n";
        let stat = parse_system(text);
        let total = stat.cpu_total.unwrap();
        assert_eq!(
            (total.user, total.system, total.iowait, total.soft_irq),
            (2.5, 1.0, 0.05, 0.07)
        );
        assert_eq!(stat.cpu, [total]);
        assert_eq!((stat.irq_total, stat.irq), (60, vec![10, 0, 50]));
        assert_eq!((stat.context_switches, stat.boot_time), (99, 1_795_242_671));
        assert_eq!(
            (stat.process_created, stat.process_running, stat.process_blocked),
            (12, 2, 1)
        );
        assert_eq!((stat.soft_irq_total, stat.soft_irq.unwrap().rcu), (10, 10));
    }

    #[test]
    fn a_processor_is_read() {
        let text = "processor\t: 3\nvendor_id\t: AuthenticAMD\ncpu MHz\t\t: 2445.406\nflags\t\t: fpu vme\nsiblings\t: 4\n\
                    bogomips\t: 4890.81\npower management:\n";
        let cpu = parse_processor(text).unwrap();
        assert_eq!(
            (cpu.processor, cpu.vendor_id.as_str(), cpu.siblings),
            (3, "AuthenticAMD", 4)
        );
        assert_eq!((cpu.cpu_mhz, cpu.bogo_mips), (2445.406, 4890.81));
        assert_eq!(cpu.flags, ["fpu", "vme"]);
        assert_eq!(parse_processor(""), None);
        assert!(!processors().unwrap().messages[0].cpu_info.is_empty());
    }

    #[test]
    fn network_devices_and_disks_are_read() {
        let text = "Inter-|   Receive\n face |bytes\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        let devices = parse_network_devices(text);
        let d = &devices[0];
        assert_eq!(
            (d.name.as_str(), d.rx_bytes, d.rx_multicast, d.tx_bytes, d.tx_compressed),
            ("eth0", 1, 8, 9, 16)
        );
        let disks = parse_disks(" 254       0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n");
        let d = &disks[0];
        assert_eq!(
            (d.name.as_str(), d.read_completed, d.io_in_progress, d.discard_time_ms),
            ("vda", 1, 9, 15)
        );
        let all = network_devices().unwrap();
        let total = all.messages[0].total.as_ref().unwrap().rx_bytes;
        assert_eq!(total, all.messages[0].devices.iter().map(|d| d.rx_bytes).sum::<u64>());
    }
}
