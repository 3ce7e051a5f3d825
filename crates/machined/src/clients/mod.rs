//! Clients of what a node talks to: containerd, etcd, Kubernetes, servers of files.

pub mod containerd;
pub mod cri;
pub mod etcd;
pub mod http;
pub mod kubernetes;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Uri};

/// How long one call may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A channel to a Unix socket; it connects when it is first used. `timeout` bounds one call, streams included.
pub fn unix_channel(path: &Path, timeout: Option<Duration>) -> Channel {
    let path: PathBuf = path.to_owned();
    // The URI is needed by the type and never looked at.
    let endpoint = Endpoint::from_static("http://localhost");
    let endpoint = match timeout {
        Some(timeout) => endpoint.timeout(timeout),
        None => endpoint,
    };
    endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(tokio::net::UnixStream::connect(path).await?)) }
    }))
}
