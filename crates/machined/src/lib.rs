//! The node operating system: PID 1, its controllers, the services it runs and the machine API it answers.
//!
//! State is resources; behaviour is functions from resources to resources. [`node_resources`] are the typed specs,
//! [`controllers`] the functions, [`services`] what runs, [`server`] the machine API, [`boot`] how it all starts.

pub mod balancer;
pub mod boot;
pub mod clients;
pub mod clock;
pub mod controllers;
pub mod events;
pub mod gates;
pub mod host_dns;
pub mod kubernetes;
pub mod logs;
pub mod machine_config;
pub mod names;
pub mod nft;
pub mod node;
pub mod sequence;
pub mod server;
pub mod services;
pub mod static_pod_server;
pub mod verifier;
pub mod version;
