//! The machine API on the wire: protobuf contracts, client, server glue.
//!
//! | module | what it is |
//! |---|---|
//! | [`proto`] | the contract: messages, clients and servers generated from our `.proto` files |
//! | [`client`] | talking to nodes: endpoints with fail-over, mutual TLS, choice of nodes, one result per node |
//! | [`roles`] | who may call what |
//! | [`apid`] | the door of a node: TLS, roles, routing to other nodes, without decoding messages |
//! | [`gate`] | the same check once more, at the machine API itself |
//! | [`state`] | the resources of a node as the `cosi.resource.State` service |
//! | [`trustd`] | certificates for nodes that do not hold the authority |
//!
//! ```no_run
//! # async fn example(tls: rustls::ClientConfig) -> Result<(), Box<dyn std::error::Error>> {
//! use api::client::{Client, ClientOptions};
//!
//! let client = Client::connect(ClientOptions {
//!     endpoints: vec!["10.5.0.2".into()],
//!     nodes: vec!["10.5.0.2".into(), "10.5.0.3".into()],
//!     ..ClientOptions::new(tls)
//! })?;
//! let reply = client.machine().version(()).await?;
//! for node in api::client::per_node(reply.into_inner(), "10.5.0.2") {
//!     println!("{}: {:?}", node.name, node.result);
//! }
//! # Ok(())
//! # }
//! ```

pub mod apid;
pub mod client;
mod dial;
mod door;
pub mod endpoint;
pub mod fuzz;
pub mod gate;
pub mod method;
pub mod proto;
pub mod reply;
mod resolve;
pub mod roles;
pub mod state;
pub mod trustd;

/// Every `.proto` file of the contract, as a serialized `google.protobuf.FileDescriptorSet` without comments.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Largest message that clients and servers take. Configurations and resource lists of large clusters pass the
/// 4 MiB that gRPC libraries take by default; Talos clients and servers use this number too.
pub const MAX_MESSAGE_SIZE: usize = 32 * 1024 * 1024;
