//! The cluster as a whole, and the machine's place in it.

use std::collections::BTreeMap;

use pki::{CertAndKey, Secret};

use super::components::{Etcd, KubePrism};
use crate::Config;
use crate::images;
use crate::model::v1alpha1::ExtraMount;
use crate::model::{discovery, k8s};
use crate::schema::types::{Args, Free};

/// Name of the cluster; empty if it has none.
pub fn cluster_name(config: &Config) -> String {
    let document = config
        .document::<k8s::KubeClusterConfig>(None)
        .and_then(|document| document.cluster_name);
    document
        .or_else(|| config.cluster()?.cluster_name.clone())
        .unwrap_or_default()
}

/// URL of the Kubernetes API.
pub fn endpoint(config: &Config) -> Option<String> {
    let document = config
        .document::<k8s::KubeClusterConfig>(None)
        .and_then(|document| document.endpoint);
    document.or_else(|| config.cluster()?.control_plane.as_ref()?.endpoint.clone())
}

/// A certificate and key in PEM; what is not given is empty.
pub(super) fn pair(cert: Option<String>, key: Option<Secret>) -> CertAndKey {
    CertAndKey {
        crt: cert.unwrap_or_default().into_bytes(),
        key: key.unwrap_or_default(),
    }
}

/// Authority of Kubernetes; on workers without its key.
pub fn kubernetes_ca(config: &Config) -> Option<CertAndKey> {
    let document = config
        .document::<k8s::KubeAPIServerCAConfig>(None)
        .and_then(|document| document.issuing_ca);
    document
        .map(|ca| pair(ca.cert.or(ca.crt), ca.key))
        .or_else(|| config.cluster()?.ca.clone())
}

/// Authorities of Kubernetes that are trusted beside the issuing one, PEM.
pub fn accepted_kubernetes_cas(config: &Config) -> Vec<Vec<u8>> {
    let legacy = config.cluster().into_iter().flat_map(|cluster| &cluster.accepted_cas);
    let legacy = legacy.filter_map(|ca| ca.crt.as_ref()).map(|crt| crt.0.clone());
    let documents = config
        .all::<k8s::KubeAPIServerCAConfig>()
        .into_iter()
        .flat_map(|document| document.accepted_cas);
    legacy.chain(documents.map(String::into_bytes)).collect()
}

/// Authority of the aggregation layer.
pub fn aggregator_ca(config: &Config) -> Option<CertAndKey> {
    let document = config
        .document::<k8s::KubeAggregatorCAConfig>(None)
        .and_then(|document| document.issuing_ca);
    document
        .map(|ca| pair(ca.cert.or(ca.crt), ca.key))
        .or_else(|| config.cluster()?.aggregator_ca.clone())
}

/// Networks of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesNetwork {
    /// DNS domain.
    pub dns_domain: String,
    /// Networks of pods, one per address family.
    pub pod_subnets: Vec<String>,
    /// Networks of services, one per address family.
    pub service_subnets: Vec<String>,
    /// Length of the prefix each node gets for IPv4; `None` for the default.
    pub node_mask_v4: Option<u8>,
    /// Length of the prefix each node gets for IPv6; `None` for the default.
    pub node_mask_v6: Option<u8>,
}

/// Networks of the cluster.
pub fn kubernetes_network(config: &Config) -> KubernetesNetwork {
    let legacy = config
        .cluster()
        .and_then(|cluster| cluster.network.clone())
        .unwrap_or_default();
    let document = config.document::<k8s::KubeNetworkConfig>(None).unwrap_or_default();
    let pick = |document: Vec<String>, legacy: Vec<String>, default: &str| match (document, legacy) {
        (document, _) if !document.is_empty() => document,
        (_, legacy) if !legacy.is_empty() => legacy,
        _ => vec![default.to_owned()],
    };
    let texts = |subnets: Vec<crate::schema::types::Prefix>| subnets.iter().map(ToString::to_string).collect();
    let mask = |bits: Option<i64>| bits.and_then(|bits| u8::try_from(bits).ok());
    let dns_domain = document
        .dns_domain
        .or(legacy.dns_domain)
        .filter(|domain| !domain.is_empty());
    KubernetesNetwork {
        dns_domain: dns_domain.unwrap_or_else(|| "cluster.local".into()),
        pod_subnets: pick(texts(document.pod_subnets), legacy.pod_subnets, "10.244.0.0/16"),
        service_subnets: pick(texts(document.service_subnets), legacy.service_subnets, "10.96.0.0/12"),
        node_mask_v4: mask(document.node_cidr_mask_size_ipv4),
        node_mask_v6: mask(document.node_cidr_mask_size_ipv6),
    }
}

