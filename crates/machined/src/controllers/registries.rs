//! Registries: what the configuration says, as a resource, as containerd's files, and as the node's own puller.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use config::view::{Registries, RegistryAuth as RegistryAuthView, RegistryMirror, RegistryTls};
use image::pull::{Auth, Endpoint, Puller, Source};
use resource::{All, Context, One, Outcome, Outputs, Reconcile};
use tokio::sync::watch;

use super::containerd::{self, Machine};
use super::files::file;
use super::trust::Distribution;
use crate::machine_config::parsed;
use crate::resources::config::MachineConfig;
use crate::resources::cri::{RegistryAuthConfig, RegistryConfig, RegistryEndpointConfig, RegistryMirrorConfig};
use crate::resources::files::EtcFileStatus;
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
    let own = containerd::config(machine, config::images::PAUSE, &registries);
    let parts: Vec<(String, String)> = config::view::machine_files(&config)
        .into_iter()
        .filter(|file| containerd::is_customization(&file.path))
        .map(|file| (file.path, file.content))
        .chain(config::view::container_runtime(&config))
        .collect();
    // A part that cannot be read must not take the container runtime away.
    let joined = containerd::customized(&own, &parts).unwrap_or_else(|error| {
        tracing::warn!("machine.files: containerd's configuration stays as it is: {error:#}");
        own.clone()
    });
    add(containerd::CONFIG.to_owned(), joined);
    let nothing = RegistryMirror::default();
    let hosts: BTreeSet<&String> = registries.mirrors.keys().chain(registries.tls.keys()).collect();
    for host in hosts {
        let mirror = registries.mirrors.get(host).unwrap_or(&nothing);
        let path = format!("{}/{}/hosts.toml", containerd::HOSTS, containerd::folder(host));
        add(path, containerd::hosts_toml(host, mirror, &registries.tls));
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
    /// The authorities that registries are trusted by, beside configured ones.
    pub distribution: Distribution,
}

impl Reconcile for NodePuller {
    // A resolver is made of the files of names, so another is made when they change.
    type Inputs = (One<MachineConfig>, All<EtcFileStatus>);
    type Outputs = ();

    async fn reconcile(&mut self, (config, _): Self::Inputs, _: &Context) -> anyhow::Result<Outcome<()>> {
        let config = parsed(&config)?;
        let registries = config::view::registries(&config);
        let roots = Arc::new(self.distribution.roots(&config)?);
        self.puller.send_replace(Some(Arc::new(puller(&registries, &roots)?)));
        Ok(Outcome::done(()))
    }
}

fn puller(registries: &Registries, roots: &Arc<rustls::RootCertStore>) -> anyhow::Result<Puller> {
    let plain = rustls::ClientConfig::builder()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    let mut puller = Puller::new(Arc::new(plain)).resolver(dns::Resolver::from_system());
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
            auth: registries.auths.get(host).and_then(credentials),
        })
    };
    let maps = [
        registries.mirrors.keys().collect::<Vec<_>>(),
        registries.tls.keys().collect(),
        registries.auths.keys().collect(),
    ];
    let hosts: BTreeSet<&String> = maps.into_iter().flatten().collect();
    let nothing = RegistryMirror::default();
    for host in hosts {
        let mirror = registries.mirrors.get(host).unwrap_or(&nothing);
        let endpoints = mirror
            .endpoints
            .iter()
            .map(|e| endpoint(&e.url, containerd::host_of(&e.url), e.override_path))
            .collect::<anyhow::Result<Vec<_>>>()?;
        // Without a URL the puller makes it of the registry's name.
        let upstream = (host != "*").then(|| endpoint("", host, false)).transpose()?;
        let source = Source {
            endpoints,
            skip_fallback: mirror.skip_fallback,
            upstream,
        };
        puller.add_registry(host.clone(), source);
    }
    Ok(puller)
}

