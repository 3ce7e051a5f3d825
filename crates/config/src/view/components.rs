//! What runs in Kubernetes' control plane, and what every cluster gets with it.

use std::collections::BTreeMap;

use pki::Secret;

use crate::Config;
use crate::images;
use crate::model::k8s;
use crate::model::v1alpha1::{ResourcesConfig, VolumeMountConfig};
use crate::schema::types::{Args, Free};

/// What all components have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Component {
    /// Whether it runs.
    pub enabled: bool,
    /// Its image.
    pub image: String,
    /// Arguments laid over the system's own.
    pub extra_args: Args,
    /// Folders of the machine it sees.
    pub extra_volumes: Vec<VolumeMountConfig>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Requests and limits.
    pub resources: Option<ResourcesConfig>,
}

/// The API server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApiServer {
    /// What all components have.
    pub component: Component,
    /// Port it listens on.
    pub port: u16,
    /// More names and addresses for its certificate.
    pub cert_sans: Vec<String>,
    /// Configurations of admission plugins, by name, in order.
    pub admission: Vec<(String, Free)>,
    /// Audit policy; `None` for the default.
    pub audit_policy: Option<Free>,
    /// Authentication configuration; `None` for the default.
    pub authentication: Option<Free>,
    /// Authorizers beside Node and RBAC.
    pub authorizers: Vec<Authorizer>,
    /// Encryption configuration given whole; `None` to make one from the cluster's secrets.
    pub encryption: Option<Free>,
}

/// One authorizer of the API server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Authorizer {
    /// Its name.
    pub name: String,
    /// `Node`, `RBAC` or `Webhook`.
    pub kind: String,
    /// Settings of a webhook.
    pub webhook: Option<Free>,
}

fn or_default(image: Option<String>, default: &str) -> String {
    image
        .filter(|image| !image.is_empty())
        .unwrap_or_else(|| default.to_owned())
}

/// The API server.
pub fn api_server(config: &Config) -> ApiServer {
    let cluster = config.cluster();
    let legacy = cluster
        .and_then(|cluster| cluster.api_server.clone())
        .unwrap_or_default();
    let legacy_port = cluster.and_then(|cluster| cluster.control_plane.as_ref()?.local_api_server_port);
    let mut view = ApiServer {
        component: Component {
            enabled: true,
            image: or_default(legacy.image, images::API_SERVER),
            extra_args: legacy.extra_args,
            extra_volumes: legacy.extra_volumes,
            env: legacy.env,
            resources: legacy.resources,
        },
        port: port(legacy_port),
        cert_sans: legacy.cert_sans,
        admission: legacy
            .admission_control
            .into_iter()
            .map(|p| (p.name.unwrap_or_default(), p.configuration.unwrap_or_default()))
            .collect(),
        audit_policy: legacy.audit_policy,
        authentication: None,
        authorizers: legacy
            .authorization_config
            .into_iter()
            .map(|a| Authorizer {
                name: a.name.unwrap_or_default(),
                kind: a.kind.unwrap_or_default(),
                webhook: a.webhook,
            })
            .collect(),
        encryption: None,
    };
    if let Some(document) = config.document::<k8s::KubeAPIServerConfig>(None) {
        view.component = Component {
            enabled: true,
            image: or_default(document.image, images::API_SERVER),
            extra_args: document.extra_args,
            extra_volumes: Vec::new(),
            env: document.env,
            resources: document.resources,
        };
        view.port = port(document.api_port);
        view.cert_sans = document.cert_extra_sans;
    }
    for plugin in config.all::<k8s::KubeAdmissionControlConfig>() {
        view.admission.push((
            plugin.name.unwrap_or_default(),
            plugin.configuration.unwrap_or_default(),
        ));
    }
    for authorizer in config.all::<k8s::KubeAuthorizerConfig>() {
        view.authorizers.push(Authorizer {
            name: authorizer.name.unwrap_or_default(),
            kind: authorizer.kind.unwrap_or_default(),
            webhook: authorizer.webhook,
        });
    }
    let audit = config
        .document::<k8s::KubeAuditPolicyConfig>(None)
        .and_then(|document| document.configuration);
    view.audit_policy = audit.or(view.audit_policy);
    view.authentication = config
        .document::<k8s::KubeAuthenticationConfig>(None)
        .and_then(|d| d.configuration);
    view.encryption = config
        .document::<k8s::KubeEtcdEncryptionConfig>(None)
        .and_then(|document| document.config);
    view
}

fn port(port: Option<i64>) -> u16 {
    port.and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port != 0)
        .unwrap_or(6443)
}

/// The controller manager.
pub fn controller_manager(config: &Config) -> Component {
    let disabled = config
        .machine()
        .and_then(|m| m.control_plane.as_ref()?.controller_manager.as_ref()?.disabled);
    if let Some(document) = config.document::<k8s::KubeControllerManagerConfig>(None) {
        return Component {
            enabled: document.enabled.unwrap_or(true),
            image: or_default(document.image, images::CONTROLLER_MANAGER),
            extra_args: document.extra_args,
            extra_volumes: Vec::new(),
            env: document.env,
            resources: document.resources,
        };
    }
    let legacy = config
        .cluster()
        .and_then(|cluster| cluster.controller_manager.clone())
        .unwrap_or_default();
    Component {
        enabled: !disabled.unwrap_or_default(),
        image: or_default(legacy.image, images::CONTROLLER_MANAGER),
        extra_args: legacy.extra_args,
        extra_volumes: legacy.extra_volumes,
        env: legacy.env,
        resources: legacy.resources,
    }
}

