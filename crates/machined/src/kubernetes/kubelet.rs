//! The kubelet: its command line and its configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::configs::merge;
use super::flags::{ExtraArgs, FlagError, Flags};

/// The kubelet's configuration file.
pub const CONFIG: &str = "/etc/kubernetes/kubelet.yaml";
/// Its credentials once it has joined.
pub const KUBECONFIG: &str = "/etc/kubernetes/kubeconfig-kubelet";
/// Its credentials before.
pub const BOOTSTRAP_KUBECONFIG: &str = "/etc/kubernetes/bootstrap-kubeconfig";
/// The cluster's authority.
pub const CLIENT_CA: &str = "/etc/kubernetes/pki/ca.crt";
/// Where it keeps its certificates.
pub const CERT_DIR: &str = "/var/lib/kubelet/pki";
/// The folder of static pods, when it is used at all.
pub const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// Programs of credential providers.
pub const CREDENTIAL_PROVIDER_BIN: &str = "/usr/local/lib/kubelet/credentialproviders";
/// Their configuration.
pub const CREDENTIAL_PROVIDER_CONFIG: &str = "/etc/kubernetes/kubelet-credentialproviderconfig.yaml";
/// The containers' runtime.
pub const CONTAINERD: &str = "unix:///run/containerd/containerd.sock";
/// The resolver configuration of pods.
pub const POD_RESOLV_CONF: &str = "/system/resolved/resolv.conf";
/// A writable place for volume plugins; the default is on the read-only root.
pub const VOLUME_PLUGINS: &str = "/var/lib/kubelet/volumeplugins";

/// A taint as Kubernetes writes it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value, which may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// Taint of control plane nodes.
pub const CONTROL_PLANE_TAINT: &str = "node-role.kubernetes.io/control-plane";

/// The lowest `oom_score_adj` there is (the kernel's `OOM_SCORE_ADJ_MIN`).
pub const OOM_SCORE_MIN: i32 = -1000;
/// The kubelet's `oom_score_adj`, where the host lets it be set.
pub const OOM_SCORE: i32 = -450;

/// What the kubelet is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kubelet {
    /// Name of the node.
    pub nodename: String,
    /// Its addresses, one per family.
    pub node_ips: Vec<IpAddr>,
    /// DNS servers of pods.
    #[serde(rename = "clusterDNS")]
    pub cluster_dns: Vec<String>,
    /// `cluster.local`
    pub cluster_domain: String,
    /// A cloud provider outside will initialize the node.
    pub cloud_provider_external: bool,
    /// Pods get the runtime's seccomp profile unless they ask for another.
    pub default_runtime_seccomp_enabled: bool,
    /// Runs pods without joining a cluster.
    pub skip_node_registration: bool,
    /// Where the node serves its static pods.
    #[serde(rename = "staticPodListURL")]
    pub static_pod_list_url: String,
    /// Only the URL above gives static pods.
    pub disable_manifests_directory: bool,
    /// Storage use is measured by quotas of the file system.
    #[serde(rename = "enableFSQuotaMonitoring")]
    pub enable_fs_quota_monitoring: bool,
    /// Control planes run ordinary pods too.
    pub allow_scheduling_on_control_plane: bool,
    /// Taints of the configuration, of a worker.
    pub register_with_taints: Vec<Taint>,
    /// Credential providers are configured.
    pub credential_providers: bool,
    /// This is a control plane node.
    pub control_plane: bool,
    /// `machine.kubelet.extraArgs`
    pub extra_args: ExtraArgs,
    /// `machine.kubelet.extraConfig`
    pub extra_config: Map<String, Value>,
    /// What the machine is like.
    pub host: Host,
}

/// What the kubelet has to know of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Host {
    /// The node is a container: kernel parameters are the host's.
    pub container: bool,
    /// The machine has cgroup v1, which the kubelet refuses unless told otherwise.
    pub cgroup_v1: bool,
    /// Root of the pods' cgroups.
    pub cgroup_root: String,
    /// cgroup of the node's own services.
    pub system_cgroups: String,
    /// cgroup of the kubelet.
    pub kubelet_cgroups: String,
    /// The lowest `oom_score_adj` that the kubelet can have. It sets its own every minute, and complains every minute
    /// where the host does not let it.
    pub lowest_oom_score: i32,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            container: false,
            cgroup_v1: false,
            cgroup_root: "/".into(),
            system_cgroups: "/system".into(),
            kubelet_cgroups: "/podruntime/kubelet".into(),
            lowest_oom_score: OOM_SCORE_MIN,
        }
    }
}

