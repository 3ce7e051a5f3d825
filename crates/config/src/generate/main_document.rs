//! The main document: machine and cluster.

use std::collections::BTreeMap;

use pki::{CertAndKey, Secret};
use serde_json::json;

use super::{Endpoint, Input};
use crate::document::V1ALPHA1;
use crate::model::v1alpha1::*;
use crate::problem::{DocumentId, Position};
use crate::schema::Field as _;
use crate::schema::types::{Described as _, SecretBytes};
use crate::secrets::SecretsBundle;
use crate::yaml::node::Node;
use crate::{Document, MachineType, images};

pub(super) fn document(input: &Input, secrets: &SecretsBundle, kind: MachineType, endpoint: &Endpoint) -> Document {
    let config = Config {
        version: Some(V1ALPHA1.into()),
        debug: Some(false),
        persist: Some(input.persist),
        machine: Some(machine(input, secrets, kind)),
        cluster: Some(cluster(input, secrets, kind, endpoint)),
    };
    let mut root = config.write().unwrap_or_default();
    if input.additional_sans.is_empty() {
        root.set(&["machine", "certSANs"], Node::list([]));
    }
    let id = DocumentId {
        index: 1,
        kind: V1ALPHA1.into(),
        name: None,
    };
    Document {
        id,
        at: Position::default(),
        root,
        schema: Config::STRUCT,
    }
}

/// The certificate alone, with an empty key: what workers get.
fn certificate_only(pair: &CertAndKey) -> CertAndKey {
    CertAndKey {
        crt: pair.crt.clone(),
        key: Secret::default(),
    }
}

fn machine(input: &Input, secrets: &SecretsBundle, kind: MachineType) -> MachineConfig {
    let contract = input.contract;
    let is_control_plane = kind == MachineType::ControlPlane;
    let exclusion = (
        "node.kubernetes.io/exclude-from-external-load-balancers".to_owned(),
        String::new(),
    );
    MachineConfig {
        kind: Some(kind.name().into()),
        token: Some(secrets.trustd_token.clone()),
        ca: Some(if is_control_plane {
            secrets.os.clone()
        } else {
            certificate_only(&secrets.os)
        }),
        cert_sans: input.additional_sans.clone(),
        kubelet: Some(KubeletConfig {
            image: Some(images::at_version(
                images::KUBELET_REPOSITORY,
                &input.kubernetes_version,
            )),
            default_runtime_seccomp_profile_enabled: contract.has_seccomp_default().then_some(true),
            disable_manifests_directory: contract.has_manifests_directory_disabled().then_some(true),
            ..KubeletConfig::default()
        }),
        network: (!contract.has_documents()).then(|| network(input)),
        registries: (!contract.has_documents()).then(|| registries(input)).flatten(),
        install: Some(InstallConfig {
            disk: Some(input.install_disk.clone()),
            image: Some(input.install_image.clone()),
            wipe: Some(false),
            grub_use_uki_cmdline: contract.has_uki_cmdline().then_some(true),
            ..InstallConfig::default()
        }),
        features: Some(features(input)),
        node_labels: if is_control_plane && contract.has_load_balancer_exclusion() {
            BTreeMap::from([exclusion])
        } else {
            BTreeMap::new()
        },
        ..MachineConfig::default()
    }
}

fn features(input: &Input) -> FeaturesConfig {
    let contract = input.contract;
    let older = !contract.has_documents();
    FeaturesConfig {
        rbac: older.then_some(true),
        stable_hostname: (older && contract.has_stable_hostname()).then_some(true),
        apid_check_ext_key_usage: (older && contract.has_extended_key_usage_check()).then_some(true),
        disk_quota_support: contract.has_disk_quota().then_some(true),
        kube_prism: contract.has_kube_prism().then_some(KubePrism {
            enabled: Some(true),
            port: Some(7445),
        }),
        host_dns: contract.has_host_dns().then(|| HostDNSConfig {
            enabled: Some(true),
            forward_kube_dns_to_host: contract.has_host_dns_forwarding().then_some(true),
            ..HostDNSConfig::default()
        }),
        ..FeaturesConfig::default()
    }
}

fn network(input: &Input) -> NetworkConfig {
    NetworkConfig {
        kubespan: input.with_kubespan.then(|| NetworkKubeSpan {
            enabled: Some(true),
            ..NetworkKubeSpan::default()
        }),
        ..NetworkConfig::default()
    }
}

