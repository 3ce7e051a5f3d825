//! `get --history`: what happened to resources, and why. Ours; Talos nodes do not have it.

use anyhow::Result;
use api::proto::keelson::machine::{HistoryRequest, HistoryResponse, history_response};
use futures::StreamExt as _;
use tonic::Status;

use super::print::{Format, document};
use crate::cli::observe::Get;
use crate::output::age::{rfc3339, timestamp};
use crate::output::{print, table::Table};
use crate::session::Session;

/// Shows past changes, oldest first.
pub async fn run(session: &Session, name: &str, args: &Get, format: &Format) -> Result<()> {
    let ids = if args.ids.is_empty() {
        vec![String::new()]
    } else {
        args.ids.clone()
    };
    let (answers, failures) = session
        .each(async |client| {
            let mut changes: Vec<HistoryResponse> = Vec::new();
            for id in &ids {
                let request = HistoryRequest {
                    r#type: name.to_owned(),
                    namespace: args.namespace.clone().unwrap_or_default(),
                    id: id.clone(),
                    limit: 0,
                };
                let mut stream = client.insight().history(request).await?.into_inner();
                while let Some(change) = stream.next().await {
                    changes.push(change?);
                }
            }
            changes.sort_by_key(|change| change.sequence);
            Ok::<_, Status>(changes)
        })
        .await;
    match format {
        Format::Table => {
            let mut table = Table::new([
                "NODE",
                "TIME",
                "CHANGE",
                "NAMESPACE",
                "TYPE",
                "ID",
                "VERSION",
                "BY",
                "CAUSE",
            ]);
            for (node, change) in answers
                .iter()
                .flat_map(|(node, all)| all.iter().map(move |change| (node, change)))
            {
                let metadata = change
                    .new
                    .as_ref()
                    .or(change.old.as_ref())
                    .and_then(|r| r.metadata.clone());
                let m = metadata.unwrap_or_default();
                let time = change
                    .time
                    .map(|t| rfc3339(timestamp(t.seconds, t.nanos)))
                    .unwrap_or_default();
                let kind = word(change);
                table.row([
                    node,
                    &time,
                    kind,
                    &m.namespace,
                    &m.r#type,
                    &m.id,
                    &m.version,
                    &change.owner,
                    &change.cause,
                ]);
            }
            print(&table.render())?;
        }
        other => {
            let mut count = 0;
            for (node, changes) in answers {
                for change in changes {
                    let kind = word(&change);
                    for (side, resource) in [("old", change.old), ("new", change.new)] {
                        let Some(resource) = resource else { continue };
                        let document = document(&node, resource);
                        let text = match other {
                            Format::JsonPath(template) => format!("{}\n", template.render(&document.value()?)),
                            Format::Json => {
                                let mut value = document.value()?;
                                value["history"] = serde_json::json!({
                                    "sequence": change.sequence, "change": kind, "side": side,
                                    "by": change.owner, "cause": change.cause,
                                });
                                crate::output::document::pretty_json(&value)
                            }
                            _ => {
                                let separator = if count > 0 { "---\n" } else { "" };
                                let by = if change.owner.is_empty() { "?" } else { &change.owner };
                                let cause = &change.cause;
                                let number = change.sequence;
                                format!(
                                    "{separator}# {number}: {kind} by {by}, {side}: {cause}\n{}",
                                    document.to_yaml()
                                )
                            }
                        };
                        count += 1;
                        print(&text)?;
                    }
                }
            }
        }
    }
    failures.into_result()
}

fn word(change: &HistoryResponse) -> &'static str {
    match history_response::Change::try_from(change.change) {
        Ok(history_response::Change::Created) => "created",
        Ok(history_response::Change::Updated) => "updated",
        Ok(history_response::Change::Destroyed) => "destroyed",
        Err(_) => "?",
    }
}