/// How machines find each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Discovery {
    /// Whether they do at all.
    pub enabled: bool,
    /// Through annotations of Kubernetes nodes.
    pub kubernetes: bool,
    /// URL of the discovery service; `None` if it is not used.
    pub service: Option<String>,
    /// Name of the cluster at the service.
    pub cluster_id: String,
    /// Key that encrypts what machines tell each other.
    pub cluster_secret: Secret,
}

/// The public discovery service.
pub const DEFAULT_DISCOVERY_SERVICE: &str = "https://discovery.talos.dev/";

/// How machines find each other.
pub fn discovery(config: &Config) -> Discovery {
    let cluster = config.cluster().cloned().unwrap_or_default();
    let identity = config
        .document::<discovery::DiscoveryIdentityConfig>(None)
        .unwrap_or_default();
    let document = config.document::<discovery::DiscoveryServiceConfig>(None);
    let legacy = cluster.discovery.unwrap_or_default();
    let registries = legacy.registries.unwrap_or_default();
    let enabled = legacy.enabled.unwrap_or_default() || document.is_some();
    let service = registries.service.unwrap_or_default();
    let legacy_service = (!service.disabled.unwrap_or_default()).then(|| {
        service
            .endpoint
            .filter(|url| !url.is_empty())
            .unwrap_or_else(|| DEFAULT_DISCOVERY_SERVICE.into())
    });
    Discovery {
        enabled,
        kubernetes: enabled && !registries.kubernetes.unwrap_or_default().disabled.unwrap_or_default(),
        service: if enabled {
            document.and_then(|document| document.endpoint).or(legacy_service)
        } else {
            None
        },
        cluster_id: identity.cluster_id.or(cluster.id).unwrap_or_default(),
        cluster_secret: identity.cluster_secret.or(cluster.secret).unwrap_or_default(),
    }
}

/// etcd.
pub fn etcd(config: &Config) -> Etcd {
    let legacy = config
        .cluster()
        .and_then(|cluster| cluster.etcd.clone())
        .unwrap_or_default();
    Etcd {
        image: legacy
            .image
            .filter(|image| !image.is_empty())
            .unwrap_or_else(|| images::ETCD.into()),
        extra_args: legacy.extra_args,
        advertised_subnets: legacy.advertised_subnets,
        listen_subnets: legacy.listen_subnets,
    }
}

/// The balancer of API servers on each machine.
pub fn kube_prism(config: &Config) -> KubePrism {
    let port = |port: Option<i64>| port.and_then(|port| u16::try_from(port).ok()).unwrap_or(7445);
    if let Some(document) = config.document::<k8s::KubePrismConfig>(None) {
        return KubePrism {
            enabled: true,
            port: port(document.port),
        };
    }
    let legacy = config
        .machine()
        .and_then(|machine| machine.features.as_ref()?.kube_prism.clone())
        .unwrap_or_default();
    KubePrism {
        enabled: legacy.enabled.unwrap_or_default(),
        port: port(legacy.port),
    }
}

/// The kubelet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kubelet {
    /// Its image.
    pub image: String,
    /// Arguments laid over the system's own.
    pub extra_args: Args,
    /// Its configuration file, laid over the system's own.
    pub extra_config: Option<Free>,
    /// Configuration of credential providers.
    pub credential_providers: Option<Free>,
    /// Addresses of cluster DNS; empty for the tenth of each service network.
    pub cluster_dns: Vec<String>,
    /// Folders of the machine it sees.
    pub extra_mounts: Vec<ExtraMount>,
    /// Pods run with the runtime's seccomp profile unless they ask for another.
    pub default_seccomp_profile: bool,
    /// Static pods do not come from a folder.
    pub disable_manifests_directory: bool,
}

/// The kubelet.
pub fn kubelet(config: &Config) -> Kubelet {
    let legacy = config
        .machine()
        .and_then(|machine| machine.kubelet.clone())
        .unwrap_or_default();
    let providers = config
        .document::<k8s::KubeCredentialProviderConfig>(None)
        .and_then(|d| d.configuration);
    let mut view = Kubelet {
        image: legacy.image.unwrap_or_default(),
        extra_args: legacy.extra_args,
        extra_config: legacy.extra_config,
        credential_providers: providers.or(legacy.credential_provider_config),
        cluster_dns: legacy.cluster_dns,
        extra_mounts: legacy.extra_mounts,
        default_seccomp_profile: legacy.default_runtime_seccomp_profile_enabled.unwrap_or_default(),
        disable_manifests_directory: legacy.disable_manifests_directory.unwrap_or_default(),
    };
    if let Some(document) = config.document::<k8s::KubeletConfig>(None) {
        view.image = document.image.unwrap_or_default();
        view.extra_args = document.extra_args;
        view.extra_config = document.config;
        view.cluster_dns = document.cluster_dns;
        view.default_seccomp_profile = document.default_runtime_seccomp_profile_enabled.unwrap_or(true);
        view.disable_manifests_directory = true;
    }
    if view.image.is_empty() {
        images::KUBELET.clone_into(&mut view.image);
    }
    view
}

