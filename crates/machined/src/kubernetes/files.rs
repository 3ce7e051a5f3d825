//! The files that a control plane's pods and etcd read: path, owner, content. Writing them is somebody else's.

use ::pki::{CertAndKey, Secret};
use serde_json::{Map, Value};

use super::configs::{self, AdmissionPlugin, Authorizer};
use super::pki::DynamicCerts;
use super::static_pods::{
    API_SERVER_CONFIG, API_SERVER_ID, API_SERVER_SECRETS, CONTROLLER_MANAGER_ID, CONTROLLER_MANAGER_SECRETS,
    SCHEDULER_CONFIG, SCHEDULER_ID, SCHEDULER_SECRETS,
};
use super::version::Version;
use super::{etcd, pki};

/// A file to be written, readable by its owner only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Whole path.
    pub path: String,
    /// User and group.
    pub owner: u32,
    /// Content.
    pub content: Secret,
}

/// Secrets that the API server reads anew by itself when they change. All other files are read when their reader starts,
/// or nobody has seen that they are not.
///
/// What is known of it is in the programs' sources, and was seen: `pkg/server/dynamiccertificates` of `k8s.io/apiserver`
/// watches what it serves with, whom clients may be from, and what the aggregator shows; `transport/transport.go` of
/// `k8s.io/client-go` (the kubelets' client) and `transport/listener.go` of `go.etcd.io/etcd/client/pkg` (etcd's) read
/// their own certificate for each connection, and the authority that they trust once.
const READ_ANEW: &[&str] = &[
    "ca.crt",
    "apiserver.crt",
    "apiserver.key",
    "apiserver-kubelet-client.crt",
    "apiserver-kubelet-client.key",
    "front-proxy-client.crt",
    "front-proxy-client.key",
    "etcd-client.crt",
    "etcd-client.key",
];

/// Whether the program that has this secret file reads it anew by itself.
pub fn is_read_anew(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or_default();
    folder == API_SERVER_SECRETS && READ_ANEW.contains(&name)
}

impl File {
    fn new(folder: &str, name: &str, owner: u32, content: impl Into<Secret>) -> Self {
        Self {
            path: format!("{folder}/{name}"),
            owner,
            content: content.into(),
        }
    }
}

/// Folders that must be there before the files, with their owners (mode 0700), the audit log's among them.
pub const FOLDERS: &[(&str, u32)] = &[
    (API_SERVER_SECRETS, API_SERVER_ID),
    (API_SERVER_CONFIG, API_SERVER_ID),
    (super::static_pods::AUDIT_LOG, API_SERVER_ID),
    (CONTROLLER_MANAGER_SECRETS, CONTROLLER_MANAGER_ID),
    (SCHEDULER_SECRETS, SCHEDULER_ID),
    (SCHEDULER_CONFIG, SCHEDULER_ID),
    (etcd::SECRETS, etcd::ID),
    (etcd::DATA, etcd::ID),
];

/// What the secret files of the control plane are made of.
#[derive(Clone, Debug)]
pub struct Secrets<'a> {
    /// The Kubernetes authority that issues.
    pub kubernetes_ca: &'a CertAndKey,
    /// Authorities that clients may be from, PEM; the issuing one among them.
    pub accepted_cas: &'a [u8],
    /// The aggregator authority's certificate, PEM.
    pub aggregator_ca: &'a [u8],
    /// The etcd authority's certificate, PEM.
    pub etcd_ca: &'a [u8],
    /// The API server's client at etcd.
    pub etcd_client: &'a CertAndKey,
    /// The API server's certificates.
    pub certs: &'a DynamicCerts,
    /// Signs service account tokens, PEM.
    pub service_account_key: &'a Secret,
    /// `cluster.secretboxEncryptionSecret`
    pub secretbox: Option<&'a Secret>,
    /// `cluster.aescbcEncryptionSecret`
    pub aescbc: Option<&'a Secret>,
    /// `KubeEtcdEncryptionConfig`, laid over what is made of the keys.
    pub encryption: Option<&'a Value>,
    /// The controller manager's kubeconfig.
    pub controller_manager_kubeconfig: &'a Secret,
    /// The scheduler's kubeconfig.
    pub scheduler_kubeconfig: &'a Secret,
}

