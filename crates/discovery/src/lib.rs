//! The discovery service: nodes of a cluster tell it where they are, and it tells the others.
//!
//! What nodes say is sealed with a key of the cluster (see [`discovery_client::seal`]), so the service holds bytes that
//! it cannot read. It keeps them until their time to live ends.
//!
//! | module | what it is |
//! |---|---|
//! | [`state`], [`record`] | what is known, as values: merging, expiry, limits |
//! | [`store`], [`watch`] | the same, shared: locks, watchers, changes to disk |
//! | [`journal`] | the disk: a log and snapshots |
//! | [`service`], [`rate`], [`caller`] | the calls |
//! | [`web`], [`page`], [`metrics`] | what people and monitoring see |
//! | [`listen`], [`http2`], [`tls`], [`run`], [`settings`] | the program |
//!
//! The program is `keelson-discovery`; `docs/discovery.md` is for those who run it.

pub mod caller;
pub mod http2;
pub mod journal;
pub mod limits;
pub mod listen;
pub mod metrics;
pub mod page;
pub mod rate;
pub mod record;
pub mod run;
pub mod service;
pub mod settings;
pub mod state;
pub mod store;
pub mod time;
pub mod tls;
pub mod watch;
pub mod web;
