//! `reboot`, `reset`, `shutdown`: long actions, and following them.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use api::client::Client;
use api::proto::machine::{
    DmesgRequest, EventsRequest, RebootRequest, ResetPartitionSpec, ResetRequest, ShutdownRequest, reboot_request,
    reset_request::WipeMode,
};
use futures::StreamExt as _;
use tokio::time::{sleep, timeout};
use tonic::Status;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::lifecycle::{Follow, Reboot, Reset, Shutdown};
use crate::commands::comeback::{Comeback, Run, is_gone, run_of};
use crate::commands::drain::drain;
use crate::commands::events;
use crate::output::note;
use crate::session::{Failures, Session, Target, block, rpc_error};

/// Pause between two looks at a node that is going down or coming up.
const POLL: Duration = Duration::from_secs(1);

/// How a node is at the end of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It came back.
    Up,
    /// It is gone.
    Down,
}

/// Runs `reboot`.
pub fn reboot(command: &Node<Reboot>, program: Program) -> Result<()> {
    let args = &command.args;
    let mode = match args.mode.as_str() {
        "powercycle" => reboot_request::Mode::Powercycle,
        "force" => reboot_request::Mode::Force,
        _ => reboot_request::Mode::Default,
    };
    let request = RebootRequest { mode: mode.into() };
    block(async {
        let session = Session::open(&command.client, program)?;
        act(&session, &args.follow, End::Up, "rebooting", async |client: Client| {
            if args.drain {
                drain(&client, args.drain_timeout).await?;
            }
            let response = client.machine().reboot(request).await?.into_inner();
            Ok(actor(response.messages.into_iter().map(|message| message.actor_id)))
        })
        .await
    })
}

/// Runs `shutdown`.
pub fn shutdown(command: &Node<Shutdown>, program: Program) -> Result<()> {
    let request = ShutdownRequest {
        force: command.args.force,
    };
    block(async {
        let session = Session::open(&command.client, program)?;
        act(
            &session,
            &command.args.follow,
            End::Down,
            "shutting down",
            async |client: Client| {
                let response = client.machine().shutdown(request).await?.into_inner();
                Ok(actor(response.messages.into_iter().map(|message| message.actor_id)))
            },
        )
        .await
    })
}

/// Runs `reset`.
pub fn reset(command: &Node<Reset>, program: Program) -> Result<()> {
    let args = &command.args;
    let mode = match args.wipe_mode.as_str() {
        "system-disk" => WipeMode::SystemDisk,
        "user-disks" => WipeMode::UserDisks,
        _ => WipeMode::All,
    };
    if mode == WipeMode::SystemDisk && !args.user_disks_to_wipe.is_empty() {
        bail!("--user-disks-to-wipe has no use with --wipe-mode system-disk");
    }
    if mode == WipeMode::UserDisks && !args.system_labels_to_wipe.is_empty() {
        bail!("--system-labels-to-wipe has no use with --wipe-mode user-disks");
    }
    let partition = |label: &String| ResetPartitionSpec {
        label: label.clone(),
        wipe: true,
    };
    let request = ResetRequest {
        graceful: args.graceful,
        reboot: args.reboot,
        system_partitions_to_wipe: args.system_labels_to_wipe.iter().map(partition).collect(),
        user_disks_to_wipe: args.user_disks_to_wipe.clone(),
        mode: mode.into(),
    };
    let end = if args.reboot { End::Up } else { End::Down };
    block(async {
        let session = Session::open_either(&command.client, program, args.insecure)?;
        act(&session, &args.follow, end, "resetting", async |client: Client| {
            let response = client.machine().reset(request.clone()).await?.into_inner();
            Ok(actor(response.messages.into_iter().map(|message| message.actor_id)))
        })
        .await
    })
}

/// The actor under which the asked node tells of an action; empty if it names none.
pub fn actor(mut actors: impl Iterator<Item = String>) -> String {
    actors.next().unwrap_or_default()
}

/// Starts the action on every node and follows it until the end, if asked to.
pub async fn act<F>(
    session: &Session,
    options: &Follow,
    end: End,
    doing: &str,
    call: impl Fn(Client) -> F,
) -> Result<()>
where
    F: Future<Output = Result<String, Status>>,
{
    let wait = options.wait || options.debug;
    let all = session.targets().iter().map(|target| {
        let call = &call;
        async move {
            // Without this mark one cannot tell the node before from the node after.
            let before = if wait && end == End::Up {
                run_of(&target.client).await
            } else {
                None
            };
            let actor = call(target.client.clone()).await?;
            note(&format!("{}: {doing}", target.node));
            if !wait {
                return Ok(());
            }
            let work = follow(target, &actor, before, end);
            let log = kernel_log(target, options.debug);
            let followed = async {
                tokio::select! {
                    result = work => result,
                    () = log => Ok(()),
                }
            };
            timeout(options.timeout, followed).await.unwrap_or_else(|_| {
                Err(Status::deadline_exceeded(format!(
                    "still {doing} when the time was over"
                )))
            })
        }
    });
    let results = futures::future::join_all(all).await;
    let named = session.targets().iter().map(|target| target.node.clone()).zip(results);
    let failed =
        named.filter_map(|(node, result): (String, Result<(), Status>)| result.err().map(|status| (node, status)));
    Failures(failed.collect())
        .into_result()
        .with_context(|| format!("error {doing}"))
}

/// Tells what the node does as long as it can tell, then waits for the end.
async fn follow(target: &Target, actor: &str, before: Option<Run>, end: End) -> Result<(), Status> {
    let node = &target.node;
    if !actor.is_empty() {
        let request = EventsRequest {
            tail_events: -1,
            with_actor_id: actor.to_owned(),
            ..EventsRequest::default()
        };
        if let Ok(response) = target.client.machine().events(request).await {
            let mut stream = response.into_inner();
            while let Some(Ok(event)) = stream.next().await {
                let (kind, source, message) = events::describe(&event);
                match kind.as_str() {
                    "machine.SequenceEvent" if message.starts_with("error") => {
                        return Err(Status::aborted(format!("{source}: {message}")));
                    }
                    "machine.SequenceEvent" | "machine.PhaseEvent" | "machine.TaskEvent" => {
                        note(&format!(
                            "{node}: {} {source} {message}",
                            kind.trim_start_matches("machine.")
                        ));
                    }
                    _ => {}
                }
            }
        }
    }
    let mut comeback = Comeback::new(target, before);
    loop {
        let seen = match end {
            End::Up => comeback.look().await.map(|stage| format!("back ({stage})")),
            End::Down => is_gone(&target.client).await.then(|| "gone".to_owned()),
        };
        if let Some(seen) = seen {
            note(&format!("{node}: {seen}"));
            return Ok(());
        }
        sleep(POLL).await;
    }
}

/// Prints the kernel log until it ends, and then waits for ever.
async fn kernel_log(target: &Target, wanted: bool) {
    if wanted {
        match target
            .client
            .machine()
            .dmesg(DmesgRequest {
                follow: true,
                tail: true,
            })
            .await
        {
            Ok(response) => {
                let mut stream = response.into_inner();
                while let Some(Ok(data)) = stream.next().await {
                    note(&format!(
                        "{}: {}",
                        target.node,
                        String::from_utf8_lossy(&data.bytes).trim_end()
                    ));
                }
            }
            Err(status) => note(&format!("{}: kernel log: {}", target.node, rpc_error(&status))),
        }
    }
    std::future::pending::<()>().await;
}
