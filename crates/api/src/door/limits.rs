//! What bounds a door. Its program runs in 128 MiB of memory, and anyone who reaches the port can knock.

use std::time::Duration;

/// TLS must be done within this; a slow handshake holds a socket and a little memory, nothing more.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections in the handshake, all together (ours: each costs some 10 KiB): for a further one, the oldest of the address
/// that has the most is closed.
pub const MAX_HANDSHAKES: usize = 1024;
/// Connections in the handshake from one address, so that one host cannot use up the handshakes of all. For a further
/// one, the oldest is closed.
pub const MAX_HANDSHAKES_PER_ADDRESS: usize = 512;
/// How long a refused client may take to read why.
pub const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// What is read (and thrown away) from a refused client: more than the first flight of HTTP/2.
pub const FAREWELL_BYTES: u64 = 64 * 1024;
/// Connections past the handshake: each costs about 50 KiB when idle.
pub const MAX_CONNECTIONS: usize = 1024;
/// Connections past the handshake from one address: half of all, because the clients behind one address may be many (an
/// administrator's machine, a router).
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 512;
/// A connection on which no call begins within this is closed; clients connect when they have something to call.
pub const FIRST_CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Calls in progress on one connection; a dashboard watches some twenty types.
pub const MAX_CALLS_PER_CONNECTION: u32 = 250;
/// Metadata of one call. Names of five hundred nodes fit in; h2 refuses longer lists while it reads them.
pub const MAX_HEADER_LIST: u32 = 64 * 1024;
/// A connection without calls is closed after this; clients open another when they need it.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// A ping this often finds clients that are gone or do not read.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// No answer to a ping for that long closes the connection.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// What a client may send ahead in one call: enough for an upload over a long way.
pub const CLIENT_STREAM_WINDOW: u32 = 256 * 1024;
/// What a client may send ahead in all calls of a connection.
pub const CLIENT_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What is kept of a response that the client does not read.
pub const MAX_SEND_BUFFER: usize = 128 * 1024;
/// What is encrypted at once, and kept if the client does not take it: the largest frame that our clients ask for with
/// what is around it (it is sent by one system call then), and no less than HTTP/2 writes by itself.
pub const MAX_TLS_BUFFER: usize = 144 * 1024;
/// Calls that are in progress when the program stops may go on this long. What takes longer follows or watches something,
/// and would hold up a node that reboots for as long as somebody looks on.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);
