//! The file format of a secrets bundle.

use pki::{CertAndKey, Secret};

use crate::model::v1alpha1::ServiceAccount;
use crate::schema::macros::model;

model! {
    /// All secrets of a cluster.
    pub struct SecretsFile: "secrets.Bundle" {
        /// Identity of the cluster at the discovery service.
        cluster: Option<ClusterSecrets> = "cluster".required();
        /// Secrets of Kubernetes.
        secrets: Option<KubernetesSecrets> = "secrets".required();
        /// What machines join with.
        trustdinfo: Option<TrustdInfo> = "trustdinfo".required();
        /// Authorities and keys.
        certs: Option<Certificates> = "certs".required();
    }

    /// Identity of a cluster at the discovery service.
    pub struct ClusterSecrets: "secrets.Cluster" {
        /// Public id: 32 random bytes in URL-safe base64.
        id: Option<String> = "id".required();
        /// Key that encrypts what members tell each other: 32 random bytes in base64.
        secret: Option<Secret> = "secret".required();
    }

    /// Secrets of Kubernetes.
    pub struct KubernetesSecrets: "secrets.Secrets" {
        /// Token kubelets join with.
        bootstraptoken: Option<Secret> = "bootstraptoken".required();
        /// Older key for encrypting secrets in etcd.
        aescbcencryptionsecret: Option<Secret> = "aescbcencryptionsecret";
        /// Key for encrypting secrets in etcd.
        secretboxencryptionsecret: Option<Secret> = "secretboxencryptionsecret";
    }

    /// What machines join with.
    pub struct TrustdInfo: "secrets.TrustdInfo" {
        /// Token machines join with.
        token: Option<Secret> = "token".required();
    }

    /// Authorities and keys.
    pub struct Certificates: "secrets.Certs" {
        /// Authority of etcd.
        etcd: Option<CertAndKey> = "etcd".required();
        /// Authority of Kubernetes.
        k8s: Option<CertAndKey> = "k8s".required();
        /// Authority of the aggregation layer.
        k8saggregator: Option<CertAndKey> = "k8saggregator".required();
        /// Key that signs service account tokens.
        k8sserviceaccount: Option<ServiceAccount> = "k8sserviceaccount".required();
        /// Authority of the machine API.
        os: Option<CertAndKey> = "os".required();
    }
}
