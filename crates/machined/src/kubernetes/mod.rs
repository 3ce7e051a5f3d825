//! What Kubernetes needs of the node, as pure functions: static pods, configuration files, command lines,
//! certificates and bootstrap manifests from plain inputs. Nothing here reads a file, a clock or the network.

pub mod configs;
pub mod etcd;
pub mod files;
pub mod flags;
pub mod kubelet;
pub mod manifests;
pub mod pki;
pub mod pods;
pub mod quantity;
pub mod static_pods;
pub mod version;

pub use flags::{ExtraArgs, FlagError, Flags, Rules};
