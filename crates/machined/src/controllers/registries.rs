//! Registries: what the configuration says, as a resource, as containerd's files, and as the node's own puller.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use config::view::{Registries, RegistryTls};
use image::pull::{Auth, Endpoint, Puller, Source};
use resource::{Context, One, Outcome, Outputs, Reconcile};
use tokio::sync::watch;

use super::containerd::{self, Machine};
use super::files::file;
use crate::machine_config::parsed;
use crate::resources::config::MachineConfig;
use crate::resources::cri::{RegistryAuthConfig, RegistryConfig, RegistryEndpointConfig, RegistryMirrorConfig};
use crate::resources::keelson::{FileSpec, HostCapability};

/// What the configuration says of registries.
pub fn resource(config: One<MachineConfig>) -> anyhow::Result<Outputs<RegistryConfig>> {
    let registries = config::view::registries(&*parsed(&config)?);
    let mirror = |m: &config::view::RegistryMirror| RegistryMirrorConfig {
        endpoints: m
            .endpoints
            .iter()
            .map(|e| RegistryEndpointConfig {
                endpoint: e.url.clone(),
                override_path: e.override_path,
            })
            .collect(),
        skip_fallback: m.skip_fallback,
    };
    let auth = |a: &config::view::RegistryAuth| RegistryAuthConfig {
        username: a.username.clone(),
        password: a.password.clone(),
        auth: a.auth.clone(),
        identity_token: a.identity_token.clone(),
    };
    let resource = RegistryConfig {
        mirrors: registries
            .mirrors
            .iter()
            .map(|(host, m)| (host.clone(), mirror(m)))
            .collect(),
        auths: registries
            .auths
            .iter()
            .map(|(host, a)| (host.clone(), auth(a)))
            .collect(),
        ..RegistryConfig::default()
    };
    Ok(Outputs::one("registries", resource))
}

/// containerd's files.
pub fn files(config: One<MachineConfig>, host: One<HostCapability>) -> anyhow::Result<Outputs<FileSpec>> {
    let config = parsed(&config)?;
    let registries = config::view::registries(&config);
    let machine = Machine {
        restrict_oom_score_adj: !host.lower_oom_score,
    };
    let mut files = Outputs::none();
    let mut add = |path: String, contents: String| files.insert(path, file("containerd", contents, 0o600, 0));
    add(
        containerd::CONFIG.to_owned(),
        containerd::config(machine, config::images::PAUSE, &registries),
    );
    for (host, mirror) in &registries.mirrors {
        let path = format!("{}/{}/hosts.toml", containerd::HOSTS, containerd::folder(host));
        add(path, containerd::hosts_toml(host, mirror, registries.tls.get(host)));
    }
    for (host, tls) in &registries.tls {
        if !tls.ca.is_empty() {
            add(containerd::tls_path(host, "ca.crt"), text(&tls.ca)?);
        }
        if let Some(identity) = &tls.client_identity {
            add(containerd::tls_path(host, "client.crt"), text(&identity.crt)?);
            add(containerd::tls_path(host, "client.key"), text(identity.key.expose())?);
        }
    }
    Ok(files)
}

fn text(pem: &[u8]) -> anyhow::Result<String> {
    Ok(std::str::from_utf8(pem)
        .context("a registry's certificate or key is not PEM text")?
        .to_owned())
}

/// Keeps the node's own way of pulling images as the configuration says.
pub struct NodePuller {
    /// Who pulls.
    pub puller: watch::Sender<Option<Arc<Puller>>>,
    /// The authorities that registries are trusted by.
    pub roots: Arc<rustls::RootCertStore>,
}

impl Reconcile for NodePuller {
    type Inputs = (One<MachineConfig>,);
    type Outputs = ();

    async fn reconcile(&mut self, (config,): Self::Inputs, _: &Context) -> anyhow::Result<Outcome<()>> {
        let config = parsed(&config)?;
        let registries = config::view::registries(&config);
        self.puller
            .send_replace(Some(Arc::new(puller(&registries, &self.roots)?)));
        Ok(Outcome::done(()))
    }
}

fn puller(registries: &Registries, roots: &Arc<rustls::RootCertStore>) -> anyhow::Result<Puller> {
    let plain = rustls::ClientConfig::builder()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    let mut puller = Puller::new(Arc::new(plain)).resolver(dns::Resolver::from_system());
    let auths: BTreeMap<&str, Auth> = registries
        .auths
        .iter()
        .map(|(host, auth)| {
            let (username, password) = (auth.username.clone(), auth.password.clone());
            (host.as_str(), Auth::Basic { username, password })
        })
        .collect();
    let endpoint = |url: &str, host: &str, override_path: bool| -> anyhow::Result<Endpoint> {
        let tls = registries
            .tls
            .get(host)
            .map(|tls| tls_client(tls, roots))
            .transpose()?
            .map(Arc::new);
        Ok(Endpoint {
            url: url.to_owned(),
            override_path,
            tls,
            auth: auths.get(host).cloned(),
        })
    };
    for (host, mirror) in &registries.mirrors {
        let endpoints = mirror
            .endpoints
            .iter()
            .map(|e| endpoint(&e.url, host_of(&e.url), e.override_path))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let source = Source {
            endpoints,
            skip_fallback: mirror.skip_fallback,
            upstream: None,
        };
        puller.add_registry(host.clone(), source);
    }
    Ok(puller)
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

fn tls_client(tls: &RegistryTls, roots: &Arc<rustls::RootCertStore>) -> anyhow::Result<rustls::ClientConfig> {
    if tls.insecure_skip_verify {
        return Ok(pki::tls::client_config_pinned(&[], tls.client_identity.as_ref())?);
    }
    if tls.ca.is_empty() {
        return Ok(rustls::ClientConfig::builder()
            .with_root_certificates(roots.clone())
            .with_no_client_auth());
    }
    Ok(pki::tls::client_config(&tls.ca, tls.client_identity.as_ref())?)
}
