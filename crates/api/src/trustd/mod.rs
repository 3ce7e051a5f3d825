//! Certificates for nodes that do not hold the authority.
//!
//! A worker makes a key, and asks a control plane to sign for it ([`sign_request`]); the control plane ([`serve`])
//! knows it by the token of the cluster, and by the address it comes from: it signs for that address, whatever else
//! the request asks for.

mod client;
mod grant;
mod rate;
mod server;

pub use client::{SignError, Signed, sign_request};
pub(crate) use grant::grant;
pub use server::{Config, Issuer, SameNode, serve};

/// Metadata key of the token.
pub const TOKEN_KEY: &str = "token";
