//! What runs on a node: services as values ([`node_resources::service_spec`]), what is known of them ([`status`]), the supervisor that keeps
//! them running ([`supervisor`]), and how a process is started and watched ([`runner`]).

pub mod health;
pub mod runner;
pub mod sandbox;
pub mod status;
pub mod supervisor;
#[cfg(test)]
mod tests;
