//! How a node announces itself to the discovery service and learns of others.
//!
//! The service is not trusted with anything: what nodes say is sealed with the cluster's secret ([`seal`]), and what the
//! service shows is opened and checked ([`view`]).
//!
//! ```no_run
//! # async fn example(secret: [u8; 32], tls: rustls::ClientConfig) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use discovery_client::proto::client::Affiliate;
//! use discovery_client::{Announcement, Discovered, Options, Key, run, system_random};
//! use tokio::sync::watch;
//! use tokio_util::sync::CancellationToken;
//!
//! let options = Options {
//!     endpoint: "https://discovery.example:3000".parse()?,
//!     tls: Arc::new(tls),
//!     cluster_id: "the id of the cluster".into(),
//!     affiliate_id: "the id of this node".into(),
//!     key: Arc::new(Key::new(&secret)?),
//!     client_version: "v1.13.0".into(),
//!     ttl: Duration::from_secs(30 * 60),
//! };
//! let (say, said) = watch::channel(Announcement::default());
//! let (found, mut discovered) = watch::channel(Discovered::default());
//! let cancel = CancellationToken::new();
//! tokio::spawn(run(options, system_random(), said, found, cancel.clone()));
//!
//! say.send_replace(Announcement {
//!     affiliate: Some(Affiliate { node_id: "the id of this node".into(), ..Affiliate::default() }),
//!     ..Announcement::default()
//! });
//! while discovered.changed().await.is_ok() {
//!     for (id, peer) in &discovered.borrow_and_update().peers {
//!         println!("{id} is {}", peer.affiliate.hostname);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod client;
mod connect;
pub mod proto;
pub mod schedule;
pub mod seal;
pub mod view;

pub use client::{Announcement, Discovered, Error, Options, Random, forget, run, system_random};
pub use connect::{NotAnEndpoint, ServiceEndpoint};
pub use seal::Key;
pub use view::{Peer, Problem};
