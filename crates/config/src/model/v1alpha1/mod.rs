//! The main document: the machine, the cluster, and the long-standing fields for network and storage.

pub mod cluster;
pub mod machine;
pub mod network;
pub mod storage;

pub use cluster::*;
pub use machine::*;
pub use network::*;
pub use storage::*;
