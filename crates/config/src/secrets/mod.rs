//! The secrets bundle: everything secret of a cluster, from which its configurations are generated again and again.

mod check;
mod file;
mod import;

use std::time::SystemTime;

use pki::{Authority, CertAndKey, Secret, tokens};

use crate::encode::arrange;
use crate::generate::Contract;
use crate::model::v1alpha1::ServiceAccount;
use crate::problem::{DecodeErrors, DocumentId, Problem};
use crate::schema::Field as _;
use crate::schema::check::Checker;
use crate::schema::types::{Described as _, SecretBytes};
use crate::yaml::{emit, syntax};
use file::{Certificates, ClusterSecrets, KubernetesSecrets, SecretsFile, TrustdInfo};

pub use import::KubernetesPki;

/// Everything secret of a cluster. `Debug` shows nothing of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretsBundle {
    /// Public id of the cluster at the discovery service.
    pub cluster_id: String,
    /// Key that encrypts what members tell each other.
    pub cluster_secret: Secret,
    /// Token kubelets join with.
    pub bootstrap_token: Secret,
    /// Older key for encrypting secrets in etcd.
    pub aescbc_encryption_secret: Option<Secret>,
    /// Key for encrypting secrets in etcd.
    pub secretbox_encryption_secret: Option<Secret>,
    /// Token machines join with.
    pub trustd_token: Secret,
    /// Authority of etcd.
    pub etcd: CertAndKey,
    /// Authority of Kubernetes.
    pub kubernetes: CertAndKey,
    /// Authority of the aggregation layer.
    pub aggregator: CertAndKey,
    /// Key that signs service account tokens, PEM.
    pub service_account_key: Secret,
    /// Authority of the machine API.
    pub os: CertAndKey,
}

/// Why there is no secrets bundle.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key or certificate could not be made or read.
    #[error("{what}: {cause}")]
    Pki {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        cause: pki::Error,
    },
    /// The file is wrong.
    #[error(transparent)]
    Decode(#[from] DecodeErrors),
    /// Fields are missing or wrong.
    #[error("secrets bundle: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Problem>),
    /// The configuration is not one secrets can be taken from.
    #[error("take secrets from the configuration: {0}")]
    Import(String),
    /// A file could not be read.
    #[error("read {path}: {cause}")]
    Read {
        /// Which file.
        path: std::path::PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
}

pub(crate) fn pki_error(what: &'static str) -> impl FnOnce(pki::Error) -> Error {
    move |cause| Error::Pki { what, cause }
}

impl SecretsBundle {
    /// Makes new secrets.
    pub fn generate(now: SystemTime, contract: Contract) -> Result<Self, Error> {
        let key = || tokens::random_base64(32).map_err(pki_error("make an encryption key"));
        let authority = |make: fn(SystemTime) -> Result<Authority, pki::Error>| {
            make(now)
                .map(|authority| authority.pair().clone())
                .map_err(pki_error("make a certificate authority"))
        };
        Ok(Self {
            cluster_id: tokens::random_base64_url(32).map_err(pki_error("make a cluster id"))?,
            cluster_secret: key()?,
            bootstrap_token: tokens::random_token().map_err(pki_error("make a token"))?,
            aescbc_encryption_secret: if contract.has_secretbox() { None } else { Some(key()?) },
            secretbox_encryption_secret: if contract.has_secretbox() { Some(key()?) } else { None },
            trustd_token: tokens::random_token().map_err(pki_error("make a token"))?,
            etcd: authority(Authority::new_etcd)?,
            kubernetes: authority(Authority::new_kubernetes)?,
            aggregator: authority(Authority::new_aggregator)?,
            // ECDSA: RSA 4096, the other one allowed, takes seconds to find where ECDSA takes none.
            service_account_key: pki::service_account_key(false).map_err(pki_error("make the service account key"))?,
            os: authority(Authority::new_os)?,
        })
    }

    /// Reads a bundle; every field is checked, and all that is missing or wrong is reported together.
    pub fn load(yaml: &[u8]) -> Result<Self, Error> {
        let documents = syntax::read(yaml).map_err(DecodeErrors::one)?;
        let [raw] = documents.as_slice() else {
            let message = format!("a secrets bundle is one document, this has {}", documents.len());
            return Err(DecodeErrors::one(Problem::new(message)).into());
        };
        let document = DocumentId {
            index: 1,
            kind: "secrets bundle".into(),
            name: None,
        };
        let mut problems = Vec::new();
        let node = Checker {
            document: &document,
            is_patch: false,
            problems: &mut problems,
        }
        .document(raw, SecretsFile::STRUCT);
        if !problems.is_empty() {
            return Err(DecodeErrors {
                source_name: String::new(),
                problems,
            }
            .into());
        }
        let file = SecretsFile::read(&node).unwrap_or_default();
        let (cluster, secrets) = (file.cluster.unwrap_or_default(), file.secrets.unwrap_or_default());
        let certs = file.certs.unwrap_or_default();
        let bundle = Self {
            cluster_id: cluster.id.unwrap_or_default(),
            cluster_secret: cluster.secret.unwrap_or_default(),
            bootstrap_token: secrets.bootstraptoken.unwrap_or_default(),
            aescbc_encryption_secret: secrets.aescbcencryptionsecret.filter(|secret| !secret.is_empty()),
            secretbox_encryption_secret: secrets.secretboxencryptionsecret.filter(|secret| !secret.is_empty()),
            trustd_token: file.trustdinfo.and_then(|info| info.token).unwrap_or_default(),
            etcd: certs.etcd.unwrap_or_default(),
            kubernetes: certs.k8s.unwrap_or_default(),
            aggregator: certs.k8saggregator.unwrap_or_default(),
            service_account_key: certs.k8sserviceaccount.and_then(|key| key.key).unwrap_or_default().0,
            os: certs.os.unwrap_or_default(),
        };
        bundle.check()?;
        Ok(bundle)
    }

    /// Writes the bundle as YAML. Keep it as safe as the cluster itself.
    pub fn encode(&self) -> Secret {
        let file = SecretsFile {
            cluster: Some(ClusterSecrets {
                id: Some(self.cluster_id.clone()),
                secret: Some(self.cluster_secret.clone()),
            }),
            secrets: Some(KubernetesSecrets {
                bootstraptoken: Some(self.bootstrap_token.clone()),
                aescbcencryptionsecret: self.aescbc_encryption_secret.clone(),
                secretboxencryptionsecret: self.secretbox_encryption_secret.clone(),
            }),
            trustdinfo: Some(TrustdInfo {
                token: Some(self.trustd_token.clone()),
            }),
            certs: Some(Certificates {
                etcd: Some(self.etcd.clone()),
                k8s: Some(self.kubernetes.clone()),
                k8saggregator: Some(self.aggregator.clone()),
                k8sserviceaccount: Some(ServiceAccount {
                    key: Some(SecretBytes(self.service_account_key.clone())),
                }),
                os: Some(self.os.clone()),
            }),
        };
        let mut node = file.write().unwrap_or_default();
        arrange(&mut node, SecretsFile::STRUCT);
        Secret::from(emit::document(&node))
    }
}
