//! `usage`: what files take.

use anyhow::Result;
use api::proto::machine::{DiskUsageInfo, DiskUsageRequest};
use futures::StreamExt as _;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::files::Usage;
use crate::output::{note, print, size, table::Flow};
use crate::session::{Failures, Session, Silent, block};

/// Runs `usage`.
pub fn run(command: &Node<Usage>, program: Program) -> Result<()> {
    let args = &command.args;
    let request = DiskUsageRequest {
        recursion_depth: args.depth,
        all: args.all,
        threshold: args.threshold,
        paths: args.paths.clone(),
    };
    block(async {
        let session = Session::open(&command.client, program)?;
        let mut stream = session
            .streams(async |client| client.machine().disk_usage(request.clone()).await)
            .await;
        let mut table = Flow::new(["NODE", "SIZE", "NAME"]);
        let (mut any, mut broken, mut failures) = (false, false, Failures::default());
        while let Some((node, item)) = stream.next().await {
            match item {
                Ok(info) if !info.error.is_empty() => {
                    broken = true;
                    note(&format!("{node}: error reading file {}: {}", info.name, info.error));
                }
                Ok(info) => {
                    any = true;
                    table.row(row(args, node, info)).map_or(Ok(()), |text| print(&text))?;
                }
                Err(status) => failures.0.push((node, status)),
            }
        }
        if any || failures.0.is_empty() {
            print(&table.rest())?;
        }
        failures.into_result()?;
        if broken { Err(Silent.into()) } else { Ok(()) }
    })
}

fn row(args: &Usage, node: String, info: DiskUsageInfo) -> [String; 3] {
    let bytes = u64::try_from(info.size).unwrap_or_default();
    let size = if args.humanize {
        size::decimal(bytes)
    } else {
        bytes.to_string()
    };
    // With several paths, names from where each begins would say nothing.
    let name = if args.paths.len() > 1 {
        info.name
    } else {
        info.relative_name
    };
    [node, size, name]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_where_several_paths_were_given() {
        let args = |paths: &[&str], humanize| Usage {
            paths: paths.iter().map(ToString::to_string).collect(),
            all: false,
            depth: 0,
            humanize,
            threshold: 0,
        };
        let info = DiskUsageInfo {
            name: "/etc/ssl".into(),
            relative_name: "ssl".into(),
            size: 189_532,
            ..DiskUsageInfo::default()
        };
        assert_eq!(
            row(&args(&["/etc"], false), "n".into(), info.clone()),
            ["n", "189532", "ssl"]
        );
        assert_eq!(
            row(&args(&["/etc", "/var"], true), "n".into(), info),
            ["n", "190 kB", "/etc/ssl"]
        );
    }
}
