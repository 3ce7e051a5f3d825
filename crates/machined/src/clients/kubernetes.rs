//! Clients of the Kubernetes API, with the node's own lookup of names.

use std::sync::Arc;

use futures::FutureExt;
use k8s::{Client, Error, Kubeconfig, Options, Resolver};

/// A client from a kubeconfig's current context.
///
/// # Errors
/// The kubeconfig or its certificates are unusable. Nothing is sent yet.
pub fn from_kubeconfig(kubeconfig: &[u8]) -> Result<Client, Error> {
    with(Kubeconfig::parse(kubeconfig)?.options(None)?)
}

/// A client that finds its server by name too.
///
/// # Errors
/// The URL or the certificates are unusable. Nothing is sent yet.
pub fn with(options: Options) -> Result<Client, Error> {
    let resolver: Resolver = Arc::new(|name: String| {
        async move { crate::names::resolve(&name).await.map_err(std::io::Error::other) }.boxed()
    });
    Client::with(Options {
        resolver: Some(resolver),
        ..options
    })
}
