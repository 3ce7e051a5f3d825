//! Kubernetes on this node: from the configuration to static pods, the kubelet's specification and manifests.
//!
//! How things are rendered is in [`crate::kubernetes`]; this is the wiring, and which version of what a pod was made
//! from, so that a change restarts it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::Context as _;
use config::view::{self, Component as ComponentView};
use config::{Config, MachineType};
use resource::{All, Named, One, Outputs};
use serde_json::{Map, Value};

use super::files::file;
use super::secrets::{local_endpoint, nth_address};
use crate::kubernetes::configs::{AdmissionPlugin, Authorizer, authorizers, default_admission};
use crate::kubernetes::files::{self, File};
use crate::kubernetes::kubelet::{self, Host, Kubelet};
use crate::kubernetes::pki::{BootstrapToken, DynamicCerts, kubelet_bootstrap_kubeconfig};
use crate::kubernetes::pods::{Component, ExtraVolume, Resources, Versions};
use crate::kubernetes::static_pods::{self, ApiServer, ControllerManager, Scheduler};
use crate::kubernetes::version::Version;
use crate::machine_config::parsed;
use crate::resources::config::{MachineConfig, MachineKind, MachineType as MachineTypeResource};
use crate::resources::k8s as spec;
use crate::resources::keelson::{FileSetStatus, FileSpec, HostCapability, KubernetesReached};
use crate::resources::secrets::{
    EtcdRootSecrets, EtcdSecrets, KubeletSecrets, KubernetesDynamicCerts, KubernetesRootSecrets, KubernetesSecrets,
};
use crate::resources::types::AcceptedCA;
use crate::resources::types::ExtraArgs as ResourceArgs;

/// The set of configuration files of the control plane's pods.
pub const CONFIG_SET: &str = "kubernetes-config";
/// The set of their secrets.
pub const SECRET_SET: &str = "kubernetes-secrets";

resource::id!(
    /// The status of the server of static pods.
    pub PodServer = "static-pod-server-status"
);

/// The configuration, if this is a control plane.
fn control_plane(config: &MachineConfig) -> anyhow::Result<Option<std::sync::Arc<Config>>> {
    let config = parsed(config)?;
    Ok((config.machine_type() == Some(MachineType::ControlPlane)).then_some(config))
}

/// Converts between two forms of the same thing that have one JSON form but for their arguments: a resource has them as
/// messages, a rendered component as lists. They are left out here and set by the caller.
fn same<T: serde::de::DeserializeOwned>(value: &impl serde::Serialize) -> anyhow::Result<T> {
    let mut value = serde_json::to_value(value)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("extraArgs");
    }
    Ok(serde_json::from_value(value)?)
}

/// Arguments as a resource has them.
fn to_resource(args: &crate::kubernetes::ExtraArgs) -> ResourceArgs {
    args.iter()
        .map(|(name, values)| (name.clone(), values.clone().into()))
        .collect()
}

/// Arguments as a rendered component has them.
fn from_resource(args: &ResourceArgs) -> crate::kubernetes::ExtraArgs {
    args.iter()
        .map(|(name, values)| (name.clone(), values.values.clone()))
        .collect()
}

fn component(view: &ComponentView, versions: Versions) -> anyhow::Result<Component> {
    let quantities = |value: Option<&Value>| -> BTreeMap<String, String> {
        let entries = value.and_then(Value::as_object).into_iter().flatten();
        entries
            .map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), ToOwned::to_owned)))
            .collect()
    };
    let resources = view.resources.clone().unwrap_or_default();
    Ok(Component {
        image: view.image.clone(),
        extra_args: extra_args(&view.extra_args),
        extra_volumes: view
            .extra_volumes
            .iter()
            .map(|v| ExtraVolume {
                name: String::new(),
                host_path: v.host_path.clone().unwrap_or_default(),
                mount_path: v.mount_path.clone().unwrap_or_default(),
                read_only: v.readonly.unwrap_or_default(),
            })
            .collect(),
        environment_variables: view.env.clone(),
        resources: Resources {
            requests: quantities(resources.requests.as_ref()),
            limits: quantities(resources.limits.as_ref()),
        },
        versions,
    })
}

fn extra_args(args: &config::schema::types::Args) -> crate::kubernetes::ExtraArgs {
    args.iter()
        .map(|(name, value)| (name.clone(), value.values().to_vec()))
        .collect()
}

