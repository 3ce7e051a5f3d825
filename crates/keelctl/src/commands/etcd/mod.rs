//! `etcd`: members and status here, the rest in files of their own.

mod membership;
mod snapshot;
mod upkeep;

use anyhow::Result;
use api::proto::machine::{EtcdMember, EtcdMemberListRequest, EtcdMemberStatus};

use crate::Program;
use crate::cli::etcd::{AlarmAction, Etcd, EtcdAction};
use crate::output::{print, size, table::Table};
use crate::quorum;
use crate::session::{Session, block};

/// Runs `etcd ACTION`.
pub fn run(command: &Etcd, program: Program) -> Result<()> {
    block(async {
        let session = Session::open(&command.client, program)?;
        match &command.command {
            EtcdAction::Alarm { command } => match command {
                AlarmAction::Disarm => upkeep::disarm(&session).await,
                AlarmAction::List => upkeep::alarms(&session).await,
            },
            EtcdAction::Defrag => upkeep::defragment(&session).await,
            EtcdAction::Downgrade { command } => upkeep::downgrade(&session, command).await,
            EtcdAction::ForfeitLeadership => membership::forfeit(&session).await,
            EtcdAction::Leave => membership::leave(&session).await,
            EtcdAction::Members => members(&session).await,
            EtcdAction::RemoveMember { id } => membership::remove(&session, *id).await,
            EtcdAction::Snapshot { path } => snapshot::save(&session, path.as_ref()).await,
            EtcdAction::Status => status(&session).await,
        }
    })
}

async fn members(session: &Session) -> Result<()> {
    let (answers, failures) = session
        .each(async |client| {
            let request = EtcdMemberListRequest { query_local: false };
            let response = client.machine().etcd_member_list(request).await?.into_inner();
            Ok(response
                .messages
                .into_iter()
                .flat_map(|message| message.members)
                .collect::<Vec<_>>())
        })
        .await;
    print(&members_table(&answers))?;
    if let Some((_, members)) = answers.first() {
        quorum::warn(members.iter().filter(|member| !member.is_learner).count());
    }
    failures
        .into_result()
        .map_err(|error| error.context("error getting members"))
}

/// Members as nodes know them, a line each.
pub fn members_table(answers: &[(String, Vec<EtcdMember>)]) -> String {
    let mut table = Table::new(["NODE", "ID", "HOSTNAME", "PEER URLS", "CLIENT URLS", "LEARNER"]);
    for (node, members) in answers {
        for m in members {
            let learner = m.is_learner.to_string();
            table.row([
                node,
                &hex(m.id),
                &m.hostname,
                &m.peer_urls.join(","),
                &m.client_urls.join(","),
                &learner,
            ]);
        }
    }
    table.render()
}

async fn status(session: &Session) -> Result<()> {
    let (answers, failures) = session
        .each(async |client| {
            let response = client.machine().etcd_status(()).await?.into_inner();
            Ok(response
                .messages
                .into_iter()
                .filter_map(|message| message.member_status)
                .collect::<Vec<_>>())
        })
        .await;
    print(&status_table(&answers))?;
    failures
        .into_result()
        .map_err(|error| error.context("error getting status"))
}

/// The state of members, a line each.
pub fn status_table(answers: &[(String, Vec<EtcdMemberStatus>)]) -> String {
    let mut table = Table::new([
        "NODE",
        "MEMBER",
        "DB SIZE",
        "IN USE",
        "LEADER",
        "RAFT INDEX",
        "RAFT TERM",
        "RAFT APPLIED INDEX",
        "LEARNER",
        "PROTOCOL",
        "STORAGE",
        "ERRORS",
    ]);
    for (node, statuses) in answers {
        for s in statuses {
            let ratio = if s.db_size > 0 {
                s.db_size_in_use as f64 / s.db_size as f64 * 100.0
            } else {
                0.0
            };
            let bytes = |n: i64| size::decimal(u64::try_from(n).unwrap_or_default());
            table.row([
                node.clone(),
                hex(s.member_id),
                bytes(s.db_size),
                format!("{} ({ratio:.2}%)", bytes(s.db_size_in_use)),
                hex(s.leader),
                s.raft_index.to_string(),
                s.raft_term.to_string(),
                s.raft_applied_index.to_string(),
                s.is_learner.to_string(),
                s.protocol_version.clone(),
                s.storage_version.clone(),
                s.errors.join(", "),
            ]);
        }
    }
    table.render()
}

/// Identifiers of members as etcd's own tools write them.
fn hex(id: u64) -> String {
    format!("{id:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_status_have_their_columns() {
        let member = EtcdMember {
            id: 0x8e9e_05c5_2164_694d,
            hostname: "cp-1".into(),
            peer_urls: vec!["https://10.5.0.2:2380".into()],
            client_urls: vec!["https://10.5.0.2:2379".into()],
            is_learner: false,
        };
        let expected = "NODE       ID                 HOSTNAME   PEER URLS               CLIENT URLS             LEARNER\n\
                        10.5.0.2   8e9e05c52164694d   cp-1       https://10.5.0.2:2380   https://10.5.0.2:2379   false\n";
        assert_eq!(members_table(&[("10.5.0.2".into(), vec![member])]), expected);
        let status = EtcdMemberStatus {
            db_size: 20_000_000,
            db_size_in_use: 5_000_000,
            ..Default::default()
        };
        let text = status_table(&[("n".into(), vec![status])]);
        assert!(text.contains("20 MB     5.0 MB (25.00%)   0000000000000000"), "{text}");
    }
}
