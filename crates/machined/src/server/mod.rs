//! The machine API as the init process answers it, on a Unix socket: apid stands between it and the world.
//!
//! One file per group of calls. Roles were checked by apid by method; what depends on the request is checked here.

pub mod capture;
pub mod cluster;
pub mod configuration;
pub mod containers;
pub mod counters;
pub mod debug;
pub mod etcd;
pub mod events;
pub mod files;
pub mod gates;
pub mod hardware;
pub mod health;
pub mod images;
pub mod import;
pub mod insight;
pub mod logs;
mod logs_tail;
pub mod machine;
pub mod netstat;
mod pieces;
pub mod power;
pub mod services;
pub mod storage;
pub mod system;
pub mod time;
pub mod verifier;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use api::proto::machine::machine_service_server::MachineServiceServer;
use api::proto::time::time_service_server::TimeServiceServer;
use api::state::{Access, StateService};
use node_resources::config::MachineConfig;
use tonic::transport::Server;
use tonic::{Request, Status};

use crate::node::Node;

/// Client identities of a long action arrive and leave in this metadata key of a request.
const ACTOR_KEY: &str = "actor-id";

/// Serves the machine API on a Unix socket until the node ends.
///
/// # Errors
/// The socket cannot be made.
pub async fn serve(node: Node, socket: &Path) -> anyhow::Result<()> {
    let listener = listen(socket, 0o660)?;
    std::os::unix::fs::chown(socket, None, Some(crate::controllers::services::APID_USER))
        .context("hand over the socket")?;
    let access = Access::Roles;
    let limit = api::MAX_MESSAGE_SIZE;
    let state = StateService::new(node.store.clone(), access.clone());
    let machine = MachineServiceServer::new(machine::Machine::new(node.clone()))
        .max_decoding_message_size(limit)
        .max_encoding_message_size(limit);
    let cancel = node.cancel.clone();
    // Roles are checked once more here: apid is confined, and not believed without need.
    let configured = node.store.get::<MachineConfig>(configuration::CURRENT).is_some();
    let maintenance = Arc::new(AtomicBool::new(!configured));
    tokio::spawn(leave_maintenance(node.clone(), maintenance.clone()));
    Server::builder()
        .layer(api::gate::Gate::new(maintenance))
        .add_service(machine)
        .add_service(TimeServiceServer::new(time::Time))
        .add_service(images::Images::server(node.clone()))
        .add_service(debug::Debug::server(node.clone()))
        .add_service(storage::server())
        .add_service(api::proto::storage::storage_service_server::StorageServiceServer::new(
            hardware::Hardware,
        ))
        .add_service(api::proto::machine::lvm_service_server::LvmServiceServer::new(
            hardware::Hardware,
        ))
        .add_service(api::proto::machine::md_service_server::MdServiceServer::new(
            hardware::Hardware,
        ))
        .add_service(api::proto::machine::lifecycle_service_server::LifecycleServiceServer::new(hardware::Hardware))
        .add_service(cluster::server(node.clone()))
        .add_service(health::Health::server(node.clone()))
        .add_service(insight::inspect(node.clone()))
        .add_service(insight::insight(node.clone(), access))
        .add_service(state.into_server())
        .serve_with_incoming_shutdown(
            tokio_stream::wrappers::UnixListenerStream::new(listener),
            cancel.cancelled_owned(),
        )
        .await
        .context("serve the machine API")
}

/// The rules of maintenance end with the first configuration.
async fn leave_maintenance(node: Node, maintenance: Arc<AtomicBool>) {
    node.store
        .table::<MachineConfig>()
        .wait_for(configuration::CURRENT, |_| true)
        .await;
    maintenance.store(false, Ordering::Relaxed);
}

/// A Unix socket in place of whatever was there, with permission bits.
pub fn listen(socket: &Path, mode: u32) -> anyhow::Result<tokio::net::UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    let what = || format!("listen on {}", socket.display());
    if let Some(parent) = socket.parent() {
        std::fs::create_dir_all(parent).with_context(what)?;
    }
    if socket.exists() {
        std::fs::remove_file(socket).with_context(what)?;
    }
    let listener = tokio::net::UnixListener::bind(socket).with_context(what)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(mode)).with_context(what)?;
    Ok(listener)
}

/// The client's name for its request, so that it finds the events that follow; a new one if it gave none.
pub fn actor<T>(request: &Request<T>) -> String {
    let given = request
        .metadata()
        .get(ACTOR_KEY)
        .and_then(|v| v.to_str().ok())
        .map(ToOwned::to_owned);
    given.unwrap_or_else(|| pki::tokens::random_lowercase(20).unwrap_or_default())
}

/// An error as a status: what was being done, and why it failed.
pub fn internal(error: anyhow::Error) -> Status {
    Status::internal(format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::http::FetchError;
    use std::io;

    #[test]
    fn a_status_says_what_was_being_done_and_each_cause_once() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let (image, doing) = ("example/a:v1".to_owned(), "make a folder".to_owned());
        let layer = image::unpack::UnpackError::from(full());
        let (url, address) = ("https://example".to_owned(), "10.5.0.1:443".to_owned());
        let errors: Vec<anyhow::Error> = vec![
            sys::Error {
                action: "mount /run".to_owned(),
                source: full(),
            }
            .into(),
            ::pki::Error::File {
                action: "write",
                path: "/x".into(),
                cause: full(),
            }
            .into(),
            image::pull::PullError::Disk {
                image: image.clone(),
                doing,
                cause: full(),
            }
            .into(),
            image::pull::PullError::Unpack { image, cause: layer }.into(),
            image::archive::ArchiveError::Write(full()).into(),
            etcd_snapshot::Error::from(full()).into(),
            FetchError::Connect {
                url,
                address,
                cause: full(),
            }
            .into(),
        ];
        for error in errors {
            let own = error.to_string();
            let status = internal(error.context("do it"));
            let told = status.message();
            assert!(told.starts_with("do it: "), "{told}");
            // Where only the error itself is printed, its cause is there too.
            for text in [told, &own] {
                assert_eq!(text.matches(&full().to_string()).count(), 1, "{text}");
            }
        }
    }
}