/// What the kubelet is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Arguments, without the program.
    pub args: Vec<String>,
    /// The name the node will have at the API server; empty if it does not register.
    pub expected_nodename: String,
    /// The file [`CONFIG`].
    pub config: Value,
}

/// Settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An extra argument is refused.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// A field of `extraConfig` is the system's own.
    #[error("machine.kubelet.extraConfig: {field:?} is set by the system and cannot be changed: {instead}")]
    Config {
        /// The field.
        field: &'static str,
        /// What to do.
        instead: &'static str,
    },
}

const MANAGED_CONFIG: &[(&str, &str)] = &[
    ("apiVersion", "the system chooses the version"),
    ("kind", "it is always KubeletConfiguration"),
    (
        "authentication",
        "the kubelet trusts the cluster's authority and the API server only",
    ),
    ("authorization", "the API server decides who may ask the kubelet"),
    ("cgroupRoot", "the system lays out the machine's cgroups"),
    ("containerRuntimeEndpoint", "the node's own containerd is used"),
    ("kubeletCgroups", "the system lays out the machine's cgroups"),
    ("port", "other nodes rely on 10250"),
    ("protectKernelDefaults", "the system sets the kernel's parameters"),
    ("resolvConf", "use machine.network.nameservers"),
    ("rotateCertificates", "certificates are always rotated"),
    ("staticPodPath", "use machine.kubelet.disableManifestsDirectory"),
    ("staticPodURL", "use machine.pods"),
    ("systemCgroups", "the system lays out the machine's cgroups"),
];

/// What the kubelet is started with.
///
/// # Errors
/// An extra argument or field is refused.
pub fn render(kubelet: &Kubelet) -> Result<Spec, Error> {
    let flags = flags(kubelet)?;
    let expected_nodename = match flags.get("hostname-override").and_then(|values| values.last()) {
        Some(name) if !kubelet.skip_node_registration => name.clone(),
        _ => String::new(),
    };
    Ok(Spec {
        args: flags.render(),
        expected_nodename,
        config: config(kubelet)?,
    })
}

fn flags(kubelet: &Kubelet) -> Result<Flags, FlagError> {
    let mut flags = Flags::new();
    flags.set_all([
        ("cert-dir", CERT_DIR),
        ("config", CONFIG),
        ("hostname-override", kubelet.nodename.as_str()),
    ]);
    if !kubelet.skip_node_registration {
        flags.set_all([
            ("bootstrap-kubeconfig", BOOTSTRAP_KUBECONFIG),
            ("kubeconfig", KUBECONFIG),
        ]);
    }
    if kubelet.cloud_provider_external {
        flags.set("cloud-provider", "external");
    }
    if kubelet.credential_providers {
        flags.set_all([
            ("image-credential-provider-bin-dir", CREDENTIAL_PROVIDER_BIN),
            ("image-credential-provider-config", CREDENTIAL_PROVIDER_CONFIG),
        ]);
    }
    if !kubelet.node_ips.is_empty() {
        let ips: Vec<String> = kubelet.node_ips.iter().map(IpAddr::to_string).collect();
        flags.set("node-ip", ips.join(","));
    }
    flags.merge(&kubelet.extra_args, &config::arguments::KUBELET)?;
    Ok(flags)
}