/// What the machine's Kubernetes node is to be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSettings {
    /// Run pods of this machine only; do not become a node of the cluster.
    pub skip_registration: bool,
    /// The node's name is the full domain name.
    pub register_with_fqdn: bool,
    /// Networks the node's addresses are taken from; `!` before one excludes it; empty for the default.
    pub valid_subnets: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Taints: key to `value:Effect` or `Effect`.
    pub taints: BTreeMap<String, String>,
    /// Pods may run on control planes.
    pub allow_scheduling_on_control_planes: bool,
}

/// What the machine's Kubernetes node is to be like.
pub fn node_settings(config: &Config) -> NodeSettings {
    let machine = config.machine().cloned().unwrap_or_default();
    let kubelet = machine.kubelet.unwrap_or_default();
    let scheduling = config
        .cluster()
        .and_then(|cluster| cluster.allow_scheduling_on_control_planes);
    let mut view = NodeSettings {
        skip_registration: kubelet.skip_node_registration.unwrap_or_default(),
        register_with_fqdn: kubelet.register_with_fqdn.unwrap_or_default(),
        valid_subnets: kubelet.node_ip.map(|node_ip| node_ip.valid_subnets).unwrap_or_default(),
        labels: machine.node_labels,
        annotations: machine.node_annotations,
        taints: machine.node_taints,
        allow_scheduling_on_control_planes: scheduling.unwrap_or_default(),
    };
    if let Some(document) = config.document::<k8s::KubeNodeConfig>(None) {
        view.skip_registration = document.skip_node_registration.unwrap_or(view.skip_registration);
        view.register_with_fqdn = document.register_with_fqdn.unwrap_or(view.register_with_fqdn);
        view.valid_subnets = document
            .node_ip
            .map_or(view.valid_subnets, |node_ip| node_ip.valid_subnets);
        view.labels.extend(document.labels);
        view.annotations.extend(document.annotations);
        view.taints.extend(document.taints);
    }
    view
}

/// Manifests the user gives, applied after the system's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifests {
    /// Manifests to fetch.
    pub external: Vec<Manifest>,
    /// Manifests given in full: name and YAML.
    pub inline: Vec<(String, String)>,
}

/// A manifest to fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Name, or the URL if it has none.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Headers of the request.
    pub headers: BTreeMap<String, String>,
}

/// Manifests the user gives.
pub fn manifests(config: &Config) -> Manifests {
    let cluster = config.cluster().cloned().unwrap_or_default();
    let cloud = cluster.external_cloud_provider.unwrap_or_default();
    let cloud = if cloud.enabled.unwrap_or_default() {
        cloud.manifests
    } else {
        Vec::new()
    };
    let urls = cloud.into_iter().chain(cluster.extra_manifests);
    let legacy = urls.map(|url| Manifest {
        name: url.clone(),
        url,
        headers: cluster.extra_manifest_headers.clone(),
    });
    let document = |document: k8s::KubeExternalManifestConfig| Manifest {
        name: document.name.unwrap_or_default(),
        url: document.url.unwrap_or_default(),
        headers: document.headers,
    };
    let inline = cluster
        .inline_manifests
        .into_iter()
        .map(|m| (m.name.unwrap_or_default(), m.contents.unwrap_or_default()));
    let inline_document =
        |d: k8s::KubeInlineManifestConfig| (d.name.unwrap_or_default(), d.manifest.unwrap_or_default());
    Manifests {
        external: legacy.chain(config.all().into_iter().map(document)).collect(),
        inline: inline.chain(config.all().into_iter().map(inline_document)).collect(),
    }
}

/// Static pods of this machine.
pub fn static_pods(config: &Config) -> Vec<Free> {
    let legacy = config.machine().map(|machine| machine.pods.clone()).unwrap_or_default();
    let documents = config
        .all::<k8s::KubeStaticPodConfig>()
        .into_iter()
        .filter_map(|document| document.pod);
    legacy.into_iter().chain(documents).collect()
}
