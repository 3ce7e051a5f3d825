//! Secrets of clusters that exist: from a control plane's configuration, or from the folder of another Kubernetes.

use std::path::Path;
use std::time::SystemTime;

use pki::{CertAndKey, Secret};

use super::{Error, SecretsBundle};
use crate::generate::Contract;
use crate::{Config, MachineType};

/// The files of `/etc/kubernetes/pki` of another distribution.
#[derive(Clone, Debug)]
pub struct KubernetesPki {
    /// `ca.crt` and `ca.key`.
    pub kubernetes: CertAndKey,
    /// `front-proxy-ca.crt` and `.key`.
    pub aggregator: CertAndKey,
    /// `etcd/ca.crt` and `.key`.
    pub etcd: CertAndKey,
    /// `sa.key`.
    pub service_account_key: Secret,
}

impl KubernetesPki {
    /// Reads the folder.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let file = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|cause| Error::Read { path, cause })
        };
        let pair = |name: &str| {
            let key = Secret::new(file(&format!("{name}.key"))?);
            Ok::<_, Error>(CertAndKey {
                crt: file(&format!("{name}.crt"))?,
                key,
            })
        };
        Ok(Self {
            kubernetes: pair("ca")?,
            aggregator: pair("front-proxy-ca")?,
            etcd: pair("etcd/ca")?,
            service_account_key: Secret::new(file("sa.key")?),
        })
    }
}

impl SecretsBundle {
    /// Takes the authorities of an existing Kubernetes cluster; what it does not have is made anew. The bootstrap token
    /// is made anew too unless one is given.
    pub fn from_kubernetes_pki(
        pki: KubernetesPki,
        bootstrap_token: Option<&str>,
        now: SystemTime,
        contract: Contract,
    ) -> Result<Self, Error> {
        let mut bundle = Self::generate(now, contract)?;
        bundle.kubernetes = pki.kubernetes;
        bundle.aggregator = pki.aggregator;
        bundle.etcd = pki.etcd;
        bundle.service_account_key = pki.service_account_key;
        if let Some(token) = bootstrap_token {
            bundle.bootstrap_token = Secret::from(token);
        }
        bundle.check()?;
        Ok(bundle)
    }

    /// Takes the secrets back out of a control plane's configuration.
    pub fn from_controlplane_config(config: &Config) -> Result<Self, Error> {
        let refuse = |why: &str| Error::Import(why.to_owned());
        if config.machine_type() != Some(MachineType::ControlPlane) {
            return Err(refuse(
                "it is not of a control plane (machine.type: controlplane), which has them all",
            ));
        }
        let machine = config.machine().cloned().unwrap_or_default();
        let cluster = config.cluster().cloned().unwrap_or_default();
        let bundle = Self {
            cluster_id: cluster.id.unwrap_or_default(),
            cluster_secret: cluster.secret.unwrap_or_default(),
            bootstrap_token: cluster.token.unwrap_or_default(),
            aescbc_encryption_secret: cluster.aescbc_encryption_secret.filter(|secret| !secret.is_empty()),
            secretbox_encryption_secret: cluster.secretbox_encryption_secret.filter(|secret| !secret.is_empty()),
            trustd_token: machine.token.unwrap_or_default(),
            etcd: cluster.etcd.and_then(|etcd| etcd.ca).unwrap_or_default(),
            kubernetes: cluster.ca.unwrap_or_default(),
            aggregator: cluster.aggregator_ca.unwrap_or_default(),
            service_account_key: cluster
                .service_account
                .and_then(|account| account.key)
                .unwrap_or_default()
                .0,
            os: machine.ca.unwrap_or_default(),
        };
        bundle.check()?;
        Ok(bundle)
    }
}
