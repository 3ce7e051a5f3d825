//! Authorities, certificates and keys.

use std::net::IpAddr;

use pki::CertAndKey;
use resource::Resource;
use resource::types::Bytes;
use serde::{Deserialize, Serialize};

use crate::types::{AcceptedCA, ServiceAccountKey, Url, pair, redacted};

/// What apid serves and calls with.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "ApiCertificates.secrets.talos.dev", namespace = "secrets", sensitive)]
pub struct ApiCertificates {
    #[serde(rename = "acceptedCAs")]
    #[field(4)]
    pub accepted_cas: Vec<AcceptedCA>,
    #[field(2, with = pair)]
    pub client: CertAndKey,
    #[field(3, with = pair)]
    pub server: CertAndKey,
    #[field(5)]
    pub skip_verifying_client_cert: bool,
}
redacted!(ApiCertificates);

/// The names a certificate is for.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "CertSANs.secrets.talos.dev", namespace = "secrets", sensitive)]
pub struct CertSAN {
    #[field(1)]
    pub ips: Vec<IpAddr>,
    #[field(2)]
    pub dns_names: Vec<String>,
    #[field(3)]
    pub fqdn: String,
}
redacted!(CertSAN);

/// Salt for keys that are made from the node's identity.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "EncryptionSalts.secrets.talos.dev", namespace = "secrets", sensitive)]
pub struct EncryptionSalt {
    #[field(1)]
    pub disk_salt: Bytes,
}
redacted!(EncryptionSalt);

/// etcd's certificates.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "EtcdSecrets.secrets.talos.dev", namespace = "secrets", sensitive)]
pub struct EtcdSecrets {
    #[field(1, with = pair)]
    pub etcd: CertAndKey,
    #[field(2, with = pair)]
    pub etcd_peer: CertAndKey,
    #[field(3, with = pair)]
    pub etcd_admin: CertAndKey,
    #[serde(rename = "etcdAPIServer")]
    #[field(4, with = pair)]
    pub etcd_api_server: CertAndKey,
}
redacted!(EtcdSecrets);

/// etcd's authority.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "EtcdRootSecrets.secrets.talos.dev", namespace = "secrets", sensitive)]
pub struct EtcdRootSecrets {
    #[serde(rename = "etcdCA")]
    #[field(1, with = pair)]
    pub etcd_ca: CertAndKey,
}
redacted!(EtcdRootSecrets);

/// What the kubelet joins the cluster with.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KubeletSecrets.secrets.talos.dev", namespace = "secrets", sensitive)]
pub struct KubeletSecrets {
    #[field(1)]
    pub endpoint: Url,
    #[serde(rename = "acceptedCAs")]
    #[field(5)]
    pub accepted_cas: Vec<AcceptedCA>,
    #[serde(rename = "bootstrapTokenID")]
    #[field(3)]
    pub bootstrap_token_id: String,
    #[field(4)]
    pub bootstrap_token_secret: String,
}
redacted!(KubeletSecrets);

/// Credentials of Kubernetes' own programs.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KubernetesSecrets.secrets.talos.dev", namespace = "secrets", sensitive)]
pub struct KubernetesSecrets {
    #[field(4)]
    pub scheduler_kubeconfig: String,
    #[field(5)]
    pub controller_manager_kubeconfig: String,
    #[field(6)]
    pub localhost_admin_kubeconfig: String,
    #[field(7)]
    pub admin_kubeconfig: String,
}
redacted!(KubernetesSecrets);

/// The API server's certificates.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KubernetesDynamicCerts.secrets.talos.dev", namespace = "secrets", sensitive)]
pub struct KubernetesDynamicCerts {
    #[field(1, with = pair)]
    pub api_server: CertAndKey,
    #[field(2, with = pair)]
    pub api_server_kubelet_client: CertAndKey,
    #[field(3, with = pair)]
    pub front_proxy: CertAndKey,
}
redacted!(KubernetesDynamicCerts);

/// Kubernetes' authorities, keys and tokens.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "KubernetesRootSecrets.secrets.talos.dev", namespace = "secrets", sensitive)]
pub struct KubernetesRootSecrets {
    #[field(1)]
    pub name: String,
    #[field(2)]
    pub endpoint: Url,
    #[serde(rename = "local_endpoint")]
    #[field(3)]
    pub local_endpoint: Url,
    #[serde(rename = "certSANs")]
    #[field(4)]
    pub cert_sans: Vec<String>,
    #[serde(rename = "apiServerIPs")]
    #[field(14)]
    pub api_server_ips: Vec<IpAddr>,
    #[field(6)]
    pub dns_domain: String,
    #[serde(rename = "issuingCA")]
    #[field(7, with = pair)]
    pub issuing_ca: CertAndKey,
    #[serde(rename = "acceptedCAs")]
    #[field(15)]
    pub accepted_cas: Vec<AcceptedCA>,
    #[field(8)]
    pub service_account: ServiceAccountKey,
    #[serde(rename = "aggregatorCA")]
    #[field(9, with = pair)]
    pub aggregator_ca: CertAndKey,
    #[serde(rename = "aesCBCEncryptionSecret")]
    #[field(10)]
    pub aes_cbc_encryption_secret: String,
    #[serde(rename = "bootstrapTokenID")]
    #[field(11)]
    pub bootstrap_token_id: String,
    #[field(12)]
    pub bootstrap_token_secret: String,
    #[field(13)]
    pub secretbox_encryption_secret: String,
}
redacted!(KubernetesRootSecrets);

/// The authority of the machine API before there is a configuration.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "MaintenanceRootSecrets.secrets.talos.dev", namespace = "secrets", sensitive)]
pub struct MaintenanceRootSecrets {
    #[field(1, with = pair)]
    pub ca: CertAndKey,
}
redacted!(MaintenanceRootSecrets);

/// The machine API's authority and the token nodes join with.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "OSRootSecrets.secrets.talos.dev", namespace = "secrets", sensitive)]
pub struct OSRootSecrets {
    #[serde(rename = "issuingCA")]
    #[field(1, with = pair)]
    pub issuing_ca: CertAndKey,
    #[serde(rename = "acceptedCAs")]
    #[field(5)]
    pub accepted_cas: Vec<AcceptedCA>,
    #[serde(rename = "certSANIPs")]
    #[field(2)]
    pub cert_san_ips: Vec<IpAddr>,
    #[serde(rename = "certSANDNSNames")]
    #[field(3)]
    pub cert_san_dns_names: Vec<String>,
    #[field(4)]
    pub token: String,
}
redacted!(OSRootSecrets);

/// What trustd serves with.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "TrustdCertificates.secrets.talos.dev", namespace = "secrets", sensitive)]
pub struct TrustdCertificates {
    #[serde(rename = "acceptedCAs")]
    #[field(3)]
    pub accepted_cas: Vec<AcceptedCA>,
    #[field(2, with = pair)]
    pub server: CertAndKey,
}
redacted!(TrustdCertificates);
