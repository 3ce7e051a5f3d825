//! What the control plane's pods read: configuration files and secrets.

use anyhow::Context as _;
use config::view;
use node_resources::config::MachineConfig;
use node_resources::k8s as spec;
use node_resources::keelson::{FileSetStatus, FileSpec};
use node_resources::secrets::{
    EtcdRootSecrets, EtcdSecrets, KubernetesDynamicCerts, KubernetesRootSecrets, KubernetesSecrets,
};
use node_resources::types::AcceptedCA;
use resource::{All, One, Outputs};

use super::{object, of_control_plane};
use crate::controllers::files::{file, version};
use crate::kubernetes::configs::{AdmissionPlugin, Authorizer, authorizers, default_admission};
use crate::kubernetes::files::{self, File};
use crate::kubernetes::pki::DynamicCerts;
use crate::kubernetes::pods::Component as ComponentConfig;
use crate::kubernetes::static_pods::{API_SERVER_SECRETS, CONTROLLER_MANAGER_SECRETS, SCHEDULER_SECRETS, SECRETS};
use crate::kubernetes::version::Version;
use crate::machine_config::parsed;

/// The set of configuration files of the control plane's pods.
pub const CONFIG_SET: &str = "kubernetes-config";

/// The set of their secrets that they read anew by themselves when they change.
pub const ANEW_SET: &str = "kubernetes-secrets-read-anew";

/// Components, and the set of secrets that each reads at its start: another version restarts it, and none of the others.
const START_SETS: [(&str, &str); 3] = [
    (API_SERVER_SECRETS, "kube-apiserver-secrets"),
    (CONTROLLER_MANAGER_SECRETS, "kube-controller-manager-secrets"),
    (SCHEDULER_SECRETS, "kube-scheduler-secrets"),
];

/// The set that a secret file belongs to.
fn secret_set(path: &str) -> &'static str {
    let (folder, _) = path.rsplit_once('/').unwrap_or_default();
    match START_SETS.iter().find(|(of, _)| *of == folder) {
        Some((_, set)) if !files::is_read_anew(path) => set,
        _ => ANEW_SET,
    }
}

/// The version of a component's secrets that restarts it. Arguments of the configuration may give its files to parts of
/// it of which nobody knows when they read them: then it is that of all.
pub fn secrets_version(component: &ComponentConfig, folder: &str, files: &All<FileSetStatus>) -> Option<String> {
    let (_, set) = START_SETS.iter().find(|(of, _)| *of == folder)?;
    let mut arguments = component.extra_args.values().flatten();
    match arguments.any(|value| value.contains(SECRETS)) {
        true => version(files, &[set, ANEW_SET]),
        false => Some(files.get(set)?.version.clone()),
    }
}

/// Configuration files of the control plane's pods.
pub fn config_files(config: One<MachineConfig>) -> anyhow::Result<Outputs<FileSpec>> {
    let Some(config) = of_control_plane(&config)? else {
        return Ok(Outputs::none());
    };
    let server = view::api_server(&config);
    let mut admission: Vec<AdmissionPlugin> = server
        .admission
        .iter()
        .map(|(name, value)| AdmissionPlugin {
            name: name.clone(),
            configuration: object(Some(value.clone())),
        })
        .collect();
    if admission.is_empty() {
        admission = default_admission();
    }
    let chain: Vec<Authorizer> = server
        .authorizers
        .iter()
        .map(|a| Authorizer {
            kind: a.kind.clone(),
            name: a.name.clone(),
            webhook: object(a.webhook.clone()),
        })
        .collect();
    let scheduler = object(view::scheduler(&config).config);
    let rendered = files::configs(&files::Configs {
        version: Version::of_image(&server.component.image),
        admission: &admission,
        audit_policy: server.audit_policy.as_ref(),
        authentication: server.authentication.as_ref(),
        authorizers: &authorizers(&chain),
        scheduler: &scheduler,
    });
    specs(|_| CONFIG_SET, rendered)
}

fn specs(set: impl Fn(&str) -> &'static str, files: Vec<File>) -> anyhow::Result<Outputs<FileSpec>> {
    files
        .into_iter()
        .map(|f| {
            let contents = f
                .content
                .expose_str()
                .with_context(|| format!("{} is not text", f.path))?
                .to_owned();
            let spec = file(set(&f.path), contents, 0o400, f.owner);
            Ok((f.path, spec))
        })
        .collect()
}

/// Secrets of the control plane's pods, as files.
pub fn secret_files(
    root: One<KubernetesRootSecrets>,
    etcd_root: One<EtcdRootSecrets>,
    etcd: One<EtcdSecrets>,
    certs: One<KubernetesDynamicCerts>,
    kubeconfigs: One<KubernetesSecrets>,
    config: One<MachineConfig>,
) -> anyhow::Result<Outputs<FileSpec>> {
    let encryption = view::api_server(&*parsed(&config)?).encryption;
    let accepted = AcceptedCA::bundle(&root.accepted_cas);
    let secret = |text: &str| (!text.is_empty()).then(|| pki::Secret::from(text.to_owned()));
    let (secretbox, aescbc) = (
        secret(&root.secretbox_encryption_secret),
        secret(&root.aes_cbc_encryption_secret),
    );
    let rendered = files::secrets(&files::Secrets {
        kubernetes_ca: &root.issuing_ca,
        accepted_cas: &accepted,
        aggregator_ca: &root.aggregator_ca.crt,
        etcd_ca: &etcd_root.etcd_ca.crt,
        etcd_client: &etcd.etcd_api_server,
        certs: &DynamicCerts {
            api_server: certs.api_server.clone(),
            kubelet_client: certs.api_server_kubelet_client.clone(),
            front_proxy: certs.front_proxy.clone(),
        },
        service_account_key: &root.service_account.key,
        secretbox: secretbox.as_ref(),
        aescbc: aescbc.as_ref(),
        encryption: encryption.as_ref(),
        controller_manager_kubeconfig: &kubeconfigs.controller_manager_kubeconfig.clone().into(),
        scheduler_kubeconfig: &kubeconfigs.scheduler_kubeconfig.clone().into(),
    })
    .context("make the secrets of the control plane")?;
    specs(secret_set, rendered)
}

/// Whether the control plane's secrets are on disk.
pub fn secret_status(files: All<FileSetStatus>) -> Outputs<spec::SecretStatus> {
    let sets = [&START_SETS.map(|(_, set)| set)[..], &[ANEW_SET]].concat();
    let status = |version| spec::SecretStatus { ready: true, version };
    version(&files, &sets)
        .map(|version| Outputs::one("static-pods", status(version)))
        .unwrap_or_default()
}

/// Whether the control plane's configuration files are on disk.
pub fn config_status(files: All<FileSetStatus>) -> Outputs<spec::ConfigStatus> {
    let status = |set: &FileSetStatus| spec::ConfigStatus {
        ready: true,
        version: set.version.clone(),
    };
    files
        .get(CONFIG_SET)
        .map(|s| Outputs::one("static-pods", status(s)))
        .unwrap_or_default()
}
