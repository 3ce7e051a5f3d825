//! New configurations for a cluster, from its name, endpoint and secrets.

mod client;
mod contract;
mod documents;
mod main_document;

use crate::problem::DecodeErrors;
use crate::secrets::SecretsBundle;
use crate::{Config, MachineType, images};

pub use client::{DEFAULT_CLIENT_TTL, client_config};
pub use contract::Contract;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint is not one.
    #[error("cluster endpoint {endpoint:?}: {why}")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// Why it is refused, and what would be right.
        why: String,
    },
    /// A mirror is not one.
    #[error("registry mirror {0:?}: write it as HOST=URL, such as docker.io=http://10.5.0.1:5000")]
    Mirror(String),
    /// The version of the machine API is not one.
    #[error("{0:?} is not a version of the machine API (write it as v1.13)")]
    Contract(String),
    /// The cluster has no usable name.
    #[error("the cluster needs a name")]
    ClusterName,
    /// The secrets do not fit.
    #[error(transparent)]
    Secrets(#[from] crate::secrets::Error),
    /// A value given makes the configuration wrong.
    #[error("the configuration would be wrong: {0}")]
    Decode(DecodeErrors),
}

impl From<DecodeErrors> for Error {
    fn from(cause: DecodeErrors) -> Self {
        Self::Decode(cause)
    }
}

/// What a cluster's configurations are generated from.
#[derive(Clone, Debug)]
pub struct Input {
    /// Name of the cluster.
    pub cluster_name: String,
    /// URL of the Kubernetes API, `https://host[:port]`.
    pub endpoint: String,
    /// Version of Kubernetes, with or without `v`.
    pub kubernetes_version: String,
    /// More names and addresses for the certificates of the machine API and of the API server.
    pub additional_sans: Vec<String>,
    /// DNS domain of the cluster.
    pub dns_domain: String,
    /// Disk to install to.
    pub install_disk: String,
    /// Image to install.
    pub install_image: String,
    /// Registries and the URLs of their mirrors, in order; a registry may come several times.
    pub registry_mirrors: Vec<(String, String)>,
    /// Let machines find each other.
    pub with_discovery: bool,
    /// Build the WireGuard mesh.
    pub with_kubespan: bool,
    /// Which defaults to use.
    pub contract: Contract,
    /// Keep the configuration on the machine; always true in new clusters.
    pub persist: bool,
    /// Networks of pods.
    pub pod_subnets: Vec<String>,
    /// Networks of services.
    pub service_subnets: Vec<String>,
}

impl Input {
    /// The defaults for a cluster. The endpoint must be `https://host[:port]`.
    pub fn new(cluster_name: impl Into<String>, endpoint: impl Into<String>) -> Result<Self, Error> {
        let (cluster_name, endpoint) = (cluster_name.into(), endpoint.into());
        if cluster_name.trim().is_empty() {
            return Err(Error::ClusterName);
        }
        Endpoint::parse(&endpoint)?;
        Ok(Self {
            cluster_name,
            endpoint,
            kubernetes_version: images::KUBERNETES_VERSION.into(),
            additional_sans: Vec::new(),
            dns_domain: "cluster.local".into(),
            install_disk: "/dev/sda".into(),
            install_image: images::INSTALLER.into(),
            registry_mirrors: Vec::new(),
            with_discovery: true,
            with_kubespan: false,
            contract: Contract::CURRENT,
            persist: true,
            pod_subnets: vec!["10.244.0.0/16".into()],
            service_subnets: vec!["10.96.0.0/12".into()],
        })
    }

    /// Adds a mirror written as `HOST=URL`.
    pub fn add_mirror(&mut self, text: &str) -> Result<(), Error> {
        match text.split_once('=') {
            Some((host, url)) if !host.is_empty() && url.contains("://") => {
                self.registry_mirrors.push((host.to_owned(), url.to_owned()));
                Ok(())
            }
            _ => Err(Error::Mirror(text.to_owned())),
        }
    }

    /// Mirrors by registry, in the order the registries were given.
    fn mirrors(&self) -> Vec<(&str, Vec<&str>)> {
        let mut grouped: Vec<(&str, Vec<&str>)> = Vec::new();
        for (host, url) in &self.registry_mirrors {
            match grouped.iter_mut().find(|(known, _)| known == host) {
                Some((_, urls)) => urls.push(url),
                None => grouped.push((host, vec![url])),
            }
        }
        grouped
    }
}

/// Parts of a cluster's endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port, if one is given; 443 is meant otherwise.
    pub port: Option<u16>,
}

impl Endpoint {
    /// Takes a URL apart: `https://host[:port]`.
    pub fn parse(endpoint: &str) -> Result<Self, Error> {
        let refuse = |why: String| Error::Endpoint {
            endpoint: endpoint.to_owned(),
            why,
        };
        let Some(rest) = endpoint.strip_prefix("https://") else {
            let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
            return Err(refuse(format!("it must be an https URL (write https://{host})")));
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() || rest.contains(['/', '?', '#', '@', ' ']) {
            return Err(refuse("write it as https://host:port".into()));
        }
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, after)) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
                (host, after.strip_prefix(':').or((after.is_empty()).then_some("")))
            }
            Some(_) => return Err(refuse("what stands in brackets is not an IPv6 address".into())),
            None if rest.parse::<std::net::Ipv6Addr>().is_ok() => {
                return Err(refuse(format!(
                    "put the IPv6 address in brackets (write https://[{rest}]:6443)"
                )));
            }
            None => match rest.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, Some("")),
            },
        };
        let port = match port {
            Some("") => None,
            Some(port) => Some(
                port.parse()
                    .ok()
                    .filter(|port| *port != 0)
                    .ok_or_else(|| refuse(format!("{port:?} is not a port")))?,
            ),
            None => return Err(refuse("write it as https://[address]:port".into())),
        };
        if !is_host(host) {
            return Err(refuse(format!("{host:?} is not a host name or address")));
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    /// What to tell the user about an endpoint that is right but perhaps not meant.
    pub fn warning(&self) -> Option<String> {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let missing = "the cluster endpoint has no port, so the API server is expected on 443";
        self.port
            .is_none()
            .then(|| format!("{missing}; API servers listen on 6443 by default (https://{host}:6443)"))
    }
}

/// A DNS name or an IP address.
pub(crate) fn is_host(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
        || (!host.is_empty()
            && host.len() <= 253
            && host.trim_end_matches('.').split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            })
            && !host
                .rsplit('.')
                .next()
                .unwrap_or_default()
                .bytes()
                .all(|b| b.is_ascii_digit()))
}

/// Configuration of a control plane.
pub fn controlplane(input: &Input, secrets: &SecretsBundle) -> Result<Config, Error> {
    machine(input, secrets, MachineType::ControlPlane)
}

/// Configuration of a worker.
pub fn worker(input: &Input, secrets: &SecretsBundle) -> Result<Config, Error> {
    machine(input, secrets, MachineType::Worker)
}

/// Configuration of a machine.
pub fn machine(input: &Input, secrets: &SecretsBundle, kind: MachineType) -> Result<Config, Error> {
    let endpoint = Endpoint::parse(&input.endpoint)?;
    let mut documents = vec![main_document::document(input, secrets, kind, &endpoint)];
    if input.contract.has_documents() {
        documents.extend(documents::all(input));
    }
    Ok(Config::from_documents(&documents)?)
}
