//! What the service takes and keeps. Everything that grows is bounded here or by a setting.

use std::time::Duration;

/// Bytes in the name of a cluster, at least one.
pub const CLUSTER_ID: usize = 256;
/// Bytes in the name of an affiliate, at least one.
pub const AFFILIATE_ID: usize = 256;
/// Bytes of sealed data.
pub const DATA: usize = 2048;
/// Bytes of one sealed endpoint.
pub const ENDPOINT: usize = 32;
/// Endpoints of one affiliate.
pub const ENDPOINTS: usize = 64;
/// Affiliates of one cluster.
pub const AFFILIATES: usize = 1024;
/// The longest time to live.
pub const TTL: Duration = Duration::from_secs(30 * 60);
/// Watchers of one cluster: more than its largest number of nodes needs, also while all of them reconnect.
pub const WATCHERS: usize = 4096;
/// Changes that wait for a slow watcher. A cluster of the largest size may announce itself at once.
pub const WATCH_BUFFER: usize = AFFILIATES;

/// Bytes of one request. The largest valid one has less than 6 KiB.
pub const REQUEST: usize = 64 * 1024;
/// Calls in progress on one connection. A node has two; proxies share connections between nodes.
pub const CALLS_PER_CONNECTION: u32 = 1024;
/// Metadata of one call.
pub const HEADERS: u32 = 16 * 1024;
/// What a client may send ahead in one call.
pub const STREAM_WINDOW: u32 = 64 * 1024;
/// What a client may send ahead in all calls of a connection.
pub const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Connections to the page, metrics and health: their own, so that many nodes do not make the service look dead.
pub const WEB_CONNECTIONS: usize = 256;
/// Connections that have not proved to be a client yet, in TLS or before their first request.
pub const HANDSHAKES: usize = 1024;
/// How long that may take.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// A connection without calls is closed after this. Nodes keep a watch open and never get there.
pub const IDLE: Duration = Duration::from_secs(5 * 60);
/// A ping this often finds clients that are gone.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// No answer to a ping for that long closes the connection.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long calls in progress may go on when the service stops.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// Addresses whose rate is remembered.
pub const RATE_ADDRESSES: usize = 65_536;
/// Client versions that are counted by name; all others are counted as one.
pub const VERSIONS: usize = 64;
/// Changes that wait to be written to disk, in bytes: some seconds of the most that two processors accept. Updates
/// are refused while it is full.
pub const UNWRITTEN: usize = 32 * 1024 * 1024;
