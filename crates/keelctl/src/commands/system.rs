//! `memory`, `mounts`, `processes`: the machine as its kernel sees it.

use std::time::Duration;

use anyhow::Result;
use api::proto::machine::{MemInfo, MountStat, ProcessInfo};

use crate::Program;
use crate::cli::common::Node;
use crate::cli::common::Plain;
use crate::cli::observe::{Memory, Processes};
use crate::output::{note, print, size, stdout_is_terminal, table::Table};
use crate::session::{Session, block, rpc_error};

/// Runs `memory`.
pub fn memory(command: &Node<Memory>, program: Program) -> Result<()> {
    block(async {
        let session = Session::open(&command.client, program)?;
        let (answers, failures) = session
            .each(async |client| {
                let response = client.machine().memory(()).await?.into_inner();
                Ok(response
                    .messages
                    .into_iter()
                    .filter_map(|message| message.meminfo)
                    .next()
                    .unwrap_or_default())
            })
            .await;
        print(&if command.args.verbose {
            verbose(&answers)
        } else {
            memory_table(&answers)
        })?;
        failures.into_result()
    })
}

/// Values are kilobytes on the wire and megabytes here.
fn memory_table(answers: &[(String, MemInfo)]) -> String {
    let mut table = Table::new([
        "NODE",
        "TOTAL",
        "USED",
        "FREE",
        "SHARED",
        "BUFFERS",
        "CACHE",
        "AVAILABLE",
    ]);
    for (node, m) in answers {
        let used = m
            .memtotal
            .saturating_sub(m.memfree)
            .saturating_sub(m.cached)
            .saturating_sub(m.buffers);
        let values = [
            m.memtotal,
            used,
            m.memfree,
            m.shmem,
            m.buffers,
            m.cached,
            m.memavailable,
        ];
        table.row(std::iter::once(node.clone()).chain(values.map(|kilobytes| (kilobytes / 1024).to_string())));
    }
    table.render()
}

/// Every value about the memory of nodes.
pub fn verbose(answers: &[(String, MemInfo)]) -> String {
    let mut text = String::new();
    for (node, m) in answers {
        text.push_str(&format!("NODE: {node}\n"));
        let lines = [
            ("MemTotal", m.memtotal),
            ("MemFree", m.memfree),
            ("MemAvailable", m.memavailable),
            ("Buffers", m.buffers),
            ("Cached", m.cached),
            ("SwapCached", m.swapcached),
            ("Active", m.active),
            ("Inactive", m.inactive),
            ("ActiveAnon", m.activeanon),
            ("InactiveAnon", m.inactiveanon),
            ("ActiveFile", m.activefile),
            ("InactiveFile", m.inactivefile),
            ("Unevictable", m.unevictable),
            ("Mlocked", m.mlocked),
            ("SwapTotal", m.swaptotal),
            ("SwapFree", m.swapfree),
            ("Dirty", m.dirty),
            ("Writeback", m.writeback),
            ("AnonPages", m.anonpages),
            ("Mapped", m.mapped),
            ("Shmem", m.shmem),
            ("Slab", m.slab),
            ("SReclaimable", m.sreclaimable),
            ("SUnreclaim", m.sunreclaim),
            ("KernelStack", m.kernelstack),
            ("PageTables", m.pagetables),
            ("CommitLimit", m.commitlimit),
            ("CommittedAS", m.committedas),
        ];
        for (name, value) in lines {
            text.push_str(&format!("{name}: {value} kB\n"));
        }
    }
    text
}

/// Runs `mounts`.
pub fn mounts(command: &Plain, program: Program) -> Result<()> {
    block(async {
        let session = Session::open(&command.client, program)?;
        let (answers, failures) = session
            .each(async |client| {
                let response = client.machine().mounts(()).await?.into_inner();
                Ok(response
                    .messages
                    .into_iter()
                    .flat_map(|message| message.stats)
                    .collect::<Vec<_>>())
            })
            .await;
        print(&mounts_table(&answers))?;
        failures.into_result()
    })
}

/// Mounts of nodes, a line each.
pub fn mounts_table(answers: &[(String, Vec<MountStat>)]) -> String {
    let header = [
        "NODE",
        "FILESYSTEM",
        "SIZE(GB)",
        "USED(GB)",
        "AVAILABLE(GB)",
        "PERCENT USED",
        "MOUNTED ON",
    ];
    let mut table = Table::new(header);
    for (node, stats) in answers {
        for s in stats {
            let used = s.size.saturating_sub(s.available);
            let percent = if s.size > 0 {
                used as f64 / s.size as f64 * 100.0
            } else {
                0.0
            };
            let gigabytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1e9);
            table.row([
                node,
                &s.filesystem,
                &gigabytes(s.size),
                &gigabytes(used),
                &gigabytes(s.available),
                &format!("{percent:.2}%"),
                &s.mounted_on,
            ]);
        }
    }
    table.render()
}

