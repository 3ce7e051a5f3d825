//! `time`: the clocks of nodes and of their time servers.

use anyhow::Result;
use api::proto::time::TimeRequest;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::observe::Time;
use crate::output::{print, table::Table};
use crate::session::{Session, block};

/// Runs `time`.
pub fn run(command: &Node<Time>, program: Program) -> Result<()> {
    block(async {
        let session = Session::open(&command.client, program)?;
        let (answers, failures) = session
            .each(async |client| {
                let mut time = client.time();
                let response = match &command.args.check {
                    Some(server) => time.time_check(TimeRequest { server: server.clone() }).await?,
                    None => time.time(()).await?,
                };
                Ok(response.into_inner().messages)
            })
            .await;
        if !answers.is_empty() {
            let mut table = Table::new(["NODE", "NTP-SERVER", "NODE-TIME", "NTP-SERVER-TIME"]);
            for (node, messages) in answers {
                for m in messages {
                    table.row([node.clone(), m.server, go_time(m.localtime), go_time(m.remotetime)]);
                }
            }
            print(&table.render())?;
        }
        failures
            .into_result()
            .map_err(|error| error.context("error fetching time"))
    })
}

/// A time as Go prints it: `2026-11-21 06:31:15.5 +0000 UTC`.
fn go_time(time: Option<prost_types::Timestamp>) -> String {
    let Some(time) = time else { return String::new() };
    let Ok(at) = jiff::Timestamp::new(time.seconds, time.nanos) else {
        return "out of range".to_owned();
    };
    format!("{} +0000 UTC", at.to_string().replace('T', " ").trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_written_as_go_does() {
        let time = prost_types::Timestamp {
            seconds: 1_795_242_671,
            nanos: 500_000_000,
        };
        assert_eq!(super::go_time(Some(time)), "2026-11-21 06:31:11.5 +0000 UTC");
        assert_eq!(super::go_time(None), "");
    }
}
