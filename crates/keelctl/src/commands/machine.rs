//! `upgrade`, `rollback`, `meta` and `wipe`: what a machine with a disk of its own has. A node in a container refuses
//! these calls and says what to do instead.

use anyhow::{Context as _, Result};
use api::client::Client;
use api::proto::common::{ContainerDriver, ContainerdInstance};
use api::proto::machine::lifecycle_service_install_progress::Response as Progress;
use api::proto::machine::{
    InstallArtifactsSource, LifecycleServiceUpgradeRequest, MetaDeleteRequest, MetaWriteRequest, RebootRequest,
    RollbackRequest, UpgradeRequest, reboot_request, upgrade_request,
};
use api::proto::storage::{BlockDeviceWipeDescriptor, BlockDeviceWipeRequest, block_device_wipe_descriptor::Method};
use futures::StreamExt as _;
use tonic::Status;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::common::Plain;
use crate::cli::machine::{Meta, MetaAction, Upgrade, Wipe, WipeAction};
use crate::commands::actions::{End, act, actor};
use crate::commands::drain::drain;
use crate::commands::images::known;
use crate::output::note;
use crate::session::{Session, block};

/// Runs `rollback`.
pub fn rollback(command: &Plain, program: Program) -> Result<()> {
    block(async {
        let session = Session::open(&command.client, program)?;
        let (_, failures) = session
            .each(async |client| client.machine().rollback(RollbackRequest {}).await)
            .await;
        failures.into_result().context("error rolling back")
    })
}

/// Runs `meta`.
pub fn meta(command: &Meta, program: Program) -> Result<()> {
    block(async {
        let session = Session::open_either(&command.client, program, command.insecure)?;
        let (_, failures) = match &command.command {
            MetaAction::Write { key, value } => {
                let request = MetaWriteRequest {
                    key: u32::from(*key),
                    value: value.clone().into_bytes(),
                };
                session
                    .each(async |client| client.machine().meta_write(request.clone()).await.map(drop))
                    .await
            }
            MetaAction::Delete { key } => {
                let request = MetaDeleteRequest { key: u32::from(*key) };
                session
                    .each(async |client| client.machine().meta_delete(request).await.map(drop))
                    .await
            }
        };
        failures.into_result()
    })
}

/// Runs `wipe`.
pub fn wipe(command: &Wipe, program: Program) -> Result<()> {
    let WipeAction::Disk {
        devices,
        drop_partition,
        insecure,
        method,
    } = &command.command;
    let method = if method.eq_ignore_ascii_case("ZEROES") {
        Method::Zeroes
    } else {
        Method::Fast
    };
    let device = |name: &String| BlockDeviceWipeDescriptor {
        device: name.trim_start_matches("/dev/").to_owned(),
        method: method.into(),
        drop_partition: *drop_partition,
        ..BlockDeviceWipeDescriptor::default()
    };
    let request = BlockDeviceWipeRequest {
        devices: devices.iter().map(device).collect(),
    };
    block(async {
        let session = Session::open_either(&command.client, program, *insecure)?;
        let (_, failures) = session
            .each(async |client| client.storage().block_device_wipe(request.clone()).await)
            .await;
        failures.into_result()
    })
}

/// Runs `upgrade`.
pub fn upgrade(command: &Node<Upgrade>, program: Program) -> Result<()> {
    let args = &command.args;
    let powercycle = args.reboot_mode == "powercycle";
    block(async {
        let session = Session::open(&command.client, program)?;
        if args.legacy {
            let mode = if powercycle {
                upgrade_request::RebootMode::Powercycle
            } else {
                upgrade_request::RebootMode::Default
            };
            let request = UpgradeRequest {
                image: args.image.clone(),
                preserve: true,
                reboot_mode: mode.into(),
                ..UpgradeRequest::default()
            };
            return act(&session, &args.follow, End::Up, "upgrading", async |client: Client| {
                let response = client.machine().upgrade(request.clone()).await?.into_inner();
                Ok(actor(response.messages.into_iter().map(|message| message.actor_id)))
            })
            .await;
        }
        let request = LifecycleServiceUpgradeRequest {
            containerd: Some(ContainerdInstance {
                driver: ContainerDriver::Containerd.into(),
                namespace: known(&args.namespace)?.into(),
            }),
            source: Some(InstallArtifactsSource {
                image_name: args.image.clone(),
            }),
        };
        let (_, failures) = session.each(|client| install(client, request.clone())).await;
        failures.into_result().context("error upgrading")?;
        if args.no_reboot {
            return Ok(());
        }
        let mode = if powercycle {
            reboot_request::Mode::Powercycle
        } else {
            reboot_request::Mode::Default
        };
        let request = RebootRequest { mode: mode.into() };
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

/// Has a node install the new version beside the one that runs, and tells what it does.
async fn install(client: Client, request: LifecycleServiceUpgradeRequest) -> Result<(), Status> {
    let node = client.fallback_name();
    let mut stream = client.lifecycle().upgrade(request).await?.into_inner();
    let mut code = None;
    while let Some(response) = stream.next().await {
        match response?.progress.and_then(|progress| progress.response) {
            Some(Progress::Message(text)) => note(&format!("{node}: {text}")),
            Some(Progress::ExitCode(number)) => code = Some(number),
            None => {}
        }
    }
    match code {
        Some(0) => Ok(()),
        Some(number) => Err(Status::aborted(format!("the installer ended with exit code {number}"))),
        None => Err(Status::aborted("the node did not say how the installation ended")),
    }
}