/// Credentials for the node's own puller: user and password, in the clear or as base64 of both.
fn credentials(auth: &RegistryAuthView) -> Option<Auth> {
    let (username, password) = if auth.username.is_empty() && !auth.auth.is_empty() {
        let both = base64::engine::general_purpose::STANDARD
            .decode(auth.auth.trim())
            .ok()?;
        let both = String::from_utf8(both).ok()?;
        let (username, password) = both.split_once(':')?;
        (username.to_owned(), password.to_owned())
    } else {
        (auth.username.clone(), auth.password.clone())
    };
    (!username.is_empty()).then_some(Auth::Basic { username, password })
}

fn tls_client(tls: &RegistryTls, roots: &Arc<rustls::RootCertStore>) -> anyhow::Result<rustls::ClientConfig> {
    let identity = tls.client_identity.as_ref();
    if tls.insecure_skip_verify {
        return Ok(pki::tls::client_config_pinned(&[], identity)?);
    }
    let mut joined = (**roots).clone();
    joined.extend(pki::tls::roots(&tls.ca)?.roots);
    Ok(pki::tls::client_config_with(joined, identity)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "version: v1alpha1
machine:
    type: worker
    files:
        - path: /etc/cri/conf.d/20-customization.part
          op: create
          content: |
            [plugins.'io.containerd.cri.v1.images']
            image_pull_progress_timeout = '9m'
    registries:
        mirrors:
            ghcr.io: {endpoints: [https://mirror.example:5000]}
            '*': {endpoints: [http://all.example]}
        config:
            mirror.example:5000: {tls: {insecureSkipVerify: true}}
            private.example: {tls: {insecureSkipVerify: true}, auth: {auth: bWU6aHVudGVyMg==}}
";

    fn rendered(config: &str) -> Outputs<FileSpec> {
        files(
            One::from(MachineConfig(config.to_owned())),
            One::from(HostCapability::default()),
        )
        .unwrap()
    }

    #[test]
    fn tls_settings_are_those_of_the_host_that_is_asked() {
        let files = rendered(CONFIG);
        let hosts = |folder: &str| {
            let path = format!("{}/{folder}/hosts.toml", containerd::HOSTS);
            files.get(&path).map(|file| file.contents.clone()).unwrap()
        };
        let mirrored = hosts("ghcr.io");
        assert!(
            mirrored.starts_with("server = \"https://ghcr.io\"\n\n[host."),
            "{mirrored}"
        );
        assert!(mirrored.contains("skip_verify = true"), "{mirrored}");
        assert_eq!(
            hosts("private.example"),
            "server = \"https://private.example\"\nskip_verify = true\n"
        );
        assert!(!hosts("_default").contains("server ="));
    }

    #[test]
    fn parts_of_containerds_configuration_are_laid_over_the_nodes_own() {
        let config = |text: &str| {
            let contents = rendered(text).get(containerd::CONFIG).unwrap().contents.clone();
            contents.parse::<toml::Table>().unwrap()
        };
        let images = config(CONFIG)["plugins"]["io.containerd.cri.v1.images"].clone();
        assert_eq!(images["image_pull_progress_timeout"].as_str(), Some("9m"));
        assert_eq!(images["snapshotter"].as_str(), Some("overlayfs"));
        let broken = config(&CONFIG.replace("'9m'", "'9m"));
        let images = &broken["plugins"]["io.containerd.cri.v1.images"];
        assert_eq!(images["image_pull_progress_timeout"].as_str(), Some("5m"));
    }

    #[test]
    fn credentials_are_given_in_the_clear_or_in_base64() {
        let auth = |username: &str, auth: &str| RegistryAuthView {
            username: username.into(),
            password: "secret".into(),
            auth: auth.into(),
            ..RegistryAuthView::default()
        };
        let basic = |username: &str, password: &str| {
            let (username, password) = (username.to_owned(), password.to_owned());
            Some(Auth::Basic { username, password })
        };
        assert_eq!(credentials(&auth("you", "")), basic("you", "secret"));
        assert_eq!(credentials(&auth("", "bWU6aHVudGVyMg==")), basic("me", "hunter2"));
        assert_eq!(credentials(&auth("", "???")), None);
    }
}
