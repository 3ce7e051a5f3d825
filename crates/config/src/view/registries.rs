//! Where images come from: mirrors, credentials and TLS settings by registry.

use std::collections::BTreeMap;
use std::fmt;

use pki::{CertAndKey, Secret};

use crate::Config;
use crate::model::cri;

/// Settings of all registries, by host (`docker.io`, `ghcr.io`, `registry:5000`, `*`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registries {
    /// Where to ask instead of the registry itself.
    pub mirrors: BTreeMap<String, RegistryMirror>,
    /// Credentials.
    pub auths: BTreeMap<String, RegistryAuth>,
    /// TLS settings.
    pub tls: BTreeMap<String, RegistryTls>,
}

/// Mirrors of one registry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegistryMirror {
    /// Mirrors in the order they are asked.
    pub endpoints: Vec<RegistryEndpoint>,
    /// Do not ask the registry itself if no mirror has the image.
    pub skip_fallback: bool,
}

/// One mirror.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegistryEndpoint {
    /// Its URL.
    pub url: String,
    /// The path in the URL is the whole path: `/v2` is not added.
    pub override_path: bool,
}

/// Credentials; what is not given is empty. `Debug` shows the user name only.
#[derive(Clone, Default, PartialEq)]
pub struct RegistryAuth {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Base64 of `user:password`.
    pub auth: String,
    /// Token of an identity provider.
    pub identity_token: String,
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryAuth")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// TLS settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegistryTls {
    /// Authorities to trust beside the system's, PEM; may be empty.
    pub ca: Vec<u8>,
    /// Certificate and key to show.
    pub client_identity: Option<CertAndKey>,
    /// Trust any certificate.
    pub insecure_skip_verify: bool,
}

fn text(secret: Option<&Secret>) -> String {
    secret
        .and_then(|secret| secret.expose_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// Settings of all registries.
pub fn registries(config: &Config) -> Registries {
    let mut registries = Registries::default();
    if let Some(legacy) = config.machine().and_then(|machine| machine.registries.as_ref()) {
        for (host, mirror) in &legacy.mirrors {
            let override_path = mirror.override_path.unwrap_or_default();
            let endpoint = |url: &String| RegistryEndpoint {
                url: url.clone(),
                override_path,
            };
            let mirror = RegistryMirror {
                endpoints: mirror.endpoints.iter().map(endpoint).collect(),
                skip_fallback: mirror.skip_fallback.unwrap_or_default(),
            };
            registries.mirrors.insert(host.clone(), mirror);
        }
        for (host, settings) in &legacy.config {
            if let Some(auth) = &settings.auth {
                let auth = RegistryAuth {
                    username: auth.username.clone().unwrap_or_default(),
                    password: text(auth.password.as_ref()),
                    auth: text(auth.auth.as_ref()),
                    identity_token: text(auth.identity_token.as_ref()),
                };
                registries.auths.insert(host.clone(), auth);
            }
            if let Some(tls) = &settings.tls {
                let tls = RegistryTls {
                    ca: tls.ca.clone().unwrap_or_default().0,
                    client_identity: tls.client_identity.clone(),
                    insecure_skip_verify: tls.insecure_skip_verify.unwrap_or_default(),
                };
                registries.tls.insert(host.clone(), tls);
            }
        }
    }
    add_documents(config, &mut registries);
    registries
}

fn add_documents(config: &Config, registries: &mut Registries) {
    for mirror in config.all::<cri::RegistryMirrorConfig>() {
        let endpoint = |endpoint: cri::RegistryEndpoint| RegistryEndpoint {
            url: endpoint.url.unwrap_or_default(),
            override_path: endpoint.override_path.unwrap_or_default(),
        };
        let view = RegistryMirror {
            endpoints: mirror.endpoints.into_iter().map(endpoint).collect(),
            skip_fallback: mirror.skip_fallback.unwrap_or_default(),
        };
        registries.mirrors.insert(mirror.name.unwrap_or_default(), view);
    }
    for auth in config.all::<cri::RegistryAuthConfig>() {
        let view = RegistryAuth {
            username: auth.username.unwrap_or_default(),
            password: text(auth.password.as_ref()),
            auth: text(auth.auth.as_ref()),
            identity_token: text(auth.identity_token.as_ref()),
        };
        registries.auths.insert(auth.name.unwrap_or_default(), view);
    }
    for tls in config.all::<cri::RegistryTLSConfig>() {
        let identity =
            |identity: cri::ClientIdentity| super::cluster::pair(identity.cert.or(identity.crt), identity.key);
        let view = RegistryTls {
            ca: tls.ca.unwrap_or_default().into_bytes(),
            client_identity: tls.client_identity.map(identity),
            insecure_skip_verify: tls.insecure_skip_verify.unwrap_or_default(),
        };
        registries.tls.insert(tls.name.unwrap_or_default(), view);
    }
}