fn config(kubelet: &Kubelet) -> Result<Value, Error> {
    if let Some((field, instead)) = MANAGED_CONFIG
        .iter()
        .find(|(field, _)| kubelet.extra_config.contains_key(*field))
    {
        return Err(Error::Config { field, instead });
    }
    let host = &kubelet.host;
    let memory = if kubelet.control_plane { "512Mi" } else { "384Mi" };
    let mut config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "0.0.0.0",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": !kubelet.skip_node_registration},
            "x509": {"clientCAFile": CLIENT_CA},
        },
        "authorization": {"mode": if kubelet.skip_node_registration { "AlwaysAllow" } else { "Webhook" }},
        "cgroupRoot": host.cgroup_root,
        "clusterDNS": kubelet.cluster_dns,
        "clusterDomain": kubelet.cluster_domain,
        "containerRuntimeEndpoint": CONTAINERD,
        "failSwapOn": false,
        "kubeletCgroups": host.kubelet_cgroups,
        "logging": {"format": "json"},
        "oomScoreAdj": OOM_SCORE.max(host.lowest_oom_score),
        "port": 10250,
        "protectKernelDefaults": !host.container,
        "resolvConf": POD_RESOLV_CONF,
        "rotateCertificates": true,
        "serializeImagePulls": false,
        "shutdownGracePeriod": "30s",
        "shutdownGracePeriodCriticalPods": "10s",
        "staticPodURL": kubelet.static_pod_list_url,
        // A changed argument of the API server is seen after so long; upstream's 20 s are meant for remote servers.
        "httpCheckFrequency": "1s",
        "streamingConnectionIdleTimeout": "5m0s",
        "systemCgroups": host.system_cgroups,
        "systemReserved": {"cpu": "50m", "ephemeral-storage": "256Mi", "memory": memory, "pid": "100"},
        "tlsMinVersion": "VersionTLS13",
        "volumePluginDir": VOLUME_PLUGINS,
    });
    if host.cgroup_v1 {
        config["failCgroupV1"] = false.into();
    }
    if kubelet.default_runtime_seccomp_enabled {
        config["seccompDefault"] = true.into();
    }
    if !kubelet.disable_manifests_directory {
        config["staticPodPath"] = MANIFESTS.into();
    }
    if kubelet.enable_fs_quota_monitoring {
        config["featureGates"] = json!({"LocalStorageCapacityIsolationFSQuotaMonitoring": true});
    }
    if kubelet.control_plane && !kubelet.allow_scheduling_on_control_plane && !kubelet.skip_node_registration {
        config["registerWithTaints"] = json!([{"key": CONTROL_PLANE_TAINT, "effect": "NoSchedule"}]);
    }
    if !kubelet.control_plane && !kubelet.register_with_taints.is_empty() && !kubelet.skip_node_registration {
        config["registerWithTaints"] = json!(kubelet.register_with_taints);
    }
    merge(&mut config, &Value::Object(kubelet.extra_config.clone()));
    Ok(config)
}

/// The 10th address of each service subnet, where the cluster's DNS answers. Subnets that cannot be read are skipped:
/// the configuration was validated before.
pub fn dns_service_ips(service_cidrs: &[String]) -> Vec<IpAddr> {
    service_ips(service_cidrs, 10)
}

/// The first address of each service subnet, where the API server answers.
pub fn api_service_ips(service_cidrs: &[String]) -> Vec<IpAddr> {
    service_ips(service_cidrs, 1)
}

fn service_ips(cidrs: &[String], offset: u8) -> Vec<IpAddr> {
    cidrs.iter().filter_map(|cidr| nth(cidr, offset)).collect()
}

fn nth(cidr: &str, offset: u8) -> Option<IpAddr> {
    let (address, prefix) = cidr.trim().split_once('/')?;
    let prefix: u32 = prefix.parse().ok()?;
    match address.parse().ok()? {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32u32.checked_sub(prefix)?).unwrap_or(0);
            Some(IpAddr::V4(((u32::from(ip) & mask).checked_add(offset.into())?).into()))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128u32.checked_sub(prefix)?).unwrap_or(0);
            Some(IpAddr::V6(((u128::from(ip) & mask).checked_add(offset.into())?).into()))
        }
    }
}

