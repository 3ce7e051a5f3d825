//! Registries: what the configuration says, as a resource, as containerd's files, and as the node's own puller.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use config::view::{Registries, RegistryAuth as RegistryAuthView, RegistryMirror, RegistryTls};
use image::pull::{Auth, Endpoint, Puller, Source};
use node_resources::config::MachineConfig;
use node_resources::cri::{RegistryAuthConfig, RegistryConfig, RegistryEndpointConfig, RegistryMirrorConfig};
use node_resources::files::EtcFileStatus;
use node_resources::keelson::{FileSpec, HostCapability, ImagePolicy};
use resource::{All, Context, One, Outcome, Outputs, Reconcile};
use tokio::sync::watch;

use super::containerd::{self, Machine};
use super::files::file;
use super::image_rules;
use super::trust::Distribution;
use crate::machine_config::parsed;

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
pub fn files(
    config: One<MachineConfig>,
    policy: One<ImagePolicy>,
    host: One<HostCapability>,
) -> anyhow::Result<Outputs<FileSpec>> {
    let config = parsed(&config)?;
    let registries = config::view::registries(&config);
    let machine = Machine {
        restrict_oom_score_adj: !host.lower_oom_score,
    };
    let mut files = Outputs::none();
    let mut add = |path: String, contents: String| files.insert(path, file("containerd", contents, 0o600, 0));
    let own = containerd::config(machine, config::images::PAUSE, &registries);
    // Only where there are rules: it costs a process per pull, and compressed layers are kept.
    let verifying = !policy.rules.is_empty();
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
    let joined = match containerd::verifying(&joined) {
        _ if !verifying => joined,
        Ok(joined) => joined,
        Err(error) => {
            tracing::warn!("containerd's configuration is the node's own, so that images are verified: {error:#}");
            containerd::verifying(&own)?
        }
    };
    add(containerd::CONFIG.to_owned(), joined);
    let nothing = RegistryMirror::default();
    let settings = containerd::Settings {
        tls: &registries.tls,
        auths: verifying.then_some(&registries.auths),
    };
    let with_credentials = settings.auths.into_iter().flat_map(|auths| auths.keys());
    let hosts = registries.mirrors.keys().chain(registries.tls.keys());
    let hosts: BTreeSet<&String> = hosts.chain(with_credentials).collect();
    for host in hosts {
        let mirror = registries.mirrors.get(host).unwrap_or(&nothing);
        let path = format!("{}/{}/hosts.toml", containerd::HOSTS, containerd::folder(host));
        add(path, containerd::hosts_toml(host, mirror, settings));
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
    // There is no puller before the rules are known. A resolver is made of the files of names, so another is made when
    // they change.
    type Inputs = (One<MachineConfig>, One<ImagePolicy>, All<EtcFileStatus>);
    type Outputs = ();

    async fn reconcile(&mut self, (config, policy, _): Self::Inputs, _: &Context) -> anyhow::Result<Outcome<()>> {
        let config = parsed(&config)?;
        let policy = image_rules::judge(&policy);
        let registries = config::view::registries(&config);
        let made = self
            .distribution
            .roots(&config)
            .and_then(|roots| puller(&registries, &Arc::new(roots)));
        match made {
            Ok(puller) => drop(self.puller.send_replace(Some(Arc::new(puller.policy(policy))))),
            Err(error) => {
                // Registries stay what they were, the rules do not.
                self.puller.send_modify(|puller| {
                    if let Some(puller) = puller {
                        *puller = Arc::new(Puller::clone(puller).policy(policy));
                    }
                });
                return Err(error);
            }
        }
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

/// Credentials for the node's own puller.
fn credentials(auth: &RegistryAuthView) -> Option<Auth> {
    let (username, password) = containerd::user_and_password(auth)?;
    Some(Auth::Basic { username, password })
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
        let config = || One::from(MachineConfig(config.to_owned()));
        let policy = image_rules::policy(config()).unwrap().get("rules").unwrap().clone();
        files(config(), One::from(policy), One::from(HostCapability::default())).unwrap()
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

    const RULES: &str = "---
apiVersion: v1alpha1
kind: ImageVerificationConfig
rules: [{image: 'ghcr.io/*', deny: true}]
";

    #[test]
    fn containerd_asks_about_images_where_there_are_rules_whatever_the_user_says() {
        let config = |text: &str| {
            let contents = rendered(text).get(containerd::CONFIG).unwrap().contents.clone();
            contents.parse::<toml::Table>().unwrap()
        };
        let images = "io.containerd.cri.v1.images";
        let usual = config(CONFIG);
        assert!(usual["plugins"].get("io.containerd.image-verifier.v1.bindir").is_none());
        assert_eq!(
            usual["plugins"][images]["discard_unpacked_layers"].as_bool(),
            Some(true)
        );
        let part = "disabled_plugins = ['io.containerd.image-verifier.v1.bindir', 'io.containerd.nri.v1.nri']
            imports = ['/etc/cri/conf.d/*']
            [plugins.'io.containerd.cri.v1.images']
            use_local_image_pull = true
            max_concurrent_downloads = 9";
        let hostile = CONFIG.replace("[plugins.'io.containerd.cri.v1.images']", part) + RULES;
        let asking = config(&hostile);
        assert_eq!(asking["disabled_plugins"].as_array().unwrap().len(), 1);
        assert!(asking.get("imports").is_none());
        let verifier = &asking["plugins"]["io.containerd.image-verifier.v1.bindir"];
        assert_eq!(verifier["bin_dir"].as_str(), Some("/usr/lib/image-verifiers"));
        let settings = &asking["plugins"][images];
        assert_eq!(settings["use_local_image_pull"].as_bool(), Some(false));
        assert_eq!(settings["discard_unpacked_layers"].as_bool(), Some(false));
        assert!(settings.get("max_concurrent_downloads").is_none());
        // What has nothing to do with it is as the user wants it.
        assert_eq!(settings["image_pull_progress_timeout"].as_str(), Some("9m"));
        assert!(settings["registry"].get("configs").is_none());
        // What is no configuration of containerd's is left out.
        let broken = CONFIG.replace("image_pull_progress_timeout = '9m'", "registry = 1") + RULES;
        assert!(
            config(&broken)["plugins"]
                .get("io.containerd.image-verifier.v1.bindir")
                .is_some()
        );
    }

    #[test]
    fn credentials_stand_beside_the_registries_where_images_are_verified() {
        let hosts = |config: &str, folder: &str| {
            let path = format!("{}/{folder}/hosts.toml", containerd::HOSTS);
            let file = rendered(config).get(&path).map(|file| file.contents.clone());
            file.map(|text| text.parse::<toml::Table>().unwrap())
        };
        let config = CONFIG.replace(
            "mirror.example:5000: {tls: {insecureSkipVerify: true}}",
            "mirror.example:5000: {auth: {username: me, password: hunter2}}",
        );
        let with_rules = config.clone() + RULES;
        let basic = Some("Basic bWU6aHVudGVyMg==");
        let own = hosts(&with_rules, "private.example").unwrap();
        assert_eq!(own["header"]["Authorization"].as_str(), basic);
        let mirror = hosts(&with_rules, "ghcr.io").unwrap();
        assert_eq!(
            mirror["host"]["https://mirror.example:5000/v2"]["header"]["Authorization"].as_str(),
            basic
        );
        assert!(mirror.get("header").is_none());
        // A host with nothing but credentials has a file too.
        assert!(hosts(&with_rules, "mirror.example_5000_").is_some());
        assert!(hosts(&config, "private.example").unwrap().get("header").is_none());
        assert!(hosts(&config, "mirror.example_5000_").is_none());
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
