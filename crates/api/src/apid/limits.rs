//! What bounds the way to other nodes.

use std::time::Duration;

pub use crate::door::limits::*;

/// A fan-out request is read as a whole before it is sent on; a client that sends it slower than this is refused.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Nodes in one fan-out.
pub const MAX_FAN_OUT: usize = 512;
/// Calls of one fan-out of a unary call that are on the way at the same time.
pub const FAN_OUT_AT_ONCE: usize = 64;
/// How long before its deadline a fan-out gives up waiting for nodes, at most.
pub const FAN_OUT_MARGIN: Duration = Duration::from_secs(1);
/// Messages of a fan-out stream that wait for the client; then the upstreams wait.
pub const FAN_OUT_QUEUE: usize = 16;

/// Name, TCP, TLS to another node, together.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Nodes with open connections. More than a cluster has, so that only a scan of names meets it.
pub const MAX_UPSTREAMS: usize = 1024;
/// Calls on one upstream connection; below what servers allow (gRPC libraries begin at 100), because a call above
/// their limit would wait without a word.
pub const CALLS_PER_UPSTREAM_CONNECTION: usize = 100;
/// Connections to one upstream: calls beyond them are refused.
pub const CONNECTIONS_PER_UPSTREAM: usize = 16;
/// What an upstream may send ahead in one call. Small, because watches that nobody reads fill it; twice the messages of
/// a file or a log, so that one is on the way while the other is passed on.
pub const UPSTREAM_STREAM_WINDOW: u32 = 2 * 64 * 1024 + 1024;
/// Room for every call's window: a call whose client does not read then never stops another.
pub const UPSTREAM_CONNECTION_WINDOW: u32 = 100 * UPSTREAM_STREAM_WINDOW;
/// An upstream connection without calls is closed after this.
pub const UPSTREAM_IDLE: Duration = Duration::from_secs(60);