/// Labels that a node of this kind has besides the configuration's.
pub fn own_labels(control_plane: bool) -> BTreeMap<String, String> {
    let label = control_plane.then(|| (CONTROL_PLANE_TAINT.to_owned(), String::new()));
    label.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubelet() -> Kubelet {
        Kubelet {
            nodename: "talos1".into(),
            node_ips: vec!["10.0.2.15".parse().unwrap()],
            cluster_dns: vec!["10.96.0.10".into()],
            cluster_domain: "cluster.local".into(),
            default_runtime_seccomp_enabled: true,
            static_pod_list_url: "http://127.0.0.1:43093".into(),
            disable_manifests_directory: true,
            enable_fs_quota_monitoring: true,
            control_plane: true,
            host: Host {
                container: true,
                ..Host::default()
            },
            ..Kubelet::default()
        }
    }

    /// Every field that the interface's own node showed; it shows zero values too, which say nothing.
    #[test]
    fn the_interfaces_kubelet_is_ours() {
        let vector = include_str!("kubelet/vector.json");
        let vector: Value = serde_json::from_str(vector).unwrap();
        let spec = render(&kubelet()).unwrap();
        assert_eq!(json!(spec.args), vector["args"]);
        assert_eq!(spec.expected_nodename, vector["expectedNodename"]);
        let contains = |ours: &Value, theirs: &Value| {
            let mut merged = ours.clone();
            merge(&mut merged, theirs);
            assert_eq!(merged, *ours);
        };
        contains(&spec.config, &vector["config"]);
    }

    #[test]
    fn a_machine_with_cgroup_v1_says_so() {
        let mut input = kubelet();
        assert_eq!(render(&input).unwrap().config.get("failCgroupV1"), None);
        input.host.cgroup_v1 = true;
        assert_eq!(render(&input).unwrap().config["failCgroupV1"], false);
    }

    #[test]
    fn a_kubelet_that_cannot_lower_its_oom_score_does_not_try() {
        let mut input = kubelet();
        assert_eq!(render(&input).unwrap().config["oomScoreAdj"], -450);
        input.host.lowest_oom_score = 0;
        assert_eq!(render(&input).unwrap().config["oomScoreAdj"], 0);
    }

    #[test]
    fn a_worker_has_no_taint_and_reserves_less() {
        let config = render(&Kubelet {
            control_plane: false,
            ..kubelet()
        })
        .unwrap()
        .config;
        assert_eq!(config.get("registerWithTaints"), None);
        assert_eq!(config["systemReserved"]["memory"], "384Mi");
    }

    #[test]
    fn a_worker_registers_with_the_taints_of_the_configuration() {
        let taint = Taint {
            key: "a".into(),
            value: "b".into(),
            effect: "NoSchedule".into(),
        };
        let mut worker = Kubelet {
            control_plane: false,
            register_with_taints: vec![taint],
            ..kubelet()
        };
        let taints = |kubelet: &Kubelet| render(kubelet).unwrap().config["registerWithTaints"].clone();
        assert_eq!(
            taints(&worker),
            json!([{"key": "a", "value": "b", "effect": "NoSchedule"}])
        );
        // There the administrator's credentials put them on.
        worker.control_plane = true;
        assert_eq!(
            taints(&worker),
            json!([{"key": CONTROL_PLANE_TAINT, "effect": "NoSchedule"}])
        );
    }

    #[test]
    fn a_kubelet_alone_asks_nobody() {
        let spec = render(&Kubelet {
            skip_node_registration: true,
            ..kubelet()
        })
        .unwrap();
        assert_eq!(spec.expected_nodename, "");
        assert!(!spec.args.iter().any(|a| a.contains("kubeconfig")));
        assert_eq!(spec.config["authorization"]["mode"], "AlwaysAllow");
    }

    #[test]
    fn extra_configuration_merges_and_managed_fields_are_refused() {
        let mut input = kubelet();
        let extra = json!({"systemReserved": {"cpu": "1"}, "serverTLSBootstrap": true});
        input.extra_config = extra.as_object().unwrap().clone();
        let config = render(&input).unwrap().config;
        assert_eq!(config["systemReserved"]["cpu"], "1");
        assert_eq!(config["systemReserved"]["memory"], "512Mi");
        assert_eq!(config["serverTLSBootstrap"], true);
        input.extra_config.insert("port".into(), 1.into());
        assert!(
            render(&input)
                .unwrap_err()
                .to_string()
                .contains("\"port\" is set by the system")
        );
    }

    #[test]
    fn another_name_of_the_node_is_expected_as_given() {
        let mut input = kubelet();
        input
            .extra_args
            .insert("hostname-override".into(), vec!["other".into()]);
        assert_eq!(render(&input).unwrap().expected_nodename, "other");
        input.extra_args.insert("kubeconfig".into(), vec!["x".into()]);
        assert!(matches!(render(&input), Err(Error::Flag(FlagError::Denied { .. }))));
    }

    #[test]
    fn addresses_of_services_are_counted_from_the_start_of_their_subnets() {
        let cidrs = [
            "10.96.0.0/12".to_owned(),
            "fc00:db8:20::/112".to_owned(),
            "10.97.3.4/12".to_owned(),
        ];
        let text = |ips: Vec<IpAddr>| ips.iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(
            text(dns_service_ips(&cidrs)),
            ["10.96.0.10", "fc00:db8:20::a", "10.96.0.10"]
        );
        assert_eq!(text(api_service_ips(&cidrs[..1])), ["10.96.0.1"]);
        assert_eq!(
            text(api_service_ips(&["x".to_owned(), "1.2.3.4/99".to_owned()])),
            [""; 0]
        );
    }
}