/// The API server as the configuration wants it.
pub fn api_server_config(config: One<MachineConfig>) -> anyhow::Result<Outputs<spec::APIServerConfig>> {
    let Some(config) = control_plane(&config)? else {
        return Ok(Outputs::none());
    };
    let view = view::api_server(&config);
    let server = ApiServer {
        component: component(&view.component, Versions::default())?,
        control_plane_endpoint: view::endpoint(&config).unwrap_or_default(),
        etcd_servers: vec!["https://127.0.0.1:2379".to_owned()],
        local_port: view.port,
        service_cidrs: view::kubernetes_network(&config).service_subnets,
        advertised_address: "$(POD_IP)".to_owned(),
    };
    let mut spec: spec::APIServerConfig = same(&server)?;
    spec.extra_args = to_resource(&server.component.extra_args);
    Ok(Outputs::one("kube-apiserver", spec))
}

/// The controller manager as the configuration wants it.
pub fn controller_manager_config(config: One<MachineConfig>) -> anyhow::Result<Outputs<spec::ControllerManagerConfig>> {
    let Some(config) = control_plane(&config)? else {
        return Ok(Outputs::none());
    };
    let view = view::controller_manager(&config);
    let network = view::kubernetes_network(&config);
    let mut own = component(&view, Versions::default())?;
    for (flag, length) in [
        ("node-cidr-mask-size-ipv4", network.node_mask_v4),
        ("node-cidr-mask-size-ipv6", network.node_mask_v6),
    ] {
        if let Some(length) = length {
            own.extra_args
                .entry(flag.to_owned())
                .or_insert_with(|| vec![length.to_string()]);
        }
    }
    let manager = ControllerManager {
        component: own,
        cloud_provider: cloud_provider(&config),
        pod_cidrs: network.pod_subnets,
        service_cidrs: network.service_subnets,
    };
    let mut spec: spec::ControllerManagerConfig = same(&manager)?;
    spec.extra_args = to_resource(&manager.component.extra_args);
    spec.enabled = view.enabled;
    Ok(Outputs::one("kube-controller-manager", spec))
}

fn cloud_provider(config: &Config) -> String {
    let external = config
        .cluster()
        .and_then(|c| c.external_cloud_provider.as_ref())
        .and_then(|e| e.enabled);
    if external.unwrap_or_default() {
        "external".to_owned()
    } else {
        String::new()
    }
}

