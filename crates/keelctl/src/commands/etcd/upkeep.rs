//! `etcd alarm`, `etcd defrag` and `etcd downgrade`.

use std::time::Duration;

use anyhow::Result;
use api::client::Client;
use api::proto::machine::{
    EtcdClusterDowngrade, EtcdDowngradeEnableRequest, EtcdDowngradeValidateRequest, EtcdMemberAlarm,
};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use super::hex;
use crate::cli::etcd::DowngradeAction;
use crate::output::{note, print, size, table::Table};
use crate::session::{Failures, Session, failed};

/// How long a member may take to answer again after its database was rewritten.
const SETTLE: Duration = Duration::from_secs(60);
/// Pause between two looks at it.
const POLL: Duration = Duration::from_millis(500);

/// Lists the alarms that each node knows.
pub async fn alarms(session: &Session) -> Result<()> {
    let (answers, failures) = session
        .in_turn(async |client: Client| {
            let messages = client.machine().etcd_alarm_list(()).await?.into_inner().messages;
            Ok(messages.into_iter().flat_map(|m| m.member_alarms).collect())
        })
        .await;
    show_alarms(&answers, failures, "error getting alarms")
}

/// Disarms alarms, asking one node after the other, and lists which there were.
pub async fn disarm(session: &Session) -> Result<()> {
    let (answers, failures) = session
        .in_turn(async |client: Client| {
            let messages = client.machine().etcd_alarm_disarm(()).await?.into_inner().messages;
            Ok(messages.into_iter().flat_map(|m| m.member_alarms).collect())
        })
        .await;
    show_alarms(&answers, failures, "error disarming alarms")
}

/// Prints what was answered, whoever failed.
fn show_alarms(answers: &[(String, Vec<EtcdMemberAlarm>)], failures: Failures, what: &'static str) -> Result<()> {
    print(&alarm_table(answers))?;
    failures.into_result().map_err(|error| error.context(what))
}

fn alarm_table(answers: &[(String, Vec<EtcdMemberAlarm>)]) -> String {
    let mut table = Table::new(["NODE", "MEMBER", "ALARM"]);
    for (node, alarms) in answers {
        for alarm in alarms {
            table.row([node.as_str(), &hex(alarm.member_id), alarm.alarm().as_str_name()]);
        }
    }
    table.render()
}

/// Defragments one member after the other; a member answers nobody meanwhile, so never two at once.
pub async fn defragment(session: &Session) -> Result<()> {
    let mut failures = Failures::default();
    let mut stuck: Option<&str> = None;
    for target in session.targets() {
        let node = target.node.as_str();
        if let Some(stuck) = stuck {
            let why = format!("left alone: {stuck} may still be busy, and two must not be at once");
            failures.0.push((node.to_owned(), Status::aborted(why)));
            continue;
        }
        match defragment_one(&target.client).await {
            Ok((before, after)) => note(&format!(
                "{node}: defragmented, {} before and {} now",
                size::decimal(before),
                size::decimal(after)
            )),
            Err(status) => {
                if may_be_busy(&status) {
                    stuck = Some(node);
                }
                failures.0.push((node.to_owned(), status));
            }
        }
    }
    failures
        .into_result()
        .map_err(|error| error.context("error defragmenting"))
}

/// Whether a failed call may have left the member busy: then the next one has to wait for a person.
fn may_be_busy(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal
    )
}

/// Sizes of the database before and after.
async fn defragment_one(client: &Client) -> Result<(u64, u64), Status> {
    let before = db_size(client).await?;
    client.machine().etcd_defragment(()).await?;
    let done = Instant::now();
    loop {
        match db_size(client).await {
            Ok(after) => return Ok((before, after)),
            Err(status) if done.elapsed() > SETTLE => {
                let what = "defragmented, but it does not answer any more";
                return Err(Status::deadline_exceeded(format!("{what}: {}", status.message())));
            }
            Err(_) => sleep(POLL).await,
        }
    }
}

async fn db_size(client: &Client) -> Result<u64, Status> {
    let response = client.machine().etcd_status(()).await?.into_inner();
    let member = response.messages.into_iter().find_map(|message| message.member_status);
    Ok(member
        .and_then(|member| u64::try_from(member.db_size).ok())
        .unwrap_or_default())
}

/// Validates, enables or cancels a downgrade: a matter of the whole cluster, so one node is asked.
pub async fn downgrade(session: &Session, action: &DowngradeAction) -> Result<()> {
    let target = session.single("etcd downgrade")?;
    let (name, answer) = match action {
        DowngradeAction::Validate { to } => ("validate", validate(&target.client, to.clone()).await),
        DowngradeAction::Enable { to } => ("enable", enable(&target.client, to.clone()).await),
        DowngradeAction::Cancel => ("cancel", cancel(&target.client).await),
    };
    let answer = answer.map_err(|status| failed(&status).context(format!("error in etcd downgrade {name}")))?;
    Ok(print(&downgrade_table(
        &target.node,
        name,
        &answer.unwrap_or_default(),
    ))?)
}

async fn validate(client: &Client, version: String) -> Result<Option<EtcdClusterDowngrade>, Status> {
    let request = EtcdDowngradeValidateRequest { version };
    let response = client.machine().etcd_downgrade_validate(request).await?;
    let mut messages = response.into_inner().messages.into_iter();
    Ok(messages.find_map(|message| message.cluster_downgrade))
}

async fn enable(client: &Client, version: String) -> Result<Option<EtcdClusterDowngrade>, Status> {
    let request = EtcdDowngradeEnableRequest { version };
    let response = client.machine().etcd_downgrade_enable(request).await?;
    let mut messages = response.into_inner().messages.into_iter();
    Ok(messages.find_map(|message| message.cluster_downgrade))
}

async fn cancel(client: &Client) -> Result<Option<EtcdClusterDowngrade>, Status> {
    let response = client.machine().etcd_downgrade_cancel(()).await?;
    let mut messages = response.into_inner().messages.into_iter();
    Ok(messages.find_map(|message| message.cluster_downgrade))
}

fn downgrade_table(node: &str, name: &str, answer: &EtcdClusterDowngrade) -> String {
    let mut table = Table::new(["NODE", "MESSAGE"]);
    let version = &answer.cluster_version;
    let message = format!("downgrade {name} success, cluster version {version}");
    table.row([node, &message]);
    table.render()
}

#[cfg(test)]
mod tests {
    use api::proto::machine::etcd_member_alarm::AlarmType;

    use super::*;

    #[test]
    fn alarms_and_downgrades_have_their_columns() {
        let alarm = EtcdMemberAlarm {
            member_id: 0x1f,
            alarm: AlarmType::Nospace.into(),
        };
        let expected = "NODE       MEMBER             ALARM\n10.5.0.2   000000000000001f   NOSPACE\n";
        assert_eq!(alarm_table(&[("10.5.0.2".into(), vec![alarm])]), expected);
        let answer = EtcdClusterDowngrade {
            cluster_version: "3.7.0".into(),
        };
        let expected = "NODE   MESSAGE\nn      downgrade validate success, cluster version 3.7.0\n";
        assert_eq!(downgrade_table("n", "validate", &answer), expected);
    }

    #[test]
    fn a_refusal_leaves_nobody_busy_and_a_time_limit_may() {
        assert!(!may_be_busy(&Status::failed_precondition("a worker")));
        assert!(!may_be_busy(&Status::unavailable("connection refused")));
        assert!(may_be_busy(&Status::deadline_exceeded("")));
    }
}