/// Time between two looks at processes.
const WATCH: Duration = Duration::from_secs(1);
/// Moves a terminal's cursor to its first place, and clears what is behind it (ECMA-48).
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Runs `processes`.
pub fn processes(command: &Node<Processes>, program: Program) -> Result<()> {
    let watch = command.args.watch;
    block(async {
        let session = Session::open(&command.client, program)?;
        loop {
            let (mut answers, failures) = session
                .each(async |client| {
                    let response = client.machine().processes(()).await?.into_inner();
                    Ok(response
                        .messages
                        .into_iter()
                        .flat_map(|message| message.processes)
                        .collect::<Vec<_>>())
                })
                .await;
            sort(&mut answers, &command.args.sort);
            let table = processes_table(&answers);
            if !watch || answers.is_empty() {
                print(&table)?;
                return failures.into_result();
            }
            let screen = stdout_is_terminal();
            let (clear, rows) = if screen {
                (CLEAR, screen_rows())
            } else {
                ("", usize::MAX)
            };
            let shown: String = table.split_inclusive('\n').take(rows).collect();
            print(&format!("{clear}{shown}"))?;
            // A node that does not answer now may do so the next time.
            for (node, status) in failures.0 {
                note(&format!("{node}: {}", rpc_error(&status)));
            }
            tokio::time::sleep(WATCH).await;
        }
    })
}

/// Rows that fit the screen, by the environment; else those of the smallest terminal.
fn screen_rows() -> usize {
    let lines = std::env::var("LINES")
        .ok()
        .and_then(|lines| lines.parse::<usize>().ok());
    lines.unwrap_or(24).saturating_sub(1)
}

/// Sorts the processes of each node: `cpu`, else by memory; the largest first.
pub fn sort(answers: &mut [(String, Vec<ProcessInfo>)], by: &str) {
    for (_, processes) in answers {
        match by {
            "cpu" => processes.sort_by(|left, right| right.cpu_time.total_cmp(&left.cpu_time)),
            _ => processes.sort_by_key(|process| std::cmp::Reverse(process.resident_memory)),
        }
    }
}

/// Processes of nodes, a line each.
pub fn processes_table(answers: &[(String, Vec<ProcessInfo>)]) -> String {
    let header = [
        "NODE", "PID", "STATE", "THREADS", "CPU-TIME", "VIRTMEM", "RESMEM", "LABEL", "COMMAND",
    ];
    let mut table = Table::new(header).with_padding(2);
    for (node, processes) in answers {
        for p in processes {
            let command = [&p.args, &p.executable, &p.command]
                .into_iter()
                .find(|text| !text.is_empty());
            table.row([
                node,
                &p.pid.to_string(),
                &p.state,
                &p.threads.to_string(),
                &format!("{:.2}", p.cpu_time),
                &size::decimal(p.virtual_memory),
                &size::decimal(p.resident_memory),
                &p.label,
                command.unwrap_or(&p.command),
            ]);
        }
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(text: &str) -> &str {
        text.strip_suffix("exit 0\n").unwrap()
    }

    #[test]
    fn memory_prints_as_captured() {
        let info = MemInfo {
            memtotal: 1978 * 1024,
            memfree: 1628 * 1024,
            memavailable: 1668 * 1024,
            cached: 165 * 1024 - 1,
            ..MemInfo::default()
        };
        let expected = vector(include_str!("../../tests/vectors/cli/memory.txt"));
        assert_eq!(memory_table(&[("127.0.0.1".into(), info)]), expected);
        assert!(verbose(&[("n".into(), info)]).starts_with("NODE: n\nMemTotal: 2025472 kB\nMemFree: "));
    }

    #[test]
    fn mounts_print_as_captured() {
        let captured = vector(include_str!("../../tests/vectors/cli/mounts.txt"));
        let stat = |line: &str| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            let bytes = |text: &str| (text.parse::<f64>().unwrap() * 1e9) as u64;
            let used = cells[5].trim_end_matches('%').parse::<f64>().unwrap() / 100.0 * bytes(cells[2]) as f64;
            MountStat {
                filesystem: cells[1].into(),
                size: bytes(cells[2]),
                available: bytes(cells[2]) - used.round() as u64,
                mounted_on: cells[6].into(),
            }
        };
        let stats: Vec<MountStat> = captured.lines().skip(1).map(stat).collect();
        assert_eq!(mounts_table(&[("127.0.0.1".into(), stats)]), captured);
    }

    #[test]
    fn processes_are_sorted_by_what_was_asked_for() {
        let process = |pid, resident_memory, cpu_time| ProcessInfo {
            pid,
            resident_memory,
            cpu_time,
            ..ProcessInfo::default()
        };
        let mut answers = [("n".to_owned(), vec![process(1, 5, 9.0), process(2, 7, 1.0)])];
        sort(&mut answers, "rss");
        assert_eq!(answers[0].1[0].pid, 2);
        sort(&mut answers, "cpu");
        assert_eq!(answers[0].1[0].pid, 1);
    }

    #[test]
    fn processes_print_as_captured() {
        let captured = vector(include_str!("../../tests/vectors/cli/processes.txt"));
        let (header, first) = captured.split_once('\n').unwrap();
        let process = |args: &str| ProcessInfo {
            pid: 1,
            state: "S".into(),
            threads: 10,
            cpu_time: 15.27,
            virtual_memory: 1_500_000_000,
            resident_memory: 133_000_000,
            label: "unconfined".into(),
            args: args.into(),
            ..ProcessInfo::default()
        };
        let text = processes_table(&[("127.0.0.1".into(), vec![process("/usr/bin/init")])]);
        let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            text.lines().map(squeeze).collect::<Vec<_>>(),
            [squeeze(header), squeeze(first.lines().next().unwrap())]
        );
        assert!(text.starts_with("NODE       PID  STATE  THREADS  CPU-TIME  VIRTMEM  RESMEM  LABEL       COMMAND\n"));
    }
}
