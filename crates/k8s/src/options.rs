//! How to reach and convince an API server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use pki::{CertAndKey, Secret};

/// Looks up a host name.
pub type Resolver = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Who we are to the server.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// Nobody.
    #[default]
    Anonymous,
    /// A client certificate.
    Certificate(CertAndKey),
    /// A bearer token: bootstrap or service account.
    Token(Secret),
}

/// Everything about a connection. Start from [`Options::new`].
#[derive(Clone)]
pub struct Options {
    /// `https://host:port`, perhaps with a path; `http` for tests.
    pub server: String,
    /// Authorities that may have signed the server's certificate, PEM.
    pub ca: Vec<u8>,
    /// Who we are.
    pub auth: Auth,
    /// Connect here, whatever the URL says.
    pub connect_to: Option<SocketAddr>,
    /// The name the server's certificate must have, if it is not the URL's host.
    pub server_name: Option<String>,
    /// Accept any server certificate.
    pub insecure: bool,
    /// How long a call may take, and how long a watch may stay silent.
    pub timeout: Duration,
    /// Looks up host names; without it only addresses and `localhost` work.
    pub resolver: Option<Resolver>,
    /// Namespace of objects that name none, if they need one.
    pub namespace: String,
}

impl Options {
    /// Calls take 30 seconds at most; the namespace is `default`.
    pub fn new(server: impl Into<String>, ca: &[u8], auth: Auth) -> Self {
        Self {
            server: server.into(),
            ca: ca.to_vec(),
            auth,
            connect_to: None,
            server_name: None,
            insecure: false,
            timeout: Duration::from_secs(30),
            resolver: None,
            namespace: "default".to_owned(),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("server", &self.server)
            .field("auth", &self.auth)
            .field("connect_to", &self.connect_to)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
