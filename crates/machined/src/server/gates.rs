//! The sockets of apid and trustd: each sees the resources it needs and no others.

use std::path::Path;

use anyhow::Context;
use node_resources::network::NodeAddress;
use node_resources::secrets::{ApiCertificates, OSRootSecrets, TrustdCertificates};
use resource::Spec;
use tonic::transport::Server;

use crate::controllers::services::{APID_USER, TRUSTD_USER};
use crate::gates::{apid, trustd};
use crate::node::Node;

/// Serves both sockets until the node ends.
///
/// # Errors
/// A socket cannot be made.
pub async fn serve(node: Node) -> anyhow::Result<()> {
    let apid = one(
        &node,
        apid::RESOURCES,
        APID_USER,
        &[ApiCertificates::TYPE, NodeAddress::TYPE],
    );
    let trustd = one(
        &node,
        trustd::RESOURCES,
        TRUSTD_USER,
        &[OSRootSecrets::TYPE, TrustdCertificates::TYPE],
    );
    tokio::try_join!(apid, trustd).map(drop)
}

async fn one(node: &Node, socket: &str, user: u32, types: &[&'static str]) -> anyhow::Result<()> {
    let listener = super::listen(Path::new(socket), 0o600)?;
    std::os::unix::fs::chown(socket, Some(user), Some(user)).with_context(|| format!("hand over {socket}"))?;
    let state = api::state::StateService::new(node.store.clone(), api::state::Access::only(types.iter().copied()));
    Server::builder()
        .add_service(state.into_server())
        .serve_with_incoming_shutdown(
            tokio_stream::wrappers::UnixListenerStream::new(listener),
            node.cancel.clone().cancelled_owned(),
        )
        .await
        .with_context(|| format!("serve {socket}"))
}