/// The secret files of the three components.
///
/// # Errors
/// The service account key cannot be read, or an encryption key is not text.
pub fn secrets(from: &Secrets<'_>) -> Result<Vec<File>, ::pki::Error> {
    let server = |name: &str, content: Secret| File::new(API_SERVER_SECRETS, name, API_SERVER_ID, content);
    let manager =
        |name: &str, content: Secret| File::new(CONTROLLER_MANAGER_SECRETS, name, CONTROLLER_MANAGER_ID, content);
    let bytes = |pem: &[u8]| Secret::new(pem.to_vec());
    let public = pki::service_account_public_key(from.service_account_key)?;
    let mut files = vec![
        server("ca.crt", bytes(from.accepted_cas)),
        server("aggregator-ca.crt", bytes(from.aggregator_ca)),
        server("etcd-client-ca.crt", bytes(from.etcd_ca)),
        server("service-account.key", from.service_account_key.clone()),
        server("service-account.pub", Secret::from(public)),
        server(
            "encryptionconfig.yaml",
            configs::encryption(from.secretbox, from.aescbc, from.encryption)?,
        ),
        // Pods trust all authorities, while one of them signs: so a rotation can overlap.
        manager("ca.crt", bytes(from.accepted_cas)),
        manager("signing-ca.crt", bytes(&from.kubernetes_ca.crt)),
        manager("signing-ca.key", from.kubernetes_ca.key.clone()),
        manager("service-account.key", from.service_account_key.clone()),
        manager("kubeconfig", from.controller_manager_kubeconfig.clone()),
        manager("aggregator-ca.crt", bytes(from.aggregator_ca)),
        File::new(
            SCHEDULER_SECRETS,
            "aggregator-ca.crt",
            SCHEDULER_ID,
            bytes(from.aggregator_ca),
        ),
        File::new(
            SCHEDULER_SECRETS,
            "kubeconfig",
            SCHEDULER_ID,
            from.scheduler_kubeconfig.clone(),
        ),
    ];
    for (name, pair) in [
        ("apiserver", &from.certs.api_server),
        ("apiserver-kubelet-client", &from.certs.kubelet_client),
        ("front-proxy-client", &from.certs.front_proxy),
        ("etcd-client", from.etcd_client),
    ] {
        files.push(server(&format!("{name}.crt"), bytes(&pair.crt)));
        files.push(server(&format!("{name}.key"), pair.key.clone()));
    }
    Ok(files)
}

/// What the configuration files of the control plane are made of.
#[derive(Clone, Debug)]
pub struct Configs<'a> {
    /// Of the API server.
    pub version: Version,
    /// Admission plugins; see [`configs::default_admission`].
    pub admission: &'a [AdmissionPlugin],
    /// `cluster.apiServer.auditPolicy`
    pub audit_policy: Option<&'a Value>,
    /// `KubeAuthenticationConfig`, laid over the system's own.
    pub authentication: Option<&'a Value>,
    /// The whole chain; see [`configs::authorizers`].
    pub authorizers: &'a [Authorizer],
    /// `cluster.scheduler.config`
    pub scheduler: &'a Map<String, Value>,
}

/// The configuration files of the API server and the scheduler.
pub fn configs(from: &Configs<'_>) -> Vec<File> {
    let server = |name: &str, value: Value| File::new(API_SERVER_CONFIG, name, API_SERVER_ID, value.to_string());
    vec![
        server(
            "admission-control-config.yaml",
            configs::admission_control(from.admission),
        ),
        server("auditpolicy.yaml", configs::audit_policy(from.audit_policy)),
        server(
            "authorization-config.yaml",
            configs::authorization(from.version, from.authorizers),
        ),
        server(
            "authentication-config.yaml",
            configs::authentication(from.version, from.authentication),
        ),
        File::new(
            SCHEDULER_CONFIG,
            "scheduler-config.yaml",
            SCHEDULER_ID,
            configs::scheduler(from.scheduler).to_string(),
        ),
    ]
}

/// etcd's certificates.
pub fn etcd(ca: &[u8], server: &CertAndKey, peer: &CertAndKey, admin: &CertAndKey) -> Vec<File> {
    let file = |name: &str, content: Secret| File::new(etcd::SECRETS, name, etcd::ID, content);
    let mut files = vec![file("ca.crt", Secret::new(ca.to_vec()))];
    for (name, pair) in [("server", server), ("peer", peer), ("admin", admin)] {
        files.push(file(&format!("{name}.crt"), Secret::new(pair.crt.clone())));
        files.push(file(&format!("{name}.key"), pair.key.clone()));
    }
    files
}