/// The scheduler.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scheduler {
    /// What all components have.
    pub component: Component,
    /// Its configuration file, laid over the system's own.
    pub config: Option<Free>,
}

/// The scheduler.
pub fn scheduler(config: &Config) -> Scheduler {
    if let Some(document) = config.document::<k8s::KubeSchedulerConfig>(None) {
        let component = Component {
            enabled: document.enabled.unwrap_or(true),
            image: or_default(document.image, images::SCHEDULER),
            extra_args: document.extra_args,
            extra_volumes: Vec::new(),
            env: document.env,
            resources: document.resources,
        };
        return Scheduler {
            component,
            config: document.config,
        };
    }
    let disabled = config
        .machine()
        .and_then(|m| m.control_plane.as_ref()?.scheduler.as_ref()?.disabled);
    let legacy = config
        .cluster()
        .and_then(|cluster| cluster.scheduler.clone())
        .unwrap_or_default();
    let component = Component {
        enabled: !disabled.unwrap_or_default(),
        image: or_default(legacy.image, images::SCHEDULER),
        extra_args: legacy.extra_args,
        extra_volumes: legacy.extra_volumes,
        env: legacy.env,
        resources: legacy.resources,
    };
    Scheduler {
        component,
        config: legacy.config,
    }
}

/// The service proxy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proxy {
    /// What all components have.
    pub component: Component,
    /// `nftables`, `iptables`, `ipvs`; empty for the default.
    pub mode: String,
    /// Its configuration file, laid over the system's own.
    pub config: Option<Free>,
}

/// The service proxy.
pub fn proxy(config: &Config) -> Proxy {
    if let Some(document) = config.document::<k8s::KubeProxyConfig>(None) {
        let component = Component {
            enabled: document.enabled.unwrap_or(true),
            image: or_default(document.image, images::PROXY),
            extra_args: document.extra_args,
            resources: document.resources,
            ..Component::default()
        };
        return Proxy {
            component,
            mode: document.mode.unwrap_or_default(),
            config: document.config,
        };
    }
    let legacy = config
        .cluster()
        .and_then(|cluster| cluster.proxy.clone())
        .unwrap_or_default();
    let component = Component {
        enabled: !legacy.disabled.unwrap_or_default(),
        image: or_default(legacy.image, images::PROXY),
        extra_args: legacy.extra_args,
        ..Component::default()
    };
    Proxy {
        component,
        mode: legacy.mode.unwrap_or_default(),
        config: None,
    }
}

/// Cluster DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreDns {
    /// Whether it runs.
    pub enabled: bool,
    /// Its image.
    pub image: String,
}

/// Cluster DNS.
pub fn core_dns(config: &Config) -> CoreDns {
    if let Some(document) = config.document::<k8s::KubeCoreDNSConfig>(None) {
        let image = or_default(document.image, images::COREDNS);
        return CoreDns {
            enabled: document.enabled.unwrap_or(true),
            image,
        };
    }
    let legacy = config
        .cluster()
        .and_then(|cluster| cluster.core_dns.clone())
        .unwrap_or_default();
    CoreDns {
        enabled: !legacy.disabled.unwrap_or_default(),
        image: or_default(legacy.image, images::COREDNS),
    }
}

/// The pod network.
#[derive(Clone, Debug, PartialEq)]
pub enum Cni {
    /// Flannel, with its settings.
    Flannel(Box<k8s::KubeFlannelCNIConfig>),
    /// Manifests from these URLs.
    Custom(Vec<String>),
    /// The user brings one.
    None,
}

/// The pod network.
pub fn cni(config: &Config) -> Cni {
    let document = config.document::<k8s::KubeFlannelCNIConfig>(None);
    let legacy = config
        .cluster()
        .and_then(|cluster| cluster.network.as_ref()?.cni.clone());
    match (document, legacy) {
        (Some(document), _) => Cni::Flannel(Box::new(document)),
        (None, None) => Cni::Flannel(Box::default()),
        (None, Some(legacy)) => match legacy.name.as_deref() {
            Some("none") => Cni::None,
            Some("custom") => Cni::Custom(legacy.urls),
            _ => {
                let flannel = legacy.flannel.unwrap_or_default();
                Cni::Flannel(Box::new(k8s::KubeFlannelCNIConfig {
                    extra_args: flannel.extra_args,
                    kube_network_policies_enabled: flannel.kube_network_policies_enabled,
                    ..k8s::KubeFlannelCNIConfig::default()
                }))
            }
        },
    }
}

/// etcd.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Etcd {
    /// Its image.
    pub image: String,
    /// Arguments added to the system's own.
    pub extra_args: Args,
    /// Networks whose addresses are told to other members; empty for the default.
    pub advertised_subnets: Vec<String>,
    /// Networks whose addresses it listens on; empty for all.
    pub listen_subnets: Vec<String>,
}

/// The balancer of API servers on each machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KubePrism {
    /// Whether it runs.
    pub enabled: bool,
    /// Port it listens on, on the loopback address.
    pub port: u16,
}

/// The key that signs service account tokens, PEM.
pub fn service_account_key(config: &Config) -> Option<Secret> {
    let document = config.document::<k8s::KubeServiceAccountConfig>(None);
    document
        .and_then(|document| document.issuer?.private_key)
        .or_else(|| config.cluster()?.service_account.as_ref()?.key.clone().map(|key| key.0))
}