/// The scheduler as the configuration wants it.
pub fn scheduler_config(config: One<MachineConfig>) -> anyhow::Result<Outputs<spec::SchedulerConfig>> {
    let Some(config) = control_plane(&config)? else {
        return Ok(Outputs::none());
    };
    let view = view::scheduler(&config);
    let scheduler = Scheduler {
        component: component(&view.component, Versions::default())?,
    };
    let mut spec: spec::SchedulerConfig = same(&scheduler)?;
    spec.extra_args = to_resource(&scheduler.component.extra_args);
    spec.enabled = view.component.enabled;
    Ok(Outputs::one("kube-scheduler", spec))
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Configuration files of the control plane's pods.
pub fn config_files(config: One<MachineConfig>) -> anyhow::Result<Outputs<FileSpec>> {
    let Some(config) = control_plane(&config)? else {
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
    specs(CONFIG_SET, rendered)
}

fn specs(set: &str, files: Vec<File>) -> anyhow::Result<Outputs<FileSpec>> {
    files
        .into_iter()
        .map(|f| {
            let contents = f
                .content
                .expose_str()
                .with_context(|| format!("{} is not text", f.path))?
                .to_owned();
            Ok((f.path, file(set, contents, 0o400, f.owner)))
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
    specs(SECRET_SET, rendered)
}

/// Whether the control plane's secrets are on disk.
pub fn secret_status(files: All<FileSetStatus>) -> Outputs<spec::SecretStatus> {
    let status = |set: &FileSetStatus| spec::SecretStatus {
        ready: true,
        version: set.version.clone(),
    };
    files
        .get(SECRET_SET)
        .map(|s| Outputs::one("static-pods", status(s)))
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

/// The control plane's pods, once what they read is there. The API server starts alone: the others can do nothing before
/// it is ready and has made their roles, and starting them takes processor time from it. They need no order where the
/// balancer, which knows that an API server is ready, is turned off.
pub fn static_pods(
    config: One<MachineConfig>,
    reached: Option<One<KubernetesReached>>,
    secrets: One<spec::SecretStatus>,
    configs: One<spec::ConfigStatus>,
    server: One<spec::APIServerConfig>,
    manager: One<spec::ControllerManagerConfig>,
    scheduler: One<spec::SchedulerConfig>,
) -> anyhow::Result<Outputs<spec::StaticPod>> {
    let versions = |config: String| Versions {
        config,
        config_files: configs.version.clone(),
        secrets: secrets.version.clone(),
    };
    let mut pods = Outputs::none();
    let mut rendered: ApiServer = same(&*server)?;
    rendered.component.extra_args = from_resource(&server.extra_args);
    rendered.component.versions = versions(server.resource().version());
    pods.insert("kube-apiserver", spec::StaticPod(static_pods::api_server(&rendered)?));
    if reached.is_none() && view::kube_prism(&*parsed(&config)?).enabled {
        return Ok(pods);
    }
    if manager.enabled {
        let mut rendered: ControllerManager = same(&*manager)?;
        rendered.component.extra_args = from_resource(&manager.extra_args);
        rendered.component.versions = versions(manager.resource().version());
        pods.insert(
            "kube-controller-manager",
            spec::StaticPod(static_pods::controller_manager(&rendered)?),
        );
    }
    if scheduler.enabled {
        let mut rendered: Scheduler = same(&*scheduler)?;
        rendered.component.extra_args = from_resource(&scheduler.extra_args);
        rendered.component.versions = versions(scheduler.resource().version());
        pods.insert("kube-scheduler", spec::StaticPod(static_pods::scheduler(&rendered)?));
    }
    Ok(pods)
}

/// Pods that the configuration adds to this machine.
pub fn extra_static_pods(config: One<MachineConfig>) -> anyhow::Result<Outputs<spec::StaticPod>> {
    let config = parsed(&config)?;
    let mut pods = Outputs::none();
    for pod in view::static_pods(&config) {
        let name = pod["metadata"]["name"]
            .as_str()
            .context("machine.pods: a pod has no metadata.name")?
            .to_owned();
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        pods.insert(format!("{namespace}-{name}"), spec::StaticPod(pod));
    }
    Ok(pods)
}

/// The node's name in Kubernetes: its host name, with the domain if asked for.
pub fn nodename(
    config: One<MachineConfig>,
    hostname: One<crate::resources::network::HostnameStatus>,
) -> anyhow::Result<Outputs<spec::Nodename>> {
    let settings = view::node_settings(&*parsed(&config)?);
    let name = if settings.register_with_fqdn {
        super::discovery::fqdn(&hostname)
    } else {
        hostname.hostname.clone()
    };
    Ok(Outputs::one(
        "nodename",
        spec::Nodename {
            nodename: name.to_lowercase(),
            hostname_version: hostname.resource().version(),
            skip_node_registration: settings.skip_registration,
        },
    ))
}

/// The kubelet as the configuration wants it.
pub fn kubelet_config(
    config: One<MachineConfig>,
    server: Named<spec::StaticPodServerStatus, PodServer>,
) -> anyhow::Result<Outputs<spec::KubeletConfig>> {
    let config = parsed(&config)?;
    let kubelet = view::kubelet(&config);
    let settings = view::node_settings(&config);
    let network = view::kubernetes_network(&config);
    let dns = if kubelet.cluster_dns.is_empty() {
        network
            .service_subnets
            .iter()
            .filter_map(|s| nth_address(s, 10))
            .map(|a| a.to_string())
            .collect()
    } else {
        kubelet.cluster_dns.clone()
    };
    Ok(Outputs::one(
        "kubelet",
        spec::KubeletConfig {
            image: kubelet.image.clone(),
            cluster_dns: dns,
            cluster_domain: network.dns_domain,
            extra_args: to_resource(&extra_args(&kubelet.extra_args)),
            extra_mounts: same(&kubelet.extra_mounts.iter().map(mount).collect::<Vec<_>>())?,
            extra_config: kubelet
                .extra_config
                .clone()
                .map(|v| same(&v))
                .transpose()?
                .unwrap_or_default(),
            cloud_provider_external: cloud_provider(&config) == "external",
            default_runtime_seccomp_enabled: kubelet.default_seccomp_profile,
            skip_node_registration: settings.skip_registration,
            static_pod_list_url: server.url.clone(),
            disable_manifests_directory: kubelet.disable_manifests_directory,
            enable_fs_quota_monitoring: false,
            credential_provider_config: kubelet
                .credential_providers
                .clone()
                .map(|v| same(&v))
                .transpose()?
                .unwrap_or_default(),
            allow_scheduling_on_control_plane: settings.allow_scheduling_on_control_planes,
        },
    ))
}

fn mount(mount: &config::v1alpha1::ExtraMount) -> Value {
    serde_json::json!({
        "destination": mount.destination.clone().unwrap_or_default(),
        "type": "bind",
        "source": mount.source.clone().unwrap_or_default(),
        "options": mount.options,
    })
}

/// What the kubelet is started with.
pub fn kubelet_spec(
    kind: One<MachineTypeResource>,
    kubelet: One<spec::KubeletConfig>,
    nodename: One<spec::Nodename>,
    addresses: One<spec::NodeIP>,
    host: One<HostCapability>,
) -> anyhow::Result<Outputs<spec::KubeletSpec>> {
    let mut input: Kubelet = same(&*kubelet)?;
    input.extra_args = from_resource(&kubelet.extra_args);
    input.nodename = nodename.nodename.clone();
    input.node_ips.clone_from(&addresses.addresses);
    input.control_plane = kind.0 == MachineKind::ControlPlane;
    input.host = Host {
        container: host.mode == "container",
        cgroup_v1: host.cgroups != "v2",
        ..Host::default()
    };
    let rendered = kubelet::render(&input)?;
    Ok(Outputs::one(
        "kubelet",
        spec::KubeletSpec {
            image: kubelet.image.clone(),
            args: rendered.args,
            extra_mounts: kubelet.extra_mounts.clone(),
            expected_nodename: rendered.expected_nodename,
            config: same(&rendered.config)?,
            credential_provider_config: kubelet.credential_provider_config.clone(),
        },
    ))
}

/// The kubelet's files: its configuration, whom it trusts, and what it joins with.
pub fn kubelet_files(
    spec: One<spec::KubeletSpec>,
    secrets: One<KubeletSecrets>,
    config: One<MachineConfig>,
) -> anyhow::Result<Outputs<FileSpec>> {
    let config = parsed(&config)?;
    let ca = AcceptedCA::bundle(&secrets.accepted_cas);
    let token = BootstrapToken::new(&secrets.bootstrap_token_id, &secrets.bootstrap_token_secret);
    let join = kubelet_bootstrap_kubeconfig(&local_endpoint(&config), &ca, &token)?;
    let text = |bytes: &[u8]| {
        anyhow::Ok(
            std::str::from_utf8(bytes)
                .context("a certificate is not text")?
                .to_owned(),
        )
    };
    let mut files = Outputs::none();
    let mut add = |path: &str, contents: String, mode: u32| files.insert(path, file("kubelet", contents, mode, 0));
    add(kubelet::CONFIG, serde_json::to_string_pretty(&spec.config)?, 0o600);
    add("/etc/kubernetes/pki/ca.crt", text(&ca)?, 0o644);
    add("/etc/kubernetes/bootstrap-kubeconfig", text(join.expose())?, 0o600);
    Ok(files)
}

/// The pod network's configuration, if the network is flannel. Its pod writes the same file once it runs; with the file
/// there from the start, the node does not have to wait for that pod to be Ready, and pods that come before flannel has
/// a subnet wait in its plugin.
pub fn pod_network_file(config: One<MachineConfig>) -> anyhow::Result<Outputs<FileSpec>> {
    if !matches!(view::cni(&*parsed(&config)?), view::Cni::Flannel(_)) {
        return Ok(Outputs::none());
    }
    let contents = crate::kubernetes::manifests::flannel_network();
    let file = file("pod-network", contents, 0o644, 0);
    Ok(Outputs::one(crate::kubernetes::manifests::FLANNEL_NETWORK_FILE, file))
}

/// Labels the configuration gives this node, and those of its role.
pub fn node_labels(
    config: One<MachineConfig>,
    kind: One<MachineTypeResource>,
) -> anyhow::Result<Outputs<spec::NodeLabelSpec>> {
    let mut labels = view::node_settings(&*parsed(&config)?).labels;
    labels.extend(kubelet::own_labels(kind.0 == MachineKind::ControlPlane));
    Ok(labels
        .into_iter()
        .map(|(key, value)| (key.clone(), spec::NodeLabelSpec { key, value }))
        .collect())
}

/// Annotations the configuration gives this node.
pub fn node_annotations(config: One<MachineConfig>) -> anyhow::Result<Outputs<spec::NodeAnnotationSpec>> {
    let annotations = view::node_settings(&*parsed(&config)?).annotations;
    Ok(annotations
        .into_iter()
        .map(|(key, value)| (key.clone(), spec::NodeAnnotationSpec { key, value }))
        .collect())
}

/// Taints the configuration gives this node (`key: value:Effect`), and that of control planes.
pub fn node_taints(
    config: One<MachineConfig>,
    kind: One<MachineTypeResource>,
) -> anyhow::Result<Outputs<spec::NodeTaintSpec>> {
    let settings = view::node_settings(&*parsed(&config)?);
    let mut taints = Outputs::none();
    for (key, text) in &settings.taints {
        let (value, effect) = text.rsplit_once(':').unwrap_or(("", text));
        let spec = spec::NodeTaintSpec {
            key: key.clone(),
            effect: effect.to_owned(),
            value: value.to_owned(),
        };
        taints.insert(key.clone(), spec);
    }
    if kind.0 == MachineKind::ControlPlane && !settings.allow_scheduling_on_control_planes {
        let key = kubelet::CONTROL_PLANE_TAINT.to_owned();
        taints.insert(
            key.clone(),
            spec::NodeTaintSpec {
                key,
                effect: "NoSchedule".to_owned(),
                value: String::new(),
            },
        );
    }
    Ok(taints)
}

/// The static endpoint of the control plane.
pub fn static_endpoint(config: One<MachineConfig>) -> anyhow::Result<Outputs<spec::Endpoint>> {
    let config = parsed(&config)?;
    let Some((host, _)) = super::discovery::control_plane_endpoint(&config) else {
        return Ok(Outputs::none());
    };
    let endpoint = match host.parse::<IpAddr>() {
        Ok(address) => spec::Endpoint {
            addresses: vec![address],
            hosts: vec![],
        },
        Err(_) => spec::Endpoint {
            addresses: vec![],
            hosts: vec![host],
        },
    };
    Ok(Outputs::one("controlplane", endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::config::MachineKind;

    /// A control plane whose components have arguments of the user's.
    fn config() -> One<MachineConfig> {
        let now = std::time::SystemTime::now();
        let contract = config::generate::Contract::CURRENT;
        let secrets = config::secrets::SecretsBundle::generate(now, contract).unwrap();
        let input = config::generate::Input::new("demo", "https://10.5.0.2:6443").unwrap();
        let generated = config::generate::controlplane(&input, &secrets).unwrap();
        let patch = b"
machine:
  kubelet:
    extraArgs: {v: \"4\"}
cluster:
  apiServer:
    extraArgs: {v: \"3\", feature-gates: [A=true, B=true]}
";
        let patch = config::patch::Patch::load(patch).unwrap();
        let patched = config::patch::apply(&generated, &[patch]).unwrap();
        One::from(MachineConfig(String::from_utf8(patched.encode()).unwrap()))
    }

    #[test]
    fn arguments_of_the_configuration_reach_the_api_servers_command_line() {
        let server = api_server_config(config()).unwrap();
        let server = One::from(server.get("kube-apiserver").unwrap().clone());
        let manager = controller_manager_config(config()).unwrap();
        let manager = One::from(manager.get("kube-controller-manager").unwrap().clone());
        let scheduler = scheduler_config(config()).unwrap();
        let scheduler = One::from(scheduler.get("kube-scheduler").unwrap().clone());
        let (secrets, configs) = (spec::SecretStatus::default(), spec::ConfigStatus::default());
        let pods = |reached: Option<KubernetesReached>| {
            let (secrets, configs) = (secrets.clone().into(), configs.clone().into());
            let (server, manager, scheduler) = (server.clone(), manager.clone(), scheduler.clone());
            let reached = reached.map(One::from);
            static_pods(config(), reached, secrets, configs, server, manager, scheduler).unwrap()
        };
        let early: Vec<String> = pods(None).iter().map(|(id, _)| id.to_owned()).collect();
        assert_eq!(early, ["kube-apiserver"]);
        let pods = pods(Some(KubernetesReached {}));
        assert_eq!(pods.len(), 3);
        let text = pods.get("kube-apiserver").unwrap().0.to_string();
        assert!(text.contains("--v=3") && text.contains("A=true,B=true"), "{text}");
    }

    #[test]
    fn arguments_of_the_configuration_reach_the_kubelets_command_line() {
        let kubelet = kubelet_config(config(), spec::StaticPodServerStatus::default().into()).unwrap();
        let kubelet = One::from(kubelet.get("kubelet").unwrap().clone());
        let kind = crate::resources::config::MachineType(MachineKind::ControlPlane);
        let nodename = spec::Nodename {
            nodename: "n".into(),
            ..spec::Nodename::default()
        };
        let addresses = spec::NodeIP {
            addresses: vec!["10.5.0.2".parse().unwrap()],
        };
        let host = HostCapability {
            mode: "container".into(),
            ..HostCapability::default()
        };
        let rendered = kubelet_spec(kind.into(), kubelet, nodename.into(), addresses.into(), host.into()).unwrap();
        assert!(rendered.get("kubelet").unwrap().args.contains(&"--v=4".to_owned()));
    }
}
