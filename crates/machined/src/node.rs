//! What every part of a running node shares.

use std::sync::Arc;

use image::pull::Puller;
use resource::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::boot::platform::Environment;
use crate::clients::containerd::Containerd;
use crate::clients::cri::Cri;
use crate::controllers::discovery_service::Way;
use crate::events::Events;
use crate::logs::Logs;
use crate::machine_config;
use crate::sequence::Sequencer;
use crate::services::supervisor::Supervisor;

/// Handles to the parts of the node; clones share them.
#[derive(Clone)]
pub struct Node {
    /// The resources.
    pub store: Store,
    /// The controllers: for the graph, and for plans.
    pub controllers: resource::Controllers,
    /// The services.
    pub supervisor: Supervisor,
    /// What happened.
    pub events: Events,
    /// What services printed.
    pub logs: Logs,
    /// The configuration on disk.
    pub configs: machine_config::Store,
    /// Reboot, shutdown, reset.
    pub sequencer: Sequencer,
    /// containerd, as the kubelet sees it.
    pub cri: Cri,
    /// containerd, for what that does not offer.
    pub containerd: Containerd,
    /// How the node itself pulls images; none before the registry configuration is known.
    pub puller: watch::Receiver<Option<Arc<Puller>>>,
    /// The way to the discovery service.
    pub discovery: Way,
    /// What the platform told us.
    pub environment: Arc<Environment>,
    /// One configuration change at a time.
    pub apply_lock: Arc<tokio::sync::Mutex<()>>,
    /// Ends with the node.
    pub cancel: CancellationToken,
}