fn registries(input: &Input) -> Option<RegistriesConfig> {
    let mirror = |(host, urls): (&str, Vec<&str>)| {
        let endpoints = urls.into_iter().map(str::to_owned).collect();
        (
            host.to_owned(),
            RegistryMirrorConfig {
                endpoints,
                ..RegistryMirrorConfig::default()
            },
        )
    };
    let mirrors: BTreeMap<_, _> = input.mirrors().into_iter().map(mirror).collect();
    (!mirrors.is_empty()).then(|| RegistriesConfig {
        mirrors,
        ..RegistriesConfig::default()
    })
}

fn cluster(input: &Input, secrets: &SecretsBundle, kind: MachineType, endpoint: &Endpoint) -> ClusterConfig {
    let contract = input.contract;
    let common = ClusterConfig {
        id: Some(secrets.cluster_id.clone()),
        secret: Some(secrets.cluster_secret.clone()),
        control_plane: Some(ControlPlaneConfig {
            endpoint: Some(input.endpoint.clone()),
            ..ControlPlaneConfig::default()
        }),
        network: Some(ClusterNetworkConfig {
            dns_domain: Some(input.dns_domain.clone()),
            pod_subnets: input.pod_subnets.clone(),
            service_subnets: input.service_subnets.clone(),
            ..ClusterNetworkConfig::default()
        }),
        token: Some(secrets.bootstrap_token.clone()),
        discovery: Some(ClusterDiscoveryConfig {
            enabled: Some(input.with_discovery),
            registries: Some(DiscoveryRegistriesConfig {
                kubernetes: Some(RegistryKubernetesConfig {
                    disabled: contract.has_kubernetes_discovery_disabled().then_some(true),
                }),
                service: Some(RegistryServiceConfig::default()),
            }),
        }),
        ..ClusterConfig::default()
    };
    let name = Some(input.cluster_name.clone());
    if kind == MachineType::Worker {
        return ClusterConfig {
            cluster_name: name.filter(|_| contract.has_documents()),
            ca: Some(certificate_only(&secrets.kubernetes)),
            ..common
        };
    }
    let image = |repository: &str| Some(images::at_version(repository, &input.kubernetes_version));
    ClusterConfig {
        cluster_name: name,
        aescbc_encryption_secret: secrets.aescbc_encryption_secret.clone(),
        secretbox_encryption_secret: secrets.secretbox_encryption_secret.clone(),
        ca: Some(secrets.kubernetes.clone()),
        aggregator_ca: Some(secrets.aggregator.clone()),
        service_account: Some(ServiceAccount {
            key: Some(SecretBytes(secrets.service_account_key.clone())),
        }),
        api_server: Some(APIServerConfig {
            image: image(images::API_SERVER_REPOSITORY),
            cert_sans: api_server_names(input, endpoint),
            disable_pod_security_policy: (!contract.has_documents()).then_some(true),
            admission_control: if contract.has_pod_security() {
                vec![pod_security()]
            } else {
                Vec::new()
            },
            audit_policy: Some(json!({
                "apiVersion": "audit.k8s.io/v1",
                "kind": "Policy",
                "rules": [{"level": "Metadata"}],
            })),
            ..APIServerConfig::default()
        }),
        controller_manager: Some(ControllerManagerConfig {
            image: image(images::CONTROLLER_MANAGER_REPOSITORY),
            ..ControllerManagerConfig::default()
        }),
        proxy: Some(ProxyConfig {
            image: image(images::PROXY_REPOSITORY),
            ..ProxyConfig::default()
        }),
        scheduler: Some(SchedulerConfig {
            image: image(images::SCHEDULER_REPOSITORY),
            ..SchedulerConfig::default()
        }),
        etcd: Some(EtcdConfig {
            ca: Some(secrets.etcd.clone()),
            ..EtcdConfig::default()
        }),
        ..common
    }
}

/// Older configurations name the endpoint's host; newer machines add it by themselves.
fn api_server_names(input: &Input, endpoint: &Endpoint) -> Vec<String> {
    let mut names = Vec::new();
    if !input.contract.has_documents() {
        names.push(endpoint.host.clone());
    }
    names.extend(
        input
            .additional_sans
            .iter()
            .filter(|name| **name != endpoint.host)
            .cloned(),
    );
    names
}

/// Pods are held to the baseline, and warned of what the restricted standard would refuse.
fn pod_security() -> AdmissionPluginConfig {
    AdmissionPluginConfig {
        name: Some("PodSecurity".into()),
        configuration: Some(json!({
            "apiVersion": "pod-security.admission.config.k8s.io/v1alpha1",
            "defaults": {
                "audit": "restricted",
                "audit-version": "latest",
                "enforce": "baseline",
                "enforce-version": "latest",
                "warn": "restricted",
                "warn-version": "latest",
            },
            "exemptions": {
                "namespaces": ["kube-system"],
                "runtimeClasses": [],
                "usernames": [],
            },
            "kind": "PodSecurityConfiguration",
        })),
    }
}
