//! The processes between the network and the node: each confined, each with its own narrow view of the resources.

pub mod apid;
pub mod trustd;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use api::proto::cosi::resource::state_client::StateClient;
use api::proto::cosi::resource::{EventType, WatchOptions, WatchRequest};
use resource::Spec;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::clients::unix_channel;

/// Time between two tries to reach the init process.
const RETRY: Duration = Duration::from_millis(200);

/// Open files of a gate: all the connections that it admits (`api::apid::limits`: 1024 and 1024 in the handshake), as
/// many to other nodes, and some. The 1024 that processes usually get are used up by one crowd.
const OPEN_FILES: u64 = 4096;

/// Runs a gate's future on a small runtime until it ends or the process is told to.
pub(crate) fn main(run: impl AsyncFnOnce(CancellationToken) -> anyhow::Result<()>) -> ExitCode {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    pki::tls::install_provider();
    let files = sys::process::raise_open_files(OPEN_FILES);
    if files < OPEN_FILES {
        tracing::warn!("at most {files} connections can be open: this process was given no more files");
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "starting the runtime failed");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let cancel = CancellationToken::new();
        let signalled = cancel.clone();
        tokio::spawn(async move {
            use tokio::signal::unix::{SignalKind, signal};
            if let Ok(mut term) = signal(SignalKind::terminate()) {
                term.recv().await;
                signalled.cancel();
            }
        });
        match run(cancel).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error:#}");
                ExitCode::FAILURE
            }
        }
    })
}

/// A listener on all addresses of both families, or of IPv4 where the kernel has no other.
pub(crate) async fn listen(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
    }
}

/// A channel to the resources that the init process shows to this gate.
pub(crate) fn resources(socket: &str) -> Channel {
    // Watches are silent for as long as nothing changes: no deadline on this channel.
    unix_channel(Path::new(socket), None)
}

/// Follows one resource: its newest spec, `None` while there is none. Survives a restart of the other side.
pub(crate) fn follow<S: Spec>(channel: &Channel, id: &'static str) -> watch::Receiver<Option<S>> {
    let (sender, receiver) = watch::channel(None);
    let mut client = StateClient::new(channel.clone()).max_decoding_message_size(api::MAX_MESSAGE_SIZE);
    tokio::spawn(async move {
        loop {
            let request = WatchRequest {
                namespace: S::NAMESPACE.to_owned(),
                r#type: S::TYPE.to_owned(),
                id: Some(id.to_owned()),
                options: Some(WatchOptions::default()),
                api_version: 1,
            };
            match client.watch(request).await {
                Ok(stream) => {
                    let mut stream = stream.into_inner();
                    while let Ok(Some(answer)) = stream.message().await {
                        for event in answer.event {
                            take(&sender, &event);
                        }
                    }
                }
                Err(error) => tracing::debug!(resource = S::TYPE, %error, "watching: not yet"),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = sender.closed() => return,
            }
        }
    });
    receiver
}

fn take<S: Spec>(sender: &watch::Sender<Option<S>>, event: &api::proto::cosi::resource::Event) {
    let gone = event.event_type() == EventType::Destroyed;
    let Some(resource) = event
        .resource
        .as_ref()
        .filter(|r| r.metadata.as_ref().is_some_and(|m| m.version != "undefined"))
    else {
        sender.send_replace(None);
        return;
    };
    let Some(spec) = resource.spec.as_ref().filter(|_| !gone) else {
        sender.send_replace(None);
        return;
    };
    match resource::yaml::from_str::<S>(&spec.yaml_spec) {
        Ok(spec) => drop(sender.send_replace(Some(spec))),
        Err(error) => tracing::error!(resource = S::TYPE, %error, "a resource cannot be read"),
    }
}
