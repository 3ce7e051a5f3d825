//! The kubelet: its configuration, its command line and its files.

use anyhow::Context as _;
use config::view;
use node_resources::config::{MachineConfig, MachineKind, MachineType};
use node_resources::k8s as spec;
use node_resources::keelson::{FileSpec, HostCapability};
use node_resources::secrets::KubeletSecrets;
use node_resources::types::AcceptedCA;
use resource::{All, Named, One, Outputs};
use serde_json::Value;

use super::{cloud_provider, extra_args, from_resource, same, to_resource};
use crate::controllers::files::file;
use crate::controllers::secrets::{local_endpoint, nth_address};
use crate::kubernetes::kubelet::{self, Host, Kubelet};
use crate::kubernetes::manifests::{FLANNEL_NETWORK_FILE, flannel_network};
use crate::kubernetes::pki::{BootstrapToken, kubelet_bootstrap_kubeconfig};
use crate::machine_config::parsed;

resource::id!(
    /// The status of the server of static pods.
    pub PodServer = "static-pod-server-status"
);

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
    kind: One<MachineType>,
    kubelet: One<spec::KubeletConfig>,
    nodename: One<spec::Nodename>,
    addresses: One<spec::NodeIP>,
    taints: All<spec::NodeTaintSpec>,
    host: One<HostCapability>,
) -> anyhow::Result<Outputs<spec::KubeletSpec>> {
    let mut input: Kubelet = same(&*kubelet)?;
    let taint = |taint: &spec::NodeTaintSpec| kubelet::Taint {
        key: taint.key.clone(),
        value: taint.value.clone(),
        effect: taint.effect.clone(),
    };
    if kind.0 == MachineKind::Worker {
        input.register_with_taints = taints.iter().map(|(_, found)| taint(found)).collect();
    }
    input.extra_args = from_resource(&kubelet.extra_args);
    input.nodename = nodename.nodename.clone();
    input.node_ips.clone_from(&addresses.addresses);
    input.control_plane = kind.0 == MachineKind::ControlPlane;
    input.host = Host {
        container: host.mode == "container",
        cgroup_v1: host.cgroups != "v2",
        lowest_oom_score: if host.lower_oom_score {
            kubelet::OOM_SCORE_MIN
        } else {
            host.oom_score
        },
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
    let contents = flannel_network();
    let file = file("pod-network", contents, 0o644, 0);
    Ok(Outputs::one(FLANNEL_NETWORK_FILE, file))
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;

    #[test]
    fn arguments_of_the_configuration_reach_the_kubelets_command_line() {
        let kubelet = kubelet_config(config(), spec::StaticPodServerStatus::default().into()).unwrap();
        let kubelet = One::from(kubelet.get("kubelet").unwrap().clone());
        let kind = node_resources::config::MachineType(MachineKind::ControlPlane);
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
        let rendered = kubelet_spec(
            kind.into(),
            kubelet,
            nodename.into(),
            addresses.into(),
            All::new(Vec::new()),
            host.into(),
        )
        .unwrap();
        assert!(rendered.get("kubelet").unwrap().args.contains(&"--v=4".to_owned()));
    }
}
