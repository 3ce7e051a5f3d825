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
/// What an upstream may send ahead in one call. Small, because watches that nobody reads fill it.
pub const UPSTREAM_STREAM_WINDOW: u32 = 128 * 1024;
/// The same in a stream of bytes (a log, a file, a backup), so that several messages are on the way while one is passed
/// on: with one or two, everybody waits for everybody else.
pub const WIDE_STREAM_WINDOW: u32 = 1024 * 1024;
/// Streams of bytes that have such a window, to all upstreams together; further ones have to do with the small one. This
/// times the window is what clients that do not read can make us keep.
pub const WIDE_STREAMS: usize = 16;
/// An upstream connection without calls is closed after this.
pub const UPSTREAM_IDLE: Duration = Duration::from_secs(60);
