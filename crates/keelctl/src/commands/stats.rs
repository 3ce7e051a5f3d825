//! `stats` and `restart`: containers at work.

use anyhow::Result;
use api::proto::machine::{RestartRequest, Stat, StatsRequest};

use crate::Program;
use crate::cli::common::Node;
use crate::cli::load::Restart;
use crate::cli::observe::Containers;
use crate::commands::containers::{place, shown};
use crate::output::{print, table::Table};
use crate::session::{Session, block};

/// Runs `stats`.
pub fn run(command: &Node<Containers>, program: Program) -> Result<()> {
    block(async {
        let session = Session::open(&command.client, program)?;
        let (namespace, driver) = place(command.args.kubernetes);
        let (answers, failures) = session
            .each(async |client| {
                let request = StatsRequest {
                    namespace: namespace.clone(),
                    driver: driver.into(),
                };
                let messages = client.machine().stats(request).await?.into_inner().messages;
                Ok(messages.into_iter().flat_map(|m| m.stats).collect::<Vec<_>>())
            })
            .await;
        print(&render(answers))?;
        failures.into_result()
    })
}

/// What containers of nodes use, a line each.
pub fn render(answers: Vec<(String, Vec<Stat>)>) -> String {
    let mut table = Table::new(["NODE", "NAMESPACE", "ID", "MEMORY(MB)", "CPU"]);
    for (node, mut stats) in answers {
        stats.sort_by(|left, right| left.id.cmp(&right.id));
        for s in stats {
            let id = shown(s.id, &s.pod_id);
            let memory = format!("{:.2}", s.memory_usage as f64 / 1e6);
            table.row([node.clone(), s.namespace, id, memory, s.cpu_usage.to_string()]);
        }
    }
    table.render()
}

/// Runs `restart`.
pub fn restart(command: &Node<Restart>, program: Program) -> Result<()> {
    block(async {
        let session = Session::open(&command.client, program)?;
        let (namespace, driver) = place(command.args.kubernetes);
        let request = RestartRequest {
            namespace,
            id: command.args.id.clone(),
            driver: driver.into(),
        };
        let (_, failures) = session
            .each(async |client| client.machine().restart(request.clone()).await)
            .await;
        failures.into_result()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_print_as_captured() {
        let captured = include_str!("../../tests/vectors/cli/stats.txt");
        let captured = captured.strip_suffix("exit 0\n").unwrap();
        let stat = |id: &str, memory_usage, cpu_usage| Stat {
            namespace: "system".into(),
            id: id.into(),
            pod_id: id.into(),
            memory_usage,
            cpu_usage,
            ..Stat::default()
        };
        let stats = vec![
            stat("trustd", 18_780_160, 860_459_000),
            stat("apid", 24_109_056, 3_033_401_000),
        ];
        assert_eq!(render(vec![("127.0.0.1".into(), stats)]), captured);
    }
}
